//! What was measured, one column for each network.

use super::entrant::Entrant;
use super::turns::percents;
use crate::output::Thousands;
use crate::scores::ModeScore;

/// At most so many epochs have a line.
const EPOCHS: usize = 10;

/// A line: a number of each network, as text and as itself where its ratio says something.
struct Row {
    label: String,
    cells: Vec<String>,
    numbers: Vec<Option<f64>>,
}

/// The lines of the table. Every network after the first has a second column, its numbers divided by the first's.
pub(super) fn table(entrants: &[Entrant<'_>]) -> Vec<String> {
    let rows = rows(entrants);
    let first = entrants[0].name();
    let mut grid = vec![vec![String::new(), first.to_owned()]];
    for entrant in &entrants[1..] {
        grid[0].extend([entrant.name().to_owned(), format!("/ {first}")]);
    }
    for Row { label, cells, numbers } in rows {
        let mut line = vec![label];
        for (i, (cell, number)) in cells.into_iter().zip(&numbers).enumerate() {
            line.push(cell);
            if i > 0 {
                line.push(ratio(*number, numbers[0]));
            }
        }
        grid.push(line);
    }
    aligned(&grid)
}

fn rows(entrants: &[Entrant<'_>]) -> Vec<Row> {
    let row =
        |label: &str, number: &dyn Fn(&Entrant<'_>) -> Option<f64>, text: fn(f64) -> String| {
            let numbers: Vec<_> = entrants.iter().map(number).collect();
            let cell = |number: &Option<f64>| number.map_or("–".to_owned(), text);
            Row { label: label.to_owned(), cells: numbers.iter().map(cell).collect(), numbers }
        };
    let scores = |label: String, scores: &dyn Fn(&Entrant<'_>) -> Option<String>| Row {
        label,
        cells: entrants.iter().map(|e| scores(e).unwrap_or("–".to_owned())).collect(),
        numbers: vec![None; entrants.len()],
    };
    let mut rows = vec![
        row("parameters", &|e| Some(e.summary.parameters() as f64), whole),
        row("multiply-adds forward, one image", &|e| Some(e.summary.multiply_adds() as f64), whole),
        row("memory of training, bytes", &|e| Some(e.memory.total() as f64), whole),
        row("  parameters and statistics", &|e| Some(weights(e) as f64), whole),
        row("  gradients", &|e| Some(e.memory.parameter_gradients as f64), whole),
        row("  state of the optimiser", &|e| Some(e.memory.optimizer as f64), whole),
        row("  values of a batch and their gradients", &|e| Some(values(e) as f64), whole),
        row("memory of inference, one image, bytes", &|e| Some(e.inference_bytes as f64), whole),
        row("training step, median µs", &|e| Some(e.times()?.median * 1e6), micros),
        row("training step, mean µs", &|e| Some(e.times()?.mean * 1e6), micros),
        row("training epoch, mean s", &mean_epoch, |seconds| format!("{seconds:.2}")),
        row("training, images/s", &|e| e.speed(), whole),
    ];
    let epochs = entrants[0].epochs.len();
    let stride = epochs.div_ceil(EPOCHS).max(1);
    // The end of the last epoch is the end of all, unless the next had begun.
    let (_, begun) = entrants[0].training().position();
    let before = if begun > 0 { epochs } else { epochs.saturating_sub(1) };
    for i in (0..before).filter(|i| (i + 1).is_multiple_of(stride)) {
        let label = format!("test accuracy after epoch {}, %", i + 1);
        rows.push(scores(label, &|e| Some(percents(&e.epochs.get(i)?.scores))));
    }
    let both = entrants.iter().any(|entrant| entrant.scores.len() > 1);
    rows.push(scores("test accuracy at the end, %".to_owned(), &|e| Some(percents(&e.scores))));
    if both {
        let modes = |e: &Entrant<'_>| {
            let names = e.scores.iter().map(|ModeScore { mode, .. }| {
                mode.map_or("", |mode| match mode {
                    loupe_model::Normalization::BatchStatistics => "batch",
                    loupe_model::Normalization::RunningStatistics => "running",
                })
            });
            Some(names.collect::<Vec<_>>().join(" / "))
        };
        rows.push(scores("  by these statistics".to_owned(), &modes));
    }
    rows
}

fn weights(entrant: &Entrant<'_>) -> usize {
    entrant.memory.parameters + entrant.memory.statistics
}

fn values(entrant: &Entrant<'_>) -> usize {
    entrant.memory.plan.total() + entrant.memory.targets
}

fn mean_epoch(entrant: &Entrant<'_>) -> Option<f64> {
    let count = entrant.epochs.len();
    let sum: f64 = entrant.epochs.iter().map(|epoch| epoch.seconds).sum();
    (count > 0).then(|| sum / count as f64)
}

fn whole(number: f64) -> String {
    Thousands(number.round() as usize).to_string()
}

pub(super) fn micros(number: f64) -> String {
    if number < 1000.0 { format!("{number:.2}") } else { whole(number) }
}

/// Nothing where it says nothing.
fn ratio(number: Option<f64>, first: Option<f64>) -> String {
    match (number, first) {
        (Some(number), Some(first)) if first > 0.0 => times(number / first),
        _ => String::new(),
    }
}

/// A ratio with two or three digits.
pub(super) fn times(ratio: f64) -> String {
    match ratio {
        large if large >= 99.5 => whole(large),
        some if some >= 9.95 => format!("{some:.1}"),
        small => format!("{small:.2}"),
    }
}

/// The first column to the left, the others to the right.
fn aligned(grid: &[Vec<String>]) -> Vec<String> {
    let columns = grid.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = grid.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |line: &Vec<String>| {
        let mut text = format!("{:width$}", line[0], width = widths[0]);
        for (cell, width) in line.iter().zip(&widths).skip(1) {
            text += &format!("  {cell:>width$}");
        }
        text.trim_end().to_owned()
    };
    grid.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_have_few_digits() {
        for (ratio, text) in [(0.123, "0.12"), (9.94, "9.94"), (9.96, "10.0"), (4321.0, "4,321")] {
            assert_eq!(times(ratio), text);
        }
        assert_eq!(ratio(Some(3.0), Some(2.0)), "1.50");
        assert_eq!(ratio(Some(3.0), Some(0.0)), "");
        assert_eq!(ratio(None, Some(2.0)), "");
    }

    #[test]
    fn columns_are_aligned() {
        let grid = [["", "a", "bb"], ["µ", "12", "3"]].map(|line| line.map(String::from).to_vec());
        assert_eq!(aligned(&grid), ["    a  bb", "µ  12   3"]);
    }
}

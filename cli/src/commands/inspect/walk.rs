//! The walk through the layers, as text.

use super::view::{Seen, View, maps, times};
use super::words;
use crate::maps::{Scale, number, range};
use crate::output::Output;
use crate::screen::{Block, Screen, wrapped};
use loupe_model::Layer;
use loupe_model::trace::{NormStatistics, Range};

/// So many maps of a layer are shown.
const MAPS: usize = 12;
/// Means and variances of so many are.
const NORMS: usize = 32;
/// Columns of a map.
const COLUMNS: usize = 14;
/// Values of a layer without maps that are written out.
const VALUES: usize = 16;

pub(super) fn print(output: &mut Output, view: &View<'_>, screen: Screen) {
    let by = match view.network.has_batch_norm() {
        true => format!(", normalised by {}", view.trace.normalization),
        false => String::new(),
    };
    output.note(format_args!("{} looks at {}{by}\n", view.model, view.title()));
    let spec = view.network.spec();
    let inputs = &view.trace.inputs;
    output.line(format_args!("input: {}, {}", times(&spec.input), range(&Range::of(inputs))));
    let size = view.picked.size();
    let room = screen.width.saturating_sub(2);
    lines(output, &screen.beside(&[Scale::Grey(1.0).block(inputs, size, room, screen)]));
    for seen in view.layers() {
        layer(output, view, &seen, screen);
    }
    gradients(output, view, screen);
    scores(output, view);
}

fn layer(output: &mut Output, view: &View<'_>, seen: &Seen<'_>, screen: Screen) {
    let Seen { path, layer, after, .. } = seen;
    let found = range(&Range::of(&after.output));
    output.line(format_args!("\n{path} {layer}: {}, {found}", times(&after.shape)));
    for line in wrapped(&words::about(seen, view.trace.normalization), "  ", screen.width) {
        output.note(format_args!("{line}"));
    }
    if let Some(statistics) = &after.statistics {
        lines(output, &norms(statistics, screen.width));
    }
    if matches!(layer, Layer::View(_) | Layer::Flatten(_)) {
        return;
    }
    if after.shape.len() < 2 {
        values(output, &after.output, screen);
        return;
    }
    let (count, size) = maps(&after.shape);
    let scale = Scale::of(&after.output);
    let shown = after.output.chunks_exact(size[0] * size[1]).take(MAPS);
    let blocks: Vec<Block> = shown
        .enumerate()
        .map(|(map, values)| Block {
            caption: map.to_string(),
            ..scale.block(values, size, COLUMNS, screen)
        })
        .collect();
    lines(output, &screen.beside(&blocks));
    if count > MAPS {
        output.line(format_args!("  and {} more maps", count - MAPS));
    }
}

/// Mean and variance of each channel or run, below each other.
fn norms(statistics: &NormStatistics, width: usize) -> Vec<String> {
    let NormStatistics { mean, variance } = statistics;
    let count = mean.len();
    if let (&[mean], &[variance]) = (&mean[..], &variance[..]) {
        return vec![format!("  mean {}, variance {}", number(mean), number(variance))];
    }
    let columns = (width.saturating_sub(11) / 9).clamp(1, MAPS);
    let row = |name: &str, cells: &mut dyn Iterator<Item = String>| {
        let cells: String = cells.map(|cell| format!("{cell:>9}")).collect();
        format!("  {name:<9}{cells}")
    };
    let mut lines = Vec::new();
    for first in (0..count.min(NORMS)).step_by(columns) {
        let part = first..count.min(NORMS).min(first + columns);
        lines.push(row("number", &mut part.clone().map(|map| map.to_string())));
        lines.push(row("mean", &mut mean[part.clone()].iter().map(|&value| number(value))));
        lines.push(row("variance", &mut variance[part].iter().map(|&value| number(value))));
    }
    if count > NORMS {
        lines.push(format!("  and {} more", count - NORMS));
    }
    lines
}

/// Few values as numbers, many as a strip.
fn values(output: &mut Output, values: &[f32], screen: Screen) {
    if values.len() <= VALUES {
        let words: Vec<String> = values.iter().map(|&value| number(value)).collect();
        lines(output, &wrapped(&words.join(", "), "  ", screen.width));
        return;
    }
    let room = screen.width.saturating_sub(2);
    lines(
        output,
        &screen.beside(&[Scale::of(values).block(values, [1, values.len()], room, screen)]),
    );
}

fn gradients(output: &mut Output, view: &View<'_>, screen: Screen) {
    let size = view.picked.size();
    let winner = view.class(view.winner);
    let room = screen.width.saturating_sub(2);
    for (what, about, values) in [
        (format!("gradient of class {winner} by the input"), words::GRADIENT, &view.gradient),
        ("|gradient × input|".into(), words::INFLUENCE, &view.influence),
    ] {
        output.line(format_args!("\n{what}: {}", range(&Range::of(values))));
        for line in wrapped(about, "  ", screen.width) {
            output.note(format_args!("{line}"));
        }
        lines(output, &screen.beside(&[Scale::of(values).block(values, size, room, screen)]));
    }
}

fn scores(output: &mut Output, view: &View<'_>) {
    output.line(format_args!("\nscores"));
    let name = |class: usize| view.class(class);
    let width = (0..view.scores.len()).map(|class| name(class).chars().count()).max().unwrap_or(0);
    for (class, &score) in view.scores.iter().enumerate() {
        let bar = "█".repeat((score.clamp(0.0, 1.0) * 40.0).round() as usize);
        let line = format!("  {:>width$}  {score:.4}  {bar}", name(class));
        output.line(format_args!("{}", line.trim_end()));
    }
    let winner = name(view.winner);
    match view.picked.label {
        Some(label) if label == view.winner => {
            output.line(format_args!("class {winner}, which is right"));
        }
        Some(label) => {
            output.line(format_args!("class {winner}, but it is {}", name(label)));
        }
        None => output.line(format_args!("class {winner}")),
    }
}

fn lines(output: &mut Output, lines: &[String]) {
    for line in lines {
        output.line(format_args!("{line}"));
    }
}

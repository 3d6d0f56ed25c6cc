//! Several trainings in one chart.

use super::super::colour::Paint;
use super::super::drawing::{Anchor, Drawing, Stroke, TextStyle, point};
use super::axis::{Axis, number, percent};
use super::columns::{columns, smoothed};
use super::loss::{COLUMNS, Panels, draw_title, loss_title, radius};
use super::panel::{Name, Panel, accuracy_range, last, range};
use super::{HEIGHT, LABEL, WIDTH, head};

/// One training of several.
#[derive(Clone, Debug)]
pub(crate) struct RunCurves<'a> {
    pub(crate) name: &'a str,
    /// Losses in the order of training.
    pub(crate) losses: &'a [f32],
    /// How many of them are one epoch.
    pub(crate) losses_per_epoch: usize,
    /// x: epochs done, y: accuracy from 0 to 1.
    pub(crate) accuracies: &'a [(f64, f64)],
}

/// Mean losses on top, accuracies below, over epochs, so that trainings of different batch sizes stand
/// side by side. Names stand at the curves' ends; colours repeat after seven trainings, the next with
/// dashes.
pub(crate) fn curves(runs: &[RunCurves<'_>], title: &str) -> Drawing {
    let means: Vec<_> = runs.iter().map(mean).collect();
    let mut drawing = Drawing::new(WIDTH, HEIGHT, title);
    draw_title(&mut drawing, title);
    let style = TextStyle::new(Paint::Muted, LABEL, Anchor::Start);
    drawing.text(
        point(90.0, head(title) + 22.0),
        "losses: means over a hundredth of each training",
        style,
    );
    let (upper, lower) = match Panels::new(head(title), true) {
        Panels { upper, lower: Some(lower) } => (upper, lower),
        Panels { upper, lower: None } => (upper, upper),
    };
    let accuracies = || runs.iter().flat_map(|run| run.accuracies.iter().copied());
    let places = means.iter().flatten().copied().chain(accuracies()).map(|point| point.0);
    let epochs = range(places).map_or(1.0, |range| range.1.max(1e-9));
    let x = Axis::linear((0.0, epochs), (upper.x, upper.right()));

    let (low, high) = range(means.iter().flatten().map(|point| point.1)).unwrap_or((0.0, 1.0));
    let pixels = (upper.bottom(), upper.y);
    let y = match low > 0.0 && high > low * 8.0 {
        true => Axis::logarithmic((low / 1.1, high * 1.1), pixels),
        false => Axis::linear((low - (high - low) * 0.04, high + (high - low) * 0.04), pixels),
    };
    let losses = Panel { rect: upper, x, y };
    losses.draw_grid(&mut drawing, loss_title(&y), &y.ticks(8, number));
    let names = names(runs, &means, |value| format!("{value:.4}"));
    draw_curves(&mut drawing, &losses, &means, names, false);

    let y =
        Axis::linear(accuracy_range(accuracies().map(|point| point.1)), (lower.bottom(), lower.y));
    let panel = Panel { rect: lower, x, y };
    panel.draw_grid(&mut drawing, "accuracy", &y.ticks(4, percent));
    let points: Vec<_> = runs.iter().map(|run| run.accuracies.to_vec()).collect();
    let names = self::names(runs, &points, |value| percent(value, 4));
    draw_curves(&mut drawing, &panel, &points, names, true);
    panel.draw_x(&mut drawing, "epochs", &x.ticks(10, number));
    drawing
}

/// Means over about a hundredth of the training, by epochs.
fn mean(run: &RunCurves<'_>) -> Vec<(f64, f64)> {
    let columns = columns(run.losses, COLUMNS);
    let epoch = run.losses_per_epoch.max(1) as f64;
    let points = smoothed(&columns, radius(columns.len()));
    points.into_iter().map(|(place, mean)| (place / epoch, mean)).collect()
}

/// What stands beside each curve: the last value and the name.
fn names(
    runs: &[RunCurves<'_>],
    curves: &[Vec<(f64, f64)>],
    value: impl Fn(f64) -> String,
) -> Vec<Option<String>> {
    let name = |(run, points): (&RunCurves<'_>, &Vec<_>)| {
        last(points).map(|end| format!("{}  {}", value(end.1), run.name))
    };
    runs.iter().zip(curves).map(name).collect()
}

fn draw_curves(
    drawing: &mut Drawing,
    panel: &Panel,
    curves: &[Vec<(f64, f64)>],
    texts: Vec<Option<String>>,
    marks: bool,
) {
    let mut names = Vec::new();
    for (i, (points, text)) in curves.iter().zip(texts).enumerate() {
        let paint = Paint::Series(i);
        let stroke = Stroke::new(paint, 2.0);
        let again = (i / Paint::SERIES) % 2 == 1;
        panel.curve(drawing, points, if again { stroke.dashed() } else { stroke });
        if marks || points.len() == 1 {
            panel.marks(drawing, points, paint);
        }
        if let (Some(text), Some(end)) = (text, last(points)) {
            names.push(Name { y: panel.at(end).y, text, paint });
        }
    }
    panel.names(drawing, names);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_runs_make_a_chart() {
        let accuracies = [(1.0, 0.5), (2.0, f64::NAN)];
        let run = |losses, losses_per_epoch, accuracies| RunCurves {
            name: "<a> & b",
            losses,
            losses_per_epoch,
            accuracies,
        };
        let runs = [
            run(&[0.7, 0.5, 0.2, 0.1][..], 2, &accuracies[..]),
            run(&[f32::NAN, f32::MAX], 0, &[]),
            run(&[], 7, &[]),
            run(&[1.0], usize::MAX, &[(f64::INFINITY, 0.5)]),
        ];
        for count in 0..=runs.len() {
            let svg = curves(&runs[..count], "all").to_svg();
            roxmltree::Document::parse(&svg).unwrap();
        }
        let many = vec![runs[0].clone(); 40];
        roxmltree::Document::parse(&curves(&many, "").to_svg()).unwrap();
        let svg = curves(&runs[..1], "all").to_svg();
        assert!(svg.contains("0.1000  &lt;a&gt; &amp; b") && svg.contains("50.00 %"), "{svg}");
    }
}

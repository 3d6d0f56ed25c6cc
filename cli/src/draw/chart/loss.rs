//! The losses of a training, step by step, and the accuracies after its epochs.

use super::super::colour::Paint;
use super::super::drawing::{Anchor, Drawing, Rect, Stroke, TextStyle, point};
use super::super::text;
use super::axis::{Axis, number, percent};
use super::columns::{Column, columns, smoothed};
use super::panel::{Curve, Name, Panel, accuracy_range, last, range};
use super::{HEIGHT, LABEL, TITLE, WIDTH, head};

/// A chart has at most so many columns, whatever the number of steps.
pub(super) const COLUMNS: usize = 500;

/// What [`loss_chart`] shows.
#[derive(Clone, Debug)]
pub(crate) struct LossChart<'a> {
    pub(crate) title: &'a str,
    /// The loss of every step.
    pub(crate) losses: &'a [f32],
    /// For each epoch, the number of steps up to its end.
    pub(crate) epoch_ends: &'a [usize],
    /// x: steps done, y: accuracy from 0 to 1.
    pub(crate) accuracies: &'a [Curve],
}

/// Losses on top: the range of all steps, that of the middle 80 %, and a mean over about a hundredth of
/// the training. By ratios where they differ much. Below, if there are any, the accuracies.
pub(crate) fn loss_chart(chart: &LossChart<'_>) -> Drawing {
    let columns = columns(chart.losses, COLUMNS);
    let mean = smoothed(&columns, radius(columns.len()));
    let mut drawing = Drawing::new(WIDTH, HEIGHT, chart.title);
    draw_title(&mut drawing, chart.title);
    draw_legend(&mut drawing, chart, &columns);

    let steps = chart.losses.len().max(chart.epoch_ends.last().copied().unwrap_or(0)).max(1) as f64;
    let Panels { upper, lower } = Panels::new(head(chart.title), !chart.accuracies.is_empty());
    let x = Axis::linear((0.0, steps), (upper.x, upper.right()));
    let y = loss_axis(&columns, &mean, (upper.bottom(), upper.y));
    let losses = Panel { rect: upper, x, y };
    draw_losses(&mut drawing, &losses, &columns, &mean);

    let mut lowest = &losses;
    let accuracies = lower.map(|rect| {
        let values = chart.accuracies.iter().flat_map(|curve| &curve.points).map(|point| point.1);
        let y = Axis::linear(accuracy_range(values), (rect.bottom(), rect.y));
        Panel { rect, x, y }
    });
    if let Some(panel) = &accuracies {
        draw_accuracies(&mut drawing, panel, chart.accuracies);
        lowest = panel;
    }
    draw_epochs(&mut drawing, chart.epoch_ends, &losses, accuracies.as_ref());
    lowest.draw_x(&mut drawing, "training steps", &lowest.x.ticks(8, number));
    drawing
}

/// Neighbours on either side over which a mean goes.
pub(super) fn radius(columns: usize) -> usize {
    columns / 200
}

/// Where losses and accuracies stand.
pub(super) struct Panels {
    pub(super) upper: Rect,
    pub(super) lower: Option<Rect>,
}

impl Panels {
    /// Below a title of this height and a line of legend.
    pub(super) fn new(head: f32, accuracies: bool) -> Panels {
        const LOWER: f32 = 164.0;
        const GAP: f32 = 24.0;
        let (x, y, bottom) = (90.0, head + 38.0, HEIGHT as f32 - 60.0);
        let rect = |y, height, width| Rect { x, y, width, height };
        match accuracies {
            true => Panels {
                upper: rect(y, bottom - LOWER - GAP - y, 880.0),
                lower: Some(rect(bottom - LOWER, LOWER, 880.0)),
            },
            false => Panels { upper: rect(y, bottom - y, WIDTH as f32 - x - 40.0), lower: None },
        }
    }
}

pub(super) fn draw_title(drawing: &mut Drawing, title: &str) {
    let title = text::shortened(title, TITLE, WIDTH as f32 - 130.0);
    drawing.text(point(90.0, 38.0), title, TextStyle::new(Paint::Ink, TITLE, Anchor::Start));
}

fn draw_legend(drawing: &mut Drawing, chart: &LossChart<'_>, columns: &[Column]) {
    let (mut x, y) = (90.0, head(chart.title) + 17.0);
    let mut entry = |drawing: &mut Drawing, text: &str, opacity: f32, height: f32| {
        let swatch = Rect { x, y: y - height / 2.0, width: 22.0, height };
        drawing.rect(swatch, Paint::Series(0), opacity);
        let style = TextStyle::new(Paint::Muted, LABEL, Anchor::Start);
        drawing.text(point(x + 29.0, y + 5.0), text, style);
        x += 29.0 + text::width(text, LABEL) + 28.0;
    };
    if ranges(columns) {
        entry(drawing, "all steps", ALL, 14.0);
        entry(drawing, "middle 80 % of the steps", MIDDLE, 14.0);
    }
    if radius(columns.len()) > 0 {
        entry(drawing, "mean of a hundredth of the training", 1.0, 2.5);
    } else {
        entry(drawing, "loss of each step", 1.0, 2.5);
    }
    let missing = chart.losses.iter().filter(|loss| !loss.is_finite()).count();
    if missing > 0 {
        let text = format!("{} not finite", number(missing as f64, 0));
        let style = TextStyle::new(Paint::Wrong, LABEL, Anchor::Start);
        drawing.text(point(x, y + 5.0), text, style);
    }
}

const ALL: f32 = 0.13;
const MIDDLE: f32 = 0.3;

/// Whether any column holds several values.
fn ranges(columns: &[Column]) -> bool {
    columns.iter().any(|column| column.lowest < column.highest) || radius(columns.len()) > 0
}

/// By ratios where losses differ much. The lower end leaves out steps far below the mean: at batch size
/// 1 they reach down to nothing.
fn loss_axis(columns: &[Column], mean: &[(f64, f64)], pixels: (f32, f32)) -> Axis {
    let all = range(columns.iter().flat_map(|column| [column.lowest, column.highest]));
    let (lowest, highest) = all.unwrap_or((0.0, 1.0));
    let (least, most) = range(mean.iter().map(|point| point.1)).unwrap_or((0.0, 1.0));
    let low = range(columns.iter().map(|column| column.low)).map_or(0.0, |range| range.0);
    if least > 0.0 && (most > least * 8.0 || (least > low * 8.0 && low >= 0.0)) {
        let bottom = lowest.max(least / 30.0) / 1.1;
        return Axis::logarithmic((bottom, highest * 1.1), pixels);
    }
    let pad = (highest - lowest) * 0.04;
    let bottom = if lowest >= 0.0 && lowest < highest * 0.7 { 0.0 } else { lowest - pad };
    Axis::linear((bottom, highest + pad), pixels)
}

pub(super) fn loss_title(axis: &Axis) -> &'static str {
    if axis.is_logarithmic() { "loss, logarithmic" } else { "loss" }
}

fn draw_losses(drawing: &mut Drawing, panel: &Panel, columns: &[Column], mean: &[(f64, f64)]) {
    panel.draw_grid(drawing, loss_title(&panel.y), &panel.y.ticks(8, number));
    let mut band = |low: fn(&Column) -> f64, high: fn(&Column) -> f64, opacity| {
        let upper = columns.iter().map(|column| panel.at((column.place, high(column))));
        let lower = columns.iter().rev().map(|column| panel.at((column.place, low(column))));
        drawing.area(upper.chain(lower).collect(), Paint::Series(0), opacity);
    };
    if ranges(columns) {
        band(|column| column.lowest, |column| column.highest, ALL);
        band(|column| column.low, |column| column.high, MIDDLE);
    }
    panel.curve(drawing, mean, Stroke::new(Paint::Series(0), 2.5));
    if mean.len() == 1 {
        panel.marks(drawing, mean, Paint::Series(0));
    }
    if mean.is_empty() {
        let middle = point(panel.rect.x + panel.rect.width / 2.0, panel.rect.y + 40.0);
        let style = TextStyle::new(Paint::Muted, LABEL, Anchor::Middle);
        drawing.text(middle, "no loss to show", style);
    }
}

fn draw_accuracies(drawing: &mut Drawing, panel: &Panel, curves: &[Curve]) {
    panel.draw_grid(drawing, "accuracy", &panel.y.ticks(4, percent));
    let mut names = Vec::new();
    for (i, curve) in curves.iter().enumerate() {
        let paint = Paint::Series(i + 1);
        panel.curve(drawing, &curve.points, Stroke::new(paint, 2.0));
        panel.marks(drawing, &curve.points, paint);
        if let Some(end) = last(&curve.points) {
            let text = format!("{}  {}", percent(end.1, 4), curve.name);
            names.push(Name { y: panel.at(end).y, text, paint });
        }
    }
    panel.names(drawing, names);
}

/// A line at the end of each epoch, and their numbers where there is room.
fn draw_epochs(drawing: &mut Drawing, ends: &[usize], losses: &Panel, accuracies: Option<&Panel>) {
    let Some(&last) = ends.last() else { return };
    let room = (losses.x.at(last as f64) - losses.rect.x) / ends.len() as f32;
    let stride = |least: f32| (least / room.max(1e-3)).ceil().max(1.0) as usize;
    let (lines, labels) = (stride(12.0), stride(40.0));
    for (i, &end) in ends.iter().enumerate() {
        let x = losses.x.at(end as f64);
        if (i + 1).is_multiple_of(lines) && i + 1 < ends.len() {
            for panel in [Some(losses), accuracies].into_iter().flatten() {
                let line = vec![point(x, panel.rect.y), point(x, panel.rect.bottom())];
                drawing.line(line, Stroke::new(Paint::Muted, 1.0).dashed());
            }
        }
        if (i + 1).is_multiple_of(labels) {
            let text = if room > 76.0 { format!("epoch {}", i + 1) } else { (i + 1).to_string() };
            let style = TextStyle::new(Paint::Muted, LABEL, Anchor::End);
            drawing.text(point(x - 6.0, losses.rect.y + 18.0), text, style);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(losses: &[f32], epoch_ends: &[usize], accuracies: &[Curve]) -> Drawing {
        loss_chart(&LossChart { title: "a & b", losses, epoch_ends, accuracies })
    }

    #[test]
    fn any_losses_make_a_chart() {
        let huge = [f32::MAX, 1.0, f32::MIN_POSITIVE, 0.0, -1.0, f32::MIN];
        let cases: [&[f32]; 9] = [
            &[],
            &[0.5],
            &[f32::NAN],
            &[f32::NAN, f32::INFINITY, 1.0],
            &[0.0; 40],
            &[0.7; 1000],
            &huge,
            &[1e-30, 1e30],
            &[-2.0, -1.0],
        ];
        let odd = [(f64::NAN, 0.5), (1.0, f64::INFINITY), (2.0, 1e300), (1e300, -1.0)];
        let odd = [Curve { name: "<odd>".into(), points: odd.to_vec() }];
        let empty = [Curve { name: String::new(), points: vec![] }];
        for losses in cases {
            for ends in [&[][..], &[0], &[losses.len()], &[1, 1, 2, usize::MAX]] {
                for accuracies in [&[][..], &empty, &odd] {
                    let drawing = chart(losses, ends, accuracies);
                    roxmltree::Document::parse(&drawing.to_svg()).unwrap();
                }
            }
            chart(losses, &[], &odd).to_rgb(1);
        }
    }

    #[test]
    fn a_long_training_is_a_small_file() {
        let losses: Vec<f32> = (0..200_000u32)
            .map(|i| i.wrapping_mul(2_654_435_761) as f32 / 4.3e9 * 0.9f32.powi(i as i32 / 9000))
            .collect();
        let svg = chart(&losses, &[66_000, 132_000, 200_000], &[]).to_svg();
        assert!(svg.len() < 60_000, "{}", svg.len());
        for text in ["epoch 1", "epoch 3", "200,000", "training steps", "all steps"] {
            assert!(svg.contains(text), "{text}");
        }
        assert_eq!(svg, chart(&losses, &[66_000, 132_000, 200_000], &[]).to_svg());
    }

    #[test]
    fn many_epochs_have_few_labels() {
        let ends: Vec<usize> = (1..=1000).collect();
        let svg = chart(&[1.0; 1000], &ends, &[]).to_svg();
        assert!(svg.matches("<polyline").count() < 150);
        assert!(svg.matches("<text").count() < 60);
    }

    #[test]
    fn losses_that_differ_much_are_drawn_by_ratios() {
        assert!(chart(&[1.0, 0.01, 0.001], &[], &[]).to_svg().contains("loss, logarithmic"));
        assert!(!chart(&[1.0, 0.8, 0.6], &[], &[]).to_svg().contains("logarithmic"));
        assert!(chart(&[1.0, f32::NAN], &[], &[]).to_svg().contains("1 not finite"));
    }
}

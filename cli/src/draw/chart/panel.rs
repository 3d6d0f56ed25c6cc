//! A panel: two axes, their grid, and curves with their names beside them.

use super::super::colour::Paint;
use super::super::drawing::{Anchor, Drawing, Point, Rect, Stroke, TextStyle, point};
use super::super::text;
use super::LABEL;
use super::axis::{Axis, Tick};

/// A curve that has a name.
#[derive(Clone, Debug)]
pub(crate) struct Curve {
    pub(crate) name: String,
    /// x and y.
    pub(crate) points: Vec<(f64, f64)>,
}

pub(super) struct Panel {
    pub(super) rect: Rect,
    pub(super) x: Axis,
    pub(super) y: Axis,
}

/// A name beside the end of a curve.
#[derive(Clone, Debug)]
pub(super) struct Name {
    pub(super) y: f32,
    pub(super) text: String,
    pub(super) paint: Paint,
}

impl Panel {
    pub(super) fn at(&self, (x, y): (f64, f64)) -> Point {
        point(self.x.at(x), self.y.at(y))
    }

    /// Frame, grid lines and the labels of the y axis.
    pub(super) fn draw_grid(&self, drawing: &mut Drawing, title: &str, ticks: &[Tick]) {
        let rect = self.rect;
        for tick in ticks {
            let line = vec![point(rect.x, tick.at), point(rect.right(), tick.at)];
            drawing.line(line, Stroke::new(Paint::Grid, 1.0));
            let style = TextStyle::new(Paint::Muted, LABEL, Anchor::End);
            drawing.text(point(rect.x - 8.0, tick.at + 5.0), &tick.label, style);
        }
        let style = TextStyle::new(Paint::Ink, LABEL, Anchor::Middle).upwards();
        drawing.text(point(24.0, rect.y + rect.height / 2.0), title, style);
        drawing.frame(rect, Stroke::new(Paint::Muted, 1.0));
    }

    /// Labels below the panel.
    pub(super) fn draw_x(&self, drawing: &mut Drawing, title: &str, ticks: &[Tick]) {
        let rect = self.rect;
        for tick in ticks {
            let mark = vec![point(tick.at, rect.bottom()), point(tick.at, rect.bottom() + 5.0)];
            drawing.line(mark, Stroke::new(Paint::Muted, 1.0));
            let style = TextStyle::new(Paint::Muted, LABEL, Anchor::Middle);
            drawing.text(point(tick.at, rect.bottom() + 21.0), &tick.label, style);
        }
        let style = TextStyle::new(Paint::Ink, LABEL, Anchor::Middle);
        let middle = rect.x + rect.width / 2.0;
        drawing.text(point(middle, rect.bottom() + 43.0), title, style);
    }

    /// The line through what of the points is finite.
    pub(super) fn curve(&self, drawing: &mut Drawing, points: &[(f64, f64)], stroke: Stroke) {
        drawing.line(self.finite(points), stroke);
    }

    /// A square on each point.
    pub(super) fn marks(&self, drawing: &mut Drawing, points: &[(f64, f64)], paint: Paint) {
        for point in self.finite(points) {
            let rect = Rect { x: point.x - 3.0, y: point.y - 3.0, width: 6.0, height: 6.0 };
            drawing.rect(rect, paint, 1.0);
        }
    }

    fn finite(&self, points: &[(f64, f64)]) -> Vec<Point> {
        let finite = points.iter().filter(|(x, y)| x.is_finite() && y.is_finite());
        finite.map(|&point| self.at(point)).collect()
    }

    /// Names to the right of the panel, as near to their curves' ends as they fit without touching each
    /// other.
    pub(super) fn names(&self, drawing: &mut Drawing, mut names: Vec<Name>) {
        const HEIGHT: f32 = 19.0;
        let (top, bottom) = (self.rect.y + 10.0, self.rect.bottom().max(self.rect.y + 10.0));
        names.sort_by(|a, b| a.y.total_cmp(&b.y));
        // Each is pushed below the one before it, and then all up that reach beyond the panel.
        let mut free = top;
        for name in &mut names {
            name.y = name.y.max(free);
            free = name.y + HEIGHT;
        }
        let mut free = bottom;
        for name in names.iter_mut().rev() {
            name.y = name.y.min(free);
            free = name.y - HEIGHT;
        }
        let x = self.rect.right() + 10.0;
        let room = drawing.width as f32 - x - 8.0;
        for name in names {
            let text = text::shortened(&name.text, LABEL, room);
            let style = TextStyle::new(name.paint, LABEL, Anchor::Start);
            drawing.text(point(x, name.y + 5.0), text, style);
        }
    }
}

/// The lowest and highest of what is finite.
pub(super) fn range(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    let finite = values.into_iter().filter(|value| value.is_finite());
    finite.fold(None, |range, value| match range {
        None => Some((value, value)),
        Some((low, high)) => Some((value.min(low), value.max(high))),
    })
}

/// From somewhat below the lowest accuracy to somewhat above the highest, within 0 and 1.
pub(super) fn accuracy_range(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let (low, high) = range(values).unwrap_or((0.0, 1.0));
    let pad = ((high - low) * 0.15).max(0.002);
    ((low - pad).max(0.0), (high + pad).min(1.0))
}

/// Where a curve ends.
pub(super) fn last(points: &[(f64, f64)]) -> Option<(f64, f64)> {
    points.iter().rev().copied().find(|(x, y)| x.is_finite() && y.is_finite())
}

//! The confusion matrix as a picture.

use super::super::colour::Paint;
use super::super::drawing::{Anchor, Drawing, Rect, Stroke, TextStyle, point};
use super::super::text;
use super::{LABEL, TITLE, head};
use crate::output::Thousands;

/// A cell less wide than this holds no number.
const READABLE: f32 = 20.0;

/// `counts[true class][predicted class]`. Each row is shaded by its shares, the diagonal in another hue
/// than the mistakes, whose shades are stronger: they are few. Missing names are the classes' numbers.
pub(crate) fn confusion(counts: &[Vec<u64>], names: &[String], title: &str) -> Drawing {
    let classes = counts.len();
    let name = |class: usize| names.get(class).cloned().unwrap_or_else(|| class.to_string());
    let widest = (0..classes).map(|class| text::width(&name(class), LABEL)).fold(0.0, f32::max);
    let side = cell_side(counts);
    let names_width = widest.clamp(20.0, 160.0).ceil();
    // Names above the columns stand upright where they are wider than a column.
    let upright = widest > side - 6.0;
    let names_height = if upright { names_width } else { 16.0 };

    let (left, top) = (56.0 + names_width, head(title) + 46.0 + names_height);
    let all = side * classes as f32;
    let title_width = text::width(title, TITLE) + 48.0;
    let width = (left + all + 24.0).max(title_width).max(240.0).ceil();
    let mut drawing = Drawing::new(width as usize, (top + all + 24.0).ceil() as usize, title);
    drawing.text(point(24.0, 38.0), title, TextStyle::new(Paint::Ink, TITLE, Anchor::Start));
    let ink = TextStyle::new(Paint::Ink, LABEL, Anchor::Middle);
    drawing.text(point(left + all / 2.0, head(title) + 26.0), "predicted", ink);
    drawing.text(point(32.0, top + all / 2.0), "true", ink.upwards());

    for class in 0..classes {
        let name = text::shortened(&name(class), LABEL, 160.0);
        let middle = (class as f32 + 0.5) * side;
        let muted = |anchor| TextStyle::new(Paint::Muted, LABEL, anchor);
        drawing.text(point(left - 10.0, top + middle + 5.0), &name, muted(Anchor::End));
        match upright {
            true => {
                let style = muted(Anchor::Start).upwards();
                drawing.text(point(left + middle + 5.0, top - 8.0), &name, style);
            }
            false => drawing.text(point(left + middle, top - 8.0), &name, muted(Anchor::Middle)),
        }
    }
    for (row, values) in counts.iter().enumerate() {
        let total: u128 = values.iter().map(|&count| u128::from(count)).sum();
        for (column, &count) in values.iter().take(classes).enumerate() {
            let cell = Rect {
                x: left + column as f32 * side,
                y: top + row as f32 * side,
                width: side,
                height: side,
            };
            let share = if total == 0 { 0.0 } else { count as f64 / total as f64 };
            draw_cell(&mut drawing, cell, count, share as f32, row == column);
        }
    }
    let frame = Rect { x: left, y: top, width: all, height: all };
    if side >= READABLE {
        draw_lines(&mut drawing, frame, classes);
    }
    drawing.frame(frame, Stroke::new(Paint::Muted, 1.0));
    drawing
}

/// Lines between rows and between columns.
fn draw_lines(drawing: &mut Drawing, frame: Rect, classes: usize) {
    for i in 1..classes {
        let at = frame.width * i as f32 / classes as f32;
        let (x, y) = (frame.x + at, frame.y + at);
        let stroke = Stroke::new(Paint::Grid, 1.0);
        drawing.line(vec![point(frame.x, y), point(frame.right(), y)], stroke);
        drawing.line(vec![point(x, frame.y), point(x, frame.bottom())], stroke);
    }
}

/// Wide enough for the largest number, but less where there are so many classes that none can be read.
fn cell_side(counts: &[Vec<u64>]) -> f32 {
    let largest = counts.iter().flatten().max().copied().unwrap_or(0);
    let number = text::width(&Thousands(largest as usize).to_string(), LABEL) + 14.0;
    number.max(46.0).min(if counts.len() > 40 { 8.0 } else { 200.0 })
}

fn draw_cell(drawing: &mut Drawing, cell: Rect, count: u64, share: f32, right: bool) {
    let (paint, opacity) = match right {
        true => (Paint::Right, share * share),
        false => (Paint::Wrong, (share.sqrt() * 2.0).min(1.0)),
    };
    if count > 0 {
        drawing.rect(cell, paint, opacity.max(0.06));
    }
    if cell.width < READABLE {
        return;
    }
    let paint = match (count, opacity > 0.55) {
        (0, _) => Paint::Grid,
        (_, true) => Paint::Inverse,
        (_, false) => Paint::Ink,
    };
    let at = point(cell.x + cell.width / 2.0, cell.y + cell.height / 2.0 + 5.0);
    let text = Thousands(count as usize).to_string();
    drawing.text(at, text, TextStyle::new(paint, LABEL, Anchor::Middle));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_true_classes() {
        let names = ["cat", "<dog>"].map(String::from);
        let svg = confusion(&[vec![1980, 20], vec![0, 7]], &names, "who is who").to_svg();
        let document = roxmltree::Document::parse(&svg).unwrap();
        let at = |text: &str| {
            let found = document
                .descendants()
                .find(|node| node.has_tag_name("text") && node.text() == Some(text));
            let number = |name| found.unwrap().attribute(name).unwrap().parse::<f32>().unwrap();
            (number("x"), number("y"))
        };
        assert_eq!(at("1,980").1, at("20").1);
        assert_eq!(at("20").0, at("7").0);
        assert!(at("1,980").0 < at("20").0 && at("20").1 < at("7").1);
        assert!(svg.contains("&lt;dog&gt;"));
    }

    #[test]
    fn any_counts_make_a_picture() {
        let cases = [
            vec![],
            vec![vec![0]],
            vec![vec![u64::MAX; 2]; 2],
            vec![vec![1], vec![], vec![1, 2, 3, 4, 5]],
            vec![vec![3; 200]; 200],
        ];
        for counts in cases {
            for names in [&[][..], &["a name that is rather long for a column".to_owned()]] {
                let drawing = confusion(&counts, names, "");
                roxmltree::Document::parse(&drawing.to_svg()).unwrap();
                drawing.to_rgb(1);
            }
        }
    }
}

//! A drawing as pixels.

use super::colour::{Colour, Paint};
use super::drawing::{Anchor, Drawing, Point, Shape, Stroke, TextStyle};
use super::rgb::Rgb;
use super::text;
use tiny_skia::{FillRule, LineCap, LineJoin, Path, PathBuilder, Pixmap, StrokeDash, Transform};

impl Drawing {
    /// The drawing on white, `scale` pixels for each of its own.
    ///
    /// # Panics
    /// If the drawing has a side of 0 or billions of pixels.
    pub(crate) fn to_rgb(&self, scale: usize) -> Rgb {
        let (width, height) = (self.width * scale, self.height * scale);
        let pixmap = Pixmap::new(width as u32, height as u32);
        let mut canvas = Canvas { pixmap: pixmap.expect("a drawing has a size"), scale };
        canvas.pixmap.fill(colour(Paint::Ground, 1.0));
        for shape in &self.shapes {
            canvas.paint(shape);
        }
        // Everything lies on an opaque ground, so nothing is left to be divided by.
        let pixels = canvas.pixmap.pixels().iter().map(|p| [p.red(), p.green(), p.blue()]);
        Rgb::of(width, height, pixels)
    }
}

struct Canvas {
    pixmap: Pixmap,
    scale: usize,
}

impl Canvas {
    fn paint(&mut self, shape: &Shape) {
        match shape {
            Shape::Line { points, stroke } => self.stroke(points, stroke),
            Shape::Area { points, paint, opacity } => {
                if let Some(path) = path(points, true) {
                    self.fill(&path, Transform::identity(), colour(*paint, *opacity));
                }
            }
            Shape::Text { at, text, style } => self.text(*at, text, style),
            Shape::Picture { at, scale, picture } => self.picture(*at, *scale, picture),
        }
    }

    fn fill(&mut self, path: &Path, transform: Transform, colour: tiny_skia::Color) {
        let transform = transform.post_scale(self.scale as f32, self.scale as f32);
        self.pixmap.fill_path(path, &paint(colour), FillRule::Winding, transform, None);
    }

    fn stroke(&mut self, points: &[Point], stroke: &Stroke) {
        let Some(path) = path(points, false) else { return };
        let dash = if stroke.dashed { StrokeDash::new(vec![4.0, 4.0], 0.0) } else { None };
        let style = tiny_skia::Stroke {
            width: stroke.width,
            line_cap: LineCap::Butt,
            line_join: LineJoin::Round,
            dash,
            ..tiny_skia::Stroke::default()
        };
        let transform = Transform::from_scale(self.scale as f32, self.scale as f32);
        let colour = colour(stroke.paint, 1.0);
        self.pixmap.stroke_path(&path, &paint(colour), &style, transform, None);
    }

    fn text(&mut self, at: Point, line: &str, style: &TextStyle) {
        let Some(path) = text::outline(line, style.size) else { return };
        let width = text::width(line, style.size);
        let start = match style.anchor {
            Anchor::Start => 0.0,
            Anchor::Middle => -width / 2.0,
            Anchor::End => -width,
        };
        let turned = match style.upwards {
            true => Transform::from_row(0.0, -1.0, 1.0, 0.0, 0.0, 0.0),
            false => Transform::identity(),
        };
        let transform = turned.pre_translate(start, 0.0).post_translate(at.x, at.y);
        self.fill(&path, transform, colour(style.paint, 1.0));
    }

    /// Copies the pixels that lie within the drawing.
    fn picture(&mut self, at: Point, scale: usize, picture: &Rgb) {
        let scale = scale * self.scale;
        let left = (at.x * self.scale as f32).round() as usize;
        let top = (at.y * self.scale as f32).round() as usize;
        let (width, height) = (self.pixmap.width() as usize, self.pixmap.height() as usize);
        let data = self.pixmap.data_mut();
        for y in top..(top + picture.height * scale).min(height) {
            for x in left..(left + picture.width * scale).min(width) {
                let [red, green, blue] = picture.pixel((x - left) / scale, (y - top) / scale);
                let to = (y * width + x) * 4;
                data[to..to + 4].copy_from_slice(&[red, green, blue, 255]);
            }
        }
    }
}

fn path(points: &[Point], closed: bool) -> Option<Path> {
    let (first, rest) = points.split_first()?;
    let mut path = PathBuilder::new();
    path.move_to(first.x, first.y);
    rest.iter().for_each(|point| path.line_to(point.x, point.y));
    if closed {
        path.close();
    }
    path.finish()
}

fn colour(paint: Paint, opacity: f32) -> tiny_skia::Color {
    let Colour(red, green, blue) = paint.colour();
    let alpha = (opacity.clamp(0.0, 1.0) * 255.0).round() as u8;
    tiny_skia::Color::from_rgba8(red, green, blue, alpha)
}

fn paint(colour: tiny_skia::Color) -> tiny_skia::Paint<'static> {
    let mut paint = tiny_skia::Paint::default();
    paint.set_color(colour);
    paint
}

#[cfg(test)]
mod tests {
    use super::super::drawing::{Rect, point};
    use super::*;

    #[test]
    fn shapes_lie_where_they_are_said_to() {
        let mut drawing = Drawing::new(20, 10, "");
        let rect = Rect { x: 2.0, y: 1.0, width: 3.0, height: 4.0 };
        drawing.rect(rect, Paint::Fixed(Colour(10, 20, 30)), 1.0);
        drawing.picture(point(8.0, 2.0), 2, Rgb::of(2, 1, [[1, 2, 3], [4, 5, 6]]));
        // The second column of a picture that reaches out of the drawing.
        drawing.picture(point(19.0, 9.0), 1, Rgb::of(2, 2, [[9; 3]; 4]));
        for scale in [1, 3] {
            let picture = drawing.to_rgb(scale);
            assert_eq!((picture.width, picture.height), (20 * scale, 10 * scale));
            let pixel = |x, y| picture.pixel(x * scale, y * scale);
            for (x, y, expected) in [
                (1, 1, [255; 3]),
                (2, 1, [10, 20, 30]),
                (4, 4, [10, 20, 30]),
                (5, 4, [255; 3]),
                (8, 2, [1, 2, 3]),
                (11, 3, [4, 5, 6]),
                (12, 3, [255; 3]),
                (19, 9, [9; 3]),
            ] {
                assert_eq!(pixel(x, y), expected, "{x}, {y} at {scale}");
            }
        }
    }

    #[test]
    fn text_is_anchored_and_turned() {
        // Columns and rows that have ink.
        let ink = |anchor, upwards| {
            let mut drawing = Drawing::new(100, 100, "");
            let style = TextStyle { upwards, ..TextStyle::new(Paint::Ink, 20.0, anchor) };
            drawing.text(point(50.0, 50.0), "HHH", style);
            let picture = drawing.to_rgb(1);
            let dark = |&(x, y): &(usize, usize)| picture.pixel(x, y)[0] < 128;
            let all = (0..100).flat_map(|y| (0..100).map(move |x| (x, y)));
            let (xs, ys): (Vec<_>, Vec<_>) = all.filter(dark).unzip();
            let ends = |of: &[usize]| (*of.iter().min().unwrap(), *of.iter().max().unwrap());
            (ends(&xs), ends(&ys))
        };
        let ((left, right), (top, bottom)) = ink(Anchor::Start, false);
        assert!(left >= 50 && right > 80 && top > 30 && bottom == 49, "{left} {right} {top}");
        let ((left, right), _) = ink(Anchor::End, false);
        assert!(left < 20 && right < 50, "{left} {right}");
        let ((left, right), _) = ink(Anchor::Middle, false);
        assert!((99i64 - left as i64 - right as i64).abs() <= 2, "{left} {right}");
        let ((left, right), (top, bottom)) = ink(Anchor::Start, true);
        assert!(
            right == 49 && left > 30 && bottom < 50 && top < 20,
            "{left} {right} {top} {bottom}"
        );
    }

    #[test]
    fn what_cannot_be_seen_is_left_out() {
        let mut drawing = Drawing::new(4, 4, "");
        drawing.line(vec![point(f32::NAN, 0.0), point(1.0, 1.0)], Stroke::new(Paint::Ink, 1.0));
        drawing.area(vec![], Paint::Ink, 1.0);
        drawing.area(vec![point(1.0, 1.0)], Paint::Ink, 1.0);
        drawing.text(point(0.0, 0.0), "", TextStyle::new(Paint::Ink, 9.0, Anchor::Start));
        assert_eq!(drawing.to_rgb(1), Rgb::filled(4, 4, Colour::WHITE));
    }
}

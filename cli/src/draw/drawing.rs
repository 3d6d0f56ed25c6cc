//! A drawing: shapes in the order in which they are painted, to be written as SVG or as pixels.

use super::colour::Paint;
use super::rgb::Rgb;

/// Shapes on a ground of `width × height` pixels. x points right, y down.
#[derive(Debug)]
pub(crate) struct Drawing {
    pub(super) width: usize,
    pub(super) height: usize,
    /// What the drawing shows, for those who cannot see it.
    pub(super) title: String,
    pub(super) shapes: Vec<Shape>,
}

#[derive(Debug)]
pub(super) enum Shape {
    Line { points: Vec<Point>, stroke: Stroke },
    Area { points: Vec<Point>, paint: Paint, opacity: f32 },
    Text { at: Point, text: String, style: TextStyle },
    Picture { at: Point, scale: usize, picture: Rgb },
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) x: f32,
    pub(super) y: f32,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Stroke {
    pub(super) paint: Paint,
    pub(super) width: f32,
    pub(super) dashed: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct TextStyle {
    pub(super) paint: Paint,
    pub(super) size: f32,
    pub(super) anchor: Anchor,
    /// Whether it reads from below to above.
    pub(super) upwards: bool,
}

/// Which part of a text stands at its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A rectangle whose sides are those of the drawing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rect {
    pub(super) x: f32,
    pub(super) y: f32,
    pub(super) width: f32,
    pub(super) height: f32,
}

pub(super) fn point(x: f32, y: f32) -> Point {
    Point { x, y }
}

impl Stroke {
    pub(super) fn new(paint: Paint, width: f32) -> Stroke {
        Stroke { paint, width, dashed: false }
    }

    pub(super) fn dashed(self) -> Stroke {
        Stroke { dashed: true, ..self }
    }
}

impl TextStyle {
    pub(super) fn new(paint: Paint, size: f32, anchor: Anchor) -> TextStyle {
        TextStyle { paint, size, anchor, upwards: false }
    }

    pub(super) fn upwards(self) -> TextStyle {
        TextStyle { upwards: true, ..self }
    }
}

impl Rect {
    pub(super) fn right(&self) -> f32 {
        self.x + self.width
    }

    pub(super) fn bottom(&self) -> f32 {
        self.y + self.height
    }

    fn corners(&self) -> Vec<Point> {
        let (left, top, right, bottom) = (self.x, self.y, self.right(), self.bottom());
        vec![point(left, top), point(right, top), point(right, bottom), point(left, bottom)]
    }
}

impl Drawing {
    pub(super) fn new(width: usize, height: usize, title: &str) -> Drawing {
        Drawing { width, height, title: title.to_owned(), shapes: Vec::new() }
    }

    /// A line through the points; none through fewer than two.
    pub(super) fn line(&mut self, points: Vec<Point>, stroke: Stroke) {
        if points.len() > 1 {
            self.shapes.push(Shape::Line { points, stroke });
        }
    }

    /// What the points enclose.
    pub(super) fn area(&mut self, points: Vec<Point>, paint: Paint, opacity: f32) {
        self.shapes.push(Shape::Area { points, paint, opacity });
    }

    pub(super) fn rect(&mut self, rect: Rect, paint: Paint, opacity: f32) {
        self.area(rect.corners(), paint, opacity);
    }

    /// The outline of a rectangle.
    pub(super) fn frame(&mut self, rect: Rect, stroke: Stroke) {
        let mut points = rect.corners();
        points.push(points[0]);
        self.line(points, stroke);
    }

    /// A line of text; its baseline meets the point.
    pub(super) fn text(&mut self, at: Point, text: impl Into<String>, style: TextStyle) {
        self.shapes.push(Shape::Text { at, text: text.into(), style });
    }

    /// A picture, from its upper left corner, every pixel as a square.
    pub(super) fn picture(&mut self, at: Point, scale: usize, picture: Rgb) {
        self.shapes.push(Shape::Picture { at, scale, picture });
    }
}

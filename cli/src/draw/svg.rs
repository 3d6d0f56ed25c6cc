//! A drawing as SVG.

use super::colour::{Colour, Paint};
use super::drawing::{Anchor, Drawing, Point, Shape, TextStyle};
use super::text::FAMILY;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt::{self, Write};

impl Drawing {
    /// The drawing as an SVG file that needs no other. Each colour is an attribute and a class (`fill-ink`,
    /// `stroke-grid`, …): a page that holds the drawing can replace it by a rule of its own.
    pub(crate) fn to_svg(&self) -> String {
        let (width, height) = (self.width, self.height);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
             width=\"{width}\" height=\"{height}\" role=\"img\" font-family=\"{FAMILY}\">\n\
             <title>{}</title>\n\
             <rect width=\"{width}\" height=\"{height}\" {}/>\n",
            escaped(&self.title),
            Filled(Paint::Ground),
        );
        for shape in &self.shapes {
            write_shape(&mut svg, shape).expect("a string takes everything");
        }
        svg.push_str("</svg>\n");
        svg
    }
}

fn write_shape(svg: &mut String, shape: &Shape) -> fmt::Result {
    match shape {
        Shape::Line { points, stroke } => {
            let (points, width) = (Points(points), Number(stroke.width));
            let dash = if stroke.dashed { " stroke-dasharray=\"4 4\"" } else { "" };
            let paint = Stroked(stroke.paint);
            writeln!(
                svg,
                "<polyline points=\"{points}\" fill=\"none\" {paint} stroke-width=\"{width}\" \
                 stroke-linejoin=\"round\"{dash}/>"
            )
        }
        Shape::Area { points, paint, opacity } => {
            write!(svg, "<polygon points=\"{}\" {}", Points(points), Filled(*paint))?;
            if *opacity < 1.0 {
                // Two digits more than a coordinate has: faint shades differ by little.
                write!(svg, " fill-opacity=\"{:.3}\"", opacity.max(0.0))?;
            }
            svg.write_str("/>\n")
        }
        Shape::Text { at, text, style } => write_text(svg, *at, text, style),
        Shape::Picture { at, scale, picture } => {
            let (x, y) = (Number(at.x), Number(at.y));
            let (width, height) = (picture.width * scale, picture.height * scale);
            writeln!(
                svg,
                "<image x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" \
                 style=\"image-rendering:pixelated\" href=\"{}\"/>",
                png_uri(&picture.to_png())
            )
        }
    }
}

fn write_text(svg: &mut String, at: Point, text: &str, style: &TextStyle) -> fmt::Result {
    let (x, y) = (Number(at.x), Number(at.y));
    write!(svg, "<text x=\"{x}\" y=\"{y}\" font-size=\"{}\"", Number(style.size))?;
    match style.anchor {
        Anchor::Start => {}
        Anchor::Middle => svg.write_str(" text-anchor=\"middle\"")?,
        Anchor::End => svg.write_str(" text-anchor=\"end\"")?,
    }
    if style.upwards {
        write!(svg, " transform=\"rotate(-90 {x} {y})\"")?;
    }
    writeln!(svg, " {}>{}</text>", Filled(style.paint), escaped(text))
}

/// A PNG file as an address that holds it.
pub(crate) fn png_uri(png: &[u8]) -> String {
    format!("data:image/png;base64,{}", STANDARD.encode(png))
}

/// Text for SVG and HTML, between tags or within quotation marks. Control characters, which XML cannot
/// hold, become spaces.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(letter),
            _ if letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}') => out.push(' '),
            _ => out.push(letter),
        }
    }
    out
}

struct Filled(Paint);
struct Stroked(Paint);

impl fmt::Display for Filled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_paint(f, "fill", self.0)
    }
}

impl fmt::Display for Stroked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_paint(f, "stroke", self.0)
    }
}

fn write_paint(f: &mut fmt::Formatter<'_>, what: &str, paint: Paint) -> fmt::Result {
    if let Some(class) = paint.class() {
        write!(f, "class=\"{what}-{class}\" ")?;
    }
    let Colour(red, green, blue) = paint.colour();
    write!(f, "{what}=\"#{red:02x}{green:02x}{blue:02x}\"")
}

struct Points<'a>(&'a [Point]);

impl fmt::Display for Points<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, point) in self.0.iter().enumerate() {
            let gap = if i > 0 { " " } else { "" };
            write!(f, "{gap}{},{}", Number(point.x), Number(point.y))?;
        }
        Ok(())
    }
}

/// A coordinate to a tenth of a pixel.
struct Number(f32);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = (f64::from(self.0) * 10.0).round();
        // Not a number: nothing is drawn there; and no -0.
        let tenths = if tenths.is_finite() { tenths + 0.0 } else { 0.0 };
        write!(f, "{}", tenths / 10.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::drawing::{Rect, Stroke, point};
    use super::super::rgb::Rgb;
    use super::*;

    #[test]
    fn a_drawing_is_well_formed_xml() {
        let mut drawing = Drawing::new(40, 30, "a <title> & \"more\"");
        let rect = Rect { x: 0.04, y: 1.25, width: 3.0, height: 4.0 };
        drawing.rect(rect, Paint::Right, 0.25);
        drawing.frame(rect, Stroke::new(Paint::Grid, 1.5).dashed());
        let style = TextStyle::new(Paint::Ink, 12.0, Anchor::Middle);
        drawing.text(point(1.0, 2.0), "<script>\u{1b}'", style.upwards());
        drawing.picture(point(5.0, 5.0), 2, Rgb::filled(2, 3, Colour(1, 2, 3)));
        let svg = drawing.to_svg();
        let document = roxmltree::Document::parse(&svg).unwrap();
        let text = |tag| {
            document.descendants().find(|node| node.has_tag_name(tag)).unwrap().text().unwrap()
        };
        assert_eq!(text("title"), "a <title> & \"more\"");
        assert_eq!(text("text"), "<script> '");
        assert!(svg.contains("points=\"0,1.3 3,1.3 3,5.3 0,5.3\""), "{svg}");
        assert!(svg.contains("class=\"fill-right\" fill=\"#0072b2\" fill-opacity=\"0.250\""));
        assert!(svg.contains("width=\"4\" height=\"6\""));
    }

    #[test]
    fn coordinates_are_numbers() {
        for (number, text) in [
            (1.0, "1"),
            (0.96, "1"),
            (-0.04, "0"),
            (1234.56, "1234.6"),
            (f32::NAN, "0"),
            (f32::INFINITY, "0"),
        ] {
            assert_eq!(Number(number).to_string(), text);
        }
    }
}

//! Text as outlines, from a font that is part of the program.

use tiny_skia::{Path, PathBuilder};
use ttf_parser::{Face, GlyphId, OutlineBuilder};

/// A part of DejaVu Sans; `font/README.md` says which.
const FONT: &[u8] = include_bytes!("font/text.ttf");

/// The name by which a browser finds the font, or one of nearly the same widths.
pub(super) const FAMILY: &str = "DejaVu Sans, Verdana, sans-serif";

fn face() -> Face<'static> {
    Face::parse(FONT, 0).expect("the font of the program is whole")
}

/// How wide a line of text is, in pixels, where `size` is that of the font.
pub(super) fn width(text: &str, size: f32) -> f32 {
    let face = face();
    let units: f32 = text.chars().map(|letter| advance(&face, glyph(&face, letter))).sum();
    units * size / f32::from(face.units_per_em())
}

/// The text as it is, or its beginning and `…` if it is wider than `limit`.
pub(super) fn shortened(text: &str, size: f32, limit: f32) -> String {
    if width(text, size) <= limit {
        return text.to_owned();
    }
    let mut short = text.to_owned();
    while short.pop().is_some() {
        let candidate = format!("{}…", short.trim_end());
        if width(&candidate, size) <= limit {
            return candidate;
        }
    }
    String::new()
}

/// The outlines of a line of text whose baseline starts at (0, 0); y points down. None if nothing of it is
/// visible.
pub(super) fn outline(text: &str, size: f32) -> Option<Path> {
    let face = face();
    let scale = size / f32::from(face.units_per_em());
    let mut line = Line { path: PathBuilder::new(), scale, x: 0.0 };
    for letter in text.chars() {
        let glyph = glyph(&face, letter);
        face.outline_glyph(glyph, &mut line);
        line.x += advance(&face, glyph) * scale;
    }
    line.path.finish()
}

/// A letter's glyph, or the box that stands for letters that the font lacks.
fn glyph(face: &Face<'_>, letter: char) -> GlyphId {
    face.glyph_index(letter).unwrap_or(GlyphId(0))
}

fn advance(face: &Face<'_>, glyph: GlyphId) -> f32 {
    f32::from(face.glyph_hor_advance(glyph).unwrap_or(0))
}

/// A path that takes glyphs one behind the other.
struct Line {
    path: PathBuilder,
    scale: f32,
    x: f32,
}

impl Line {
    fn at(&self, x: f32, y: f32) -> (f32, f32) {
        (self.x + x * self.scale, -y * self.scale)
    }
}

impl OutlineBuilder for Line {
    fn move_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.path.move_to(x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.path.line_to(x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let ((x1, y1), (x, y)) = (self.at(x1, y1), self.at(x, y));
        self.path.quad_to(x1, y1, x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let ((x1, y1), (x2, y2), (x, y)) = (self.at(x1, y1), self.at(x2, y2), self.at(x, y));
        self.path.cubic_to(x1, y1, x2, y2, x, y);
    }

    fn close(&mut self) {
        self.path.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_font_has_what_captions_need() {
        let face = face();
        for letter in "abcXYZ0189 7 → 1 (0.98) −×·…–—≤≥µλßéŁДΩ²".chars() {
            assert!(face.glyph_index(letter).is_some(), "{letter}");
        }
    }

    #[test]
    fn widths_add_up() {
        assert_eq!(width("", 12.0), 0.0);
        let (one, two) = (width("ab", 12.0), width("abab", 12.0));
        assert!(one > 10.0 && (two - 2.0 * one).abs() < 1e-3, "{one} {two}");
        assert!((width("ab", 24.0) - two).abs() < 1e-3);
    }

    #[test]
    fn long_text_is_cut_to_its_limit() {
        let text = "a name that is much too long for its place";
        assert_eq!(shortened(text, 12.0, 1e4), text);
        let short = shortened(text, 12.0, 80.0);
        assert!(short.ends_with('…') && text.starts_with(short.trim_end_matches('…')), "{short}");
        assert!(width(&short, 12.0) <= 80.0);
        assert_eq!(shortened(text, 12.0, 1.0), "");
    }

    #[test]
    fn outlines_stand_on_the_line() {
        let path = outline("H", 20.0).unwrap();
        let bounds = path.bounds();
        assert!(bounds.bottom().abs() < 1e-3 && bounds.top() < -10.0, "{bounds:?}");
        assert!(outline(" ", 20.0).is_none());
        // Letters that the font lacks are boxes.
        assert!(outline("漢", 20.0).is_some());
    }
}

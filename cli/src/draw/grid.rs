//! Many pictures in one, with captions.

use super::colour::{Colour, Paint};
use super::drawing::{Anchor, Drawing, Rect, Stroke, TextStyle, point};
use super::rgb::Rgb;
use super::text;

const MARGIN: f32 = 16.0;
const GAP: f32 = 12.0;
const TITLE: f32 = 18.0;
const CAPTION: f32 = 12.0;
const CAPTION_HEIGHT: f32 = 18.0;
/// Longer captions are cut.
const CAPTION_LIMIT: f32 = 280.0;
/// A grid has at most so many pixels, 200 MB in memory.
const PIXEL_LIMIT: usize = 1 << 25;

/// A picture of a grid.
#[derive(Clone, Debug)]
pub(crate) struct Tile {
    pub(crate) picture: Rgb,
    /// A line below the picture; may be empty.
    pub(crate) caption: String,
    /// The colour of a frame around the picture.
    pub(crate) accent: Option<Colour>,
}

/// The tiles row by row on white, every pixel of theirs `scale × scale`, with the title above; an empty
/// title and empty captions take no room. Where this would be more than 2²⁵ pixels, the scale is
/// smaller, and at scale 1 the last tiles are left out, which a line below says.
pub(crate) fn grid(tiles: &[Tile], columns: usize, scale: usize, title: &str) -> Rgb {
    grid_drawing(tiles, columns, scale, title).to_rgb(1)
}

/// The same as shapes.
pub(super) fn grid_drawing(tiles: &[Tile], columns: usize, scale: usize, title: &str) -> Drawing {
    let columns = columns.clamp(1, tiles.len().max(1));
    let mut layout = Layout::new(tiles, columns, scale.max(1));
    while layout.pixels(tiles.len(), title) > PIXEL_LIMIT && layout.scale > 1 {
        layout = Layout::new(tiles, columns, layout.scale - 1);
    }
    let mut shown = tiles.len();
    while layout.pixels(shown, title) > PIXEL_LIMIT && shown > columns {
        shown = (shown - 1) / columns * columns;
    }
    layout.draw(&tiles[..shown], tiles.len() - shown, title)
}

/// Where tiles lie. All have the same room.
struct Layout {
    columns: usize,
    scale: usize,
    width: f32,
    /// Of the picture alone.
    height: f32,
    captions: bool,
}

impl Layout {
    fn new(tiles: &[Tile], columns: usize, scale: usize) -> Layout {
        let side = |of: fn(&Rgb) -> usize| {
            tiles.iter().map(|tile| of(&tile.picture)).max().unwrap_or(0) as f32 * scale as f32
        };
        let caption = |tile: &Tile| text::width(&tile.caption, CAPTION).min(CAPTION_LIMIT);
        let caption = tiles.iter().map(caption).fold(0.0, f32::max);
        Layout {
            columns,
            scale,
            width: side(|picture| picture.width).max(caption).ceil(),
            height: side(|picture| picture.height),
            captions: tiles.iter().any(|tile| !tile.caption.is_empty()),
        }
    }

    fn row_height(&self) -> f32 {
        self.height + if self.captions { CAPTION_HEIGHT } else { 0.0 } + GAP
    }

    /// Width and height of a grid of so many tiles.
    fn size(&self, tiles: usize, title: &str) -> (f32, f32) {
        let rows = tiles.div_ceil(self.columns) as f32;
        let tiles = self.columns as f32 * (self.width + GAP) - GAP;
        let width = tiles.max(text::width(title, TITLE)).ceil() + 2.0 * MARGIN;
        (width, top(title) + rows * self.row_height() - GAP + MARGIN)
    }

    fn pixels(&self, tiles: usize, title: &str) -> usize {
        let (width, height) = self.size(tiles, title);
        (width * height) as usize
    }

    fn draw(&self, tiles: &[Tile], missing: usize, title: &str) -> Drawing {
        let (width, mut height) = self.size(tiles.len(), title);
        if missing > 0 {
            height += CAPTION_HEIGHT;
        }
        let height = height.max(2.0 * MARGIN);
        let mut drawing = Drawing::new(width as usize, height as usize, title);
        let ink = |size, anchor| TextStyle::new(Paint::Ink, size, anchor);
        drawing.text(point(MARGIN, MARGIN + TITLE), title, ink(TITLE, Anchor::Start));
        for (i, tile) in tiles.iter().enumerate() {
            let x = MARGIN + (i % self.columns) as f32 * (self.width + GAP);
            let y = top(title) + (i / self.columns) as f32 * self.row_height();
            self.draw_tile(&mut drawing, tile, x, y);
        }
        if missing > 0 {
            let more = format!("and {missing} more, for which there is no room");
            drawing.text(point(MARGIN, height - MARGIN), more, ink(CAPTION, Anchor::Start));
        }
        drawing
    }

    /// A tile whose room starts at (x, y).
    fn draw_tile(&self, drawing: &mut Drawing, tile: &Tile, x: f32, y: f32) {
        let picture = &tile.picture;
        let (width, height) = (picture.width * self.scale, picture.height * self.scale);
        let (width, height) = (width as f32, height as f32);
        let left = (x + (self.width - width) / 2.0).floor();
        let top = y + self.height - height;
        let around = |distance: f32| Rect {
            x: left - distance,
            y: top - distance,
            width: width + 2.0 * distance,
            height: height + 2.0 * distance,
        };
        drawing.picture(point(left, top), self.scale, picture.clone());
        // Beside the pixels, not on them. The thin line shows where a white picture ends.
        match tile.accent {
            Some(colour) => {
                drawing.frame(around(1.5), Stroke::new(Paint::Fixed(colour), 3.0));
            }
            None => drawing.frame(around(0.5), Stroke::new(Paint::Grid, 1.0)),
        }
        let caption = text::shortened(&tile.caption, CAPTION, self.width);
        let style = TextStyle::new(Paint::Ink, CAPTION, Anchor::Middle);
        drawing.text(point(x + self.width / 2.0, y + self.height + 15.0), caption, style);
    }
}

/// Where the first row of tiles starts.
fn top(title: &str) -> f32 {
    if title.is_empty() { MARGIN } else { MARGIN + TITLE + 16.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tile(width: usize, height: usize, caption: &str) -> Tile {
        let picture = Rgb::filled(width, height, Colour(9, 9, 9));
        Tile { picture, caption: caption.to_owned(), accent: None }
    }

    #[test]
    fn tiles_lie_in_rows() {
        let tiles: Vec<Tile> = (0..5).map(|_| tile(10, 6, "")).collect();
        let picture = grid(&tiles, 2, 3, "");
        assert_eq!(picture.width, 16 + 30 + 12 + 30 + 16);
        assert_eq!(picture.height, 16 + 3 * (18 + 12) - 12 + 16);
        let dark = picture.pixels.chunks_exact(3).filter(|pixel| pixel == &[9; 3]).count();
        assert_eq!(dark, 5 * 30 * 18);
        assert_eq!(picture.pixel(16, 16), [9; 3]);
        assert_eq!(picture.pixel(16 + 42 + 29, 16 + 30 + 17), [9; 3]);
        assert_eq!(picture.pixel(16 + 42, 16 + 60), [255; 3]);
    }

    #[test]
    fn captions_and_titles_take_room() {
        let plain = grid(&[tile(5, 5, "")], 1, 2, "");
        let captioned = grid(&[tile(5, 5, "7 → 1 (0.98)")], 1, 2, "");
        assert!(captioned.width > plain.width && captioned.height > plain.height);
        assert!(grid(&[tile(5, 5, &"long ".repeat(99))], 1, 2, "").width < 400);
        let titled = grid(&[tile(5, 5, "")], 1, 2, "a title that needs its width");
        assert!(titled.width > 200 && titled.height > plain.height);
    }

    #[test]
    fn pictures_of_any_number_and_size() {
        for columns in [0, 1, 7] {
            for scale in [0, 1, 4] {
                grid(&[], columns, scale, "nothing");
                grid(&[tile(1, 1, "one"), tile(40, 3, ""), tile(2, 50, "x")], columns, scale, "");
            }
        }
    }

    #[test]
    fn a_grid_has_a_limit() {
        let tiles = vec![tile(1000, 1000, "large"); 40];
        let layout = |scale| Layout::new(&tiles, 8, scale);
        assert!(layout(5).pixels(40, "") > PIXEL_LIMIT);
        let drawing = grid_drawing(&tiles, 8, 5, "");
        assert!(drawing.width * drawing.height <= PIXEL_LIMIT + drawing.width * 18);
        assert!(drawing.width < 8 * 1100);
        let texts = format!("{:?}", drawing.shapes.last());
        assert!(texts.contains("and 16 more"), "{texts}");
    }

    #[test]
    fn an_accent_is_a_frame() {
        let mut tile = tile(10, 10, "");
        tile.accent = Some(Colour::WRONG);
        let picture = grid(&[tile], 1, 1, "");
        assert_eq!(picture.pixel(15, 20), [213, 94, 0]);
        assert_eq!(picture.pixel(16, 20), [9; 3]);
    }
}

//! The items of which a network was most wrong.

use super::colour::Colour;
use super::drawing::Drawing;
use super::grid::{Tile, grid_drawing};
use super::rgb::Rgb;

/// An item, its class, and the class that it was taken for with this score.
#[derive(Clone, Debug)]
pub(crate) struct Mistake {
    pub(crate) picture: Rgb,
    pub(crate) truth: String,
    pub(crate) predicted: String,
    pub(crate) score: f32,
}

/// The items in rows, each with its class, the one it was taken for, and the score: `7 → 1 (0.98)`.
pub(crate) fn mistakes(items: &[Mistake], columns: usize, scale: usize, title: &str) -> Drawing {
    let tile = |item: &Mistake| Tile {
        picture: item.picture.clone(),
        caption: caption(item),
        accent: Some(Colour::WRONG),
    };
    let tiles: Vec<Tile> = items.iter().map(tile).collect();
    grid_drawing(&tiles, columns, scale, title)
}

/// A score is never rounded up to 1.
fn caption(item: &Mistake) -> String {
    let Mistake { truth, predicted, score, .. } = item;
    let shown = if *score < 1.0 { score.min(0.99) } else { *score };
    format!("{truth} → {predicted} ({shown:.2})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captions_say_what_was_taken_for_what() {
        let mistake = |score| Mistake {
            picture: Rgb::filled(4, 4, Colour::BLACK),
            truth: "7".into(),
            predicted: "<1>".into(),
            score,
        };
        assert_eq!(caption(&mistake(0.98)), "7 → <1> (0.98)");
        assert_eq!(caption(&mistake(0.9999)), "7 → <1> (0.99)");
        assert_eq!(caption(&mistake(1.0)), "7 → <1> (1.00)");
        let svg = mistakes(&[mistake(0.9), mistake(f32::NAN)], 8, 3, "").to_svg();
        roxmltree::Document::parse(&svg).unwrap();
        assert!(svg.contains("7 → &lt;1&gt; (0.90)") && svg.contains("data:image/png;base64,"));
    }
}

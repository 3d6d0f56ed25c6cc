//! Some images of each class, as a picture.

use crate::draw::{self, Rgb, Tile};
use loupe_model::data::{Dataset, Grey};

/// Images of a class in a grid, which is a row of it.
const COLUMNS: usize = 10;

/// The side that an image has in a grid, at most, if it has not more pixels.
const SIDE: usize = 84;

/// Classes that a terminal shows.
const SHOWN: usize = 10;

/// The first images of each class, a row for each, with its name below the first.
pub(super) fn grid(data: &Dataset, title: &str) -> Rgb {
    let mut tiles = Vec::new();
    for class in 0..data.classes() {
        let images = of_class(data, class).take(COLUMNS);
        let before = tiles.len();
        tiles.extend(images.map(|index| Tile {
            picture: picture(data, index),
            caption: String::new(),
            accent: None,
        }));
        if let Some(first) = tiles.get_mut(before) {
            first.caption = data.class_name(class).to_owned();
            let blank =
                Tile { picture: Rgb::filled(1, 1, WHITE), caption: String::new(), accent: None };
            tiles.resize(before + COLUMNS, blank);
        }
    }
    let scale = SIDE / data.height().max(data.width());
    draw::grid(&tiles, COLUMNS, scale.max(1), title)
}

const WHITE: draw::Colour = draw::Colour::WHITE;

/// The first image of each of the first classes, in two rows.
pub(super) fn sheet(data: &Dataset) -> Rgb {
    let shown: Vec<usize> =
        (0..data.classes()).filter_map(|class| of_class(data, class).next()).take(SHOWN).collect();
    let (h, w) = (data.height(), data.width());
    let columns = shown.len().div_ceil(2);
    let mut pixels = vec![0; 2 * h * columns * w];
    for (place, &index) in shown.iter().enumerate() {
        let (top, left) = (place / columns * h, place % columns * w);
        for (y, row) in image(data, index).chunks_exact(w).enumerate() {
            pixels[(top + y) * columns * w + left..][..w].copy_from_slice(row);
        }
    }
    let rows = shown.len().div_ceil(columns);
    pixels.truncate(rows * h * columns * w);
    let sheet = Grey::new(rows * h, columns * w, pixels);
    draw::bytes(&sheet.expect("a data set has an image of some class"))
}

fn of_class(data: &Dataset, class: usize) -> impl Iterator<Item = usize> {
    let labels = data.labels().iter().enumerate();
    labels.filter(move |(_, label)| usize::from(**label) == class).map(|(index, _)| index)
}

fn image(data: &Dataset, index: usize) -> &[u8] {
    data.image(index).expect("the index is one of the data set's")
}

fn picture(data: &Dataset, index: usize) -> Rgb {
    let pixels = image(data, index).to_vec();
    let picture = Grey::new(data.height(), data.width(), pixels);
    draw::bytes(&picture.expect("images of a data set have pixels"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_has_an_image_of_each_class() {
        let images = vec![10, 20, 30, 40, 50, 60, 70, 80];
        let data = Dataset::new(images, vec![5, 2, 2, 3], [1, 2], 6).unwrap();
        let sheet = sheet(&data);
        assert_eq!((sheet.width, sheet.height), (4, 2));
        let greys: Vec<u8> = sheet.pixels.chunks(3).map(|rgb| rgb[0]).collect();
        assert_eq!(greys, [30, 40, 70, 80, 10, 20, 0, 0]);

        let one = Dataset::new(vec![9], vec![0], [1, 1], 3).unwrap();
        assert_eq!(super::sheet(&one).pixels, [9; 3]);
    }

    #[test]
    fn a_grid_has_a_row_for_each_class_that_is_there() {
        let height = |labels: Vec<u8>| {
            let images = vec![0; labels.len() * 16];
            let data = Dataset::new(images, labels, [4, 4], 9).unwrap();
            grid(&data, "").height
        };
        let one = height(vec![3; 25]);
        assert_eq!(height(vec![3]), one);
        assert!(height(vec![3, 8, 8]) > one);
        assert_eq!(height(vec![0, 1, 2]) - height(vec![0, 1]), height(vec![0, 1]) - one);
    }
}

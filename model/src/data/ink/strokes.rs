//! Which pixels belong to a character.

use super::Ink;

/// A stroke has at least this part of the ink of the heaviest one.
const LEAST_PART: f64 = 1.0 / 20.0;

/// Keeps connected pixels above `faintest` of which some are above `threshold`, and clears all others. Of
/// such strokes those with very little ink, which are specks, are cleared too. Pixels touch at sides and
/// corners.
pub(super) fn keep(ink: &mut Ink, threshold: f32, faintest: f32) {
    let mut seen = vec![false; ink.values.len()];
    // Pixels of all strokes, and of each stroke where it ends among them and how much ink it has.
    let mut pixels = Vec::new();
    let mut strokes: Vec<(usize, f64)> = Vec::new();
    for seed in 0..ink.values.len() {
        if ink.values[seed] <= threshold || seen[seed] {
            continue;
        }
        let start = pixels.len();
        seen[seed] = true;
        pixels.push(seed);
        let mut next = start;
        while let Some(&pixel) = pixels.get(next) {
            next += 1;
            for neighbour in neighbours(pixel, [ink.height, ink.width]) {
                if ink.values[neighbour] > faintest && !seen[neighbour] {
                    seen[neighbour] = true;
                    pixels.push(neighbour);
                }
            }
        }
        let mass = pixels[start..].iter().map(|&pixel| f64::from(ink.values[pixel])).sum();
        strokes.push((pixels.len(), mass));
    }
    let heaviest = strokes.iter().map(|&(_, mass)| mass).fold(0.0, f64::max);
    let mut kept = vec![0.0; ink.values.len()];
    let mut start = 0;
    for (end, mass) in strokes {
        if mass >= heaviest * LEAST_PART {
            for &pixel in &pixels[start..end] {
                kept[pixel] = ink.values[pixel];
            }
        }
        start = end;
    }
    ink.values = kept;
}

/// The pixels around `pixel`, which is one of them.
fn neighbours(pixel: usize, [height, width]: [usize; 2]) -> impl Iterator<Item = usize> {
    let (y, x) = (pixel / width, pixel % width);
    let around = |i: usize, n: usize| i.saturating_sub(1)..(i + 2).min(n);
    around(y, height).flat_map(move |y| around(x, width).map(move |x| y * width + x))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faint_edges_belong_to_strokes_and_specks_do_not() {
        let picture = [
            [0, 2, 0, 0, 0, 4], // a faint pixel that touches nothing
            [9, 9, 9, 9, 0, 0],
            [9, 9, 9, 3, 0, 0],
            [0, 0, 0, 0, 3, 0], // an edge, over a corner
            [8, 0, 0, 0, 0, 0], // as much as a stroke
            [1, 0, 0, 0, 0, 0], // too faint
            [0, 0, 0, 7, 0, 0],
        ];
        let values = picture.as_flattened().iter().map(|&v| v as f32).collect();
        let mut ink = Ink { values, height: 7, width: 6 };
        keep(&mut ink, 5.0, 1.5);
        let mut expected = picture.map(|row| row.map(|v| v as f32));
        expected[0][5] = 0.0;
        expected[5][0] = 0.0;
        assert_eq!(ink.values, expected.as_flattened());

        // Twenty times as much ink makes the rest specks.
        ink.values[6..10].fill(100.0);
        keep(&mut ink, 5.0, 1.5);
        expected[1][..4].fill(100.0);
        expected[4][0] = 0.0;
        expected[6][3] = 0.0;
        assert_eq!(ink.values, expected.as_flattened());
    }
}

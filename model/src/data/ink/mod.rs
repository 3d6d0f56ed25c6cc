//! A drawn or photographed character, brought to the form in which MNIST has its digits.

mod ground;
mod strokes;

use super::grey::Grey;
use super::resize::{resize, sides};
use std::ops::Range;

/// The longest side of a picture whose ink is looked for; larger ones are shrunk before.
const LONGEST: usize = 1024;

/// MNIST's digits fill 20 of 28 pixels.
const FILLED: [usize; 2] = [20, 28];

/// Of ink that must be shrunk, the edge lies where it falls below this part of its contrast: the blur outside
/// would be less than a pixel.
const EDGE: f32 = 1.0 / 3.0;

/// The percentile of the ink that becomes 255.
const FULL: usize = 90;

/// A character as MNIST would have it, and what was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LikeMnist {
    /// White on black.
    pub picture: Grey,
    /// Whether the ink was darker than the ground.
    pub inverted: bool,
    /// The rows of the original that have ink.
    pub rows: Range<usize>,
    /// Its columns that have ink.
    pub columns: Range<usize>,
}

/// A picture on which no character was found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoInk {
    /// All pixels are the same.
    #[error("the picture is empty: all its pixels have the grey {grey}")]
    Constant {
        /// Their value.
        grey: u8,
    },
    /// Nothing stands out of the ground.
    #[error(
        "the picture has no ink that stands out: {contrast} of 255 levels where the ground varies by {noise}"
    )]
    Faint {
        /// How far the darkest or lightest part is from the ground.
        contrast: u8,
        /// Standard deviation of the ground.
        noise: u8,
    },
}

/// How much ink there is on each pixel, `values[height, width]`, at least 0.
struct Ink {
    values: Vec<f32>,
    height: usize,
    width: usize,
}

impl Grey {
    /// The character that the picture shows, white on black in `height × width` pixels (at least 1 × 1), as
    /// MNIST has its digits.
    ///
    /// Whether the ink is darker or lighter than the ground follows from how the pixels lie about the
    /// ground, which is that of the borders: a level or, if the picture then falls apart better, a slope.
    /// Ink is what stands out by Otsu's threshold, with the fainter pixels around it; specks are left out.
    /// The rectangle that holds it is scaled, antialiased, until it fills 20 of 28 pixels of one axis and no
    /// more of the other, its ink is stretched to 255, and it is laid so that its centre of mass is nearest
    /// to the pixel `[height / 2, width / 2]`, but wholly within the picture.
    ///
    /// MNIST: LeCun, Cortes and Burges, <http://yann.lecun.com/exdb/mnist/>. Threshold: Otsu 1979, "A
    /// Threshold Selection Method from Gray-Level Histograms".
    ///
    /// # Errors
    /// [`NoInk`] if nothing stands out of the ground.
    ///
    /// # Panics
    /// As [`Grey::resized`].
    pub fn like_mnist(&self, height: usize, width: usize) -> Result<LikeMnist, NoInk> {
        let to = sides(height, width);
        let from = [self.height(), self.width()];
        let [height, width] = within(from, LONGEST);
        let shrunk: Vec<f32> = self.pixels().iter().map(|&v| f32::from(v)).collect();
        let shrunk = resize(&shrunk, from, [height, width]);
        let ground::Found { mut ink, contrast, threshold, faintest, inverted } =
            ground::find(&shrunk, [height, width])?;
        strokes::keep(&mut ink, threshold, faintest);
        let (mut rows, mut columns) = ink.extent(0.0);
        let room = room(to);
        if rows.len() > room[0] || columns.len() > room[1] {
            (rows, columns) = ink.extent(contrast * EDGE);
        }
        let picture = ink.cut(&rows, &columns).laid_out(to);
        let original = |part: Range<usize>, to: usize, from: usize| {
            part.start * from / to..(part.end * from).div_ceil(to)
        };
        Ok(LikeMnist {
            picture,
            inverted,
            rows: original(rows, height, from[0]),
            columns: original(columns, width, from[1]),
        })
    }
}

/// The sides of a picture of the same aspect whose sides are at most `longest`.
fn within([height, width]: [usize; 2], longest: usize) -> [usize; 2] {
    let larger = height.max(width);
    if larger <= longest {
        return [height, width];
    }
    [height, width].map(|side| (side * longest / larger).max(1))
}

/// The sides that ink may fill in a picture of `to` pixels.
fn room(to: [usize; 2]) -> [usize; 2] {
    let [filled, of] = FILLED;
    to.map(|side| ((side * filled + of / 2) / of).max(1))
}

impl Ink {
    /// Rows and columns that have more than so much ink; all if there is none.
    fn extent(&self, least: f32) -> (Range<usize>, Range<usize>) {
        let span = |has: &[bool]| {
            let first = has.iter().position(|&has| has);
            let last = has.iter().rposition(|&has| has);
            first.zip(last).map_or(0..has.len(), |(first, last)| first..last + 1)
        };
        let (mut rows, mut columns) = (vec![false; self.height], vec![false; self.width]);
        for (row, has) in self.values.chunks(self.width).zip(&mut rows) {
            for (&value, column) in row.iter().zip(&mut columns) {
                *column |= value > least;
                *has |= value > least;
            }
        }
        (span(&rows), span(&columns))
    }

    fn cut(&self, rows: &Range<usize>, columns: &Range<usize>) -> Ink {
        let lines = self.values.chunks(self.width).skip(rows.start).take(rows.len());
        let values = lines.flat_map(|row| &row[columns.clone()]).copied().collect();
        Ink { values, height: rows.len(), width: columns.len() }
    }

    /// The ink in a picture of `to` pixels, scaled, stretched and centred.
    fn laid_out(&self, to: [usize; 2]) -> Grey {
        let room = room(to);
        let sides = [self.height, self.width];
        // Of both axes the one that fills its room first.
        let tall = sides[0] * room[1] >= sides[1] * room[0];
        let scaled = |axis: usize| {
            let by = if tall { 0 } else { 1 };
            let side = (2 * sides[axis] * room[by] + sides[by]) / (2 * sides[by]);
            side.clamp(1, room[axis])
        };
        let size = [scaled(0), scaled(1)];
        let values = resize(&self.values, sides, size);
        let full = percentile(&values);
        let [top, left] = centred(&values, size, to);
        let mut pixels = vec![0; to[0] * to[1]];
        for (y, row) in values.chunks(size[1]).enumerate() {
            let pixels = &mut pixels[(top + y) * to[1] + left..][..size[1]];
            for (pixel, value) in pixels.iter_mut().zip(row) {
                *pixel = (value * 255.0 / full).round().clamp(0.0, 255.0) as u8;
            }
        }
        Grey::new(to[0], to[1], pixels).expect("as many pixels as asked for")
    }
}

/// The [`FULL`] percentile of the values above half a level; of all if there is none.
fn percentile(values: &[f32]) -> f32 {
    let mut inked: Vec<f32> = values.iter().copied().filter(|&value| value > 0.5).collect();
    if inked.is_empty() {
        return values.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
    }
    inked.sort_by(f32::total_cmp);
    inked[(inked.len() - 1) * FULL / 100]
}

/// Where the first pixel of `values[size]` lies so that their centre of mass is nearest to the middle.
fn centred(values: &[f32], size: [usize; 2], to: [usize; 2]) -> [usize; 2] {
    let mut mass = 0.0;
    let mut moments = [0.0; 2];
    for (y, row) in values.chunks(size[1]).enumerate() {
        for (x, &value) in row.iter().enumerate() {
            let value = f64::from(value);
            mass += value;
            moments[0] += value * y as f64;
            moments[1] += value * x as f64;
        }
    }
    std::array::from_fn(|axis| {
        let centre = if mass > 0.0 { moments[axis] / mass } else { size[axis] as f64 / 2.0 };
        let start = (to[axis] / 2) as f64 - centre;
        start.round().clamp(0.0, (to[axis] - size[axis]) as f64) as usize
    })
}

#[cfg(test)]
mod tests;

//! Pictures brought to another size.

use super::grey::Grey;

/// Which values of a line make one value of the resized line: `Σ weights[i] · line[first + i]`.
struct Mixture {
    first: usize,
    /// Their sum is 1.
    weights: Vec<f32>,
}

impl Grey {
    /// The picture with `height × width` pixels, at least 1 × 1: 0 counts as 1.
    ///
    /// An axis that shrinks is averaged: each pixel is the mean of what it covers, parts of pixels counted
    /// by their share. An axis that grows is interpolated linearly between the centres of pixels. Values
    /// are rounded once, at the end; the bits are the same on every machine.
    ///
    /// # Panics
    /// If these are more than 2³¹ pixels: no network takes them.
    pub fn resized(&self, height: usize, width: usize) -> Grey {
        let [height, width] = sides(height, width);
        if (height, width) == (self.height(), self.width()) {
            return self.clone();
        }
        let values: Vec<f32> = self.pixels().iter().map(|&v| f32::from(v)).collect();
        let values = resize(&values, [self.height(), self.width()], [height, width]);
        let pixels = values.iter().map(|v| v.round() as u8).collect();
        Grey::new(height, width, pixels).expect("as many pixels as asked for")
    }
}

/// Sides of at least 1.
///
/// # Panics
/// If the picture would have more than 2³¹ pixels.
pub(super) fn sides(height: usize, width: usize) -> [usize; 2] {
    let sides = [height.max(1), width.max(1)];
    let pixels = sides[0].checked_mul(sides[1]);
    assert!(pixels.is_some_and(|n| n <= 1 << 31), "a picture of {height} by {width} pixels");
    sides
}

/// `values[height, width]` brought to another size, as [`Grey::resized`] says; no side is 0.
pub(super) fn resize(values: &[f32], [height, width]: [usize; 2], to: [usize; 2]) -> Vec<f32> {
    let rows = mixtures(height, to[0]);
    let columns = mixtures(width, to[1]);
    let mut resized = Vec::with_capacity(to[0] * to[1]);
    let mut line = vec![0.0; width];
    for row in &rows {
        line.fill(0.0);
        for (y, weight) in (row.first..).zip(&row.weights) {
            for (sum, value) in line.iter_mut().zip(&values[y * width..][..width]) {
                *sum += weight * value;
            }
        }
        resized.extend(columns.iter().map(|column| {
            let values = line[column.first..].iter().zip(&column.weights);
            values.map(|(value, weight)| value * weight).sum::<f32>()
        }));
    }
    resized
}

/// How `to` values are made of a line of `from`.
fn mixtures(from: usize, to: usize) -> Vec<Mixture> {
    let scale = from as f64 / to as f64;
    let mixture = |i: usize| {
        if from <= to {
            let centre = ((i as f64 + 0.5) * scale - 0.5).clamp(0.0, (from - 1) as f64);
            let first = (centre as usize).min(from.saturating_sub(2));
            let second = (centre - first as f64) as f32;
            let weights = if from == 1 { vec![1.0] } else { vec![1.0 - second, second] };
            return Mixture { first, weights };
        }
        // In units of 1 / to of a value, so that the shares are exact.
        let (start, end) = (i as u64 * from as u64, (i as u64 + 1) * from as u64);
        let to = to as u64;
        let covered = start / to..end.div_ceil(to);
        let share = |j: u64| ((j + 1) * to).min(end) - (j * to).max(start);
        let weights = covered.clone().map(|j| (share(j) as f64 / from as f64) as f32).collect();
        Mixture { first: covered.start as usize, weights }
    };
    (0..to).map(mixture).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn grey(height: usize, width: usize, pixels: &[u8]) -> Grey {
        Grey::new(height, width, pixels.to_vec()).unwrap()
    }

    #[test]
    fn shrinking_averages_what_is_covered() {
        let picture = grey(2, 3, &[0, 90, 240, 60, 150, 30]);
        assert_eq!(picture.resized(1, 1).pixels(), [95]);
        assert_eq!(picture.resized(1, 3).pixels(), [30, 120, 135]);
        // A pixel covers one and a half: 2/3 and 1/3.
        assert_eq!(picture.resized(2, 2).pixels(), [30, 190, 90, 70]);
    }

    #[test]
    fn growing_interpolates() {
        let picture = grey(1, 2, &[0, 100]);
        assert_eq!(picture.resized(1, 4).pixels(), [0, 25, 75, 100]);
        assert_eq!(picture.resized(2, 2).pixels(), [0, 100, 0, 100]);
        assert_eq!(grey(1, 1, &[9]).resized(2, 3).pixels(), [9; 6]);
        assert_eq!(picture.resized(0, 0).pixels(), [50]);
    }

    #[test]
    fn one_axis_may_grow_while_the_other_shrinks() {
        let picture = grey(1, 4, &[0, 20, 100, 200]);
        assert_eq!(picture.resized(3, 2).pixels(), [10, 150, 10, 150, 10, 150]);
    }

    proptest! {
        #[test]
        fn weights_sum_to_one(from in 1usize..300, to in 1usize..300) {
            for Mixture { first, weights } in mixtures(from, to) {
                prop_assert!(first + weights.len() <= from);
                prop_assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-5);
                prop_assert!(weights.iter().all(|&weight| weight >= 0.0));
            }
        }

        #[test]
        fn whole_factors_are_undone(height in 1usize..9, width in 1usize..9, factor in 1usize..6) {
            let pixels: Vec<u8> = (0..height * width).map(|i| (i * 37 % 256) as u8).collect();
            let picture = grey(height, width, &pixels);
            let large: Vec<u8> = (0..height * factor)
                .flat_map(|y| (0..width * factor).map(move |x| (y / factor, x / factor)))
                .map(|(y, x)| pixels[y * width + x])
                .collect();
            let large = grey(height * factor, width * factor, &large);
            prop_assert_eq!(large.resized(height, width), picture);
        }
    }
}

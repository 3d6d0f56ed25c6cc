//! Planes padded by zeros or by their own pixels.

/// What lies around a plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// Zeros.
    Zeros,
    /// The plane mirrored at its outermost pixels.
    Reflect,
    /// The nearest pixel.
    Replicate,
    /// The plane again.
    Circular,
}

/// Sizes of padded planes.
#[derive(Clone, Debug)]
pub struct PadDims {
    /// Planes: images times channels.
    pub planes: usize,
    /// H, W: rows and columns of a plane.
    pub size: [usize; 2],
    /// Rows at the top and the bottom, columns at the left and the right.
    pub padding: [usize; 4],
    /// What is put there.
    pub mode: Padding,
}

impl PadDims {
    /// Ho, Wo.
    pub fn out_size(&self) -> [usize; 2] {
        let [top, bottom, left, right] = self.padding;
        [self.size[0] + top + bottom, self.size[1] + left + right]
    }

    /// planes · H · W.
    pub fn input_len(&self) -> usize {
        self.planes * self.size[0] * self.size[1]
    }

    /// planes · Ho · Wo.
    pub fn output_len(&self) -> usize {
        let [height, width] = self.out_size();
        self.planes * height * width
    }

    /// The element of the input that each element of the output is a copy of.
    fn sources(&self) -> Vec<Option<usize>> {
        let [top, _, left, _] = self.padding;
        let [height, width] = self.size;
        let [out_height, out_width] = self.out_size();
        let mut sources = Vec::with_capacity(self.output_len());
        for plane in 0..self.planes {
            for row in 0..out_height {
                for column in 0..out_width {
                    let row = self.source(row as isize - top as isize, height);
                    let column = self.source(column as isize - left as isize, width);
                    sources.push(
                        row.zip(column)
                            .map(|(row, column)| (plane * height + row) * width + column),
                    );
                }
            }
        }
        sources
    }

    /// Which of `size` elements stands at `index`, counted from the first one.
    fn source(&self, index: isize, size: usize) -> Option<usize> {
        let last = size as isize - 1;
        let source = match self.mode {
            Padding::Zeros => index,
            Padding::Replicate => index.clamp(0, last),
            Padding::Circular => {
                assert!((-last - 1..=2 * last + 1).contains(&index), "wraps twice: {self:?}");
                index.rem_euclid(last + 1)
            }
            Padding::Reflect if index < 0 => -index,
            Padding::Reflect if index > last => 2 * last - index,
            Padding::Reflect => index,
        };
        let is_inside = (0..=last).contains(&source);
        assert!(is_inside || self.mode == Padding::Zeros, "reflects too far: {self:?}");
        is_inside.then_some(source as usize)
    }
}

/// y `[planes, Ho, Wo]` of x `[planes, H, W]`.
///
/// # Panics
///
/// If the padding asks for pixels that there are not, or x has not the length that the sizes ask for.
pub fn pad2d(dims: &PadDims, x: &[f64]) -> Vec<f64> {
    assert_eq!(x.len(), dims.input_len(), "x is [planes, H, W]: {dims:?}");
    dims.sources().iter().map(|source| source.map_or(0.0, |source| x[source])).collect()
}

/// Gradient of [`pad2d`] by x for the upstream gradient dy `[planes, Ho, Wo]`.
///
/// # Panics
///
/// If the padding asks for pixels that there are not, or dy has not the length that the sizes ask for.
pub fn pad2d_backward(dims: &PadDims, dy: &[f64]) -> Vec<f64> {
    assert_eq!(dy.len(), dims.output_len(), "dy is [planes, Ho, Wo]: {dims:?}");
    let mut dx = vec![0.0; dims.input_len()];
    for (dy, source) in dy.iter().zip(dims.sources()) {
        if let Some(source) = source {
            dx[source] += dy;
        }
    }
    dx
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::finite::{assert_gradient, gradient, weighted_sum};
    use crate::reference::random::Random;

    const ALL: [Padding; 4] =
        [Padding::Zeros, Padding::Reflect, Padding::Replicate, Padding::Circular];

    #[test]
    fn a_row_by_hand() {
        let expected = [
            [0.0, 0.0, 1.0, 2.0, 3.0, 0.0],
            [3.0, 2.0, 1.0, 2.0, 3.0, 2.0],
            [1.0, 1.0, 1.0, 2.0, 3.0, 3.0],
            [2.0, 3.0, 1.0, 2.0, 3.0, 1.0],
        ];
        for (mode, expected) in ALL.into_iter().zip(expected) {
            let dims = PadDims { planes: 1, size: [1, 3], padding: [0, 0, 2, 1], mode };
            assert_eq!(pad2d(&dims, &[1.0, 2.0, 3.0]), expected, "{mode:?}");
            let dims = PadDims { planes: 1, size: [3, 1], padding: [2, 1, 0, 0], mode };
            assert_eq!(pad2d(&dims, &[1.0, 2.0, 3.0]), expected, "{mode:?}");
        }
    }

    #[test]
    fn backward_agrees_with_central_differences() {
        for mode in ALL {
            let dims = PadDims { planes: 2, size: [4, 3], padding: [3, 1, 2, 0], mode };
            let mut random = Random::new(24);
            let x = random.uniform_f64(dims.input_len(), -1.0, 1.0);
            let dy = random.uniform_f64(dims.output_len(), -1.0, 1.0);
            let numeric = gradient(|x| weighted_sum(&pad2d(&dims, x), &dy), &x, 1e-3);
            assert_gradient(&format!("{dims:?}"), &pad2d_backward(&dims, &dy), &numeric, 1e-9);
        }
    }

    #[test]
    #[should_panic(expected = "reflects too far")]
    fn a_reflection_of_as_many_pixels_as_there_are_panics() {
        let mode = Padding::Reflect;
        let dims = PadDims { planes: 1, size: [1, 3], padding: [0, 0, 0, 3], mode };
        let _ = pad2d(&dims, &[1.0, 2.0, 3.0]);
    }
}

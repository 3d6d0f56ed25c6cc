//! One kernel on one picture.

use crate::kernel::Kernel;
use anyhow::{Result, bail};
use loupe_engine::Context;
use loupe_engine::conv::{Conv2d, Conv2dOptions, Conv2dParameters, conv2d};

/// A feature map may not have more values than this: 256 MiB.
const LARGEST: usize = 1 << 26;

/// A kernel, what it makes of a picture, and where it finds most.
#[derive(Debug)]
pub(super) struct Magnifier {
    pub(super) kernel: Kernel,
    pub(super) stride: usize,
    pub(super) padding: usize,
    /// Of the picture.
    pub(super) input_size: [usize; 2],
    /// Of the map.
    pub(super) size: [usize; 2],
    /// `[size[0], size[1]]`
    pub(super) map: Vec<f32>,
    /// Row and column of the value furthest from 0, the first of equals.
    pub(super) strongest: [usize; 2],
    /// The pixels that the kernel meets there, as many as it has values; 0 in the padding.
    pub(super) patch: Vec<f32>,
}

impl Magnifier {
    pub(super) fn new(
        cx: &Context,
        picture: &[f32],
        input_size: [usize; 2],
        kernel: Kernel,
        stride: usize,
        padding: usize,
    ) -> Result<Magnifier> {
        let [kh, kw] = kernel.size;
        let padded = input_size.map(|side| padding.saturating_mul(2).saturating_add(side));
        if kh > padded[0] || kw > padded[1] {
            bail!(
                "the kernel {} has {kh} × {kw} values, but the picture with its padding only {} × {} pixels",
                kernel.name,
                padded[0],
                padded[1]
            );
        }
        let side = |axis: usize| (padded[axis] - kernel.size[axis]) / stride + 1;
        if side(0).checked_mul(side(1)).is_none_or(|len| len > LARGEST) {
            bail!(
                "--padding {padding} makes a feature map of {} × {} values; at most {LARGEST} values can be shown",
                side(0),
                side(1)
            );
        }
        let options = Conv2dOptions {
            stride: [stride; 2],
            padding: [padding; 2],
            ..Conv2dOptions::new(1, 1, kernel.size)
        };
        let geometry = Conv2d::new(options, input_size)?;
        let size = geometry.output_size();
        let mut map = vec![0.0; geometry.output_len()];
        let parameters = Conv2dParameters { weight: &kernel.values, bias: None };
        conv2d(cx, &geometry, picture, parameters, &mut map)?;

        let mut most = 0;
        for (index, value) in map.iter().enumerate() {
            if value.abs() > map[most].abs() {
                most = index;
            }
        }
        let strongest = [most / size[1], most % size[1]];
        let pixel = |place: usize| {
            let row = (strongest[0] * stride + place / kw).checked_sub(padding)?;
            let column = (strongest[1] * stride + place % kw).checked_sub(padding)?;
            let inside = row < input_size[0] && column < input_size[1];
            inside.then(|| picture[row * input_size[1] + column])
        };
        let patch = (0..kh * kw).map(|place| pixel(place).unwrap_or(0.0)).collect();
        Ok(Magnifier { kernel, stride, padding, input_size, size, map, strongest, patch })
    }

    /// The value furthest from 0.
    pub(super) fn peak(&self) -> f32 {
        self.map[self.strongest[0] * self.size[1] + self.strongest[1]]
    }

    /// Where the kernel lies there: row and column of its first value, negative in the padding.
    pub(super) fn corner(&self) -> [i64; 2] {
        self.strongest.map(|place| (place * self.stride) as i64 - self.padding as i64)
    }

    /// How the size of the map follows: one line, or one for each axis if they differ.
    pub(super) fn arithmetic(&self) -> Vec<String> {
        let line = |axis: usize| {
            let (side, kernel) = (self.input_size[axis], self.kernel.size[axis]);
            let Magnifier { stride, padding, .. } = self;
            let steps = side + 2 * padding - kernel;
            let quotient = format!("({side} + 2·{padding} − {kernel}) / {stride}");
            let quotient = match steps.is_multiple_of(*stride) {
                true => quotient,
                false => format!("⌊{quotient}⌋"),
            };
            format!("{quotient} + 1 = {}", self.size[axis])
        };
        match (self.input_size, self.kernel.size) {
            ([h, w], [kh, kw]) if h == w && kh == kw => vec![line(0)],
            _ => vec![format!("rows: {}", line(0)), format!("columns: {}", line(1))],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(size: [usize; 2], values: &[f32]) -> Kernel {
        Kernel { name: "test".into(), size, values: values.to_vec() }
    }

    fn magnifier(
        size: [usize; 2],
        kernel: Kernel,
        stride: usize,
        padding: usize,
    ) -> Result<Magnifier> {
        let picture: Vec<f32> = (0..size[0] * size[1]).map(|i| i as f32).collect();
        Magnifier::new(&Context::serial(), &picture, size, kernel, stride, padding)
    }

    #[test]
    fn a_kernel_that_does_not_overlap() {
        let found = magnifier([4, 4], kernel([2, 2], &[1.0, 0.0, 0.0, 1.0]), 2, 0).unwrap();
        assert_eq!((found.size, &found.map[..]), ([2, 2], &[5.0, 9.0, 21.0, 25.0][..]));
        assert_eq!((found.strongest, found.corner(), found.peak()), ([1, 1], [2, 2], 25.0));
        assert_eq!(found.patch, [10.0, 11.0, 14.0, 15.0]);
        assert_eq!(found.arithmetic(), ["(4 + 2·0 − 2) / 2 + 1 = 2"]);
    }

    #[test]
    fn padding_is_zero() {
        let found = magnifier([2, 3], kernel([2, 2], &[1.0, 1.0, 1.0, -9.0]), 2, 1).unwrap();
        assert_eq!((found.size, &found.map[..]), ([2, 2], &[0.0, -17.0, 3.0, 9.0][..]));
        assert_eq!((found.corner(), &found.patch[..]), ([-1, 1], &[0.0, 0.0, 1.0, 2.0][..]));
        let lines = ["rows: (2 + 2·1 − 2) / 2 + 1 = 2", "columns: ⌊(3 + 2·1 − 2) / 2⌋ + 1 = 2"];
        assert_eq!(found.arithmetic(), lines);
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let error = magnifier([4, 4], kernel([5, 1], &[1.0; 5]), 1, 0).unwrap_err().to_string();
        assert!(error.contains("5 × 1 values, but the picture with its padding only 4 × 4"));
        let large = magnifier([4, 4], kernel([1, 1], &[1.0]), 1, usize::MAX).unwrap_err();
        assert!(large.to_string().contains("at most 67108864 values"), "{large}");
        assert!(magnifier([4, 4], kernel([1, 1], &[1.0]), 1, 5000).is_err());
    }
}

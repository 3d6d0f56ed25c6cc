//! The largest pixel of each window.

use super::backward::{Gradient, Inputs, backward};
use super::forward::{Reduction, forward};
use super::grid::Grid;
use super::window::{Sliding, Window};
use crate::planes::check_planes;
use crate::simd::{LANES, Simd, load, store};
use crate::{Context, Error};

/// Kernel and steps of a maximum pooling, `[height, width]`. The fields have the meaning of those of PyTorch's
/// `MaxPool2d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MaxPool2dOptions {
    /// Kh, Kw: pixels of a window.
    pub kernel_size: [usize; 2],
    /// Steps of the window over the plane.
    pub stride: [usize; 2],
    /// Pixels of −∞ added at each of the two sides; at most half of the kernel.
    pub padding: [usize; 2],
    /// Distance of neighbouring pixels of a window.
    pub dilation: [usize; 2],
}

impl MaxPool2dOptions {
    /// Windows side by side, without padding.
    pub fn new(kernel_size: [usize; 2]) -> MaxPool2dOptions {
        MaxPool2dOptions { kernel_size, stride: kernel_size, padding: [0, 0], dilation: [1, 1] }
    }
}

/// A maximum pooling of planes of one size, with everything about it worked out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaxPool2d {
    options: MaxPool2dOptions,
    grid: Grid,
}

impl MaxPool2d {
    /// The pooling of planes `[height, width]`.
    ///
    /// # Errors
    /// [`Error::Invalid`] if a size, step or kernel is 0, if a number exceeds 2²⁰, if the padding exceeds
    /// half of the kernel, if the dilated kernel is larger than the padded plane, or if the rows from the top of
    /// a window to its bottom have more than 2²⁰ pixels; [`Error::Overflow`] if planes would not fit the
    /// address space.
    pub fn new(options: MaxPool2dOptions, input_size: [usize; 2]) -> Result<MaxPool2d, Error> {
        let op = "max_pool2d";
        let MaxPool2dOptions { kernel_size, stride, padding, dilation } = options;
        let axis = |axis: usize| {
            Sliding {
                size: input_size[axis],
                kernel: kernel_size[axis],
                stride: stride[axis],
                padding: padding[axis],
                dilation: dilation[axis],
            }
            .axis(op)
        };
        Ok(MaxPool2d { options, grid: Grid::new(op, axis(0)?, axis(1)?)? })
    }

    /// What the pooling was made of.
    pub fn options(&self) -> &MaxPool2dOptions {
        &self.options
    }

    /// H, W.
    pub fn input_size(&self) -> [usize; 2] {
        self.grid.input_size()
    }

    /// Ho, Wo: `⌊(size + 2 · padding − dilation · (kernel − 1) − 1) / stride⌋ + 1`.
    pub fn output_size(&self) -> [usize; 2] {
        self.grid.output_size()
    }

    /// H · W: pixels of an input plane.
    pub fn input_len(&self) -> usize {
        self.grid.input_len()
    }

    /// Ho · Wo: pixels of an output plane.
    pub fn output_len(&self) -> usize {
        self.grid.output_len()
    }
}

/// `y[n, c, ho, wo] = max x[n, c, ho·Sh + kh·Dh − Ph, wo·Sw + kw·Dw − Pw]` over the `kh` and `kw` whose pixel
/// lies within the plane; NaN if one of the pixels is, and −∞ if there is none, which happens to dilated windows
/// alone.
///
/// x `[N, C, H, W]`, y `[N, C, Ho, Wo]`; the number of planes is what x holds. y is overwritten.
///
/// Source: PyTorch's page "MaxPool2d", without `ceil_mode`.
///
/// # Errors
/// [`Error::Invalid`] if x is not a whole number of planes, [`Error::Length`] if y is not as many.
pub fn max_pool2d(cx: &Context, pool: &MaxPool2d, x: &[f32], y: &mut [f32]) -> Result<(), Error> {
    let inputs = ("x", x.len(), pool.input_size());
    check_planes("max_pool2d", inputs, ("y", y.len(), pool.output_size()))?;
    forward(cx, &pool.grid, Max, x, y);
    Ok(())
}

/// Gradient of [`max_pool2d`]: dx is the sum of the dy of those windows of which the pixel is the largest, or
/// the first of the largest, row by row; of a window with NaN it is the last of these.
///
/// x `[N, C, H, W]` is the input of the forward pass, dy `[N, C, Ho, Wo]`, dx `[N, C, H, W]`; dx is
/// overwritten.
///
/// # Errors
/// [`Error::Invalid`] if x is not a whole number of planes, [`Error::Length`] if dy or dx is not as many.
pub fn max_pool2d_backward(
    cx: &Context,
    pool: &MaxPool2d,
    x: &[f32],
    dy: &[f32],
    dx: &mut [f32],
) -> Result<(), Error> {
    let op = "max_pool2d_backward";
    let inputs = ("x", x.len(), pool.input_size());
    check_planes(op, inputs, ("dy", dy.len(), pool.output_size()))?;
    check_planes(op, inputs, ("dx", dx.len(), pool.input_size()))?;
    backward(cx, &pool.grid, Max, Some(x), dy, dx);
    Ok(())
}

#[derive(Clone, Copy)]
struct Max;

impl Reduction for Max {
    const NONE: f32 = f32::NEG_INFINITY;

    #[inline(always)]
    fn combine<S: Simd>(self, simd: S, some: S::Vector, further: S::Vector) -> S::Vector {
        // `max` returns its second argument where either is NaN.
        simd.select(simd.eq(further, further), simd.max(further, some), further)
    }

    #[inline(always)]
    fn finish<S: Simd>(self, _: S, all: S::Vector, _: usize) -> S::Vector {
        all
    }
}

impl Gradient for Max {
    #[inline(always)]
    fn add<S: Simd>(self, simd: S, grid: &Grid, window: Window, dy: &[f32], band: Inputs<'_, '_>) {
        let Inputs { x, dx, .. } = band;
        let row_of = |t: usize| window.first + t * grid.rows.dilation;
        let step = grid.columns.dilation * LANES;
        for (columns, dy) in grid.columns.windows.iter().zip(dy.chunks_exact(LANES)) {
            let first = columns.first * LANES;
            // The largest pixel so far, and its number among those of the window.
            let mut largest = simd.splat(f32::NEG_INFINITY);
            let mut place = simd.zero();
            // At most 2²⁰, as the pixels of a window are.
            let mut number = 0;
            for row in 0..window.count {
                let row = &x.row(row_of(row))[first..];
                for column in 0..columns.count {
                    let pixel = load(simd, &row[column * step..]);
                    let here = simd.splat(number as f32);
                    place = simd.select(simd.gt(pixel, largest), here, place);
                    place = simd.select(simd.eq(pixel, pixel), place, here);
                    largest = self.combine(simd, largest, pixel);
                    number += 1;
                }
            }
            let dy = load(simd, dy);
            let mut number = 0;
            for row in 0..window.count {
                let row = &mut dx.row_mut(row_of(row))[first..];
                for column in 0..columns.count {
                    let dx = &mut row[column * step..];
                    let is_here = simd.eq(place, simd.splat(number as f32));
                    let given = simd.select(is_here, dy, simd.zero());
                    store(simd, simd.add(load(simd, dx), given), dx);
                    number += 1;
                }
            }
        }
    }
}

//! The largest pixel of each window.

use super::backward::{Gradient, Inputs, backward};
use super::forward::{Reduction, forward};
use super::grid::Grid;
use super::rows::Rows;
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
        let step = grid.rows.dilation;
        let windows = || grid.columns.windows.iter().zip(dy.chunks_exact(LANES));
        let pixels = |columns: &Window| Pixels {
            first: [window.first, columns.first * LANES],
            step: [step, grid.columns.dilation * LANES],
            count: [window.count, columns.count],
        };
        // Counts the windows with NaN in each lane.
        let mut with_nan = simd.zero();
        for (columns, dy) in windows() {
            let (pixels, dy) = (pixels(columns), load(simd, dy));
            // The compiler unrolls the loops of the usual windows.
            let largest = match pixels.count {
                [2, 2] => give(simd, Pixels { count: [2, 2], ..pixels }, x, dx, dy),
                [3, 3] => give(simd, Pixels { count: [3, 3], ..pixels }, x, dx, dy),
                _ => give(simd, pixels, x, dx, dy),
            };
            let one = simd.splat(1.0);
            let nan = simd.select(simd.eq(largest, largest), simd.zero(), one);
            with_nan = simd.add(with_nan, nan);
        }
        if simd.sum(with_nan) > 0.0 {
            for (columns, dy) in windows() {
                give_to_nan(simd, pixels(columns), x, dx, load(simd, dy));
            }
        }
    }
}

/// Where the pixels of a window lie in a band: rows, and floats of a row `[W, 16]`.
#[derive(Clone, Copy)]
struct Pixels {
    first: [usize; 2],
    step: [usize; 2],
    count: [usize; 2],
}

impl Pixels {
    /// A pixel by its row and column in the window: its row in the plane, and its float in that row.
    #[inline(always)]
    fn place(self, row: usize, column: usize) -> (usize, usize) {
        (self.first[0] + row * self.step[0], self.first[1] + column * self.step[1])
    }
}

/// Adds dy to the first of the largest pixels, in the lanes without NaN. Returns the largest pixel, or NaN.
#[inline(always)]
fn give<S: Simd>(
    simd: S,
    pixels: Pixels,
    x: &Rows<'_>,
    dx: &mut Rows<'_>,
    dy: S::Vector,
) -> S::Vector {
    let mut largest = simd.splat(Max::NONE);
    for row in 0..pixels.count[0] {
        for column in 0..pixels.count[1] {
            let (row, column) = pixels.place(row, column);
            largest = Max.combine(simd, largest, load(simd, &x.row(row)[column..]));
        }
    }
    let mut rest = dy;
    for row in 0..pixels.count[0] {
        for column in 0..pixels.count[1] {
            let (row, column) = pixels.place(row, column);
            // Never where the largest is NaN.
            let is_largest = simd.eq(load(simd, &x.row(row)[column..]), largest);
            let given = simd.select(is_largest, rest, simd.zero());
            rest = simd.select(is_largest, simd.zero(), rest);
            let dx = &mut dx.row_mut(row)[column..];
            store(simd, simd.add(load(simd, dx), given), dx);
        }
    }
    largest
}

/// Adds dy to the last pixel that is NaN, in the lanes that have one.
#[inline(always)]
fn give_to_nan<S: Simd>(simd: S, pixels: Pixels, x: &Rows<'_>, dx: &mut Rows<'_>, dy: S::Vector) {
    let mut rest = dy;
    for row in (0..pixels.count[0]).rev() {
        for column in (0..pixels.count[1]).rev() {
            let (row, column) = pixels.place(row, column);
            let pixel = load(simd, &x.row(row)[column..]);
            let is_number = simd.eq(pixel, pixel);
            let given = simd.select(is_number, simd.zero(), rest);
            rest = simd.select(is_number, rest, simd.zero());
            let dx = &mut dx.row_mut(row)[column..];
            store(simd, simd.add(load(simd, dx), given), dx);
        }
    }
}

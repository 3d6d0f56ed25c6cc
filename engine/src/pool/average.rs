//! The mean of each window.

use super::backward::{Gradient, Inputs, backward};
use super::forward::{Reduction, forward};
use super::global::{self, PlaneMean};
use super::grid::Grid;
use super::window::{Sliding, Window};
use crate::planes::check_planes;
use crate::simd::{LANES, Simd, load, store, update};
use crate::{Context, Error};

/// Kernel and steps of an average pooling, `[height, width]`. The fields have the meaning of those of PyTorch's
/// `AvgPool2d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AvgPool2dOptions {
    /// Kh, Kw: pixels of a window.
    pub kernel_size: [usize; 2],
    /// Steps of the window over the plane.
    pub stride: [usize; 2],
    /// Zeros added at each of the two sides; at most half of the kernel.
    pub padding: [usize; 2],
    /// Whether padding counts as pixels: then the sum of a window is always divided by Kh · Kw.
    pub count_include_pad: bool,
}

impl AvgPool2dOptions {
    /// Windows side by side, without padding, which would count.
    pub fn new(kernel_size: [usize; 2]) -> AvgPool2dOptions {
        let (stride, padding) = (kernel_size, [0, 0]);
        AvgPool2dOptions { kernel_size, stride, padding, count_include_pad: true }
    }
}

/// An average pooling of planes of one size, with everything about it worked out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AvgPool2d {
    options: AvgPool2dOptions,
    grid: Grid,
}

impl AvgPool2d {
    /// The pooling of planes `[height, width]`.
    ///
    /// # Errors
    /// [`Error::Invalid`] if a size, step or kernel is 0, if a number exceeds 2²⁰, if the padding exceeds
    /// half of the kernel, if that is larger than the padded plane, or if the rows from the top of a window to
    /// its bottom have more than 2²⁰ pixels, unless one window sees all; [`Error::Overflow`] if planes would not fit the address space.
    pub fn new(options: AvgPool2dOptions, input_size: [usize; 2]) -> Result<AvgPool2d, Error> {
        let op = "avg_pool2d";
        let AvgPool2dOptions { kernel_size, stride, padding, .. } = options;
        let axis = |axis: usize| {
            Sliding {
                size: input_size[axis],
                kernel: kernel_size[axis],
                stride: stride[axis],
                padding: padding[axis],
                dilation: 1,
            }
            .axis(op)
        };
        Ok(AvgPool2d { options, grid: Grid::of_means(op, axis(0)?, axis(1)?)? })
    }

    /// What the pooling was made of.
    pub fn options(&self) -> &AvgPool2dOptions {
        &self.options
    }

    /// H, W.
    pub fn input_size(&self) -> [usize; 2] {
        self.grid.input_size()
    }

    /// Ho, Wo: `⌊(size + 2 · padding − kernel) / stride⌋ + 1`.
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

    fn mean(&self) -> Mean {
        // At most 2⁴⁰: beyond what a usize of 32 bits holds.
        let [kh, kw] = self.options.kernel_size.map(|size| size as u64);
        Mean { divisor: self.options.count_include_pad.then_some((kh * kw) as f32) }
    }
}

/// `y[n, c, ho, wo] = Σ x[n, c, ho·Sh + kh − Ph, wo·Sw + kw − Pw] / count`, the sum running over the `kh` and
/// `kw` whose pixel lies within the plane; count is Kh · Kw, or the number of these pixels without
/// [`AvgPool2dOptions::count_include_pad`].
///
/// x `[N, C, H, W]`, y `[N, C, Ho, Wo]`; the number of planes is what x holds. y is overwritten.
///
/// Source: PyTorch's page "AvgPool2d", without `ceil_mode` and `divisor_override`.
///
/// # Errors
/// [`Error::Invalid`] if x is not a whole number of planes, [`Error::Length`] if y is not as many.
pub fn avg_pool2d(cx: &Context, pool: &AvgPool2d, x: &[f32], y: &mut [f32]) -> Result<(), Error> {
    pool.mean().pool("avg_pool2d", cx, &pool.grid, x, y)
}

/// Gradient of [`avg_pool2d`]: dx is the sum of dy / count over the windows that a pixel lies in.
///
/// dy `[N, C, Ho, Wo]`, dx `[N, C, H, W]`; the number of planes is what dy holds. dx is overwritten.
///
/// # Errors
/// [`Error::Invalid`] if dy is not a whole number of planes, [`Error::Length`] if dx is not as many.
pub fn avg_pool2d_backward(
    cx: &Context,
    pool: &AvgPool2d,
    dy: &[f32],
    dx: &mut [f32],
) -> Result<(), Error> {
    pool.mean().pool_backward("avg_pool2d_backward", cx, &pool.grid, dy, dx)
}

/// A sum over a window, divided.
#[derive(Clone, Copy)]
pub(super) struct Mean {
    /// What sums are divided by, if it is not the number of their terms.
    pub(super) divisor: Option<f32>,
}

impl Mean {
    pub(super) fn pool(
        self,
        op: &'static str,
        cx: &Context,
        grid: &Grid,
        x: &[f32],
        y: &mut [f32],
    ) -> Result<(), Error> {
        let inputs = ("x", x.len(), grid.input_size());
        check_planes(op, inputs, ("y", y.len(), grid.output_size()))?;
        if grid.is_global() {
            global::means(cx, self.of_plane(grid), x, y);
        } else {
            forward(cx, grid, self, x, y);
        }
        Ok(())
    }

    pub(super) fn pool_backward(
        self,
        op: &'static str,
        cx: &Context,
        grid: &Grid,
        dy: &[f32],
        dx: &mut [f32],
    ) -> Result<(), Error> {
        let outputs = ("dy", dy.len(), grid.output_size());
        check_planes(op, outputs, ("dx", dx.len(), grid.input_size()))?;
        if grid.is_global() {
            global::means_backward(cx, self.of_plane(grid), dy, dx);
        } else {
            backward(cx, grid, self, None, dy, dx);
        }
        Ok(())
    }

    fn of_plane(self, grid: &Grid) -> PlaneMean {
        let len = grid.input_len();
        PlaneMean { len, divisor: self.divisor.unwrap_or(len as f32) }
    }

    #[inline(always)]
    fn divide<S: Simd>(self, simd: S, sum: S::Vector, count: usize) -> S::Vector {
        simd.div(sum, simd.splat(self.divisor.unwrap_or(count as f32)))
    }
}

impl Reduction for Mean {
    const NONE: f32 = 0.0;

    #[inline(always)]
    fn combine<S: Simd>(self, simd: S, some: S::Vector, further: S::Vector) -> S::Vector {
        simd.add(some, further)
    }

    #[inline(always)]
    fn finish<S: Simd>(self, simd: S, all: S::Vector, count: usize) -> S::Vector {
        self.divide(simd, all, count)
    }
}

impl Gradient for Mean {
    #[inline(always)]
    fn add<S: Simd>(self, simd: S, grid: &Grid, window: Window, dy: &[f32], band: Inputs<'_, '_>) {
        let Inputs { dx, columns: sums, .. } = band;
        // Every row of the window is given the same.
        sums.fill(0.0);
        for (columns, dy) in grid.columns.windows.iter().zip(dy.chunks_exact(LANES)) {
            let given = self.divide(simd, load(simd, dy), window.count * columns.count);
            let sums = &mut sums[columns.first * LANES..][..columns.count * LANES];
            for sum in sums.chunks_exact_mut(LANES) {
                store(simd, simd.add(load(simd, sum), given), sum);
            }
        }
        for row in window.first..window.first + window.count {
            update(
                simd,
                [&*sums],
                [dx.row_mut(row)],
                #[inline(always)]
                |[given], [dx]| [simd.add(dx, given)],
            );
        }
    }
}

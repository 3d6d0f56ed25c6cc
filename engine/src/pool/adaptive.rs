//! The mean of each window, where the windows share out the plane.

use super::average::Mean;
use super::grid::Grid;
use super::window::Axis;
use crate::{Context, Error};

/// An average pooling to a number of outputs, whatever the size of the planes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdaptiveAvgPool2d {
    grid: Grid,
}

impl AdaptiveAvgPool2d {
    /// The pooling of planes `[height, width]` to planes of another size, which may be larger.
    ///
    /// # Errors
    /// [`Error::Invalid`] if a size is 0 or exceeds 2²⁰, or if the rows from the top of a window to its bottom
    /// have more than 2²⁰ pixels, unless one window sees all; [`Error::Overflow`] if planes would not fit the
    /// address space.
    pub fn new(
        input_size: [usize; 2],
        output_size: [usize; 2],
    ) -> Result<AdaptiveAvgPool2d, Error> {
        let op = "adaptive_avg_pool2d";
        let axis = |axis: usize| Axis::adaptive(op, input_size[axis], output_size[axis]);
        Ok(AdaptiveAvgPool2d { grid: Grid::of_means(op, axis(0)?, axis(1)?)? })
    }

    /// H, W.
    pub fn input_size(&self) -> [usize; 2] {
        self.grid.input_size()
    }

    /// Ho, Wo.
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

/// `y[n, c, ho, wo]` is the mean of x`[n, c, h, w]` over `⌊ho · H / Ho⌋ ≤ h < ⌈(ho + 1) · H / Ho⌉`, and `w`
/// likewise. One output is the mean of the plane.
///
/// x `[N, C, H, W]`, y `[N, C, Ho, Wo]`; the number of planes is what x holds. y is overwritten.
///
/// Source: PyTorch's page "AdaptiveAvgPool2d".
///
/// # Errors
/// [`Error::Invalid`] if x is not a whole number of planes, [`Error::Length`] if y is not as many.
pub fn adaptive_avg_pool2d(
    cx: &Context,
    pool: &AdaptiveAvgPool2d,
    x: &[f32],
    y: &mut [f32],
) -> Result<(), Error> {
    Mean { divisor: None }.pool("adaptive_avg_pool2d", cx, &pool.grid, x, y)
}

/// Gradient of [`adaptive_avg_pool2d`]: dx is the sum over the windows that a pixel lies in of dy divided by
/// the number of their pixels.
///
/// dy `[N, C, Ho, Wo]`, dx `[N, C, H, W]`; the number of planes is what dy holds. dx is overwritten.
///
/// # Errors
/// [`Error::Invalid`] if dy is not a whole number of planes, [`Error::Length`] if dx is not as many.
pub fn adaptive_avg_pool2d_backward(
    cx: &Context,
    pool: &AdaptiveAvgPool2d,
    dy: &[f32],
    dx: &mut [f32],
) -> Result<(), Error> {
    Mean { divisor: None }.pool_backward("adaptive_avg_pool2d_backward", cx, &pool.grid, dy, dx)
}

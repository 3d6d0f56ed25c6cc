//! Softmax along one axis, and its logarithm.

mod along;
mod form;

use crate::error::expect_len;
use crate::{Context, Error};
use along::along;
use form::{Backward, Forward, Log, Plain};

/// Sizes of a softmax of x `[outer, classes, inner]` along the middle axis: PyTorch's `softmax(dim)`, where
/// `outer` is the product of the axes in front of `dim`, and `inner` that of those behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Softmax {
    /// N, or all leading axes together.
    pub outer: usize,
    /// What the results of a line sum up to 1 over.
    pub classes: usize,
    /// 1 if the classes are the last axis; H · W for those of each pixel.
    pub inner: usize,
}

impl Softmax {
    fn len(&self, op: &'static str) -> Result<usize, Error> {
        let sizes = [self.outer, self.classes, self.inner];
        if sizes.contains(&0) {
            return Ok(0);
        }
        let len = sizes.into_iter().try_fold(1, usize::checked_mul);
        len.ok_or(Error::Overflow { op, what: "x" })
    }
}

/// y = eˣ / Σ eˣ, with the sum over the classes of a line. The largest x of the line is subtracted from all
/// first, so no exponential overflows.
///
/// A line that holds NaN or +∞, or nothing but −∞, becomes NaN. A size of 0 makes empty tensors.
///
/// Source: PyTorch, `Softmax`.
///
/// # Errors
/// [`Error::Length`] if x or y is not `[outer, classes, inner]`, [`Error::Overflow`].
pub fn softmax(cx: &Context, dims: &Softmax, x: &[f32], y: &mut [f32]) -> Result<(), Error> {
    run_forward(cx, "softmax", dims, Forward(Plain), x, y)
}

/// Gradient of [`softmax`]: dx = y · (dy − Σ y · dy), with the sum over the classes of a line, where y is the
/// *output* of the forward pass; dx is overwritten.
///
/// # Errors
/// [`Error::Length`] if a slice is not `[outer, classes, inner]`, [`Error::Overflow`].
pub fn softmax_backward(
    cx: &Context,
    dims: &Softmax,
    y: &[f32],
    dy: &[f32],
    dx: &mut [f32],
) -> Result<(), Error> {
    run_backward(cx, "softmax_backward", dims, Backward(Plain), [y, dy], dx)
}

/// y = x − ln Σ eˣ: the logarithm of [`softmax`], which keeps the digits of small probabilities.
///
/// NaN and sizes of 0 as there. Source: PyTorch, `LogSoftmax`.
///
/// # Errors
/// As [`softmax`].
pub fn log_softmax(cx: &Context, dims: &Softmax, x: &[f32], y: &mut [f32]) -> Result<(), Error> {
    run_forward(cx, "log_softmax", dims, Forward(Log), x, y)
}

/// Gradient of [`log_softmax`]: dx = dy − eʸ · Σ dy, with the sum over the classes of a line, where y is the
/// *output* of the forward pass; dx is overwritten.
///
/// # Errors
/// As [`softmax_backward`].
pub fn log_softmax_backward(
    cx: &Context,
    dims: &Softmax,
    y: &[f32],
    dy: &[f32],
    dx: &mut [f32],
) -> Result<(), Error> {
    run_backward(cx, "log_softmax_backward", dims, Backward(Log), [y, dy], dx)
}

fn run_forward<F: form::Form>(
    cx: &Context,
    op: &'static str,
    dims: &Softmax,
    pass: Forward<F>,
    x: &[f32],
    y: &mut [f32],
) -> Result<(), Error> {
    let len = dims.len(op)?;
    expect_len(op, "x", len, x.len())?;
    expect_len(op, "y", len, y.len())?;
    along(cx, dims, pass, [x], y);
    Ok(())
}

fn run_backward<F: form::Form>(
    cx: &Context,
    op: &'static str,
    dims: &Softmax,
    pass: Backward<F>,
    [y, dy]: [&[f32]; 2],
    dx: &mut [f32],
) -> Result<(), Error> {
    let len = dims.len(op)?;
    expect_len(op, "y", len, y.len())?;
    expect_len(op, "dy", len, dy.len())?;
    expect_len(op, "dx", len, dx.len())?;
    along(cx, dims, pass, [y, dy], dx);
    Ok(())
}

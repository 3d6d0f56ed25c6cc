//! The logistic sigmoid.

use super::{Function, backward, forward};
use crate::simd::{self, Simd};
use crate::{Context, Error};

/// y = 1 / (1 + e⁻ˣ), at most 3 ULP off where y is a normal number; NaN where x is NaN.
///
/// # Errors
/// [`Error::Length`] if y is not as long as x.
pub fn sigmoid(cx: &Context, x: &[f32], y: &mut [f32]) -> Result<(), Error> {
    forward(cx, "sigmoid", Sigmoid, x, y)
}

/// Gradient of [`sigmoid`]: dx = dy · y · (1 − y), where y is the *output* of the forward pass; dx
/// is overwritten.
///
/// # Errors
/// [`Error::Length`] if dy or dx is not as long as y.
pub fn sigmoid_backward(cx: &Context, y: &[f32], dy: &[f32], dx: &mut [f32]) -> Result<(), Error> {
    backward(cx, "sigmoid_backward", SigmoidBackward, y, dy, dx)
}

#[derive(Clone, Copy)]
struct Sigmoid;

impl Function<1> for Sigmoid {
    const WORK: usize = 32;

    #[inline(always)]
    fn apply<S: Simd>(self, simd: S, [x]: [S::Vector; 1]) -> S::Vector {
        simd::sigmoid(simd, x)
    }
}

#[derive(Clone, Copy)]
struct SigmoidBackward;

impl Function<2> for SigmoidBackward {
    const WORK: usize = 3;

    #[inline(always)]
    fn apply<S: Simd>(self, simd: S, [y, dy]: [S::Vector; 2]) -> S::Vector {
        simd.mul(dy, simd.mul(y, simd.sub(simd.splat(1.0), y)))
    }
}

//! The hyperbolic tangent.

use super::{Function, backward, forward};
use crate::simd::{self, Simd};
use crate::{Context, Error};

/// y = tanh x, at most 7 ULP off, also near 0; NaN where x is NaN.
///
/// Source: PyTorch, `Tanh`.
///
/// # Errors
/// [`Error::Length`] if y is not as long as x.
pub fn tanh(cx: &Context, x: &[f32], y: &mut [f32]) -> Result<(), Error> {
    forward(cx, "tanh", Tanh, x, y)
}

/// Gradient of [`tanh`]: dx = dy · (1 − y²), where y is the *output* of the forward pass; dx is
/// overwritten.
///
/// # Errors
/// [`Error::Length`] if dy or dx is not as long as y.
pub fn tanh_backward(cx: &Context, y: &[f32], dy: &[f32], dx: &mut [f32]) -> Result<(), Error> {
    backward(cx, "tanh_backward", TanhBackward, y, dy, dx)
}

#[derive(Clone, Copy)]
struct Tanh;

impl Function<1> for Tanh {
    const WORK: usize = 16;

    #[inline(always)]
    fn apply<S: Simd>(self, simd: S, [x]: [S::Vector; 1]) -> S::Vector {
        simd::tanh(simd, x)
    }
}

#[derive(Clone, Copy)]
struct TanhBackward;

impl Function<2> for TanhBackward {
    const WORK: usize = 3;

    #[inline(always)]
    fn apply<S: Simd>(self, simd: S, [y, dy]: [S::Vector; 2]) -> S::Vector {
        // As a product of two numbers that are exact near ±1, where 1 − y² would be rounded twice
        // without a fused multiply-add.
        let one = simd.splat(1.0);
        simd.mul(dy, simd.mul(simd.sub(one, y), simd.add(one, y)))
    }
}

//! ReLU and LeakyReLU.

use super::{Function, backward, forward};
use crate::simd::{self, Simd};
use crate::{Context, Error};

/// y = max(x, 0), NaN where x is NaN.
///
/// # Errors
/// [`Error::Length`] if y is not as long as x.
pub fn relu(cx: &Context, x: &[f32], y: &mut [f32]) -> Result<(), Error> {
    forward(cx, "relu", Relu, x, y)
}

/// Gradient of [`relu`]: dx = dy where x > 0, 0 elsewhere. x is the input or the output of the
/// forward pass; dx is overwritten.
///
/// # Errors
/// [`Error::Length`] if dy or dx is not as long as x.
pub fn relu_backward(cx: &Context, x: &[f32], dy: &[f32], dx: &mut [f32]) -> Result<(), Error> {
    backward(cx, "relu_backward", ReluBackward, x, dy, dx)
}

/// y = x where x > 0, slope · x elsewhere; NaN where x is NaN.
///
/// # Errors
/// [`Error::Length`] if y is not as long as x.
pub fn leaky_relu(cx: &Context, slope: f32, x: &[f32], y: &mut [f32]) -> Result<(), Error> {
    forward(cx, "leaky_relu", LeakyRelu { slope }, x, y)
}

/// Gradient of [`leaky_relu`]: dx = dy where x > 0, slope · dy elsewhere. x is the input of the
/// forward pass, or its output if slope > 0; dx is overwritten.
///
/// # Errors
/// [`Error::Length`] if dy or dx is not as long as x.
pub fn leaky_relu_backward(
    cx: &Context,
    slope: f32,
    x: &[f32],
    dy: &[f32],
    dx: &mut [f32],
) -> Result<(), Error> {
    backward(cx, "leaky_relu_backward", LeakyReluBackward { slope }, x, dy, dx)
}

#[derive(Clone, Copy)]
struct Relu;

impl Function<1> for Relu {
    const WORK: usize = 1;

    #[inline(always)]
    fn apply<S: Simd>(self, simd: S, [x]: [S::Vector; 1]) -> S::Vector {
        // In this order, because max returns its second argument for NaN.
        simd.max(simd.zero(), x)
    }
}

#[derive(Clone, Copy)]
struct ReluBackward;

impl Function<2> for ReluBackward {
    const WORK: usize = 2;

    #[inline(always)]
    fn apply<S: Simd>(self, simd: S, [x, dy]: [S::Vector; 2]) -> S::Vector {
        simd.select(simd.gt(x, simd.zero()), dy, simd.zero())
    }
}

#[derive(Clone, Copy)]
struct LeakyRelu {
    slope: f32,
}

impl Function<1> for LeakyRelu {
    const WORK: usize = 3;

    #[inline(always)]
    fn apply<S: Simd>(self, simd: S, [x]: [S::Vector; 1]) -> S::Vector {
        simd::leaky_relu(simd, x, simd.splat(self.slope))
    }
}

#[derive(Clone, Copy)]
struct LeakyReluBackward {
    slope: f32,
}

impl Function<2> for LeakyReluBackward {
    const WORK: usize = 3;

    #[inline(always)]
    fn apply<S: Simd>(self, simd: S, [x, dy]: [S::Vector; 2]) -> S::Vector {
        let scaled = simd.mul(dy, simd.splat(self.slope));
        simd.select(simd.gt(x, simd.zero()), dy, scaled)
    }
}

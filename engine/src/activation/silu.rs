//! SiLU, which is also called swish.

use super::{Function, backward, forward};
use crate::simd::{self, Simd};
use crate::{Context, Error};

/// y = x / (1 + e⁻ˣ), at most 4 ULP off down to x = −87, and 0 from −88.1 on; NaN where x is NaN or −∞.
///
/// Source: PyTorch, `SiLU`; S. Elfwing, E. Uchibe, K. Doya, "Sigmoid-Weighted Linear Units for Neural
/// Network Function Approximation in Reinforcement Learning" (2017).
///
/// # Errors
/// [`Error::Length`] if y is not as long as x.
pub fn silu(cx: &Context, x: &[f32], y: &mut [f32]) -> Result<(), Error> {
    forward(cx, "silu", Silu, x, y)
}

/// Gradient of [`silu`]: dx = dy · s · (1 + x · (1 − s)) with s = 1 / (1 + e⁻ˣ), where x is the *input*
/// of the forward pass; NaN where x is infinite, as in PyTorch. dx is overwritten.
///
/// # Errors
/// [`Error::Length`] if dy or dx is not as long as x.
pub fn silu_backward(cx: &Context, x: &[f32], dy: &[f32], dx: &mut [f32]) -> Result<(), Error> {
    backward(cx, "silu_backward", SiluBackward, x, dy, dx)
}

#[derive(Clone, Copy)]
struct Silu;

impl Function<1> for Silu {
    const WORK: usize = 32;

    #[inline(always)]
    fn apply<S: Simd>(self, simd: S, [x]: [S::Vector; 1]) -> S::Vector {
        let (numerator, denominator) = simd::sigmoid_fraction(simd, x);
        simd.div(simd.mul(x, numerator), denominator)
    }
}

#[derive(Clone, Copy)]
struct SiluBackward;

impl Function<2> for SiluBackward {
    const WORK: usize = 36;

    #[inline(always)]
    fn apply<S: Simd>(self, simd: S, [x, dy]: [S::Vector; 2]) -> S::Vector {
        let one = simd.splat(1.0);
        let (numerator, denominator) = simd::sigmoid_fraction(simd, x);
        let s = simd.div(numerator, denominator);
        let slope = simd.mul_add(x, simd.sub(one, s), one);
        simd.mul(dy, simd.mul(s, slope))
    }
}

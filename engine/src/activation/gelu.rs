//! GELU, exactly and by its approximation with tanh.

use super::{Function, backward, forward};
use crate::simd::{self, Simd};
use crate::{Context, Error};
use std::f32::consts::FRAC_2_SQRT_PI;

/// How [`gelu`] is computed; PyTorch's argument `approximate`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum GeluApproximation {
    /// By the distribution function of the normal distribution: PyTorch's `"none"`.
    #[default]
    None,
    /// By a formula with tanh: PyTorch's `"tanh"`.
    Tanh,
}

/// y = x · Φ(x), where Φ is the distribution function of the normal distribution; with
/// [`GeluApproximation::Tanh`] y = x · ½ (1 + tanh u), u = √(2 / π) · (x + 0.044715 x³). NaN where x is NaN
/// or −∞.
///
/// The left tail keeps its digits until y becomes 0: where 1 + erf would leave none, at x = −6, y is right to
/// five decimal digits. The error is at most 7 + x² / 2 ULP down to x = −12.9, and 5 + 4 |u| ULP of the approximation
/// down to x = −10; its ½ (1 + tanh u) is computed as 1 / (1 + e⁻²ᵘ), which is the same.
///
/// Source: PyTorch, `GELU`; D. Hendrycks, K. Gimpel, "Gaussian Error Linear Units (GELUs)" (2016).
///
/// # Errors
/// [`Error::Length`] if y is not as long as x.
pub fn gelu(
    cx: &Context,
    approximation: GeluApproximation,
    x: &[f32],
    y: &mut [f32],
) -> Result<(), Error> {
    match approximation {
        GeluApproximation::None => forward(cx, "gelu", Exact, x, y),
        GeluApproximation::Tanh => forward(cx, "gelu", ByTanh, x, y),
    }
}

/// Gradient of [`gelu`]: dx = dy · (Φ(x) + x · φ(x)) with the density φ(x) = e^(−x² / 2) / √(2 π); with
/// [`GeluApproximation::Tanh`] dx = dy · (s + x · s · (1 − s) · 2 u′) with s = 1 / (1 + e⁻²ᵘ) and
/// u′ = √(2 / π) · (1 + 3 · 0.044715 x²). x is the *input* of the forward pass; dx is NaN where it is
/// infinite, as in PyTorch. dx is overwritten.
///
/// # Errors
/// [`Error::Length`] if dy or dx is not as long as x.
pub fn gelu_backward(
    cx: &Context,
    approximation: GeluApproximation,
    x: &[f32],
    dy: &[f32],
    dx: &mut [f32],
) -> Result<(), Error> {
    match approximation {
        GeluApproximation::None => backward(cx, "gelu_backward", ExactBackward, x, dy, dx),
        GeluApproximation::Tanh => backward(cx, "gelu_backward", ByTanhBackward, x, dy, dx),
    }
}

/// 1 / √(2 π)
const INV_SQRT_2_PI: f32 = 0.398_942_3;

/// 2 · √(2 / π)
const RATE: f32 = FRAC_2_SQRT_PI * std::f32::consts::SQRT_2;
/// Coefficient of x³ in 2 u.
const CUBIC: f32 = RATE * 0.044_715;

#[derive(Clone, Copy)]
struct Exact;

impl Function<1> for Exact {
    const WORK: usize = 48;

    #[inline(always)]
    fn apply<S: Simd>(self, simd: S, [x]: [S::Vector; 1]) -> S::Vector {
        let (distribution, _) = simd::normal(simd, x);
        simd.mul(x, distribution)
    }
}

#[derive(Clone, Copy)]
struct ExactBackward;

impl Function<2> for ExactBackward {
    const WORK: usize = 52;

    #[inline(always)]
    fn apply<S: Simd>(self, simd: S, [x, dy]: [S::Vector; 2]) -> S::Vector {
        let (distribution, bell) = simd::normal(simd, x);
        let density = simd.mul(bell, simd.splat(INV_SQRT_2_PI));
        simd.mul(dy, simd.mul_add(x, density, distribution))
    }
}

#[derive(Clone, Copy)]
struct ByTanh;

impl Function<1> for ByTanh {
    const WORK: usize = 36;

    #[inline(always)]
    fn apply<S: Simd>(self, simd: S, [x]: [S::Vector; 1]) -> S::Vector {
        let square = simd.mul(x, x);
        let rate = simd.mul_add(square, simd.splat(CUBIC), simd.splat(RATE));
        let (numerator, denominator) = simd::sigmoid_fraction(simd, simd.mul(x, rate));
        simd.div(simd.mul(x, numerator), denominator)
    }
}

#[derive(Clone, Copy)]
struct ByTanhBackward;

impl Function<2> for ByTanhBackward {
    const WORK: usize = 44;

    #[inline(always)]
    fn apply<S: Simd>(self, simd: S, [x, dy]: [S::Vector; 2]) -> S::Vector {
        let one = simd.splat(1.0);
        // s is 0 or 1 from |x| = 20 on. The bounds keep u′ finite and come first, because max and min
        // return their second argument for NaN.
        let bounded = simd.min(simd.splat(20.0), simd.max(simd.splat(-20.0), x));
        let square = simd.mul(bounded, bounded);
        let (cubic, rate) = (simd.splat(CUBIC), simd.splat(RATE));
        let u2 = simd.mul(bounded, simd.mul_add(square, cubic, rate));
        let derivative = simd.mul_add(square, simd.splat(3.0 * CUBIC), rate);
        // With e = e^−|2 u|, s is 1 / (1 + e) or e / (1 + e), and s (1 − s) is e / (1 + e)².
        let e = simd::exp_not_positive(simd, simd.sub(simd.zero(), simd.abs(u2)));
        let larger = simd.div(one, simd.add(one, e));
        let smaller = simd.mul(e, larger);
        let s = simd.select(simd.gt(u2, simd.zero()), larger, smaller);
        let steepness = simd.mul(simd.mul(smaller, larger), derivative);
        simd.mul(dy, simd.mul_add(x, steepness, s))
    }
}

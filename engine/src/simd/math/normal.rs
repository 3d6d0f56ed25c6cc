//! The normal distribution.

use super::{exp_not_positive, polynomial};
use crate::simd::Simd;

/// Coefficients of 1, t, t², …: e^(t² / 2) · Φ(−t) is numerator / denominator.
const NUMERATOR: [f32; 5] = [0.5, 0.437_798_47, 0.182_840_5, 0.040_492_374, 0.004_093_073_3];
const DENOMINATOR: [f32; 6] =
    [1.0, 1.673_481_8, 1.200_922_3, 0.468_421_8, 0.101_505_84, 0.010_259_693];

/// Φ(x) = ½ (1 + erf(x / √2)), the distribution function of the normal distribution, and e^(−x² / 2). NaN for
/// NaN.
///
/// Both are at most 6 ULP off up to x = -12.9, also where they are small, and below become 0 with
/// [`exp_not_positive`]; on tiers that round a multiply-add twice they are x² / 2 ULP more off, since the
/// rounding error of x² is lost there.
///
/// With t = |x|, Φ(−t) = e^(−t² / 2) · p(t) / q(t), 2⁻²⁶·³ relative off up to t = 14.6. The
/// exponential is taken once and nothing is subtracted but Φ(t) = 1 − Φ(−t) ≥ ½, so that no digit cancels, as
/// those of 1 + erf would. The coefficients were found as those of [`tanh`](super::tanh); the fraction by which
/// W. J. Cody computes erfc ("Rational Chebyshev Approximations for the Error Function", 1969) has the same
/// form.
#[inline(always)]
pub(crate) fn normal<S: Simd>(simd: S, x: S::Vector) -> (S::Vector, S::Vector) {
    let one = simd.splat(1.0);
    // The constant comes first: min returns its second argument for NaN. At 20 the exponential is 0.
    let t = simd.min(simd.splat(20.0), simd.abs(x));
    // t² = square + rest
    let square = simd.mul(t, t);
    let rest = simd.mul_add(t, t, simd.sub(simd.zero(), square));
    let minus_half = simd.splat(-0.5);
    let bell = exp_not_positive(simd, simd.mul(square, minus_half));
    let bell = simd.mul_add(simd.mul(bell, rest), minus_half, bell);
    let numerator = simd.mul(bell, polynomial(simd, NUMERATOR, t));
    let tail = simd.div(numerator, polynomial(simd, DENOMINATOR, t));
    let positive = simd.gt(x, simd.zero());
    (simd.select(positive, simd.sub(one, tail), tail), bell)
}

#[cfg(test)]
mod tests {
    use super::super::accuracy::{assert_edges, by_bits, error_on, kernels};
    use super::*;
    use crate::reference::normal::distribution;
    use crate::simd::{Isa, Tier};

    #[inline(always)]
    fn phi<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
        normal(simd, x).0
    }

    #[inline(always)]
    fn bell<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
        normal(simd, x).1
    }

    kernels! {
        Distribution = phi;
        Bell = bell;
    }

    #[test]
    fn both_are_within_six_ulp_where_multiply_adds_are_fused() {
        // From 12.9 on, Φ(−t) is no normal number.
        let (negative, positive) = (by_bits(-1e-9, -12.9, 499), by_bits(1e-9, 12.9, 499));
        let density = |x: f64| (-0.5 * x * x).exp();
        for isa in Isa::available() {
            // x² / 2 is 2 up to 2, and 83.2 up to 12.9.
            for (end, roundings) in [(2.0, 2.0), (12.9, 83.2)] {
                let fused = isa.tier() != Tier::Portable;
                let allowed = if fused { 6.0 } else { 6.0 + roundings };
                let inputs = negative.clone().chain(positive.clone()).filter(|x| x.abs() < end);
                let error = error_on(isa, inputs.clone(), Distribution, distribution);
                assert!(error <= allowed, "{isa:?}: {error} ULP of the distribution to {end}");
                let error = error_on(isa, inputs, Bell, density);
                assert!(error <= allowed, "{isa:?}: {error} ULP of the exponential to {end}");
            }
        }
    }

    #[test]
    fn the_distribution_at_the_edges() {
        let infinity = f32::INFINITY;
        assert_edges(Distribution, &[(0.0, 0.5), (-0.0, 0.5), (10.0, 1.0), (-20.0, 0.0)]);
        assert_edges(Distribution, &[(infinity, 1.0), (-infinity, 0.0), (f32::MIN, 0.0)]);
        assert_edges(Bell, &[(0.0, 1.0), (infinity, 0.0), (f32::MIN, 0.0)]);
    }
}

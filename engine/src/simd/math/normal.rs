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
/// Both are at most 6 ULP off up to x = -12.9 and x² / 2 ULP more, the rounding error of x². Below, they become 0
/// with [`exp_not_positive`].
///
/// With t = |x|, Φ(−t) = e^(−t² / 2) · p(t) / q(t), 2⁻²⁶·³ relative off up to t = 14.6. The
/// exponential is taken once and nothing is subtracted but Φ(t) = 1 − Φ(−t) ≥ ½, so that no digit cancels, as
/// those of 1 + erf would. The coefficients were found as those of [`tanh()`](super::tanh()); the fraction by which
/// W. J. Cody computes erfc ("Rational Chebyshev Approximations for the Error Function", 1969) has the same
/// form.
#[inline(always)]
pub(crate) fn normal<S: Simd>(simd: S, x: S::Vector) -> (S::Vector, S::Vector) {
    let one = simd.splat(1.0);
    // The constant comes first: min returns its second argument for NaN. At 20 the exponential is 0.
    let t = simd.min(simd.splat(20.0), simd.abs(x));
    let bell = exp_not_positive(simd, simd.mul(simd.mul(t, t), simd.splat(-0.5)));
    let numerator = simd.mul(bell, polynomial(simd, NUMERATOR, t));
    let tail = simd.div(numerator, polynomial(simd, DENOMINATOR, t));
    let positive = simd.gt(x, simd.zero());
    (simd.select(positive, simd.sub(one, tail), tail), bell)
}

#[cfg(test)]
mod tests {
    use super::super::accuracy::{assert_edges, by_bits, kernels, largest_error};
    use super::*;
    use crate::reference::normal::distribution;

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
    fn both_are_within_six_ulp_and_the_rounding_error_of_the_square() {
        let density = |x: f64| (-0.5 * x * x).exp();
        // From 12.9 on, Φ(−x) is no normal number. At the end, x² / 2 is 0.5, 2, 12.5, 83.2.
        for (end, roundings) in [(1.0, 0.5), (2.0, 2.0), (5.0, 12.5), (12.9, 83.2)] {
            let inputs = by_bits(1e-9, end, 499).chain(by_bits(-1e-9, -end, 499));
            let errors = [
                largest_error(inputs.clone(), Distribution, distribution),
                largest_error(inputs, Bell, density),
            ];
            assert!(errors.iter().all(|&e| e <= 6.0 + roundings), "{errors:?} ULP up to {end}");
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

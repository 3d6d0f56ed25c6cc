//! The hyperbolic tangent.

use super::polynomial;
use crate::simd::Simd;

/// From here on tanh x is 1 in `f32`, and so is the quotient below.
const SATURATED: f32 = 9.1;

/// Coefficients of 1, x², x⁴, x⁶, x⁸.
const NUMERATOR: [f32; 5] = [1.0, 0.133_826_52, 0.003_497_415_2, 2.063_507_6e-5, 1.338_314_4e-8];
const DENOMINATOR: [f32; 5] = [1.0, 0.467_159_75, 0.025_884_202, 0.000_328_844_62, 7.789_804e-7];

/// tanh x, at most 7 ULP off; ±1 from about |x| = 9 on, and never beyond. NaN for NaN.
///
/// tanh x = x · p(x²) / q(x²) for |x| < 9.02, 2⁻²⁴·⁸ relative off. Both polynomials begin with 1, so that
/// small numbers keep all digits, and have only positive coefficients, so that nothing cancels. They are
/// a minimax fit by least squares with C. L. Lawson's weights ("Contributions to the Theory of Linear Least
/// Maximum Approximation", 1961) on 1,500 Chebyshev points, the weights of each round divided by the q of
/// the one before. The coefficients were rounded to `f32` one by one, from the highest power down, the
/// others fitted anew each time.
#[inline(always)]
pub(crate) fn tanh<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    // Constants come first: max and min return their second argument for NaN.
    let within = |bound: f32, x| simd.min(simd.splat(bound), simd.max(simd.splat(-bound), x));
    let x = within(SATURATED, x);
    let square = simd.mul(x, x);
    let numerator = simd.mul(x, polynomial(simd, NUMERATOR, square));
    within(1.0, simd.div(numerator, polynomial(simd, DENOMINATOR, square)))
}

#[cfg(test)]
mod tests {
    use super::super::accuracy::{assert_edges, by_bits, kernels, largest_error};
    use super::*;

    kernels! {
        Tanh = tanh;
    }

    #[test]
    fn tanh_is_within_seven_ulp() {
        let smallest = f32::from_bits(1);
        let inputs = by_bits(smallest, 12.0, 1009).chain(by_bits(-smallest, -12.0, 1009));
        let error = largest_error(inputs.chain(by_bits(0.1, 9.2, 7)), Tanh, f64::tanh);
        assert!(error <= 7.0, "{error} ULP");
    }

    #[test]
    fn tanh_at_the_edges() {
        assert_edges(Tanh, &[(0.0, 0.0), (-0.0, -0.0), (9.1, 1.0), (-9.1, -1.0), (1e9, 1.0)]);
        let infinity = f32::INFINITY;
        assert_edges(Tanh, &[(infinity, 1.0), (-infinity, -1.0), (f32::MIN, -1.0)]);
    }
}

//! Elementary functions on vectors.

#[cfg(test)]
mod accuracy;
mod normal;
mod tanh;

pub(crate) use normal::normal;
pub(crate) use tanh::tanh;

use super::Simd;

/// 1.5 · 2²³: adding and subtracting it rounds to the nearest whole number, ties to even, where
/// |x| < 2²².
const ROUNDER: f32 = 12_582_912.0;

/// 0 where |x| < [`f32::MIN_POSITIVE`], x elsewhere; NaN stays NaN.
#[inline(always)]
pub(crate) fn flush<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    let below_normal = simd.gt(simd.splat(f32::MIN_POSITIVE), simd.abs(x));
    simd.select(below_normal, simd.zero(), x)
}

/// eˣ, at most 2 ULP off where the result is normal; 0 below about -104, +∞ above about 88.72, NaN
/// for NaN.
///
/// x = n · ln 2 + r with whole n and |r| ≤ ln 2 / 2; eˣ = 2ⁿ · eʳ. ln 2 is split in two parts, of
/// which the first has so few bits that its product with n is exact (W. J. Cody and W. Waite,
/// *Software Manual for the Elementary Functions*, 1980). eʳ is its Taylor polynomial of degree 7,
/// whose remainder is below 2⁻²⁶ relative there. 2ⁿ is applied in two halves, so that n from -150
/// (denormal results) to 128 (overflow) needs no case of its own.
#[inline(always)]
pub(crate) fn exp<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    // The constant comes first: max and min return their second argument for NaN.
    let x = simd.min(simd.splat(89.0), simd.max(simd.splat(-105.0), x));
    let (p, n) = exp_reduced(simd, x);
    let half = whole(simd, simd.mul(n, simd.splat(0.5)));
    let p = simd.mul(p, simd.exp2_whole(half));
    simd.mul(p, simd.exp2_whole(simd.sub(n, half)))
}

/// eˣ for x ≤ 0 in fewer operations than [`exp`], at most 2 ULP off; 0 where the result is below 2⁻¹²⁶, about,
/// and no normal number. NaN for NaN; an unspecified number for x > 0.
#[inline(always)]
pub(crate) fn exp_not_positive<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    // The constant comes first: max returns its second argument for NaN. For it n is -127, and the
    // exponent field of 2ⁿ becomes 0, as that of 0 is.
    let x = simd.max(simd.splat(-88.03), x);
    let (p, n) = exp_reduced(simd, x);
    simd.mul(p, simd.exp2_whole(n))
}

/// (eʳ, n) with eˣ = 2ⁿ · eʳ.
#[inline(always)]
fn exp_reduced<S: Simd>(simd: S, x: S::Vector) -> (S::Vector, S::Vector) {
    let n = whole(simd, simd.mul(x, simd.splat(std::f32::consts::LOG2_E)));
    // ln 2 = 0.693359375 - 0.00021219444…
    let r = simd.mul_add(n, simd.splat(-0.693_359_4), x);
    let r = simd.mul_add(n, simd.splat(2.121_944_4e-4), r);
    let mut p = simd.splat(1.0 / 5040.0);
    for factorial in [720.0, 120.0, 24.0, 6.0, 2.0, 1.0, 1.0] {
        p = simd.mul_add(p, r, simd.splat(1.0 / factorial));
    }
    (p, n)
}

/// The nearest whole number, where |x| < 2²².
#[inline(always)]
fn whole<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    simd.sub(simd.add(x, simd.splat(ROUNDER)), simd.splat(ROUNDER))
}

/// ln x, at most 1 ULP off, denormal x included; -∞ for ±0, NaN for negative x and NaN, +∞ for +∞.
#[inline(always)]
pub(crate) fn ln<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    let denormal = simd.gt(simd.splat(f32::MIN_POSITIVE), x);
    // 2²⁴ makes any denormal normal.
    let normal = simd.select(denormal, simd.mul(x, simd.splat(16_777_216.0)), x);
    let (m, n) = simd.split_exponent(normal);
    let n = simd.select(denormal, simd.sub(n, simd.splat(24.0)), n);
    ln_edges(simd, x, ln_reduced(simd, simd.sub(m, simd.splat(1.0)), n))
}

/// ln(1 + x), at most 2 ULP off, also where x is small; -∞ for -1, NaN below -1 and for NaN, +∞ for
/// +∞, 0 for ±0.
///
/// u = 1 + x is rounded; the part c that rounding took away (D. E. Knuth, *The Art of Computer
/// Programming*, vol. 2, 4.2.2, theorem B) returns after the reduction: with u = m · 2ⁿ,
/// 1 + x = (m + c · 2⁻ⁿ) · 2ⁿ. For n = 0, m - 1 + c is x itself.
#[inline(always)]
pub(crate) fn ln_1p<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    let one = simd.splat(1.0);
    let u = simd.add(one, x);
    let x_used = simd.sub(u, one);
    let c = simd.add(simd.sub(one, simd.sub(u, x_used)), simd.sub(x, x_used));
    let (m, n) = simd.split_exponent(u);
    // n may be 128, but c is far below the last bit of the result from n = 50 on.
    let scale = simd.exp2_whole(simd.max(simd.splat(-126.0), simd.sub(simd.zero(), n)));
    let f = simd.mul_add(c, scale, simd.sub(m, one));
    ln_edges(simd, u, ln_reduced(simd, f, n))
}

/// ln(1 + f) + n · ln 2 for √½ ≤ 1 + f ≤ √2 and whole n.
///
/// ln(1 + f) = f - f²/2 + f³ · p(f) with the minimax polynomial p of S. L. Moshier, Cephes,
/// `single/logf.c`, 1992. ln 2 is split as in [`exp`], so that its first part times n is exact. The
/// parts are added from the smallest to the largest.
#[inline(always)]
fn ln_reduced<S: Simd>(simd: S, f: S::Vector, n: S::Vector) -> S::Vector {
    let mut p = simd.splat(7.037_683_6e-2);
    for coefficient in [
        -1.151_461e-1,
        1.167_699_84e-1,
        -1.242_014_1e-1,
        1.424_932_3e-1,
        -1.666_805_7e-1,
        2.000_071_4e-1,
        -2.499_999_4e-1,
        3.333_333e-1,
    ] {
        p = simd.mul_add(p, f, simd.splat(coefficient));
    }
    let square = simd.mul(f, f);
    let cubic = simd.mul(simd.mul(square, f), p);
    let y = simd.mul_add(n, simd.splat(-2.121_944_4e-4), cubic);
    let y = simd.mul_add(square, simd.splat(-0.5), y);
    simd.mul_add(n, simd.splat(0.693_359_4), simd.add(f, y))
}

/// `ln` where 0 < x < ∞; -∞, NaN or x itself where the logarithm of x is one of these.
#[inline(always)]
fn ln_edges<S: Simd>(simd: S, x: S::Vector, ln: S::Vector) -> S::Vector {
    let infinity = simd.splat(f32::INFINITY);
    let positive = simd.gt(x, simd.zero());
    let ln = simd.select(positive, ln, simd.splat(f32::NEG_INFINITY));
    let ln = simd.select(simd.gt(simd.zero(), x), simd.splat(f32::NAN), ln);
    simd.select(simd.gt(infinity, x), ln, x)
}

/// 1 / (1 + e⁻ˣ), at most 3 ULP off where the result is normal; NaN for NaN.
///
/// The only exponential taken is that of -|x|, which cannot overflow: for x ≤ 0 the result is
/// eˣ / (1 + eˣ).
#[inline(always)]
pub(crate) fn sigmoid<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    let one = simd.splat(1.0);
    let e = exp(simd, simd.sub(simd.zero(), simd.abs(x)));
    let numerator = simd.select(simd.gt(x, simd.zero()), one, e);
    simd.div(numerator, simd.add(one, e))
}

/// Numerator and denominator of 1 / (1 + e⁻ˣ), for what is multiplied with it: as [`sigmoid`], in fewer
/// operations, and 0 below x = -88.03. Both are NaN for NaN.
#[inline(always)]
pub(crate) fn sigmoid_fraction<S: Simd>(simd: S, x: S::Vector) -> (S::Vector, S::Vector) {
    let one = simd.splat(1.0);
    let e = exp_not_positive(simd, simd.sub(simd.zero(), simd.abs(x)));
    (simd.select(simd.gt(x, simd.zero()), one, e), simd.add(one, e))
}

/// p(x) = `coefficients`\[0\] + x · (`coefficients`\[1\] + x · …), one coefficient for each power.
#[inline(always)]
fn polynomial<S: Simd, const N: usize>(simd: S, coefficients: [f32; N], x: S::Vector) -> S::Vector {
    let mut p = simd.splat(coefficients[N - 1]);
    for n in (0..N - 1).rev() {
        p = simd.mul_add(p, x, simd.splat(coefficients[n]));
    }
    p
}

/// `x` where it is positive, `slope · x` elsewhere: LeakyReLU. NaN stays NaN.
#[inline(always)]
pub(crate) fn leaky_relu<S: Simd>(simd: S, x: S::Vector, slope: S::Vector) -> S::Vector {
    simd.select(simd.gt(x, simd.zero()), x, simd.mul(x, slope))
}

/// [`leaky_relu`] for 0 < slope < 1, in fewer operations: the larger of x and slope · x is the same number,
/// infinite ones included. NaN stays NaN.
#[inline(always)]
pub(crate) fn gentle_relu<S: Simd>(simd: S, x: S::Vector, slope: S::Vector) -> S::Vector {
    simd.max(simd.mul(x, slope), x)
}

#[cfg(test)]
mod tests {
    use super::accuracy::{assert_edges, by_bits, kernels, largest_error};
    use super::*;
    use crate::simd::{Isa, Kernel};

    kernels! {
        Exp = exp;
        ExpNotPositive = exp_not_positive;
        Ln = ln;
        Ln1p = ln_1p;
        Sigmoid = sigmoid;
    }

    #[test]
    fn exp_is_within_two_ulp() {
        let inputs = by_bits(1e-9, 88.72, 1009).chain(by_bits(-1e-9, -87.3, 1009));
        let error = largest_error(inputs, Exp, f64::exp);
        assert!(error <= 2.0, "{error} ULP");
    }

    #[test]
    fn exp_of_numbers_that_are_not_positive_is_within_two_ulp() {
        let error = largest_error(by_bits(-1e-9, -87.3, 1009), ExpNotPositive, f64::exp);
        assert!(error <= 2.0, "{error} ULP");
        let edges = [(0.0, 1.0), (-0.0, 1.0), (-88.1, 0.0), (f32::MIN, 0.0), (-INFINITY, 0.0)];
        assert_edges(ExpNotPositive, &edges);
    }

    #[test]
    fn ln_is_within_one_ulp() {
        // From the smallest denormal to the largest number, and densely around 1.
        let all = by_bits(f32::from_bits(1), f32::MAX, 4099);
        let error = largest_error(all.chain(by_bits(0.4, 2.5, 31)), Ln, f64::ln);
        assert!(error <= 1.0, "{error} ULP");
    }

    #[test]
    fn ln_1p_is_within_two_ulp() {
        let positive = by_bits(f32::from_bits(1), f32::MAX, 4099);
        let negative = by_bits(-f32::from_bits(1), (-1.0_f32).next_up(), 1021);
        let error = largest_error(positive.chain(negative), Ln1p, f64::ln_1p);
        assert!(error <= 2.0, "{error} ULP");
    }

    #[test]
    fn sigmoid_is_within_three_ulp() {
        let inputs = by_bits(1e-9, 100.0, 1009).chain(by_bits(-1e-9, -87.3, 1009));
        let error = largest_error(inputs, Sigmoid, |x| 1.0 / (1.0 + (-x).exp()));
        assert!(error <= 3.0, "{error} ULP");
    }

    const INFINITY: f32 = f32::INFINITY;

    #[test]
    fn exp_at_the_edges() {
        let edges = [(0.0, 1.0), (1e9, INFINITY), (INFINITY, INFINITY), (-1e9, 0.0)];
        assert_edges(Exp, &edges);
        assert_edges(Exp, &[(-INFINITY, 0.0), (-0.0, 1.0)]);
    }

    #[test]
    fn ln_at_the_edges() {
        assert_edges(Ln, &[(1.0, 0.0), (0.0, -INFINITY), (-0.0, -INFINITY), (INFINITY, INFINITY)]);
        let negative = [-f32::from_bits(1), -f32::MIN_POSITIVE, -1.0, f32::MIN, -INFINITY];
        assert_edges(Ln, &negative.map(|x| (x, f32::NAN)));
    }

    #[test]
    fn ln_1p_at_the_edges() {
        assert_edges(Ln1p, &[(0.0, 0.0), (-0.0, 0.0), (-1.0, -INFINITY), (INFINITY, INFINITY)]);
        let below = [(-1.0_f32).next_down(), -2.0, f32::MIN, -INFINITY];
        assert_edges(Ln1p, &below.map(|x| (x, f32::NAN)));
    }

    #[test]
    fn sigmoid_at_the_edges() {
        let edges = [(0.0, 0.5), (1e9, 1.0), (INFINITY, 1.0), (-1e9, 0.0), (-INFINITY, 0.0)];
        assert_edges(Sigmoid, &edges);
    }

    struct SplitExponent(f32);

    impl Kernel for SplitExponent {
        type Output = [f32; 2];

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> [f32; 2] {
            let (m, n) = simd.split_exponent(simd.splat(self.0));
            [simd.to_array(m)[0], simd.to_array(n)[15]]
        }
    }

    #[test]
    fn split_exponent_puts_the_number_together_again() {
        let half = std::f32::consts::FRAC_1_SQRT_2;
        let cases = [
            (1.0, [1.0, 0.0]),
            (6.0, [0.75, 3.0]),
            (half, [half, 0.0]),
            (half.next_down(), [2.0 * half.next_down(), -1.0]),
            (f32::MIN_POSITIVE, [1.0, -126.0]),
            (f32::MAX, [1.0_f32.next_down(), 128.0]),
        ];
        for isa in Isa::available() {
            for (x, parts) in cases {
                assert_eq!(isa.run(SplitExponent(x)), parts, "{isa:?}: {x}");
            }
        }
    }
}

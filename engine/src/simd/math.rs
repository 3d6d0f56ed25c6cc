//! Elementary functions on vectors.

use super::Simd;

/// 1.5 · 2²³: adding and subtracting it rounds to the nearest whole number, ties to even, where
/// |x| < 2²².
const ROUNDER: f32 = 12_582_912.0;

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
    let whole = |x| simd.sub(simd.add(x, simd.splat(ROUNDER)), simd.splat(ROUNDER));
    let n = whole(simd.mul(x, simd.splat(std::f32::consts::LOG2_E)));
    // ln 2 = 0.693359375 - 0.00021219444…
    let r = simd.mul_add(n, simd.splat(-0.693_359_4), x);
    let r = simd.mul_add(n, simd.splat(2.121_944_4e-4), r);
    let mut p = simd.splat(1.0 / 5040.0);
    for factorial in [720.0, 120.0, 24.0, 6.0, 2.0, 1.0, 1.0] {
        p = simd.mul_add(p, r, simd.splat(1.0 / factorial));
    }
    let half = whole(simd.mul(n, simd.splat(0.5)));
    let p = simd.mul(p, simd.exp2_whole(half));
    simd.mul(p, simd.exp2_whole(simd.sub(n, half)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Isa, Kernel, LANES};

    struct Exp([f32; LANES]);

    impl Kernel for Exp {
        type Output = [f32; LANES];

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> [f32; LANES] {
            // SAFETY: the array holds 16 floats.
            simd.to_array(exp(simd, unsafe { simd.load(self.0.as_ptr()) }))
        }
    }

    #[test]
    fn exp_is_within_two_ulp_of_f64() {
        for isa in Isa::available() {
            let mut x = -87.0_f32;
            while x < 88.7 {
                let inputs = std::array::from_fn(|i| (x + 0.003 * i as f32).min(88.72));
                for (x, y) in inputs.into_iter().zip(isa.run(Exp(inputs))) {
                    let expected = f64::from(x).exp();
                    let ulp = f64::from((expected as f32).next_up()) - f64::from(expected as f32);
                    let error = (f64::from(y) - expected).abs() / ulp;
                    assert!(error <= 2.0, "{isa:?}: exp({x}) = {y}, {error} ULP off");
                }
                x += 0.048;
            }
        }
    }

    #[test]
    fn exp_at_the_edges() {
        for isa in Isa::available() {
            let mut x = [0.0; LANES];
            x[..6].copy_from_slice(&[0.0, 1e9, f32::INFINITY, -1e9, f32::NEG_INFINITY, f32::NAN]);
            let y = isa.run(Exp(x));
            assert_eq!(y[..5], [1.0, f32::INFINITY, f32::INFINITY, 0.0, 0.0]);
            assert!(y[5].is_nan());
        }
    }
}

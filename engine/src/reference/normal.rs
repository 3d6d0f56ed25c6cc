//! The normal distribution.

use std::f64::consts::{PI, SQRT_2};

/// Φ(x) = ½ erfc(−x / √2), with about 13 digits also where it is small.
pub fn distribution(x: f64) -> f64 {
    0.5 * erfc(-x / SQRT_2)
}

/// 1 − erf(x).
fn erfc(x: f64) -> f64 {
    if x < 0.0 {
        return 2.0 - erfc(-x);
    }
    let scale = (-x * x).exp() / PI.sqrt();
    if x < 2.0 {
        // erf x = 2 / √π · e^(−x²) · Σ 2ⁿ x²ⁿ⁺¹ / (1 · 3 · … · (2 n + 1)), all terms of one sign.
        let (mut term, mut sum) = (x, x);
        for n in 1..60 {
            term *= 2.0 * x * x / f64::from(2 * n + 1);
            sum += term;
        }
        1.0 - 2.0 * scale * sum
    } else {
        // √π · e^(x²) · erfc x = 1 / (x + ½ / (x + 1 / (x + 3⁄2 / (x + 2 / …)))), from the inside out.
        let mut fraction = x;
        for n in (1..200).rev() {
            fraction = x + 0.5 * f64::from(n) / fraction;
        }
        scale / fraction
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        // M. Abramowitz, I. Stegun, "Handbook of Mathematical Functions", tables 7.1 and 7.3.
        let values = [
            (0.0, 1.0),
            (0.5, 0.479_500_122_186_953_5),
            (1.0, 0.157_299_207_050_285_13),
            (2.0, 4.677_734_981_047_266e-3),
            (3.0, 2.209_049_699_858_544e-5),
            (5.0, 1.537_459_794_428_035e-12),
            (10.0, 2.088_487_583_762_545e-45),
        ];
        for (x, expected) in values {
            let error = (erfc(x) / expected - 1.0).abs();
            assert!(error < 1e-13, "erfc({x}) = {}: {error:e}", erfc(x));
            assert!((erfc(-x) - (2.0 - expected)).abs() < 1e-15);
        }
    }

    #[test]
    fn the_two_formulas_meet() {
        let (below, above) = (erfc(2.0_f64.next_down()), erfc(2.0));
        assert!((below / above - 1.0).abs() < 1e-13, "{below} {above}");
    }

    #[test]
    fn nan_and_infinities() {
        assert!(distribution(f64::NAN).is_nan());
        assert_eq!([f64::NEG_INFINITY, 0.0, f64::INFINITY].map(distribution), [0.0, 0.5, 1.0]);
    }
}

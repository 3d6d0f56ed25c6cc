//! Sine and cosine with the same bits on every machine, which the system's library does not promise.

/// sin x and cos x for |x| ≤ π by their Taylor series. The first terms left out are below 2⁻⁵³.
pub(super) fn sin_cos(x: f64) -> (f64, f64) {
    debug_assert!(x.abs() <= 3.2, "{x}");
    // 1 − x²/((n+1)(n+2)) (1 − x²/((n+3)(n+4)) (1 − …)) for n = `first`
    let series = |first: f64| {
        (0..14).rev().fold(1.0, |sum, k| {
            let n = first + 2.0 * f64::from(k);
            1.0 - x * x / ((n + 1.0) * (n + 2.0)) * sum
        })
    };
    (x * series(1.0), series(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::PI;

    #[test]
    fn they_are_those_of_the_library() {
        for i in -1000..=1000 {
            let x = PI * f64::from(i) / 1000.0;
            let (sin, cos) = sin_cos(x);
            assert!((sin - x.sin()).abs() < 2e-15 && (cos - x.cos()).abs() < 2e-15, "{x}");
        }
    }
}

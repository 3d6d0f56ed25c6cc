//! Central differences: the judge of every analytic gradient.

/// The partial derivative of `f` at `point` along coordinate `index`:
/// (f(x + step · eᵢ) − f(x − step · eᵢ)) / (2 · step).
///
/// The truncation error is step² · f‴ / 6, the rounding error about ε · |f| / step; in `f64`, a
/// `step` near 1e-5 keeps both below 1e-9 for a function of size one. Next to a kink the result
/// is a mixture of the slopes at its two sides.
///
/// # Panics
///
/// If `index` lies outside `point`.
pub fn partial(mut f: impl FnMut(&[f64]) -> f64, point: &[f64], index: usize, step: f64) -> f64 {
    let mut moved = point.to_vec();
    moved[index] = point[index] + step;
    let above = f(&moved);
    moved[index] = point[index] - step;
    let below = f(&moved);
    (above - below) / (2.0 * step)
}

/// Every [`partial`] derivative of `f` at `point`.
pub fn gradient(mut f: impl FnMut(&[f64]) -> f64, point: &[f64], step: f64) -> Vec<f64> {
    (0..point.len()).map(|index| partial(&mut f, point, index, step)).collect()
}

/// Σ output · upstream: the scalar whose gradient by `output` is `upstream`.
///
/// # Panics
///
/// If the lengths differ.
pub fn weighted_sum(output: &[f64], upstream: &[f64]) -> f64 {
    assert_eq!(output.len(), upstream.len(), "one weight per output");
    output.iter().zip(upstream).map(|(y, dy)| y * dy).sum()
}

/// Panics unless `analytic` and `numeric` differ nowhere by more than `tolerance` times the
/// largest element of `numeric`.
///
/// The scale is that of the whole gradient, because the rounding error of a central difference
/// is as large at its small elements as at its large ones.
///
/// # Panics
///
/// Also if the lengths differ, if there is no element that is not zero (such a comparison says
/// nothing), or if either gradient holds a value that is not finite.
#[track_caller]
pub fn assert_gradient(what: &str, analytic: &[f64], numeric: &[f64], tolerance: f64) {
    assert_eq!(analytic.len(), numeric.len(), "{what}: lengths differ");
    let scale = numeric.iter().fold(0.0_f64, |scale, g| scale.max(g.abs()));
    assert!(scale > 0.0, "{what}: the numeric gradient is zero");
    for (index, (a, n)) in analytic.iter().zip(numeric).enumerate() {
        // NaN where either is NaN or `n` is infinite, and so refused.
        let error = (a - n).abs() / scale;
        assert!(
            error <= tolerance,
            "{what}: element {index} is {a:e}, central difference {n:e}, \
             error {error:e} of the largest element, allowed {tolerance:e}",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradient_of_a_cubic() {
        let f = |x: &[f64]| x[0].powi(3) - 2.0 * x[0] * x[1];
        let numeric = gradient(f, &[2.0, -1.0], 1e-5);
        assert_gradient("cubic", &[14.0, -4.0], &numeric, 1e-9);
    }

    #[test]
    fn weighted_sum_by_hand() {
        assert_eq!(weighted_sum(&[1.0, 2.0, 3.0], &[4.0, -5.0, 6.0]), 12.0);
    }

    #[test]
    #[should_panic(expected = "element 1")]
    fn wrong_element_is_found() {
        assert_gradient("wrong", &[1.0, 0.5 + 2e-6], &[1.0, 0.5], 1e-6);
    }

    #[test]
    #[should_panic(expected = "element 0")]
    fn wrong_sign_is_found() {
        assert_gradient("sign", &[-1.0], &[1.0], 1e-6);
    }

    #[test]
    #[should_panic(expected = "element 1")]
    fn nan_in_the_analytic_gradient_is_found() {
        assert_gradient("nan", &[1.0, f64::NAN], &[1.0, 1.0], 1e-6);
    }

    #[test]
    #[should_panic(expected = "element 1")]
    fn nan_in_the_numeric_gradient_is_found() {
        assert_gradient("nan", &[1.0, 1.0], &[1.0, f64::NAN], 1e-6);
    }

    #[test]
    #[should_panic(expected = "element 0")]
    fn infinity_in_the_numeric_gradient_is_found() {
        assert_gradient("inf", &[f64::INFINITY, 1.0], &[f64::INFINITY, 1.0], 1e-6);
    }

    #[test]
    #[should_panic(expected = "element 0")]
    fn infinity_in_the_analytic_gradient_is_found() {
        assert_gradient("inf", &[f64::INFINITY, 1.0], &[1.0, 1.0], 1e-6);
    }

    #[test]
    #[should_panic(expected = "is zero")]
    fn zero_gradient_says_nothing() {
        assert_gradient("zero", &[0.0, 0.0], &[0.0, 0.0], 1e-6);
    }

    #[test]
    #[should_panic(expected = "is zero")]
    fn empty_gradient_says_nothing() {
        assert_gradient("empty", &[], &[], 1e-6);
    }

    #[test]
    #[should_panic(expected = "lengths differ")]
    fn missing_element_is_found() {
        assert_gradient("short", &[1.0], &[1.0, 1.0], 1e-6);
    }
}

//! How much two results may differ.

/// How far an element may lie from its expectation.
#[derive(Clone, Debug)]
pub struct Tolerance(pub(super) Rule);

#[derive(Clone, Debug)]
pub(super) enum Rule {
    AbsRel { abs: f64, rel: f64 },
    Bound(Vec<f64>),
}

impl Tolerance {
    /// No error at all: for whole numbers and other results that `f32` represents exactly.
    pub fn exact() -> Self {
        Self::abs_rel(0.0, 0.0)
    }

    /// |actual − expected| ≤ `abs` + `rel` · |expected|.
    ///
    /// # Panics
    ///
    /// If `abs` is negative or not finite, or `rel` does not lie in [0, 1): a relative error of 1
    /// would accept zeros.
    pub fn abs_rel(abs: f64, rel: f64) -> Self {
        assert!(abs.is_finite() && abs >= 0.0, "abs {abs} is no tolerance");
        assert!((0.0..1.0).contains(&rel), "rel {rel} is no tolerance");
        Self(Rule::AbsRel { abs, rel })
    }

    /// |actual\[i\] − expected\[i\]| ≤ `bound[i]`.
    ///
    /// # Panics
    ///
    /// If a bound is negative or not finite.
    pub fn bound(bound: Vec<f64>) -> Self {
        let sound = |b: &f64| b.is_finite() && *b >= 0.0;
        assert!(bound.iter().all(sound), "a bound is negative or not finite");
        Self(Rule::Bound(bound))
    }

    /// The worst that rounding can do to sums of `terms` products in `f32`, in any order and with
    /// or without fused multiply-add: `terms` · ε · `magnitude[i]`, where `magnitude[i]` is the sum
    /// of the absolute values of the terms. The oracle computes it when it is run on the
    /// [`magnitudes`](super::magnitudes) of its operands.
    ///
    /// `terms` is K for a matrix product; add 1 for a bias and 2 for alpha and beta. With ε =
    /// [`f32::EPSILON`] twice the unit roundoff, the bound holds with a factor of nearly two to
    /// spare (N. Higham, "Accuracy and Stability of Numerical Algorithms", section 3.1). What
    /// products below the range of `f32` lose is allowed for by `terms` · [`f32::MIN_POSITIVE`].
    ///
    /// # Panics
    ///
    /// If a magnitude is negative or not finite.
    pub fn rounding(terms: usize, magnitude: &[f64]) -> Self {
        let bound = |magnitude: &f64| {
            let underflow = terms as f64 * f64::from(f32::MIN_POSITIVE);
            terms as f64 * f64::from(f32::EPSILON) * magnitude + underflow
        };
        Self::bound(magnitude.iter().map(bound).collect())
    }

    /// The error granted to element `index`.
    pub(super) fn allowed(&self, index: usize, expected: f64) -> f64 {
        match &self.0 {
            Rule::AbsRel { abs, rel } => abs + rel * expected.abs(),
            Rule::Bound(bound) => bound[index],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_and_relative_parts_add_up() {
        let tolerance = Tolerance::abs_rel(0.5, 0.25);
        assert_eq!(tolerance.allowed(7, 4.0), 1.5);
        assert_eq!(tolerance.allowed(7, -4.0), 1.5);
        assert_eq!(Tolerance::exact().allowed(7, 4.0), 0.0);
    }

    #[test]
    fn rounding_bound_grows_with_terms_and_magnitude() {
        let tolerance = Tolerance::rounding(3, &[0.0, 2.0]);
        let epsilon = f64::from(f32::EPSILON);
        assert_eq!(tolerance.allowed(0, 9.0), 3.0 * 2.0_f64.powi(-126));
        assert!((tolerance.allowed(1, 9.0) - 6.0 * epsilon).abs() < 1e-30);
        assert_eq!(Tolerance::rounding(0, &[5.0]).allowed(0, 9.0), 0.0);
    }

    #[test]
    #[should_panic(expected = "abs -1 is no tolerance")]
    fn negative_tolerance_panics() {
        Tolerance::abs_rel(-1.0, 0.0);
    }

    #[test]
    #[should_panic(expected = "abs inf is no tolerance")]
    fn infinite_tolerance_panics() {
        Tolerance::abs_rel(f64::INFINITY, 0.0);
    }

    #[test]
    #[should_panic(expected = "rel 1 is no tolerance")]
    fn relative_tolerance_that_accepts_zeros_panics() {
        Tolerance::abs_rel(0.0, 1.0);
    }

    #[test]
    #[should_panic(expected = "rel NaN is no tolerance")]
    fn nan_tolerance_panics() {
        Tolerance::abs_rel(0.0, f64::NAN);
    }

    #[test]
    #[should_panic(expected = "a bound is negative or not finite")]
    fn nan_bound_panics() {
        Tolerance::bound(vec![1.0, f64::NAN]);
    }

    #[test]
    #[should_panic(expected = "a bound is negative or not finite")]
    fn infinite_bound_panics() {
        Tolerance::rounding(1, &[f64::INFINITY]);
    }

    #[test]
    #[should_panic(expected = "a bound is negative or not finite")]
    fn negative_bound_panics() {
        Tolerance::bound(vec![-1.0]);
    }
}

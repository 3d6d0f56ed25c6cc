//! The one comparator: judges `f32` results by `f64` expectations.
//!
//! A comparison that cannot fail proves nothing, so everything doubtful is a failure here: empty
//! input, lengths that differ, NaN on either side, an infinity without its like, and an output of
//! nothing but zeros where the expected one is not.

mod mismatch;
mod tolerance;

use tolerance::Rule;

pub use mismatch::{Deviation, Mismatch};
pub use tolerance::Tolerance;

/// Compares `actual` with `expected`, element by element.
///
/// Infinities agree with infinities of the same sign; NaN agrees with nothing. Under
/// [`Tolerance::abs_rel`] an output of nothing but zeros is refused although `abs` would forgive
/// it, as soon as an expected element exceeds `abs` · [`f32::EPSILON`]; below that it may be the
/// rounding error of an exact zero.
///
/// # Errors
///
/// A [`Mismatch`] if the two are empty, differ in length or do not agree.
///
/// # Panics
///
/// If the tolerance is a list of bounds of another length.
pub fn check(
    what: &str,
    actual: &[f32],
    expected: &[f64],
    tolerance: &Tolerance,
) -> Result<(), Mismatch> {
    check_lengths(what, actual.len(), expected.len())?;
    if let Rule::Bound(bound) = &tolerance.0 {
        assert_eq!(bound.len(), expected.len(), "{what}: one bound per element");
    }
    let mut bad = Vec::new();
    for (index, (&actual, &expected)) in actual.iter().zip(expected).enumerate() {
        let wide = f64::from(actual);
        let error = (wide - expected).abs();
        let allowed = tolerance.allowed(index, expected);
        // The first condition accepts equal infinities, whose difference is NaN; the last keeps
        // the infinite allowance of an infinite expectation from accepting everything.
        if wide == expected || (error <= allowed && allowed.is_finite()) {
            continue;
        }
        bad.push(Deviation { index, actual, expected, error, allowed });
    }
    if let Some(&first) = bad.first() {
        return Err(Mismatch::Elements {
            what: what.to_owned(),
            bad: bad.len(),
            total: expected.len(),
            first,
            worst: bad.into_iter().reduce(worse).unwrap_or(first),
        });
    }
    let largest = expected.iter().copied().fold(0.0, further_from_zero);
    let zeros = actual.iter().all(|&actual| actual == 0.0);
    match tolerance.0 {
        Rule::AbsRel { abs, .. } if zeros && largest.abs() > abs * f64::from(f32::EPSILON) => {
            Err(Mismatch::Zeros { what: what.to_owned(), total: expected.len(), largest })
        }
        _ => Ok(()),
    }
}

/// [`check`], as an assertion.
///
/// # Panics
///
/// With the message of the [`Mismatch`], if there is one.
#[track_caller]
pub fn assert_close(what: &str, actual: &[f32], expected: &[f64], tolerance: &Tolerance) {
    if let Err(mismatch) = check(what, actual, expected, tolerance) {
        panic!("{mismatch}");
    }
}

/// Compares bit patterns: −0 differs from 0, and NaN equals NaN of the same bits.
///
/// # Errors
///
/// A [`Mismatch`] if the two are empty, differ in length or in any bit.
pub fn check_bits(what: &str, actual: &[f32], expected: &[f32]) -> Result<(), Mismatch> {
    check_lengths(what, actual.len(), expected.len())?;
    let differs = |&i: &usize| actual[i].to_bits() != expected[i].to_bits();
    let Some(index) = (0..expected.len()).find(differs) else {
        return Ok(());
    };
    Err(Mismatch::Bits {
        what: what.to_owned(),
        bad: (0..expected.len()).filter(differs).count(),
        total: expected.len(),
        index,
        actual: actual[index],
        expected: expected[index],
    })
}

/// [`check_bits`], as an assertion.
///
/// # Panics
///
/// With the message of the [`Mismatch`], if there is one.
#[track_caller]
pub fn assert_bits(what: &str, actual: &[f32], expected: &[f32]) {
    if let Err(mismatch) = check_bits(what, actual, expected) {
        panic!("{mismatch}");
    }
}

/// The same numbers in `f64`.
pub fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}

/// The absolute values: operands for a [`Tolerance::rounding`] bound.
pub fn magnitudes(values: &[f64]) -> Vec<f64> {
    values.iter().map(|value| value.abs()).collect()
}

fn check_lengths(what: &str, actual: usize, expected: usize) -> Result<(), Mismatch> {
    let what = what.to_owned();
    if actual != expected {
        return Err(Mismatch::Length { what, actual, expected });
    }
    if expected == 0 {
        return Err(Mismatch::Empty { what });
    }
    Ok(())
}

/// The deviation that exceeds its allowance by more, NaN exceeding everything; the first of two
/// that are equally bad.
fn worse(a: Deviation, b: Deviation) -> Deviation {
    let excess = |d: &Deviation| {
        let excess = d.error - d.allowed;
        if excess.is_nan() { f64::INFINITY } else { excess }
    };
    if excess(&b) > excess(&a) { b } else { a }
}

fn further_from_zero(a: f64, b: f64) -> f64 {
    if b.abs() > a.abs() { b } else { a }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::gemm::{GemmDims, gemm, transpose};
    use crate::reference::random::Random;

    /// A random product of two matrices `[6, 9]` and `[9, 6]`: the result rounded to `f32`, the
    /// result itself, and both kinds of tolerance that tests of kernels use for it.
    fn product() -> (Vec<f32>, Vec<f64>, [Tolerance; 2]) {
        let dims = GemmDims { m: 6, n: 6, k: 9 };
        let mut random = Random::new(51);
        let a = random.uniform_f64(54, -1.0, 1.0);
        let b = random.uniform_f64(54, -1.0, 1.0);
        let mut expected = vec![0.0; 36];
        gemm(&dims, 1.0, &a, &b, 0.0, &mut expected);
        let mut magnitude = vec![0.0; 36];
        gemm(&dims, 1.0, &magnitudes(&a), &magnitudes(&b), 0.0, &mut magnitude);
        let actual = expected.iter().map(|e| *e as f32).collect();
        let tolerances = [Tolerance::abs_rel(1e-6, 1e-5), Tolerance::rounding(dims.k, &magnitude)];
        (actual, expected, tolerances)
    }

    /// Spoils a right result and demands that both tolerances refuse it, with `bad` bad elements.
    fn refused(bad: usize, spoil: impl FnOnce(&mut Vec<f32>)) -> Mismatch {
        let (mut actual, expected, tolerances) = product();
        spoil(&mut actual);
        let mismatches = tolerances.map(|t| check("spoilt", &actual, &expected, &t).unwrap_err());
        for mismatch in &mismatches {
            let Mismatch::Elements { bad: found, total: 36, .. } = mismatch else {
                panic!("{mismatch}");
            };
            assert_eq!(*found, bad, "{mismatch}");
        }
        let [mismatch, _] = mismatches;
        mismatch
    }

    #[test]
    fn rounded_result_is_accepted() {
        let (actual, expected, tolerances) = product();
        for tolerance in tolerances {
            assert_close("rounded", &actual, &expected, &tolerance);
        }
    }

    #[test]
    fn exact_tolerance_accepts_no_rounding() {
        let exact = Tolerance::exact();
        assert!(check("whole", &[3.0, -0.5], &[3.0, -0.5], &exact).is_ok());
        assert!(check("tenth", &[0.1], &[0.1], &exact).is_err());
    }

    #[test]
    fn limit_itself_is_allowed_and_more_is_not() {
        let tolerance = Tolerance::abs_rel(0.25, 0.125);
        assert!(check("at", &[2.5], &[2.0], &tolerance).is_ok());
        assert!(check("above", &[2.500_001], &[2.0], &tolerance).is_err());
        let tolerance = Tolerance::bound(vec![0.0, 0.5]);
        assert!(check("at", &[2.0, 2.5], &[2.0, 2.0], &tolerance).is_ok());
        assert!(check("exchanged", &[2.5, 2.0], &[2.0, 2.0], &tolerance).is_err());
    }

    #[test]
    fn first_and_worst_are_named() {
        let mismatch = refused(3, |actual| {
            actual[4] += 0.5;
            actual[20] -= 8.0;
            actual[21] += 1.0;
        });
        let Mismatch::Elements { first, worst, .. } = mismatch else {
            panic!("{mismatch}");
        };
        assert_eq!((first.index, worst.index), (4, 20));
        assert!((first.error - 0.5).abs() < 1e-6 && (worst.error - 8.0).abs() < 1e-6);
    }

    #[test]
    fn nan_in_actual_is_refused_and_worst_of_all() {
        let mismatch = refused(2, |actual| {
            actual[0] = 1e30;
            actual[35] = f32::NAN;
        });
        let Mismatch::Elements { worst, .. } = mismatch else {
            panic!("{mismatch}");
        };
        assert_eq!(worst.index, 35);
    }

    #[test]
    fn nan_in_expected_is_refused() {
        let (mut actual, mut expected, tolerances) = product();
        expected[7] = f64::NAN;
        for tolerance in &tolerances {
            assert!(check("nan", &actual, &expected, tolerance).is_err());
        }
        actual[7] = f32::NAN;
        for tolerance in &tolerances {
            assert!(check("both nan", &actual, &expected, tolerance).is_err());
        }
    }

    #[test]
    fn infinities_agree_only_with_their_like() {
        const INF: f32 = f32::INFINITY;
        for tolerance in [Tolerance::abs_rel(1.0, 0.5), Tolerance::bound(vec![1e30])] {
            let agrees = |actual: f32, expected: f64| {
                check("infinity", &[actual], &[expected], &tolerance).is_ok()
            };
            assert!(agrees(INF, f64::INFINITY));
            assert!(agrees(-INF, f64::NEG_INFINITY));
            assert!(!agrees(INF, f64::NEG_INFINITY));
            assert!(!agrees(INF, 1.0));
            assert!(!agrees(INF, 1e300));
            assert!(!agrees(f32::MAX, f64::INFINITY));
            assert!(!agrees(f32::NAN, f64::INFINITY));
        }
    }

    #[test]
    fn other_length_is_refused() {
        let (mut actual, expected, [tolerance, _]) = product();
        actual.pop();
        let mismatch = check("short", &actual, &expected, &tolerance).unwrap_err();
        assert_eq!(mismatch.to_string(), "short: 35 elements, expected 36");
        actual.extend([0.0, 0.0]);
        assert!(check("long", &actual, &expected, &tolerance).is_err());
        assert!(check("none", &[], &expected, &tolerance).is_err());
    }

    #[test]
    fn empty_input_is_refused() {
        let mismatch = check("empty", &[], &[], &Tolerance::exact()).unwrap_err();
        assert_eq!(mismatch.to_string(), "empty: nothing to compare");
    }

    #[test]
    fn zeros_are_refused() {
        refused(36, |actual| actual.fill(0.0));
    }

    #[test]
    fn zeros_are_refused_even_below_the_absolute_tolerance() {
        let tolerance = Tolerance::abs_rel(1e-3, 0.0);
        let mismatch = check("small", &[0.0, -0.0], &[1e-5, -2e-5], &tolerance).unwrap_err();
        assert_eq!(mismatch.to_string(), "small: all 2 elements are zero, expected up to -2e-5");
        assert!(check("one zero", &[0.0, 1e-6], &[1e-5, -2e-5], &tolerance).is_ok());
        assert!(check("noise", &[0.0, 0.0], &[1e-17, -2e-17], &tolerance).is_ok());
        assert!(check("zeros", &[0.0, 0.0], &[0.0, 0.0], &Tolerance::exact()).is_ok());
    }

    #[test]
    fn flipped_sign_is_refused() {
        refused(1, |actual| actual[13] = -actual[13]);
        refused(36, |actual| actual.iter_mut().for_each(|a| *a = -*a));
    }

    #[test]
    fn transposed_matrix_is_refused() {
        // The six elements on the diagonal stay where they are.
        refused(30, |actual| {
            let transposed = transpose(6, 6, &widen(actual));
            *actual = transposed.iter().map(|t| *t as f32).collect();
        });
    }

    #[test]
    fn result_twice_too_large_is_refused() {
        refused(36, |actual| actual.iter_mut().for_each(|a| *a *= 2.0));
    }

    #[test]
    #[should_panic(expected = "spoilt: 1 of 2 elements are wrong")]
    fn assertion_panics_with_the_message() {
        assert_close("spoilt", &[1.0, 2.0], &[1.0, 3.0], &Tolerance::exact());
    }

    #[test]
    #[should_panic(expected = "one bound per element")]
    fn missing_bound_panics() {
        let _ = check("short", &[1.0, 2.0], &[1.0, 2.0], &Tolerance::bound(vec![1.0]));
    }

    #[test]
    fn equal_bits_are_accepted() {
        let values = [1.0, f32::NAN, f32::INFINITY, -0.0, f32::MIN_POSITIVE / 2.0];
        assert_bits("same", &values, &values);
    }

    #[test]
    fn different_bits_are_refused() {
        let next = f32::from_bits(1.0_f32.to_bits() + 1);
        let other_nan = f32::from_bits(f32::NAN.to_bits() ^ 1);
        for (a, b) in [(1.0, next), (0.0, -0.0), (f32::NAN, other_nan), (1.0, f32::NAN)] {
            for (a, b) in [(a, b), (b, a)] {
                let mismatch = check_bits("bits", &[5.0, a, a], &[5.0, b, b]).unwrap_err();
                assert!(
                    matches!(mismatch, Mismatch::Bits { bad: 2, total: 3, index: 1, .. }),
                    "{mismatch}"
                );
            }
        }
    }

    #[test]
    fn bits_of_other_or_no_length_are_refused() {
        assert!(check_bits("length", &[1.0, 2.0], &[1.0]).is_err());
        assert!(check_bits("empty", &[], &[]).is_err());
    }

    #[test]
    #[should_panic(expected = "threads: 1 of 1 elements differ in their bits")]
    fn assertion_on_bits_panics_with_the_message() {
        assert_bits("threads", &[0.0], &[-0.0]);
    }
}

//! The range of many values.

use serde::Serialize;

/// What can be said of a slice of values in five numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Range {
    /// Values.
    pub len: usize,
    /// The least finite value; NaN if there is none.
    pub min: f32,
    /// The largest finite value; NaN if there is none.
    pub max: f32,
    /// The mean of the finite values; NaN if there are none.
    pub mean: f32,
    /// Values that are NaN or infinite.
    pub non_finite: usize,
}

impl Range {
    /// That of `values`.
    pub fn of(values: &[f32]) -> Range {
        // `min` and `max` of f32 drop the NaN that they begin with.
        let (mut min, mut max) = (f32::NAN, f32::NAN);
        let (mut sum, mut finite) = (0.0_f64, 0_usize);
        for &value in values.iter().filter(|value| value.is_finite()) {
            min = min.min(value);
            max = max.max(value);
            sum += f64::from(value);
            finite += 1;
        }
        let mean = (sum / finite as f64) as f32;
        Range { len: values.len(), min, max, mean, non_finite: values.len() - finite }
    }

    /// Whether all values are finite.
    pub fn is_finite(&self) -> bool {
        self.non_finite == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_are_not_finite_are_counted_and_left_out() {
        let range = Range::of(&[f32::NAN, -2.0, f32::INFINITY, 4.0, f32::NEG_INFINITY, 1.0]);
        assert_eq!(range, Range { len: 6, min: -2.0, max: 4.0, mean: 1.0, non_finite: 3 });
        assert!(!range.is_finite());
        let range = Range::of(&[f32::MAX, f32::MAX]);
        assert_eq!(range.mean, f32::MAX);
        assert!(range.is_finite());
    }

    #[test]
    fn nothing_has_no_range() {
        for values in [&[][..], &[f32::NAN]] {
            let range = Range::of(values);
            assert!(range.min.is_nan() && range.max.is_nan() && range.mean.is_nan());
            assert_eq!(range.non_finite, values.len());
        }
    }
}

//! What a failed comparison has to say.

use core::error::Error;
use core::fmt;

/// One element that is too far from its expectation.
#[derive(Clone, Copy, Debug)]
pub struct Deviation {
    /// Where it stands.
    pub index: usize,
    /// What was computed.
    pub actual: f32,
    /// What should have been.
    pub expected: f64,
    /// |actual − expected|; NaN if one of them is.
    pub error: f64,
    /// The error that the tolerance grants.
    pub allowed: f64,
}

/// Why two results do not agree; `what` is the caller's name for the comparison.
#[derive(Clone, Debug)]
pub enum Mismatch {
    /// There is nothing to compare.
    Empty {
        /// Name of the comparison.
        what: String,
    },
    /// The lengths differ.
    Length {
        /// Name of the comparison.
        what: String,
        /// Elements computed.
        actual: usize,
        /// Elements expected.
        expected: usize,
    },
    /// Elements differ.
    Elements {
        /// Name of the comparison.
        what: String,
        /// How many elements differ.
        bad: usize,
        /// How many were compared.
        total: usize,
        /// The first of them.
        first: Deviation,
        /// The one whose error exceeds its allowance the most.
        worst: Deviation,
    },
    /// Every element is zero, though not every expected one is.
    Zeros {
        /// Name of the comparison.
        what: String,
        /// How many elements were compared.
        total: usize,
        /// The expected element furthest from zero.
        largest: f64,
    },
    /// Bit patterns differ.
    Bits {
        /// Name of the comparison.
        what: String,
        /// How many elements differ.
        bad: usize,
        /// How many were compared.
        total: usize,
        /// The first that differs.
        index: usize,
        /// What was computed there.
        actual: f32,
        /// What was expected there.
        expected: f32,
    },
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { index, actual, expected, error, allowed } = self;
        write!(
            f,
            "[{index}] is {actual:e}, expected {expected:e}, error {error:.3e}, allowed {allowed:.3e}"
        )
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty { what } => write!(f, "{what}: nothing to compare"),
            Self::Length { what, actual, expected } => {
                write!(f, "{what}: {actual} elements, expected {expected}")
            }
            Self::Elements { what, bad, total, first, worst } => write!(
                f,
                "{what}: {bad} of {total} elements are wrong\n  first {first}\n  worst {worst}"
            ),
            Self::Zeros { what, total, largest } => {
                write!(f, "{what}: all {total} elements are zero, expected up to {largest:e}")
            }
            Self::Bits { what, bad, total, index, actual, expected } => write!(
                f,
                "{what}: {bad} of {total} elements differ in their bits\n  first [{index}] is \
                 {actual:e} ({:#010x}), expected {expected:e} ({:#010x})",
                actual.to_bits(),
                expected.to_bits()
            ),
        }
    }
}

impl Error for Mismatch {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_names_first_and_worst_element_and_no_others() {
        let deviation =
            |index, actual, error| Deviation { index, actual, expected: 1.0, error, allowed: 1e-6 };
        let mismatch = Mismatch::Elements {
            what: "gemm 3x5".to_owned(),
            bad: 3,
            total: 15,
            first: deviation(2, 1.5, 0.5),
            worst: deviation(9, -3.0, 4.0),
        };
        assert_eq!(
            mismatch.to_string(),
            "gemm 3x5: 3 of 15 elements are wrong\n  \
             first [2] is 1.5e0, expected 1e0, error 5.000e-1, allowed 1.000e-6\n  \
             worst [9] is -3e0, expected 1e0, error 4.000e0, allowed 1.000e-6"
        );
    }

    #[test]
    fn message_shows_bits() {
        let mismatch = Mismatch::Bits {
            what: "threads".to_owned(),
            bad: 1,
            total: 2,
            index: 1,
            actual: -0.0,
            expected: 0.0,
        };
        assert_eq!(
            mismatch.to_string(),
            "threads: 1 of 2 elements differ in their bits\n  \
             first [1] is -0e0 (0x80000000), expected 0e0 (0x00000000)"
        );
    }
}

//! Sizes and options as nobody would type them.

use arbitrary::Arbitrary;

/// Mostly small, or anything.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Number {
    /// 0 to 7.
    Small(u8),
    /// Around the sizes of vectors, tiles and blocks.
    Medium(u16),
    /// Anything.
    Any(usize),
}

impl Number {
    /// The number.
    pub(crate) fn get(self) -> usize {
        match self {
            Number::Small(n) => usize::from(n % 8),
            Number::Medium(n) => usize::from(n),
            Number::Any(n) => n,
        }
    }
}

/// Several of them.
pub(crate) fn get<const N: usize>(numbers: &[Number; N]) -> [usize; N] {
    numbers.map(Number::get)
}

/// `len` floats that must be overwritten.
pub(crate) fn poison(len: usize) -> Vec<f32> {
    vec![f32::NAN; len]
}

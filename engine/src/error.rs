//! What can be wrong with what a caller hands in.

use crate::simd::Tier;
use std::fmt;

/// A shape, length or option that an operation cannot work with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// A slice does not have the length that the shapes ask for.
    Length {
        /// The operation.
        op: &'static str,
        /// The argument.
        what: &'static str,
        /// The length that the shapes ask for.
        expected: usize,
        /// The length of the slice.
        found: usize,
    },
    /// A size or option is outside what the operation is defined for.
    Invalid {
        /// The operation.
        op: &'static str,
        /// The argument.
        what: &'static str,
        /// The condition in words.
        expected: &'static str,
        /// The value.
        found: String,
    },
    /// The number of elements of a tensor does not fit the address space.
    Overflow {
        /// The operation.
        op: &'static str,
        /// The tensor.
        what: &'static str,
    },
    /// The system does not give the memory for a tensor.
    OutOfMemory {
        /// The tensor.
        what: &'static str,
        /// Its size.
        bytes: usize,
    },
    /// No tier has this name.
    UnknownTier {
        /// The name.
        name: String,
    },
    /// This CPU cannot run the tier.
    UnsupportedTier {
        /// The tier.
        tier: Tier,
    },
    /// The operating system refused to start a thread pool.
    ThreadPool {
        /// The size of the pool.
        threads: usize,
        /// The reason that the pool gives.
        reason: String,
    },
}

// By hand: a macro for it would bring six more packages into every build.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Length { op, what, expected, found } => {
                write!(f, "{op}: {what} must have {expected} elements, found {found}")
            }
            Error::Invalid { op, what, expected, found } => {
                write!(f, "{op}: {what} must be {expected}, found {found}")
            }
            Error::Overflow { op, what } => {
                write!(f, "{op}: {what} would have more elements than memory can address")
            }
            Error::OutOfMemory { what, bytes } => {
                write!(f, "{what}: the system does not give {bytes} bytes of memory")
            }
            Error::UnknownTier { name } => write!(
                f,
                "unknown instruction set {name:?}; expected one of portable, avx2, avx512"
            ),
            Error::UnsupportedTier { tier } => {
                write!(f, "this CPU does not support the instruction set {:?}", tier.name())
            }
            Error::ThreadPool { threads, reason } => {
                write!(f, "could not start {threads} threads: {reason}")
            }
        }
    }
}

impl std::error::Error for Error {}

impl Error {
    /// The same error of the operation that has called the one that found it.
    pub(crate) fn of(mut self, name: &'static str) -> Error {
        if let Error::Length { op, .. } | Error::Invalid { op, .. } | Error::Overflow { op, .. } =
            &mut self
        {
            *op = name;
        }
        self
    }
}

/// `Ok` if `found` is `expected`, else [`Error::Length`].
pub(crate) fn expect_len(
    op: &'static str,
    what: &'static str,
    expected: usize,
    found: usize,
) -> Result<(), Error> {
    if found == expected { Ok(()) } else { Err(Error::Length { op, what, expected, found }) }
}

/// `Ok` if `count` values are enough for the statistics of a channel: a variance of one value says
/// nothing, and PyTorch refuses it too.
pub(crate) fn expect_values_per_channel(op: &'static str, count: usize) -> Result<(), Error> {
    if count > 1 {
        return Ok(());
    }
    Err(Error::Invalid {
        op,
        what: "the number of values per channel",
        expected: "at least 2 for batch statistics",
        found: count.to_string(),
    })
}

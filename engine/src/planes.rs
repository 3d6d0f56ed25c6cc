//! Planes `[height, width]` one behind the other, whatever images they belong to: lengths and their checks.

use crate::Error;
use crate::error::expect_len;

/// No size or step along an axis of a plane may exceed this: places then fit 32 bits, and tables for an axis
/// stay small.
const LONGEST: usize = 1 << 20;

/// `Ok` if the value lies between `least`, which is 0 or 1, and 2²⁰.
pub(crate) fn check_size(
    op: &'static str,
    what: &'static str,
    value: usize,
    least: usize,
) -> Result<(), Error> {
    if value < least {
        return Err(invalid(op, what, "at least 1", value));
    }
    if value > LONGEST {
        return Err(invalid(op, what, "at most 2^20", value));
    }
    Ok(())
}

/// The number of elements of so many planes.
///
/// # Errors
/// [`Error::Overflow`] if no slice can have so many.
pub(crate) fn planes_len(
    op: &'static str,
    what: &'static str,
    planes: usize,
    [height, width]: [usize; 2],
) -> Result<usize, Error> {
    let bytes = [planes, height, width].iter().try_fold(size_of::<f32>(), |n, &f| n.checked_mul(f));
    match bytes {
        Some(bytes) if isize::try_from(bytes).is_ok() => Ok(bytes / size_of::<f32>()),
        _ => Err(Error::Overflow { op, what }),
    }
}

/// A tensor of planes: its name, its number of elements and the size of a plane.
pub(crate) type Planes = (&'static str, usize, [usize; 2]);

/// `Ok` if the first tensor is a whole number of planes, and the second as many of its own.
pub(crate) fn check_planes(op: &'static str, first: Planes, second: Planes) -> Result<(), Error> {
    let (what, found, [height, width]) = first;
    let len = height * width;
    if !found.is_multiple_of(len) {
        let found = format!("{found} elements for planes of {height} by {width}");
        return Err(invalid(op, what, "a whole number of planes", found));
    }
    let (what, other, size) = second;
    expect_len(op, what, planes_len(op, what, found / len, size)?, other)
}

pub(crate) fn invalid(
    op: &'static str,
    what: &'static str,
    expected: &'static str,
    found: impl ToString,
) -> Error {
    Error::Invalid { op, what, expected, found: found.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_tensor_says_how_many_planes_there_are() {
        let check = |x, y| check_planes("op", ("x", x, [2, 3]), ("y", y, [4, 5]));
        assert_eq!(check(12, 40), Ok(()));
        assert_eq!(check(0, 0), Ok(()));
        let length = |expected, found| Err(Error::Length { op: "op", what: "y", expected, found });
        assert_eq!(check(12, 41), length(40, 41));
        assert_eq!(check(0, 20), length(0, 20));
        let error = check(13, 40).unwrap_err().to_string();
        let expected =
            "op: x must be a whole number of planes, found 13 elements for planes of 2 by 3";
        assert_eq!(error, expected);
    }

    #[test]
    fn lengths_beyond_the_address_space_are_errors() {
        let error = Err(Error::Overflow { op: "op", what: "y" });
        for size in [[usize::MAX, 2], [1 << 40, 1 << 40], [usize::MAX / 4, 1]] {
            assert_eq!(planes_len("op", "y", 1, size), error);
        }
        assert_eq!(planes_len("op", "y", 0, [usize::MAX / 8, 1]), Ok(0));
        assert_eq!(planes_len("op", "y", 3, [2, 5]), Ok(30));
    }
}

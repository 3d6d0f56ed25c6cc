//! The file format of MNIST.

use super::Malformed;

/// What `D`-dimensional IDX bytes hold: `data[i0, .., iD-1]` in row-major order, borrowed.
///
/// | bytes | content |
/// |---|---|
/// | 0, 1 | zero |
/// | 2 | type of the elements; 8: unsigned byte, the only one accepted |
/// | 3 | the number of dimensions, `D` |
/// | 4 .. 4 + 4·D | the dimensions, big-endian `u32` |
/// | then | as many elements as the dimensions' product, and nothing else |
///
/// Source: <http://yann.lecun.com/exdb/mnist/>, "the IDX file format".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Idx<'a, const D: usize> {
    /// The dimensions, outermost first.
    pub dims: [u32; D],
    /// The elements.
    pub data: &'a [u8],
}

impl<'a, const D: usize> Idx<'a, D> {
    /// The number of bytes before the elements.
    pub(super) const HEADER_LEN: usize = 4 + 4 * D;

    /// Reads `bytes`, all of which must be accounted for. Nothing is copied or allocated.
    ///
    /// # Errors
    /// Any of [`Malformed`] but `Empty`, `Label` and `Classes`.
    pub fn parse(bytes: &'a [u8]) -> Result<Idx<'a, D>, Malformed> {
        let (header, data) = bytes.split_at(bytes.len().min(Self::HEADER_LEN));
        let dims = Self::dims(header)?;
        check_len(Self::file_len(dims)?, bytes.len() as u64)?;
        Ok(Idx { dims, data })
    }

    /// The dimensions that `header`, the first [`HEADER_LEN`](Self::HEADER_LEN) bytes, names.
    pub(super) fn dims(header: &[u8]) -> Result<[u32; D], Malformed> {
        let truncated =
            Malformed::Truncated { expected: Self::HEADER_LEN as u64, found: header.len() as u64 };
        let Some((&[zero, also_zero, element, dimensions], dims)) = header.split_first_chunk()
        else {
            return Err(truncated);
        };
        if [zero, also_zero] != [0, 0] {
            return Err(Malformed::Magic { found: [zero, also_zero] });
        }
        if element != 0x08 {
            return Err(Malformed::ElementType { found: element });
        }
        if usize::from(dimensions) != D {
            return Err(Malformed::Dimensions { expected: D, found: dimensions.into() });
        }
        match dims.as_chunks() {
            (dims, []) if dims.len() == D => {
                Ok(std::array::from_fn(|axis| u32::from_be_bytes(dims[axis])))
            }
            _ => Err(truncated),
        }
    }

    /// The length of a file of these dimensions.
    pub(super) fn file_len(dims: [u32; D]) -> Result<u64, Malformed> {
        dims.iter()
            .try_fold(1u64, |product, &dim| product.checked_mul(dim.into()))
            .and_then(|elements| elements.checked_add(Self::HEADER_LEN as u64))
            .ok_or(Malformed::TooLarge { limit: u64::MAX })
    }
}

/// `Ok` if `found` is `expected`.
pub(super) fn check_len(expected: u64, found: u64) -> Result<(), Malformed> {
    if found < expected {
        Err(Malformed::Truncated { expected, found })
    } else if found > expected {
        Err(Malformed::Trailing { expected })
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO_BY_THREE: [u8; 18] = [0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6];

    #[test]
    fn every_byte_is_accounted_for() {
        let idx = Idx::<2>::parse(&TWO_BY_THREE).unwrap();
        assert_eq!(idx, Idx { dims: [2, 3], data: &[1, 2, 3, 4, 5, 6] });

        for len in 0..TWO_BY_THREE.len() {
            let expected = if len < 12 { 12 } else { 18 };
            assert_eq!(
                Idx::<2>::parse(&TWO_BY_THREE[..len]),
                Err(Malformed::Truncated { expected, found: len as u64 })
            );
        }
        let longer = [&TWO_BY_THREE[..], &[7]].concat();
        assert_eq!(Idx::<2>::parse(&longer), Err(Malformed::Trailing { expected: 18 }));
    }

    #[test]
    fn dimensions_are_big_endian_and_may_be_zero() {
        let mut bytes = vec![0, 0, 8, 1, 0, 0, 1, 2];
        bytes.extend([9; 258]);
        assert_eq!(Idx::<1>::parse(&bytes).unwrap().dims, [258]);
        assert!(Idx::<1>::parse(&[0, 0, 8, 1, 0, 0, 0, 0]).unwrap().data.is_empty());
    }

    #[test]
    fn other_headers_are_named() {
        let with = |at: usize, byte: u8| {
            let mut bytes = TWO_BY_THREE;
            bytes[at] = byte;
            Idx::<2>::parse(&bytes).map(|_| ()).unwrap_err()
        };
        assert_eq!(with(0, 0x1f), Malformed::Magic { found: [0x1f, 0] });
        assert_eq!(with(1, 1), Malformed::Magic { found: [0, 1] });
        assert_eq!(with(2, 0x0d), Malformed::ElementType { found: 0x0d });
        assert!(with(2, 0x0d).to_string().contains("32-bit float"));
        assert_eq!(with(3, 3), Malformed::Dimensions { expected: 2, found: 3 });
    }

    #[test]
    fn sizes_that_no_memory_holds_are_refused() {
        let mut bytes = vec![0, 0, 8, 3];
        bytes.extend([0x00, 0x10, 0x00, 0x00].repeat(3));
        let expected = (1 << 60) + 16;
        assert_eq!(Idx::<3>::parse(&bytes), Err(Malformed::Truncated { expected, found: 16 }));
        bytes[4..].fill(0xff);
        assert_eq!(Idx::<3>::parse(&bytes), Err(Malformed::TooLarge { limit: u64::MAX }));
    }
}

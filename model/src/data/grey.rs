//! Pictures of one channel.

use super::error::Malformed;
use super::idx::check_len;

/// A picture of one channel: `pixels[height, width]`, 0 is black and 255 white.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grey {
    height: usize,
    width: usize,
    pixels: Vec<u8>,
}

impl Grey {
    /// The picture of these pixels, row by row.
    ///
    /// # Errors
    /// [`Malformed::Empty`] if a side is 0, [`Malformed::TooLarge`], [`Malformed::Truncated`] or
    /// [`Malformed::Trailing`] if there are not `height × width` pixels.
    pub fn new(height: usize, width: usize, pixels: Vec<u8>) -> Result<Grey, Malformed> {
        let len =
            height.checked_mul(width).ok_or(Malformed::TooLarge { limit: usize::MAX as u64 })?;
        if len == 0 {
            return Err(Malformed::Empty { count: 1, height, width });
        }
        check_len(len as u64, pixels.len() as u64)?;
        Ok(Grey { height, width, pixels })
    }

    /// Rows; at least 1.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Columns; at least 1.
    pub fn width(&self) -> usize {
        self.width
    }

    /// `[height, width]`
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_fill_the_sides() {
        let picture = Grey::new(2, 3, vec![7; 6]).unwrap();
        assert_eq!((picture.height(), picture.width(), picture.pixels()), (2, 3, &[7; 6][..]));
        assert_eq!(
            Grey::new(2, 3, vec![7; 5]),
            Err(Malformed::Truncated { expected: 6, found: 5 })
        );
        assert_eq!(Grey::new(2, 3, vec![7; 7]), Err(Malformed::Trailing { expected: 6 }));
        assert_eq!(
            Grey::new(0, 3, vec![]),
            Err(Malformed::Empty { count: 1, height: 0, width: 3 })
        );
        let limit = usize::MAX as u64;
        assert_eq!(Grey::new(usize::MAX, 2, vec![]), Err(Malformed::TooLarge { limit }));
    }
}

//! Matrices in memory that belongs to the caller.

use crate::Error;

/// A matrix to read: element `(i, j)` is `data[i · row_stride + j · col_stride]`.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) row_stride: usize,
    pub(crate) col_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Any matrix with these strides.
    ///
    /// # Errors
    /// [`Error::Length`] if `data` ends before the last element, [`Error::Overflow`] if the
    /// element's position does not fit a `usize`.
    pub fn new(
        data: &'a [f32],
        [rows, cols]: [usize; 2],
        [row_stride, col_stride]: [usize; 2],
    ) -> Result<Matrix<'a>, Error> {
        let needed = extent([rows, cols], [row_stride, col_stride])?;
        if data.len() < needed {
            let found = data.len();
            return Err(Error::Length { op: "gemm", what: "a matrix", expected: needed, found });
        }
        Ok(Matrix { data, rows, cols, row_stride, col_stride })
    }

    /// A matrix `[rows, cols]` whose rows lie one behind the other.
    ///
    /// # Errors
    /// As [`Matrix::new`].
    pub fn row_major(data: &'a [f32], shape: [usize; 2]) -> Result<Matrix<'a>, Error> {
        Matrix::new(data, shape, [shape[1], 1])
    }

    /// The matrix with rows and columns exchanged.
    pub fn transposed(self) -> Matrix<'a> {
        Matrix {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }
}

/// A matrix to write: row `i` is `data[i · row_stride..][..cols]`.
#[derive(Debug)]
pub struct MatrixMut<'a> {
    pub(crate) data: &'a mut [f32],
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) row_stride: usize,
}

impl<'a> MatrixMut<'a> {
    /// A matrix `[rows, cols]` whose rows begin `row_stride` floats apart.
    ///
    /// # Errors
    /// [`Error::Invalid`] if rows overlap (`row_stride` < `cols`), and as [`Matrix::new`].
    pub fn new(
        data: &'a mut [f32],
        [rows, cols]: [usize; 2],
        row_stride: usize,
    ) -> Result<MatrixMut<'a>, Error> {
        if rows > 1 && row_stride < cols {
            return Err(Error::Invalid {
                op: "gemm",
                what: "the row stride of the output",
                expected: "at least the number of columns",
                found: format!("{row_stride} for {cols} columns"),
            });
        }
        let needed = extent([rows, cols], [row_stride, 1])?;
        if data.len() < needed {
            let found = data.len();
            return Err(Error::Length { op: "gemm", what: "the output", expected: needed, found });
        }
        Ok(MatrixMut { data, rows, cols, row_stride })
    }

    /// A matrix `[rows, cols]` whose rows lie one behind the other.
    ///
    /// # Errors
    /// As [`MatrixMut::new`].
    pub fn row_major(data: &'a mut [f32], shape: [usize; 2]) -> Result<MatrixMut<'a>, Error> {
        MatrixMut::new(data, shape, shape[1])
    }
}

/// For those to whom C is a slice.
///
/// # Panics
/// If `c` does not hold the matrix `[rows, cols]`, whose rows begin `row_stride` elements apart.
pub(super) fn assert_long_enough(c: &[f32], shape: [usize; 2], row_stride: usize) {
    assert!(extent(shape, [row_stride, 1]).is_ok_and(|len| len <= c.len()), "C is too short");
}

/// One more than the position of the last element; 0 for an empty matrix.
fn extent([rows, cols]: [usize; 2], strides: [usize; 2]) -> Result<usize, Error> {
    if rows == 0 || cols == 0 {
        return Ok(0);
    }
    let last_row = (rows - 1).checked_mul(strides[0]);
    let last_col = (cols - 1).checked_mul(strides[1]);
    last_row
        .zip(last_col)
        .and_then(|(row, col)| row.checked_add(col)?.checked_add(1))
        .ok_or(Error::Overflow { op: "gemm", what: "a matrix" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_element_decides_the_length() {
        let data = [0.0; 12];
        assert!(Matrix::new(&data, [3, 4], [4, 1]).is_ok());
        assert!(Matrix::new(&data, [3, 4], [1, 3]).is_ok());
        assert!(Matrix::new(&data[..10], [3, 2], [4, 1]).is_ok());
        assert!(Matrix::new(&data[..0], [0, 5], [5, 1]).is_ok());
        assert_eq!(
            Matrix::new(&data[..11], [3, 4], [4, 1]).unwrap_err(),
            Error::Length { op: "gemm", what: "a matrix", expected: 12, found: 11 }
        );
    }

    #[test]
    fn sizes_that_overflow_and_rows_that_overlap_are_errors() {
        let mut data = [0.0; 4];
        let huge = usize::MAX / 2;
        assert!(matches!(Matrix::new(&data, [huge, 2], [3, 1]), Err(Error::Overflow { .. })));
        assert!(matches!(Matrix::new(&data, [2, 2], [usize::MAX, 1]), Err(Error::Overflow { .. })));
        assert!(matches!(MatrixMut::new(&mut data, [2, 2], 1), Err(Error::Invalid { .. })));
    }
}

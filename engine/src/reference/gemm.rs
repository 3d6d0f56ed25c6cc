//! Matrix product.

/// Sizes of a matrix product: A `[m, k]`, B `[k, n]`, C `[m, n]`.
#[derive(Clone, Copy, Debug)]
pub struct GemmDims {
    /// M: rows of A and C.
    pub m: usize,
    /// N: columns of B and C.
    pub n: usize,
    /// K: columns of A, rows of B.
    pub k: usize,
}

/// C `[m, n]` ← alpha · A `[m, k]` · B `[k, n]` + beta · C, all row-major and without gaps.
///
/// As in BLAS, C is not read when `beta` is zero: a NaN in it does not survive.
///
/// # Panics
///
/// If a slice has not exactly the length that `dims` asks for.
pub fn gemm(dims: &GemmDims, alpha: f64, a: &[f64], b: &[f64], beta: f64, c: &mut [f64]) {
    let &GemmDims { m, n, k } = dims;
    assert_eq!(a.len(), m * k, "A is [{m}, {k}]");
    assert_eq!(b.len(), k * n, "B is [{k}, {n}]");
    assert_eq!(c.len(), m * n, "C is [{m}, {n}]");
    for i in 0..m {
        for j in 0..n {
            let mut sum = 0.0;
            for p in 0..k {
                sum += a[i * k + p] * b[p * n + j];
            }
            let old = if beta == 0.0 { 0.0 } else { beta * c[i * n + j] };
            c[i * n + j] = alpha * sum + old;
        }
    }
}

/// The transpose `[columns, rows]` of a row-major matrix `[rows, columns]`.
///
/// # Panics
///
/// If `matrix` has not `rows · columns` elements.
pub fn transpose(rows: usize, columns: usize, matrix: &[f64]) -> Vec<f64> {
    assert_eq!(matrix.len(), rows * columns, "matrix is [{rows}, {columns}]");
    let mut transposed = vec![0.0; matrix.len()];
    for i in 0..rows {
        for j in 0..columns {
            transposed[j * rows + i] = matrix[i * columns + j];
        }
    }
    transposed
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIMS: GemmDims = GemmDims { m: 2, n: 2, k: 3 };
    const A: [f64; 6] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    const B: [f64; 6] = [7.0, 8.0, 9.0, 10.0, 11.0, 12.0];

    #[test]
    fn product_by_hand() {
        let mut c = [f64::NAN; 4];
        gemm(&DIMS, 1.0, &A, &B, 0.0, &mut c);
        assert_eq!(c, [58.0, 64.0, 139.0, 154.0]);
    }

    #[test]
    fn alpha_scales_the_product_and_beta_the_old_values() {
        let mut c = [1.0, 10.0, 100.0, 1000.0];
        gemm(&DIMS, 2.0, &A, &B, -3.0, &mut c);
        assert_eq!(c, [113.0, 98.0, -22.0, -2692.0]);
    }

    #[test]
    fn empty_inner_dimension_leaves_beta_times_c() {
        let dims = GemmDims { m: 1, n: 2, k: 0 };
        let mut c = [3.0, 4.0];
        gemm(&dims, 1.0, &[], &[], 0.5, &mut c);
        assert_eq!(c, [1.5, 2.0]);
    }

    #[test]
    fn transpose_of_a_product_is_the_product_of_transposes() {
        let mut product = [0.0; 4];
        gemm(&DIMS, 1.0, &A, &B, 0.0, &mut product);
        let mut exchanged = [0.0; 4];
        let (bt, at) = (transpose(3, 2, &B), transpose(2, 3, &A));
        assert_eq!(at, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        gemm(&DIMS, 1.0, &bt, &at, 0.0, &mut exchanged);
        assert_eq!(exchanged.to_vec(), transpose(2, 2, &product));
    }

    #[test]
    #[should_panic(expected = "B is [3, 2]")]
    fn wrong_length_panics() {
        gemm(&DIMS, 1.0, &A, &B[..5], 0.0, &mut [0.0; 4]);
    }
}

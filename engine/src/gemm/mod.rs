//! General matrix multiplication.
//!
//! `tile` computes one register tile of `operands`. `in_place` walks the tiles of matrices that are read where
//! they lie; `narrow` has tiles of its own for few columns.
//! `panel` and `packed` say how operands are laid out for the registers otherwise, `product` walks the
//! blocks; all share them out to threads. Convolution has loops
//! of its own around the same tile.

mod in_place;
mod matrix;
mod narrow;
mod operands;
mod packed;
mod panel;
mod product;
mod tile;

pub use matrix::{Matrix, MatrixMut};
pub(crate) use operands::Offsets;
pub(crate) use packed::{Blocks, PackedA, with_packed};
pub(crate) use panel::{Cut, Dense, Source};
pub(crate) use tile::{Epilogue, Tile, tile};

use crate::{Context, Error, Tier};
use in_place::Unpacked;
use narrow::Narrow;
use product::Product;

/// Which code multiplies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// This crate's on the tiers with fused multiply-add, which so agree to the bit;
    /// `matrixmultiply`, which is faster there, for products of some size on the portable tier.
    #[default]
    Auto,
    /// This crate's micro-kernels.
    Loupe,
    /// The crate `matrixmultiply`, which chooses its instructions itself.
    MatrixMultiply,
}

/// Factors of a product and who computes it. The default is `C ← A B`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GemmOptions {
    /// Factor of the product.
    pub alpha: f32,
    /// Factor of the old C. 0 means that C is overwritten and never read, even if it holds NaN.
    pub beta: f32,
    /// Which code multiplies.
    pub backend: Backend,
}

impl Default for GemmOptions {
    fn default() -> GemmOptions {
        GemmOptions { alpha: 1.0, beta: 0.0, backend: Backend::Auto }
    }
}

/// On the portable tier, products of this many multiplications go to `matrixmultiply`.
pub const MATRIXMULTIPLY_FROM: usize = 1 << 15;

/// `C ← alpha · A B + beta · C` for A `[M, K]`, B `[K, N]`, C `[M, N]`.
///
/// Each element of C is summed in the order of K in blocks of at most 512, for any number of
/// threads. The strides of A and B are free, so a transposed operand needs no copy.
///
/// ```
/// use loupe_engine::gemm::{GemmOptions, Matrix, MatrixMut, gemm};
/// use loupe_engine::Context;
///
/// let a = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
/// let mut c = [0.0; 4];
/// let a = Matrix::row_major(&a, [2, 3])?;
/// let options = GemmOptions::default();
/// gemm(&Context::serial(), a, a.transposed(), MatrixMut::row_major(&mut c, [2, 2])?, options)?;
/// assert_eq!(c, [14.0, 32.0, 32.0, 77.0]);
/// # Ok::<(), loupe_engine::Error>(())
/// ```
///
/// # Errors
/// [`Error::Length`] if the shapes do not fit together, [`Error::Overflow`] if strides that repeat elements,
/// such as 0, make an A of more than 2²⁸ elements, which packed would take 1 GiB, out of a smaller slice.
pub fn gemm(
    cx: &Context,
    a: Matrix<'_>,
    b: Matrix<'_>,
    c: MatrixMut<'_>,
    options: GemmOptions,
) -> Result<(), Error> {
    let shapes = [
        ("the rows of B", a.cols, b.rows),
        ("the rows of C", a.rows, c.rows),
        ("the columns of C", b.cols, c.cols),
    ];
    for (what, expected, found) in shapes {
        if expected != found {
            return Err(Error::Length { op: "gemm", what, expected, found });
        }
    }
    if c.rows == 0 || c.cols == 0 {
        return Ok(());
    }
    let most = a.data.len().max(MOST_REPEATED);
    if a.rows.checked_mul(a.cols).is_none_or(|len| len > most) {
        return Err(Error::Overflow { op: "gemm", what: "A with strides that repeat elements" });
    }
    let large = a.rows.saturating_mul(a.cols).saturating_mul(b.cols) >= MATRIXMULTIPLY_FROM;
    let portable = cx.isa().tier() == Tier::Portable;
    match options.backend {
        Backend::MatrixMultiply => matrixmultiply(cx, a, b, c, options),
        Backend::Auto if portable && large => matrixmultiply(cx, a, b, c, options),
        _ => loupe(cx, a, b, c, options),
    }
    Ok(())
}

/// Elements of an A that has more of them than its slice.
const MOST_REPEATED: usize = 1 << 28;

/// Products of up to this many results are computed where their operands lie: packing takes longer than
/// what it saves.
const IN_PLACE: usize = 1 << 18;
/// But not if the rows of B lie so far apart that each has a page of its own (in floats).
const FAR: usize = 1024;

fn loupe(cx: &Context, a: Matrix<'_>, b: Matrix<'_>, c: MatrixMut<'_>, options: GemmOptions) {
    let blocks = Blocks::default();
    if options.beta == 0.0
        && a.cols <= blocks.depth
        && let Some(product) = Narrow::new(cx.isa(), a, b, options.alpha)
    {
        return product.run(cx, c.data, c.row_stride);
    }
    let small = a.rows.saturating_mul(b.cols) <= IN_PLACE && b.row_stride < FAR;
    if small && b.col_stride == 1 {
        in_place(cx, a, b, c, options, blocks);
    } else {
        packed(cx, a, b, c, options, blocks);
    }
}

/// The product of matrices of which B has contiguous rows, without a copy of either.
fn in_place(
    cx: &Context,
    a: Matrix<'_>,
    b: Matrix<'_>,
    c: MatrixMut<'_>,
    options: GemmOptions,
    blocks: Blocks,
) {
    let GemmOptions { alpha, beta, .. } = options;
    Unpacked { a, b, alpha, beta, blocks }.run(cx, c.data, c.row_stride);
}

/// The product of any matrices, packed.
fn packed(
    cx: &Context,
    a: Matrix<'_>,
    b: Matrix<'_>,
    c: MatrixMut<'_>,
    options: GemmOptions,
    blocks: Blocks,
) {
    let GemmOptions { alpha, beta, .. } = options;
    let rows = Dense {
        data: a.data,
        lanes: a.rows,
        depth: a.cols,
        lane_stride: a.row_stride,
        depth_stride: a.col_stride,
    };
    let columns = Dense {
        data: b.data,
        lanes: b.cols,
        depth: b.rows,
        lane_stride: b.col_stride,
        depth_stride: b.row_stride,
    };
    with_packed(
        cx,
        blocks,
        1,
        |_| rows,
        |packed| {
            Product { a: &packed[0], b: columns, alpha, beta }.run(cx, c.data, c.row_stride);
        },
    );
}

/// The work of a product as [`Threads::for_each_chunk`](crate::Threads) weighs it. Multiplications and
/// additions in registers take so much less time than those of other operations that a product is worth
/// the handing over from 2²² floating-point operations on.
fn work(rows: usize, depth: usize, columns: usize) -> usize {
    [rows, depth, columns].into_iter().fold(1_usize, usize::saturating_mul) / 4
}

/// Rows of a task of `matrixmultiply`.
const MATRIXMULTIPLY_ROWS: usize = 256;

fn matrixmultiply(
    cx: &Context,
    a: Matrix<'_>,
    b: Matrix<'_>,
    c: MatrixMut<'_>,
    options: GemmOptions,
) {
    let used = (c.rows - 1) * c.row_stride + c.cols;
    // Where all rows are one task their stride plays no part: that of a single row may be anything.
    let chunk = match c.rows <= MATRIXMULTIPLY_ROWS {
        true => used,
        false => MATRIXMULTIPLY_ROWS * c.row_stride,
    };
    let work = [2, a.rows, a.cols, b.cols].into_iter().fold(1_usize, usize::saturating_mul);
    let outputs = [(&mut c.data[..used], chunk)];
    cx.threads().for_each_chunk(used.div_ceil(chunk), work, outputs, |task, [out]| {
        let first = task * MATRIXMULTIPLY_ROWS;
        let rows = MATRIXMULTIPLY_ROWS.min(a.rows - first);
        // The constructors of `Matrix` and `MatrixMut` have checked that every element lies within its slice and
        // that rows of C do not overlap. A stride beyond `isize` is that of a single row or column, and only
        // multiplied by 0. A and B may be empty (K = 0); then their addresses are not read.
        // SAFETY: so rows `first..first + rows` of A, which has them, and B may be read; `out` begins at the first of
        // these rows of C, ends behind the last element of the last one, and is this task's.
        unsafe {
            matrixmultiply::sgemm(
                rows,
                a.cols,
                b.cols,
                options.alpha,
                a.data.as_ptr().wrapping_add(first.wrapping_mul(a.row_stride)),
                a.row_stride as isize,
                a.col_stride as isize,
                b.data.as_ptr(),
                b.row_stride as isize,
                b.col_stride as isize,
                options.beta,
                out.as_mut_ptr(),
                c.row_stride as isize,
                1,
            );
        }
    });
}

#[cfg(test)]
mod tests;

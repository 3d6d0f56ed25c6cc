//! Products of few columns, which would leave lanes of a vector empty: here a lane is a row.

use super::matrix::{Matrix, assert_long_enough};
use super::packed::TileRows;
use super::panel::Cut;
use super::tile::each_row;
use crate::Context;
use crate::disjoint::Disjoint;
use crate::simd::{Isa, Kernel, LANES, Simd};
use std::ops::Range;

/// The product `C ← alpha · A B` for an A whose rows are contiguous and a B of few columns.
///
/// A vector holds one element of each of 16 rows of A: A is transposed, 16 depths at a time. The sums are
/// those of the other paths.
pub(super) struct Narrow<'a> {
    pub(super) a: Matrix<'a>,
    pub(super) b: Matrix<'a>,
    pub(super) alpha: f32,
}

/// The most columns: beside 10 × 2 sums and an element of B there is room for the vectors of a depth.
const COLUMNS: usize = 10;
/// The most rows of a task; twice as many as the largest tile has.
const ROWS: usize = 64;
/// Depths that are transposed together.
const DEPTHS: usize = 16;

impl<'a> Narrow<'a> {
    /// The product if it is one for this path: with as many rows and depths as a tile has at least, and no
    /// more columns.
    pub(super) fn new(isa: Isa, a: Matrix<'a>, b: Matrix<'a>, alpha: f32) -> Option<Narrow<'a>> {
        let fits = a.col_stride == 1 && a.rows >= LANES && a.cols >= DEPTHS;
        let narrow = (1..=COLUMNS).contains(&b.cols);
        (fits && narrow && b.cols <= isa.run(TileRows)).then_some(Narrow { a, b, alpha })
    }

    /// Computes C, whose rows begin `row_stride` floats apart.
    ///
    /// # Panics
    /// If the operands' shapes do not fit, or C is too short or its rows overlap.
    pub(super) fn run(&self, cx: &Context, c: &mut [f32], row_stride: usize) {
        let [rows, columns] = [self.a.rows, self.b.cols];
        assert!(self.a.cols == self.b.rows && columns <= row_stride, "rows of C overlap");
        assert_long_enough(c, [rows, columns], row_stride);
        // Parts of more than 64 rows have more than 32 each.
        let cut = Cut::new(rows, ROWS);
        let c = Disjoint::new(c);
        let work = super::work(rows, self.a.cols, columns);
        cx.threads().for_each_chunk::<f32, 0>(cut.panels(), work, [], |task, []| {
            cx.isa().run(Part { product: self, c: &c, row_stride, rows: cut.lanes_of(task) });
        });
    }
}

/// One task: some rows, at least 16. No other task has any of these elements of C.
struct Part<'a> {
    product: &'a Narrow<'a>,
    c: &'a Disjoint<'a, f32>,
    row_stride: usize,
    rows: Range<usize>,
}

impl Kernel for Part<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Part { product: Narrow { a, b, alpha }, c, row_stride, rows } = self;
        assert!(rows.len() >= LANES && rows.end <= a.rows);
        assert!(a.col_stride == 1 && a.cols >= DEPTHS && a.cols == b.rows);
        let mut next = rows.start;
        while next < rows.end {
            let left = rows.end - next;
            let vectors = if left > LANES { S::TILE_VECTORS.min(rows.len() / LANES) } else { 1 };
            // The last tile begins so early that it is full; some results are computed twice.
            let first = next.min(rows.end - vectors * LANES);
            let t = Tile {
                depth: a.cols,
                a: a.data.as_ptr().wrapping_add(first * a.row_stride),
                a_stride: a.row_stride,
                b: b.data.as_ptr(),
                b_strides: [b.row_stride, b.col_stride],
                c: c.address(first * row_stride),
                c_stride: row_stride,
                alpha: *alpha,
            };
            // SAFETY: the tile's rows are `vectors` · 16 of the task's, which A has; the columns are all
            // of B's. Their elements lie within the slices, as `Matrix::new` has checked, and those of C in
            // its slice, as `Narrow::run` has asserted; the task alone has them.
            unsafe { tile(simd, b.cols, vectors, &t) };
            next = first + vectors * LANES;
        }
    }
}

/// R columns, all that there are, of 16 · V rows of C.
struct Tile {
    /// At least 16.
    depth: usize,
    a: *const f32,
    /// From row to row; in a row, depths are contiguous.
    a_stride: usize,
    b: *const f32,
    /// From depth to depth, from column to column.
    b_strides: [usize; 2],
    c: *mut f32,
    c_stride: usize,
    alpha: f32,
}

/// Computes a tile of `columns` × 16 · `vectors` rows.
///
/// # Panics
/// If `columns` > `S::TILE_ROWS` or 10, or `vectors` > `S::TILE_VECTORS`.
///
/// # Safety
/// A and B may be read, and C written, at all elements of the tile's rows, columns and depths.
#[inline(always)]
unsafe fn tile<S: Simd>(simd: S, columns: usize, vectors: usize, t: &Tile) {
    macro_rules! columns {
        ($($n:literal)+) => {
            match (columns, vectors) {
                $(
                    // SAFETY: the caller's promises are those of `sized`.
                    ($n, 1) if const { $n <= S::TILE_ROWS } => unsafe {
                        sized::<S, $n, 1>(simd, t)
                    },
                    // SAFETY: as above.
                    ($n, 2) if const { $n <= S::TILE_ROWS && S::TILE_VECTORS >= 2 } => unsafe {
                        sized::<S, $n, 2>(simd, t)
                    },
                )+
                _ => unreachable!("a tile of {columns} columns and {vectors} vectors"),
            }
        };
    }
    columns!(1 2 3 4 5 6 7 8 9 10);
}

/// [`tile`] with its size known to the compiler.
///
/// # Safety
/// As [`tile`].
#[inline(always)]
unsafe fn sized<S: Simd, const R: usize, const V: usize>(simd: S, t: &Tile) {
    let mut acc = [[simd.zero(); V]; R];
    let mut lanes = [[[0.0_f32; LANES]; V]; DEPTHS];
    for strip in (0..t.depth).step_by(DEPTHS) {
        // The last strip begins so early that it is full; its first depths have been added already.
        let first = strip.min(t.depth - DEPTHS);
        // SAFETY: the strip's depths are below `depth`; the caller promises the rest.
        unsafe { transpose_strip(simd, t, first, &mut lanes) };
        for k in strip - first..DEPTHS {
            for r in 0..R {
                let at = (first + k) * t.b_strides[0] + r * t.b_strides[1];
                // SAFETY: an element of B in the tile's columns and depths.
                let x = simd.splat(unsafe { *t.b.wrapping_add(at) });
                for v in 0..V {
                    // SAFETY: an array of 16 floats.
                    let lanes = unsafe { simd.load(lanes[k][v].as_ptr()) };
                    acc[r][v] = simd.mul_add(x, lanes, acc[r][v]);
                }
            }
        }
    }
    // Only here do the sums go to memory, where a loop can index them.
    let mut sums = [[simd.zero(); V]; R];
    each_row!(R, r, sums[r] = acc[r]);
    if t.alpha != 1.0 {
        sums = sums.map(
            #[inline(always)]
            |row| {
                row.map(
                    #[inline(always)]
                    |sum| simd.mul(sum, simd.splat(t.alpha)),
                )
            },
        );
    }
    for v in 0..V {
        let c = t.c.wrapping_add(v * LANES * t.c_stride);
        for group in 0..if R < 4 { 0 } else { R.div_ceil(4) } {
            // The last four columns may have been among those before.
            let first = (4 * group).min(R - 4);
            let columns =
                [sums[first][v], sums[first + 1][v], sums[first + 2][v], sums[first + 3][v]];
            let rows = simd.transpose_quarters(columns);
            for i in 0..4 {
                for q in 0..4 {
                    let c = c.wrapping_add((4 * q + i) * t.c_stride + first);
                    // SAFETY: four of the tile's columns, in one of its rows.
                    unsafe { simd.store_quarter(rows[i], q, c) };
                }
            }
        }
        for r in 0..if R < 4 { R } else { 0 } {
            for (lane, value) in simd.to_array(sums[r][v]).into_iter().enumerate() {
                // SAFETY: an element of the tile.
                unsafe { c.wrapping_add(lane * t.c_stride + r).write(value) };
            }
        }
    }
}

/// Writes the elements of 16 depths, from `first` on, of the tile's rows: `lanes[depth][v]` is what 16 rows
/// have at one depth.
///
/// # Safety
/// `first` + 16 ≤ `t.depth`, and as [`tile`].
#[inline(always)]
unsafe fn transpose_strip<S: Simd, const V: usize>(
    simd: S,
    t: &Tile,
    first: usize,
    lanes: &mut [[[f32; LANES]; V]; DEPTHS],
) {
    for v in 0..V {
        let a = t.a.wrapping_add(LANES * v * t.a_stride + first);
        for k in (0..DEPTHS).step_by(4) {
            let mut rows = [simd.zero(); 4];
            for i in 0..4 {
                let mut sources = [a; 4];
                for q in 0..4 {
                    sources[q] = a.wrapping_add((4 * q + i) * t.a_stride + k);
                }
                // SAFETY: four depths of rows of the tile.
                rows[i] = unsafe { simd.load_quarters(sources) };
            }
            let columns = simd.transpose_quarters(rows);
            for j in 0..4 {
                // SAFETY: an array of 16 floats.
                unsafe { simd.store(columns[j], lanes[k + j][v].as_mut_ptr()) };
            }
        }
    }
}

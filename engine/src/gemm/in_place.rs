//! Products whose operands are read where they lie.

use super::matrix::{Matrix, assert_long_enough};
use super::operands::{InPlace, Strided};
use super::packed::Blocks;
use super::panel::Cut;
use super::tile::{Tile, tile};
use crate::Context;
use crate::disjoint::Disjoint;
use crate::simd::{Kernel, LANES, Simd};
use std::ops::Range;

/// The product `C ← alpha · A B + beta · C` for a B whose rows are contiguous.
pub(super) struct Unpacked<'a> {
    pub(super) a: Matrix<'a>,
    pub(super) b: Matrix<'a>,
    pub(super) alpha: f32,
    /// 0 means that C is not read.
    pub(super) beta: f32,
    pub(super) blocks: Blocks,
}

/// Columns and rows of C that a task computes at most, if there are many.
const COLUMNS: usize = 128;
/// See [`COLUMNS`].
const ROWS: usize = 84;
/// Rows of a task at most, where tasks of [`ROWS`] would be fewer than [`TASKS`]: too few to share out evenly.
const FEW_ROWS: usize = 28;
/// See [`FEW_ROWS`].
const TASKS: usize = 8;

impl Unpacked<'_> {
    /// Computes C, whose rows begin `row_stride` floats apart. Cutting it into tasks does not change a
    /// bit of the result.
    ///
    /// # Panics
    /// If the operands' shapes do not fit, B's rows are not contiguous, or C is too short or its rows
    /// overlap.
    pub(super) fn run(&self, cx: &Context, c: &mut [f32], row_stride: usize) {
        let [rows, columns] = [self.a.rows, self.b.cols];
        if rows == 0 || columns == 0 {
            return;
        }
        assert!(self.a.cols == self.b.rows && (self.b.col_stride == 1 || columns == 1));
        assert!(rows == 1 || columns <= row_stride, "rows of C overlap");
        assert_long_enough(c, [rows, columns], row_stride);
        let column_tasks = columns.div_ceil(COLUMNS);
        let many = rows.div_ceil(ROWS) * column_tasks >= TASKS;
        let row_cut = Cut::new(rows, if many { ROWS } else { FEW_ROWS });
        let work = super::work(rows, self.a.cols, columns);
        let c = Disjoint::new(c);
        cx.threads().for_each_chunk::<f32, 0>(
            row_cut.panels() * column_tasks,
            work,
            [],
            |task, []| {
                let rows = row_cut.lanes_of(task / column_tasks);
                let start = task % column_tasks * COLUMNS;
                let columns = start..(start + COLUMNS).min(columns);
                cx.isa().run(Part { product: self, c: &c, row_stride, rows, columns });
            },
        );
    }
}

/// One task: some rows × some columns, over the whole depth. No other task has any of these elements
/// of C.
struct Part<'a> {
    product: &'a Unpacked<'a>,
    c: &'a Disjoint<'a, f32>,
    row_stride: usize,
    rows: Range<usize>,
    columns: Range<usize>,
}

impl Kernel for Part<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Unpacked { a, b, alpha, beta, blocks } = self.product;
        let tile_columns = S::TILE_VECTORS * LANES;
        let row_cut = Cut::new(self.rows.len(), S::TILE_ROWS);
        let depth_cut = Cut::new(a.cols, blocks.depth);
        for depth_block in 0..depth_cut.panels().max(1) {
            let depth = if a.cols == 0 { 0..0 } else { depth_cut.lanes_of(depth_block) };
            for column in self.columns.clone().step_by(tile_columns) {
                let columns = tile_columns.min(self.columns.end - column);
                let vectors = columns.div_ceil(LANES);
                let first = depth.start * b.row_stride + column;
                // The rows before the first one whose vectors would reach beyond the data.
                let whole = match b.data.len().checked_sub(first + vectors * LANES) {
                    Some(rest) => rest.checked_div(b.row_stride).map_or(depth.len(), |n| n + 1),
                    None => 0,
                };
                for panel in 0..row_cut.panels() {
                    let rows = row_cut.lanes_of(panel);
                    let row = self.rows.start + rows.start;
                    // Without a depth there need be no element here.
                    let at = row.wrapping_mul(a.row_stride);
                    let at = at.wrapping_add(depth.start * a.col_stride);
                    let t = Tile {
                        depth: depth.len(),
                        a: Strided {
                            start: a.data.as_ptr().wrapping_add(at),
                            row_stride: a.row_stride,
                            depth_stride: a.col_stride,
                        },
                        b: InPlace {
                            start: b.data.as_ptr().wrapping_add(first),
                            stride: b.row_stride,
                            whole,
                        },
                        c: self.c.address(row * self.row_stride + column),
                        row_stride: self.row_stride,
                        columns,
                        alpha: *alpha,
                        beta: if depth_block == 0 { *beta } else { 1.0 },
                        epilogue: None,
                    };
                    // All elements of A and B lie within their slices, as `Matrix::new` has checked, and
                    // B's are contiguous in each row; the k-th of `whole` vectors ends at most k row
                    // strides behind the first, which leaves as many before the end of B's slice.
                    // SAFETY: so A and B may be read. The elements of C lie within it, as `run` has
                    // asserted, and are this task's.
                    unsafe { tile(simd, rows.len(), vectors, &t) };
                }
            }
        }
    }
}

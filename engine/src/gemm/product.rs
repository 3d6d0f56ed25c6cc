//! The loops around the tile.
//!
//! They are the loops of BLIS (F. Van Zee and R. van de Geijn, "BLIS: A Framework for Rapidly
//! Instantiating BLAS Functionality", ACM TOMS 2015) with two changes: A is packed as a whole, and a
//! block of columns is so narrow that it stays, packed, in the core's own cache, where each panel of A
//! meets all of it.

use super::matrix::assert_long_enough;
use super::operands::{Ahead, Panel};
use super::packed::{Blocks, PackedA};
use super::panel::Source;
use super::tile::{Tile, tile};
use crate::Context;
use crate::buffer::with_scratch;
use crate::disjoint::Disjoint;
use crate::simd::{Kernel, LANES, Simd};
use std::ops::Range;

/// The product `C ← alpha · A B + beta · C`.
pub(crate) struct Product<'a, B> {
    pub(crate) a: &'a PackedA,
    pub(crate) b: B,
    pub(crate) alpha: f32,
    /// 0 means that C is not read.
    pub(crate) beta: f32,
}

/// Where rows are cut, a B of up to this many floats is packed as a whole first. Otherwise each task packs
/// the columns that it uses.
const SHARED: usize = 1 << 20;
/// Rows are cut into tasks until there are as many as this.
const TASKS: usize = 8;

impl<B: Source> Product<'_, B> {
    /// Computes C, whose rows begin `row_stride` floats apart. Cutting it into tasks does not change a
    /// bit of the result.
    ///
    /// # Panics
    /// If the operands' shapes do not fit, or C is too short or its rows overlap.
    pub(crate) fn run(&self, cx: &Context, c: &mut [f32], row_stride: usize) {
        let (rows, depth, columns) = (self.a.rows(), self.a.depth(), self.b.lanes());
        if rows == 0 || columns == 0 {
            return;
        }
        assert!(self.b.depth() == depth);
        assert!(rows == 1 || columns <= row_stride, "rows of C overlap");
        assert_long_enough(c, [rows, columns], row_stride);

        let Blocks { rows: block_rows, columns: block_columns, .. } = self.a.blocks();
        let column_blocks = columns.div_ceil(block_columns);
        let columns_of = |i: usize| i * block_columns..((i + 1) * block_columns).min(columns);
        let row_blocks = rows.div_ceil(block_rows).min(TASKS.div_ceil(column_blocks));
        let panels_per_block = self.a.panels().div_ceil(row_blocks);
        let row_blocks = self.a.panels().div_ceil(panels_per_block);
        let work = super::work(rows, depth, columns);
        let c = Disjoint::new(c);
        let for_each_block = |packed: Option<&[f32]>| {
            let tasks = column_blocks * row_blocks;
            cx.threads().for_each_chunk::<f32, 0>(tasks, work, [], |task, []| {
                let columns = columns_of(task / row_blocks);
                let start = task % row_blocks * panels_per_block;
                let panels = start..(start + panels_per_block).min(self.a.panels());
                let run = |b: PackedB<'_>| {
                    let (product, c, columns) = (self, &c, columns.clone());
                    cx.isa().run(Block { product, c, row_stride, columns, panels, b });
                };
                match packed {
                    Some(packed) => run(PackedB::Whole(&packed[depth * columns.start..])),
                    None => {
                        let len = self.a.depth_of(0).len() * columns.len().next_multiple_of(LANES);
                        with_scratch(len, |scratch| run(PackedB::Scratch(scratch)));
                    }
                }
            });
        };
        let len = depth.saturating_mul(columns.next_multiple_of(LANES));
        if row_blocks == 1 || depth == 0 || len > SHARED {
            return for_each_block(None);
        }
        with_scratch(len, |packed| {
            let chunks = [(&mut *packed, depth * block_columns)];
            cx.threads().for_each_chunk(column_blocks, len, chunks, |task, [out]| {
                cx.isa().run(PackColumns { product: self, columns: columns_of(task), out });
            });
            for_each_block(Some(packed));
        });
    }

    /// Packs some columns of a block of the depth. Panel i begins at `i · tile columns · depth`: all before
    /// it are full.
    #[inline(always)]
    fn pack<S: Simd>(&self, simd: S, columns: Range<usize>, depth: Range<usize>, out: &mut [f32]) {
        let tile_columns = S::TILE_VECTORS * LANES;
        // Where B has contiguous rows, a row is read to the end of the columns before the next one, which
        // may be in another page.
        for first in depth.clone().step_by(STRIP) {
            let strip = first..depth.end.min(first + STRIP);
            let starts = columns.clone().step_by(tile_columns);
            for (panel, start) in out.chunks_mut(tile_columns * depth.len()).zip(starts) {
                let end = (start + tile_columns).min(columns.end);
                let width = (end - start).next_multiple_of(LANES);
                let out = &mut panel[(first - depth.start) * width..][..strip.len() * width];
                self.b.pack(simd, start..end, strip.clone(), width, out);
            }
        }
    }
}

/// Depths that are packed of all panels of a block of B before the next ones.
const STRIP: usize = 32;

/// The columns of a block of B over the whole depth: for each block of the depth what
/// [`Product::pack`] writes.
struct PackColumns<'a, B> {
    product: &'a Product<'a, B>,
    columns: Range<usize>,
    out: &'a mut [f32],
}

impl<B: Source> Kernel for PackColumns<'_, B> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let PackColumns { product, columns, out } = self;
        let width = columns.len().next_multiple_of(LANES);
        for block in 0..product.a.depth_blocks() {
            let depth = product.a.depth_of(block);
            let out = &mut out[depth.start * width..depth.end * width];
            product.pack(simd, columns.clone(), depth, out);
        }
    }
}

/// Where the packed columns of a task are.
enum PackedB<'a> {
    /// Over the whole depth, as [`PackColumns`] has written them.
    Whole(&'a [f32]),
    /// Nowhere yet: here is memory for a block of the depth.
    Scratch(&'a mut [f32]),
}

/// One task: some panels of rows × some columns, over the whole depth. No other task has any of
/// these elements of C.
struct Block<'a, B> {
    product: &'a Product<'a, B>,
    c: &'a Disjoint<'a, f32>,
    row_stride: usize,
    columns: Range<usize>,
    panels: Range<usize>,
    b: PackedB<'a>,
}

impl<B: Source> Kernel for Block<'_, B> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let Product { a, alpha, beta, .. } = self.product;
        let tile_columns = S::TILE_VECTORS * LANES;
        let width = self.columns.len().next_multiple_of(LANES);
        for depth_block in 0..a.depth_blocks() {
            let depth = a.depth_of(depth_block);
            let packed_b: &[f32] = match &mut self.b {
                PackedB::Whole(packed) => &packed[depth.start * width..],
                PackedB::Scratch(scratch) => {
                    if !depth.is_empty() {
                        let columns = self.columns.clone();
                        self.product.pack(simd, columns, depth.clone(), scratch);
                    }
                    scratch
                }
            };
            // While a tile is computed, its share of the next panel of A comes into the cache.
            let step = S::TILE_ROWS.div_ceil(self.columns.len().div_ceil(tile_columns));
            for panel in self.panels.clone() {
                let rows = a.rows_of(panel);
                let packed = a.panel(depth_block, panel);
                assert!(packed.len() == rows.len() * depth.len());
                for (i, start) in self.columns.clone().step_by(tile_columns).enumerate() {
                    let columns = tile_columns.min(self.columns.end - start);
                    let width = columns.next_multiple_of(LANES);
                    let b = &packed_b[i * tile_columns * depth.len()..][..width * depth.len()];
                    let next = packed.len() + i * step * depth.len();
                    let t = Tile {
                        depth: depth.len(),
                        a: Ahead {
                            start: packed.as_ptr(),
                            next: packed.as_ptr().wrapping_add(next),
                            step,
                        },
                        b: Panel { start: b.as_ptr(), width },
                        c: self.c.address(rows.start * self.row_stride + start),
                        row_stride: self.row_stride,
                        columns,
                        alpha: *alpha,
                        beta: if depth_block == 0 { *beta } else { 1.0 },
                        epilogue: None,
                    };
                    // C is on its way while the sums are computed.
                    for row in 0..rows.len() {
                        let c = t.c.wrapping_add(row * t.row_stride);
                        simd.prefetch(c);
                        simd.prefetch(c.wrapping_add(columns / 2));
                        simd.prefetch(c.wrapping_add(columns - 1));
                    }
                    // SAFETY: `packed` and `b` have just been measured, and `tile` panics if a panel has
                    // more rows than the tier's tile; the elements of C lie within it, as `run` has
                    // asserted, and are this task's.
                    unsafe { tile(simd, rows.len(), columns.div_ceil(LANES), &t) };
                }
            }
        }
    }
}

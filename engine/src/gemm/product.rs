//! The loops around the tile.
//!
//! They are the loops of BLIS (F. Van Zee and R. van de Geijn, "BLIS: A Framework for Rapidly
//! Instantiating BLAS Functionality", ACM TOMS 2015) with two changes: A is packed as a whole, and a
//! block of columns is so narrow that it stays, packed, in the core's own cache, where each panel of A
//! meets all of it.

use super::packed::{Blocks, PackedA};
use super::panel::Source;
use super::tile::{Panel, Tile, tile};
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
        assert!((rows - 1) * row_stride + columns <= c.len(), "C is too short");

        let Blocks { rows: block_rows, columns: block_columns, .. } = self.a.blocks();
        let column_blocks = columns.div_ceil(block_columns);
        // Tasks that share columns pack the same B again, so rows are cut only as far as there would
        // be little to share out otherwise.
        let row_blocks = rows.div_ceil(block_rows).min(8_usize.div_ceil(column_blocks));
        let panels_per_block = self.a.panels().div_ceil(row_blocks);
        let row_blocks = self.a.panels().div_ceil(panels_per_block);
        let work = super::work(rows, depth, columns);
        let c = Disjoint::new(c);

        cx.threads().for_each_chunk::<f32, 0>(column_blocks * row_blocks, work, [], |task, []| {
            let start = task / row_blocks * block_columns;
            let columns = start..(start + block_columns).min(columns);
            let start = task % row_blocks * panels_per_block;
            let panels = start..(start + panels_per_block).min(self.a.panels());
            let scratch = self.a.depth_of(0).len() * columns.len().next_multiple_of(LANES);
            with_scratch(scratch, |scratch| {
                cx.isa().run(Block { product: self, c: &c, row_stride, columns, panels, scratch });
            });
        });
    }
}

/// One task: some panels of rows × some columns, over the whole depth. No other task has any of
/// these elements of C.
struct Block<'a, B> {
    product: &'a Product<'a, B>,
    c: &'a Disjoint<'a, f32>,
    row_stride: usize,
    columns: Range<usize>,
    panels: Range<usize>,
    /// Holds a block of B.
    scratch: &'a mut [f32],
}

impl<B: Source> Kernel for Block<'_, B> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Product { a, b, alpha, beta } = self.product;
        let tile_columns = S::TILE_VECTORS * LANES;
        for depth_block in 0..a.depth_blocks() {
            let depth = a.depth_of(depth_block);
            // Panel i of B begins at `i · tile_columns · depth`: all before it are full.
            let mut start = self.columns.start;
            for panel in self.scratch.chunks_mut((tile_columns * depth.len()).max(1)) {
                if start >= self.columns.end || depth.is_empty() {
                    break;
                }
                let end = (start + tile_columns).min(self.columns.end);
                let width = (end - start).next_multiple_of(LANES);
                let out = &mut panel[..width * depth.len()];
                b.pack(simd, start..end, depth.clone(), width, out);
                start = end;
            }
            for panel in self.panels.clone() {
                let rows = a.rows_of(panel);
                let packed = a.panel(depth_block, panel);
                assert!(packed.len() == rows.len() * depth.len());
                for (i, start) in self.columns.clone().step_by(tile_columns).enumerate() {
                    let columns = tile_columns.min(self.columns.end - start);
                    let width = columns.next_multiple_of(LANES);
                    let b = &self.scratch[i * tile_columns * depth.len()..][..width * depth.len()];
                    let t = Tile {
                        depth: depth.len(),
                        a: packed.as_ptr(),
                        b: Panel { start: b.as_ptr(), width },
                        c: self.c.address(rows.start * self.row_stride + start),
                        row_stride: self.row_stride,
                        columns,
                        alpha: *alpha,
                        beta: if depth_block == 0 { *beta } else { 1.0 },
                        epilogue: None,
                    };
                    // SAFETY: `packed` and `b` have just been measured, and `tile` panics if
                    // they were cut for another tier; the elements of C lie within it, as `run`
                    // has asserted, and are this task's.
                    unsafe { tile(simd, rows.len(), columns.div_ceil(LANES), &t) };
                }
            }
        }
    }
}

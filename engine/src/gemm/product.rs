//! The loops around the tile, for one product or for many that share A.
//!
//! They are the loops of BLIS (F. Van Zee and R. van de Geijn, "BLIS: A Framework for Rapidly
//! Instantiating BLAS Functionality", ACM TOMS 2015) with two changes: A is packed as a whole,
//! because the same weights meet many images, and a block of columns is so narrow that it stays,
//! packed, in the core's own cache.

use super::packed::{Blocks, PackedA};
use super::panel::Source;
use super::tile::{Columns, Epilogue, Tile, tile};
use crate::Context;
use crate::buffer::with_scratch;
use crate::moments::moments;
use crate::simd::{Kernel, LANES, Simd};
use std::ops::Range;

/// Products `C[i] ← act(alpha · A[i mod |A|] · B[i] + beta · C[i] + bias)` for `i` in `0..items`.
pub(crate) struct Product<'a, F> {
    /// All of one shape; item `i` uses `a[i % a.len()]`.
    pub(crate) a: &'a [PackedA],
    pub(crate) items: usize,
    /// The B of an item.
    pub(crate) b: F,
    pub(crate) alpha: f32,
    /// 0 means that C is not read.
    pub(crate) beta: f32,
    /// One for each row of each `a`, or none.
    pub(crate) bias: &'a [f32],
    /// Negative results are multiplied by this; 1 leaves them as they are.
    pub(crate) negative_slope: f32,
}

/// Where the products go: element `(row, column)` of item `i` is
/// `data[origin + i · item_stride + row · row_stride + layout.offset(column)]`.
pub(crate) struct Output<'a> {
    pub(crate) data: &'a mut [f32],
    pub(crate) origin: usize,
    pub(crate) item_stride: usize,
    pub(crate) row_stride: usize,
    pub(crate) layout: Columns,
    /// If given: mean of the finished rows and squares about it (see [`moments`]), both
    /// `[items][parts][rows]`. A row has one part for each [`Product::part_len`] of its columns. Only
    /// where columns are contiguous.
    pub(crate) moments: Option<[&'a mut [f32]; 2]>,
}

impl Output<'_> {
    /// Asserts that all elements lie within `data` and that no two of them are the same.
    fn check(&self, items: usize, rows: usize, columns: usize) {
        let row = match self.layout {
            Columns::Contiguous => columns,
            Columns::Grid { width, row_step, col_step } => {
                assert!(width > 0 && col_step > 0 && (width - 1) * col_step < row_step);
                (columns - 1) / width * row_step + (width.min(columns) - 1) * col_step + 1
            }
        };
        assert!(rows == 1 || row <= self.row_stride, "rows of the output overlap");
        let item = (rows - 1) * self.row_stride + row;
        assert!(items == 1 || item <= self.item_stride, "outputs of two products overlap");
        let needed = self.origin + (items - 1) * self.item_stride + item;
        assert!(needed <= self.data.len(), "the output is too short");
    }
}

/// The address of an output, for tasks that write to disjoint elements.
struct Target(*mut f32);

// SAFETY: `Target` is used by `Product::run` only, whose tasks write to disjoint elements.
unsafe impl Send for Target {}
// SAFETY: as above.
unsafe impl Sync for Target {}

impl<B: Source, F: Fn(usize) -> B + Sync> Product<'_, F> {
    /// Columns of all parts of a row but the last, for its moments.
    pub(crate) fn part_len(&self) -> usize {
        self.a.first().map_or(1, |a| a.blocks().columns)
    }

    /// Computes all the products. Cutting them into tasks does not change a bit of the result.
    ///
    /// # Panics
    /// If the operands' shapes do not fit, or the output is too short.
    pub(crate) fn run(&self, cx: &Context, output: Output<'_>) {
        let Some(first) = self.a.first().filter(|_| self.items > 0) else { return };
        let (rows, depth) = (first.rows(), first.depth());
        let columns = (self.b)(0).lanes();
        if rows == 0 || columns == 0 {
            return;
        }
        assert!(self.a.iter().all(|a| a.rows() == rows && a.depth() == depth));
        assert!(self.bias.is_empty() || self.bias.len() == rows * self.a.len());
        output.check(self.items, rows, columns);

        let Blocks { rows: block_rows, columns: block_columns, .. } = first.blocks();
        let column_blocks = columns.div_ceil(block_columns);
        // Tasks that share columns pack the same B again, so rows are cut only if there would be
        // little to share out otherwise.
        let row_blocks = if self.items * column_blocks < 8 { rows.div_ceil(block_rows) } else { 1 };
        let panels_per_block = first.panels().div_ceil(row_blocks);
        let row_blocks = first.panels().div_ceil(panels_per_block);
        let tasks = self.items * column_blocks * row_blocks;
        let work = [2, rows, columns, depth.max(1), self.items]
            .into_iter()
            .fold(1_usize, usize::saturating_mul);
        if let Some(moments) = &output.moments {
            assert!(matches!(output.layout, Columns::Contiguous));
            let len = self.items * column_blocks * rows;
            assert!(moments.iter().all(|moments| moments.len() == len));
        }
        let target = Target(output.data.as_mut_ptr());
        let moments = output.moments.map(|moments| moments.map(|m| Target(m.as_mut_ptr())));

        cx.threads().for_each_chunk::<f32, 0>(tasks, work, [], |task, []| {
            let (target, moments) = (&target, moments.as_ref());
            let (item, block) =
                (task / (column_blocks * row_blocks), task % (column_blocks * row_blocks));
            let (column_block, row_block) = (block / row_blocks, block % row_blocks);
            let start = column_block * block_columns;
            let columns = start..(start + block_columns).min(columns);
            let start = row_block * panels_per_block;
            let panels = start..(start + panels_per_block).min(first.panels());
            let b = (self.b)(item);
            assert!(b.depth() == depth && b.lanes() >= columns.end);
            let group = item % self.a.len();
            let scratch = first.depth_of(0).len() * columns.len().next_multiple_of(LANES);
            with_scratch(scratch, |scratch| {
                cx.isa().run(Block {
                    a: &self.a[group],
                    b: &b,
                    columns,
                    panels,
                    // SAFETY: `check` has shown that the item begins within the output.
                    c: unsafe { target.0.add(output.origin + item * output.item_stride) },
                    row_stride: output.row_stride,
                    layout: output.layout,
                    alpha: self.alpha,
                    beta: self.beta,
                    epilogue: Epilogue {
                        bias: if self.bias.is_empty() {
                            &[]
                        } else {
                            &self.bias[group * rows..][..rows]
                        },
                        negative_slope: self.negative_slope,
                    },
                    moments: moments.map(|moments| {
                        let first = (item * column_blocks + column_block) * rows;
                        // SAFETY: the asserted length has room for `rows` moments of this part.
                        moments.each_ref().map(|moments| unsafe { moments.0.add(first) })
                    }),
                    scratch,
                });
            });
        });
    }
}

/// One task: some panels of rows × some columns of one product, over the whole depth.
struct Block<'a, B> {
    a: &'a PackedA,
    b: &'a B,
    columns: Range<usize>,
    panels: Range<usize>,
    /// Valid for writing (and reading, unless beta is 0) the rows and columns of this task, which
    /// no other task touches.
    c: *mut f32,
    row_stride: usize,
    layout: Columns,
    alpha: f32,
    beta: f32,
    epilogue: Epilogue<'a>,
    /// Valid for writing the moments of the rows of this task, if given.
    moments: Option<[*mut f32; 2]>,
    /// Holds a block of B.
    scratch: &'a mut [f32],
}

impl<B: Source> Kernel for Block<'_, B> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let tile_columns = S::TILE_VECTORS * LANES;
        let cache_panels = (self.a.blocks().rows / S::TILE_ROWS).max(1);
        let last = self.a.depth_blocks() - 1;
        for depth_block in 0..=last {
            let depth = self.a.depth_of(depth_block);
            // Panel i of B begins at `i · tile_columns · depth`: all before it are full.
            let mut start = self.columns.start;
            for panel in self.scratch.chunks_mut((tile_columns * depth.len()).max(1)) {
                if start >= self.columns.end || depth.is_empty() {
                    break;
                }
                let end = (start + tile_columns).min(self.columns.end);
                let width = (end - start).next_multiple_of(LANES);
                let out = &mut panel[..width * depth.len()];
                self.b.pack(simd, start..end, depth.clone(), width, out);
                start = end;
            }
            for first_panel in self.panels.clone().step_by(cache_panels) {
                let panels = first_panel..(first_panel + cache_panels).min(self.panels.end);
                for (i, start) in self.columns.clone().step_by(tile_columns).enumerate() {
                    let columns = tile_columns.min(self.columns.end - start);
                    let b = &self.scratch[i * tile_columns * depth.len()..]
                        [..columns.next_multiple_of(LANES) * depth.len()];
                    for panel in panels.clone() {
                        let rows = self.a.rows_of(panel);
                        let a = self.a.panel(depth_block, panel);
                        assert!(a.len() == rows.len() * depth.len());
                        let bias = self.epilogue.bias;
                        let t = Tile {
                            depth: depth.len(),
                            a: a.as_ptr(),
                            b: b.as_ptr(),
                            // SAFETY: the row lies within C.
                            c: unsafe { self.c.add(rows.start * self.row_stride) },
                            row_stride: self.row_stride,
                            layout: self.layout,
                            first_column: start,
                            columns,
                            alpha: self.alpha,
                            beta: if depth_block == 0 { self.beta } else { 1.0 },
                            epilogue: (depth_block == last).then_some(Epilogue {
                                bias: if bias.is_empty() { bias } else { &bias[rows.clone()] },
                                ..self.epilogue
                            }),
                        };
                        // SAFETY: `rows_of` cuts by the tier's tile, as `PackedA` was packed by
                        // this tier (asserted there); `a` and `b` have just been measured; `c` is
                        // this task's own.
                        unsafe { tile(simd, rows.len(), columns.div_ceil(LANES), &t) };
                    }
                }
            }
        }
        if let Some([means, squares]) = self.moments {
            for row in self.panels.flat_map(|panel| self.a.rows_of(panel)) {
                // SAFETY: the columns of this task are contiguous (asserted), its own, and have
                // just been written; the moments of its rows are its own.
                unsafe {
                    let columns = self.c.add(row * self.row_stride + self.columns.start);
                    let columns = std::slice::from_raw_parts(columns, self.columns.len());
                    (*means.add(row), *squares.add(row)) = moments(simd, columns);
                }
            }
        }
    }
}

//! The operand A, packed as a whole.

use super::panel::{Cut, Source};
use crate::Context;
use crate::buffer::Buffer;
use crate::disjoint::Disjoint;
use crate::simd::{Kernel, Simd};
use std::cell::Cell;
use std::ops::Range;

/// Where a product is cut into blocks. Tests choose tiny ones, so that small problems meet every
/// loop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Blocks {
    /// The longest run of K that is summed in registers before C is touched. The only block size
    /// that the result's bits depend on, hence the same on every tier.
    pub(crate) depth: usize,
    /// Columns of a task.
    pub(crate) columns: usize,
    /// Rows of a task, where the columns alone would give few tasks.
    pub(crate) rows: usize,
}

impl Default for Blocks {
    /// A block of B takes 256 KiB of the second-level cache. The depth is a compromise: C is read and
    /// written once for each of its blocks, and a block of B of more columns would leave less of the cache to
    /// the panels of A that pass by.
    fn default() -> Blocks {
        Blocks { depth: 512, columns: 128, rows: 96 }
    }
}

/// A as the tiles read it: for each block of the depth, for each panel of rows, `[depth][rows]`.
#[derive(Debug, Default)]
pub(crate) struct PackedA {
    data: Buffer,
    rows: usize,
    depth: usize,
    /// The tile that the rows were cut for.
    tile_rows: usize,
    blocks: Blocks,
}

impl PackedA {
    /// Packs `source` for the tiles of the context's tier, in the memory of what was packed before.
    fn pack(&mut self, cx: &Context, source: &impl Source, blocks: Blocks) {
        (self.rows, self.depth, self.blocks) = (source.lanes(), source.depth(), blocks);
        self.tile_rows = cx.isa().run(TileRows);
        let len = self.rows * self.depth;
        if self.data.len() < len {
            self.data = Buffer::zeros(len);
        }
        let mut data = std::mem::take(&mut self.data);
        let (packed, out) = (&*self, &Disjoint::new(&mut data));
        let tasks = packed.panels().div_ceil(TASK_PANELS);
        cx.threads().for_each_chunk::<f32, 0>(tasks, len, [], |task, []| {
            let panels = task * TASK_PANELS..((task + 1) * TASK_PANELS).min(packed.panels());
            cx.isa().run(Pack { packed, source, panels, out });
        });
        self.data = data;
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    pub(crate) fn blocks(&self) -> Blocks {
        self.blocks
    }

    /// The number of panels of rows.
    pub(crate) fn panels(&self) -> usize {
        Cut::new(self.rows, self.tile_rows).panels()
    }

    /// The rows of a panel.
    #[inline(always)]
    pub(crate) fn rows_of(&self, panel: usize) -> Range<usize> {
        Cut::new(self.rows, self.tile_rows).lanes_of(panel)
    }

    /// The number of blocks of the depth. A sum of no terms is one empty block, so that C is
    /// written nevertheless.
    pub(crate) fn depth_blocks(&self) -> usize {
        self.depth_cut().panels().max(1)
    }

    /// The depths of a block; block 0 is the longest.
    pub(crate) fn depth_of(&self, block: usize) -> Range<usize> {
        if self.depth == 0 { 0..0 } else { self.depth_cut().lanes_of(block) }
    }

    fn depth_cut(&self) -> Cut {
        Cut::new(self.depth, self.blocks.depth)
    }

    /// A panel of a block: `[depth][rows]`.
    #[inline(always)]
    pub(crate) fn panel(&self, block: usize, panel: usize) -> &[f32] {
        &self.data[self.panel_range(block, panel)]
    }

    fn panel_range(&self, block: usize, panel: usize) -> Range<usize> {
        let (rows, depth) = (self.rows_of(panel), self.depth_of(block));
        let start = depth.start * self.rows + rows.start * depth.len();
        start..start + rows.len() * depth.len()
    }
}

thread_local! {
    static PACKED: Cell<Vec<PackedA>> = const { Cell::new(Vec::new()) };
}

/// Packs the sources `0..count` for the context's tier, and calls `f` with them.
///
/// The memory belongs to the thread and is kept for its next call.
pub(crate) fn with_packed<A: Source, R>(
    cx: &Context,
    blocks: Blocks,
    count: usize,
    source: impl Fn(usize) -> A + Sync,
    f: impl FnOnce(&[PackedA]) -> R,
) -> R {
    let mut packed = PACKED.take();
    if packed.len() < count {
        packed.resize_with(count, PackedA::default);
    }
    let work = count.saturating_mul(source(0).lanes()).saturating_mul(source(0).depth());
    cx.threads().for_each_chunk(count, work, [(&mut packed[..count], 1)], |i, [packed]| {
        packed[0].pack(cx, &source(i), blocks);
    });
    let result = f(&packed[..count]);
    PACKED.set(packed);
    result
}

/// Panels that a task packs.
const TASK_PANELS: usize = 8;

/// Asks for the height of the tier's tile.
pub(super) struct TileRows;

impl Kernel for TileRows {
    type Output = usize;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> usize {
        S::TILE_ROWS
    }
}

/// One task: some panels, over the whole depth.
struct Pack<'a, A> {
    packed: &'a PackedA,
    source: &'a A,
    panels: Range<usize>,
    out: &'a Disjoint<'a, f32>,
}

impl<A: Source> Kernel for Pack<'_, A> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Pack { packed, source, panels, out } = self;
        for block in 0..packed.depth_blocks() {
            for panel in panels.clone() {
                let (rows, depth) = (packed.rows_of(panel), packed.depth_of(block));
                if !depth.is_empty() {
                    let width = rows.len();
                    // SAFETY: ranges of different panels and blocks do not overlap, and this task alone
                    // has these panels.
                    let out = unsafe { out.part(packed.panel_range(block, panel)) };
                    source.pack(simd, rows, depth, width, out);
                }
            }
        }
    }
}

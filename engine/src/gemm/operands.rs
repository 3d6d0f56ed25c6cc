//! Where a tile finds the elements of A and B.

use crate::simd::Simd;

/// Where the elements of A lie.
pub(crate) trait Elements: Copy {
    /// The address of the element of row `r` at depth `k`, for a tile of R rows.
    ///
    /// # Safety
    /// `r` is below R, `k` below the depth that the operand was made for.
    unsafe fn at<const R: usize>(self, k: usize, r: usize) -> *const f32;

    /// Called at each depth `k`, to ask for what is used later.
    #[inline(always)]
    fn prefetch<S: Simd>(self, _simd: S, _k: usize) {}
}

/// A packed panel, `[depth][rows]`.
impl Elements for *const f32 {
    #[inline(always)]
    unsafe fn at<const R: usize>(self, k: usize, r: usize) -> *const f32 {
        // SAFETY: the caller promises that the panel has `k` steps of R rows, and one more.
        unsafe { self.add(k * R + r) }
    }
}

/// A packed panel, while the use of which a part of what is used next comes into the cache.
#[derive(Clone, Copy)]
pub(crate) struct Ahead {
    pub(crate) start: *const f32,
    /// Where that part begins. It need not exist.
    pub(crate) next: *const f32,
    /// Its floats for each depth.
    pub(crate) step: usize,
}

impl Elements for Ahead {
    #[inline(always)]
    unsafe fn at<const R: usize>(self, k: usize, r: usize) -> *const f32 {
        // SAFETY: as the caller promises for the panel.
        unsafe { self.start.at::<R>(k, r) }
    }

    #[inline(always)]
    fn prefetch<S: Simd>(self, simd: S, k: usize) {
        simd.prefetch(self.next.wrapping_add(self.step * k));
    }
}

/// Rows of a matrix, where they lie.
#[derive(Clone, Copy)]
pub(crate) struct Strided {
    pub(crate) start: *const f32,
    pub(crate) row_stride: usize,
    pub(crate) depth_stride: usize,
}

impl Elements for Strided {
    #[inline(always)]
    unsafe fn at<const R: usize>(self, k: usize, r: usize) -> *const f32 {
        let Strided { start, row_stride, depth_stride } = self;
        // Every fourth row has a pointer, and the others are 1, 2 and 3 strides away from one: that
        // many addresses fit the registers.
        // SAFETY: the caller promises that the matrix has this element, and so the row's group.
        unsafe { start.add(k * depth_stride + (r & !3) * row_stride).add((r & 3) * row_stride) }
    }
}

/// Where the rows of B lie.
pub(crate) trait Rows: Copy {
    /// Whether vectors may reach beyond what there is to read.
    const PARTIAL: bool = false;

    /// The address of row `k`, at the tile's first column.
    ///
    /// # Safety
    /// `k` is below the depth that the operand was made for.
    unsafe fn row(self, k: usize) -> *const f32;

    /// How many of the first `depth` rows can be read in whole vectors. Of the others only the tile's
    /// columns can.
    #[inline(always)]
    fn whole(self, depth: usize) -> usize {
        depth
    }
}

/// A packed panel: rows of equal length one behind the other.
#[derive(Clone, Copy)]
pub(crate) struct Panel {
    pub(crate) start: *const f32,
    pub(crate) width: usize,
}

impl Rows for Panel {
    #[inline(always)]
    unsafe fn row(self, k: usize) -> *const f32 {
        // SAFETY: the caller promises that the panel has a row `k`.
        unsafe { self.start.add(k * self.width) }
    }
}

/// Rows of a matrix, where they lie. A vector that is longer than what is left of its row goes on into the
/// next one; what it computes there is not written. Behind the last row there may be nothing.
#[derive(Clone, Copy)]
pub(crate) struct InPlace {
    pub(crate) start: *const f32,
    pub(crate) stride: usize,
    /// The rows that can be read in whole vectors.
    pub(crate) whole: usize,
}

impl Rows for InPlace {
    const PARTIAL: bool = true;

    #[inline(always)]
    unsafe fn row(self, k: usize) -> *const f32 {
        // SAFETY: the caller promises that the matrix has a row `k`.
        unsafe { self.start.add(k * self.stride) }
    }

    #[inline(always)]
    fn whole(self, depth: usize) -> usize {
        self.whole.min(depth)
    }
}

/// Rows at offsets of a table.
#[derive(Clone, Copy)]
pub(crate) struct Offsets {
    pub(crate) start: *const f32,
    pub(crate) offsets: *const usize,
}

impl Rows for Offsets {
    #[inline(always)]
    unsafe fn row(self, k: usize) -> *const f32 {
        // SAFETY: the caller promises that the table has an entry `k`, and that it leads to a row.
        unsafe { self.start.add(*self.offsets.add(k)) }
    }
}

//! Memory that is asked for while tiles are computed, because it lies where the CPU does not look for it by
//! itself: a few lines in each of many planes.

use crate::simd::LANES;
use std::cell::Cell;

/// The same columns of rows that are a constant distance apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rectangle {
    pub(super) start: *const f32,
    pub(super) row_stride: usize,
    pub(super) rows: usize,
    pub(super) columns: usize,
}

impl Rectangle {
    pub(super) const EMPTY: Rectangle =
        Rectangle { start: std::ptr::null(), row_stride: 0, rows: 0, columns: 0 };

    /// Cache lines that the rectangle may touch.
    fn lines(&self) -> usize {
        if self.columns == 0 { 0 } else { self.rows * (self.columns.div_ceil(LANES) + 1) }
    }
}

/// Rectangles, and how many of their lines have been asked for.
#[derive(Debug)]
pub(super) struct Ahead {
    rectangles: [Cell<(Rectangle, usize)>; 2],
}

impl Ahead {
    /// Nothing.
    pub(super) fn new() -> Ahead {
        Ahead { rectangles: [const { Cell::new((Rectangle::EMPTY, 0)) }; 2] }
    }

    /// From now on, `rectangle` is asked for in place `n`; 0 comes before 1.
    #[inline(always)]
    pub(super) fn set(&self, n: usize, rectangle: Rectangle) {
        self.rectangles[n].set((rectangle, 0));
    }

    /// The next lines, at most `most`. They have been asked for when this returns, as far as the rectangles
    /// are concerned.
    #[inline(always)]
    pub(super) fn next(&self, most: usize) -> Lines {
        for cell in &self.rectangles {
            let (rectangle, done) = cell.get();
            if done < rectangle.lines() {
                let (line, row) = (done / rectangle.rows, done % rectangle.rows);
                let count = most.min(rectangle.rows - row);
                cell.set((rectangle, done + count));
                let offset = (row * rectangle.row_stride).wrapping_add(line * LANES);
                let start = rectangle.start.wrapping_add(offset);
                return Lines { start, step: rectangle.row_stride, count };
            }
        }
        Lines::NONE
    }
}

/// Cache lines, the first one's address and the distance between them. They need not be in memory that is
/// there: a rectangle's columns are rounded up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lines {
    pub(super) start: *const f32,
    pub(super) step: usize,
    pub(super) count: usize,
}

impl Lines {
    pub(super) const NONE: Lines = Lines { start: std::ptr::null(), step: 0, count: 0 };
}

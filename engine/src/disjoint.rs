//! One output, many tasks: memory of which each task writes a part of its own.

use std::marker::PhantomData;
use std::ops::Range;

/// A slice whose parts are handed out to tasks on several threads, where they are not chunks that can
/// be split off one behind the other.
pub(crate) struct Disjoint<'a, T> {
    start: *mut T,
    len: usize,
    slice: PhantomData<&'a mut [T]>,
}

// SAFETY: it stands for an exclusive borrow of elements that may be sent to other threads; that no two
// threads use the same ones is the promise of those who call `part` and `columns`, or write to an `address`.
unsafe impl<T: Send> Send for Disjoint<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Disjoint<'_, T> {}

impl<'a, T> Disjoint<'a, T> {
    pub(crate) fn new(slice: &'a mut [T]) -> Disjoint<'a, T> {
        Disjoint { start: slice.as_mut_ptr(), len: slice.len(), slice: PhantomData }
    }

    /// The elements of `range`.
    ///
    /// # Safety
    /// While the returned slice lives, no other one that overlaps it does.
    ///
    /// # Panics
    /// If the range does not lie within the slice.
    #[inline(always)]
    #[expect(clippy::mut_from_ref, reason = "handing out disjoint parts is what the type is for")]
    pub(crate) unsafe fn part(&self, range: Range<usize>) -> &mut [T] {
        assert!(range.start <= range.end && range.end <= self.len, "a part of the slice");
        // SAFETY: the range lies within the slice that `self` borrows exclusively; the caller promises
        // that no other part overlaps it.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }

    /// The address of element `index`, which is that of the end if `index` is the length.
    ///
    /// # Panics
    /// If `index` is larger than the length.
    #[inline(always)]
    pub(crate) fn address(&self, index: usize) -> *mut T {
        assert!(index <= self.len, "an element of the slice");
        // Within the slice, or one past its end.
        self.start.wrapping_add(index)
    }
}

/// Neighbouring columns of a matrix, of which each task may have others.
pub(crate) struct Columns<'a, T> {
    /// The first element of the first row, `rows` of which begin `stride` elements apart.
    start: *mut T,
    rows: usize,
    stride: usize,
    width: usize,
    matrix: PhantomData<&'a mut [T]>,
}

impl<'a, T> Columns<'a, T> {
    /// All columns of a matrix of so many.
    ///
    /// # Panics
    /// If the matrix does not have whole rows.
    #[inline(always)]
    pub(crate) fn all(matrix: &'a mut [T], width: usize) -> Columns<'a, T> {
        assert!(matrix.len().is_multiple_of(width), "whole rows");
        let rows = matrix.len() / width;
        Columns { start: matrix.as_mut_ptr(), rows, stride: width, width, matrix: PhantomData }
    }

    /// Their number.
    #[inline(always)]
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// The elements of a row.
    ///
    /// # Panics
    /// If there is no such row.
    #[inline(always)]
    pub(crate) fn row(&mut self, row: usize) -> &mut [T] {
        assert!(row < self.rows, "a row of the matrix");
        // SAFETY: whoever made these columns has made sure that the last row, and so this one, lies within a
        // slice, of which nobody else has these columns; the borrow of self ends before another row is handed out.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(row * self.stride), self.width) }
    }
}

// SAFETY: they stand for an exclusive borrow of elements that may be sent to other threads.
unsafe impl<T: Send> Send for Columns<'_, T> {}

impl<T> Disjoint<'_, T> {
    /// From element `first` on, `width` columns of `rows` rows that begin `stride` elements apart.
    ///
    /// # Safety
    /// While the columns live, nothing else that has one of their elements does.
    ///
    /// # Panics
    /// If they do not lie within the slice.
    pub(crate) unsafe fn columns(
        &self,
        first: usize,
        rows: usize,
        stride: usize,
        width: usize,
    ) -> Columns<'_, T> {
        let end = rows.saturating_sub(1).checked_mul(stride).and_then(|n| n.checked_add(width));
        let end = end.and_then(|end| end.checked_add(first));
        assert!(end.is_some_and(|end| end <= self.len), "columns of the slice");
        // Within the slice, as asserted.
        let start = self.start.wrapping_add(first);
        Columns { start, rows, stride, width, matrix: PhantomData }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_the_slices_elements() {
        let mut data = [0.0; 5];
        let parts = Disjoint::new(&mut data);
        // SAFETY: the two parts do not overlap.
        let (a, b) = unsafe { (parts.part(0..2), parts.part(2..5)) };
        a.fill(1.0);
        b.fill(2.0);
        assert_eq!(data, [1.0, 1.0, 2.0, 2.0, 2.0]);
    }

    #[test]
    #[should_panic(expected = "a part of the slice")]
    fn parts_outside_are_refused() {
        let mut data = [0.0; 5];
        // SAFETY: it is the only part.
        unsafe { Disjoint::new(&mut data).part(3..6) };
    }

    #[test]
    fn columns_are_those_of_the_matrix() {
        let mut data = [0.0; 11];
        let parts = Disjoint::new(&mut data);
        // SAFETY: the columns 0 and 1 and the column 2 of [3, 4] do not overlap.
        let (mut a, mut b) = unsafe { (parts.columns(0, 3, 4, 2), parts.columns(2, 3, 4, 1)) };
        for row in 0..3 {
            a.row(row).fill(1.0);
            b.row(row).fill(2.0);
        }
        assert_eq!(a.width(), 2);
        assert_eq!(data, [1.0, 1.0, 2.0, 0.0, 1.0, 1.0, 2.0, 0.0, 1.0, 1.0, 2.0]);
        let mut data = [0.0; 4];
        Columns::all(&mut data, 2).row(1).fill(3.0);
        assert_eq!(data, [0.0, 0.0, 3.0, 3.0]);
    }

    #[test]
    #[should_panic(expected = "columns of the slice")]
    fn columns_outside_are_refused() {
        let mut data = [0.0; 10];
        // SAFETY: they are the only ones.
        unsafe { Disjoint::new(&mut data).columns(2, 3, 4, 1) };
    }

    #[test]
    #[should_panic(expected = "a row of the matrix")]
    fn rows_outside_are_refused() {
        Columns::all(&mut [0.0; 4], 2).row(2);
    }
}

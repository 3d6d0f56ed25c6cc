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
// threads use the same ones is the promise of those who call `part`.
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
}

//! Where the values of a unit lie.
//!
//! Values that a later round reads are *kept*, unit by unit. The others only pass from one node to the
//! next within a round: they lie in memory of the thread that is at work, which stays in its cache from
//! unit to unit.

use std::ops::Range;

/// The place of a value in [`Values`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) is_kept: bool,
    pub(super) range: Range<usize>,
}

impl Place {
    pub(super) fn len(&self) -> usize {
        self.range.len()
    }
}

/// The values of a unit: those that are kept, and those that pass.
#[derive(Debug)]
pub(super) struct Values<'a> {
    pub(super) kept: &'a mut [f32],
    pub(super) passing: &'a mut [f32],
}

impl Values<'_> {
    /// The values at these places.
    ///
    /// # Panics
    /// If they overlap or do not lie within the unit.
    pub(super) fn at<const N: usize>(&mut self, places: [&Place; N]) -> [&mut [f32]; N] {
        if places.iter().all(|place| place.is_kept) {
            let ranges = places.map(|place| place.range.clone());
            return self.kept.get_disjoint_mut(ranges).expect("places are disjoint");
        }
        // In the other memory a value has no elements.
        let within = |is_kept| {
            places.map(|place| if place.is_kept == is_kept { place.range.clone() } else { 0..0 })
        };
        let [mut kept, mut passing] =
            [(&mut *self.kept, true), (&mut *self.passing, false)].map(|(memory, is_kept)| {
                memory.get_disjoint_mut(within(is_kept)).expect("places are disjoint")
            });
        std::array::from_fn(|n| {
            std::mem::take(if places[n].is_kept { &mut kept[n] } else { &mut passing[n] })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_in_both_memories() {
        let (mut kept, mut passing) = ([0.0, 1.0, 2.0], [10.0, 11.0]);
        let mut values = Values { kept: &mut kept, passing: &mut passing };
        let place = |is_kept, range| Place { is_kept, range };
        let [a, b, c] = values.at([&place(true, 1..3), &place(false, 0..2), &place(true, 0..1)]);
        assert_eq!((&*a, &*b, &*c), (&[1.0, 2.0][..], &[10.0, 11.0][..], &[0.0][..]));
    }

    #[test]
    #[should_panic(expected = "disjoint")]
    fn overlapping_values_are_refused() {
        let (mut kept, mut passing) = ([0.0; 3], [0.0; 3]);
        let mut values = Values { kept: &mut kept, passing: &mut passing };
        let place = |range| Place { is_kept: false, range };
        values.at([&place(0..2), &place(1..3)]);
    }
}

//! Channels of fewer positions than a vector has lanes: an image is a row of a matrix
//! `[N, C · positions]`, and the lanes are its columns.

use crate::simd::LANES;

/// Whether lanes that are positions of one channel would stay empty.
pub(super) fn are_lanes(positions: usize) -> bool {
    positions < LANES
}

/// A value for each column from one for each channel: `space[c · positions + i] = values[c]`, or the
/// values themselves where that is the same.
///
/// # Panics
/// If there is no space for all columns.
pub(super) fn spread<'a>(values: &'a [f32], positions: usize, space: &'a mut [f32]) -> &'a [f32] {
    if positions == 1 {
        return values;
    }
    let columns = &mut space[..values.len() * positions];
    for (columns, &value) in columns.chunks_exact_mut(positions).zip(values) {
        columns.fill(value);
    }
    columns
}

/// Sums for each channel, where `sum` writes those for each column; positions in order. `space` holds a
/// float for each output and column, or none where the columns are the channels.
///
/// # Panics
/// If there is no space for all columns.
pub(super) fn sum_positions<const A: usize>(
    positions: usize,
    mut space: &mut [f32],
    outputs: [&mut [f32]; A],
    sum: impl FnOnce([&mut [f32]; A]),
) {
    if positions == 1 {
        return sum(outputs);
    }
    let mut columns = outputs.each_ref().map(|output| {
        let (columns, rest) = std::mem::take(&mut space).split_at_mut(output.len() * positions);
        space = rest;
        columns
    });
    sum(columns.each_mut().map(|columns| &mut **columns));
    for (output, columns) in outputs.into_iter().zip(columns) {
        for (output, columns) in output.iter_mut().zip(columns.chunks_exact(positions)) {
            *output = columns.iter().sum();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_spread_and_sums_gathered() {
        let mut space = [f32::NAN; 8];
        assert_eq!(spread(&[1.0, 2.0], 3, &mut space), [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]);
        assert_eq!(spread(&[1.0, 2.0], 1, &mut []), [1.0, 2.0]);
        let (mut a, mut b) = ([f32::NAN; 2], [f32::NAN; 2]);
        sum_positions(2, &mut space, [&mut a, &mut b], |[a, b]| {
            a.copy_from_slice(&[1.0, 2.0, 3.0, 4.0]);
            b.fill(0.5);
        });
        assert_eq!((a, b), ([3.0, 7.0], [1.0; 2]));
        sum_positions(1, &mut [], [&mut a], |[a]| a.fill(9.0));
        assert_eq!(a, [9.0; 2]);
    }
}

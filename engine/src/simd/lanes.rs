//! Rows of a matrix to lanes and back, four columns at a time: for matrices with few rows or columns, of
//! which a transposition of 16 × 16 elements would leave much empty.

use super::slices::LANE;
use super::{LANES, Simd, transpose};

/// Columns, of one matrix or the other, that are turned at a time.
const STEP: usize = LANES / 4;

/// The rows of a matrix become lanes: `target[j · width + i] = source[i · stride + j]` for its `rows` and
/// `columns`, and 0 for `i` from `rows` up to `width`, which is `rows` rounded up to whole vectors. The same
/// for `count` matrices one behind the other.
///
/// # Panics
/// If the source ends before its last element, or a length is not as said here.
#[inline(always)]
pub(crate) fn rows_to_lanes<S: Simd>(
    simd: S,
    source: &[f32],
    stride: usize,
    [count, rows, columns]: [usize; 3],
    target: &mut [f32],
    width: usize,
) {
    assert!(width == rows.next_multiple_of(LANES), "lanes for all rows");
    let len = columns.checked_mul(width);
    let all = len.and_then(|len| len.checked_mul(count));
    assert!(all == Some(target.len()), "a target of all columns");
    if target.is_empty() {
        return;
    }
    let all_rows = count.checked_mul(rows).and_then(|rows| (rows - 1).checked_mul(stride));
    let end = all_rows.and_then(|start| start.checked_add(columns));
    assert!(end.is_some_and(|end| end <= source.len()), "a source of all rows");
    if columns < STEP {
        let targets = target.chunks_exact_mut(columns * width);
        for (n, target) in targets.enumerate() {
            let source = &source[n * rows * stride..];
            transpose(simd, source, stride, [rows, columns], target, width);
        }
        return;
    }
    for row in (0..rows).step_by(LANES) {
        let height = LANES.min(rows - row);
        // SAFETY: from `row` on, each matrix has `height` rows of at least STEP columns, as asserted for
        // the last row of the last one. The target has as many matrices, with a row for each column and
        // in it a vector from `row` on.
        unsafe {
            let t = ToLanes {
                from: source.as_ptr().add(row * stride),
                stride,
                size: [height, columns],
                to: target.as_mut_ptr().add(row),
                width,
                count,
                steps: [rows * stride, columns * width],
            };
            match height.div_ceil(STEP) {
                1 => to_lanes::<S, 1>(simd, t),
                2 => to_lanes::<S, 2>(simd, t),
                3 => to_lanes::<S, 3>(simd, t),
                _ => to_lanes::<S, 4>(simd, t),
            }
        }
    }
}

/// Up to 16 rows of each matrix of [`rows_to_lanes`].
struct ToLanes {
    from: *const f32,
    stride: usize,
    size: [usize; 2],
    to: *mut f32,
    width: usize,
    count: usize,
    /// From one matrix to the next, in the source and in the target.
    steps: [usize; 2],
}

/// Of the rows, the last is in quarter Q of the lanes.
///
/// # Safety
/// In each matrix, `from` is valid for reading the rows, at least 1 and at most 4 Q, of at least [`STEP`]
/// columns; `to` for writing a vector in a row for each column.
#[inline(always)]
unsafe fn to_lanes<S: Simd, const Q: usize>(simd: S, t: ToLanes) {
    let ToLanes { from, stride, size: [rows, columns], to, width, count, steps } = t;
    // Missing rows are read as the last one, and become 0 in the end.
    let offsets: [usize; LANES] = std::array::from_fn(|row| row.min(rows - 1) * stride);
    // SAFETY: `LANE` holds 16 floats.
    let used = simd.gt(simd.splat(rows as f32), unsafe { simd.load(LANE.as_ptr()) });
    for n in 0..count {
        for column in (0..columns).step_by(STEP) {
            // The last step may turn columns of the one before again.
            let column = column.min(columns - STEP);
            // SAFETY: n < count, column + STEP ≤ columns, and the offsets are those of rows.
            unsafe {
                let from = from.add(n * steps[0]);
                let to = to.add(n * steps[1]);
                let mut v = [simd.zero(); STEP];
                for i in 0..STEP {
                    let mut sources = [from; Q];
                    for q in 0..Q {
                        sources[q] = from.add(column + offsets[STEP * q + i]);
                    }
                    v[i] = simd.load_quarters(sources);
                }
                let v = simd.transpose_quarters(v);
                for j in 0..STEP {
                    simd.store(simd.select(used, v[j], simd.zero()), to.add((column + j) * width));
                }
            }
        }
    }
}

/// Undoes [`rows_to_lanes`]: `target[j · pitch + i] = source[i · stride + j]` for `rows` rows and the first
/// `columns` lanes. A row of the source holds whole vectors. What lies in the target between two rows,
/// where the pitch is larger than `rows`, stays as it is.
///
/// # Panics
/// If the source ends before its last vector, the target before its last element, or `pitch` < `rows`.
#[inline(always)]
pub(crate) fn lanes_to_rows<S: Simd>(
    simd: S,
    source: &[f32],
    stride: usize,
    [rows, columns]: [usize; 2],
    target: &mut [f32],
    pitch: usize,
) {
    if rows == 0 || columns == 0 {
        return;
    }
    let vectors = columns.next_multiple_of(LANES);
    let end = (rows - 1).checked_mul(stride).and_then(|n| n.checked_add(vectors));
    assert!(end.is_some_and(|end| end <= source.len()), "a source of all rows");
    let end = (columns - 1).checked_mul(pitch).and_then(|n| n.checked_add(rows));
    let end = end.expect("a target of all columns");
    assert!(end <= target.len(), "a target of all columns");
    assert!(rows <= pitch, "a pitch of all rows");
    if rows < STEP && pitch == rows {
        return transpose(simd, source, stride, [rows, columns], &mut target[..end], rows);
    }
    if rows < STEP {
        for (column, target) in target.chunks_mut(pitch).take(columns).enumerate() {
            for (row, target) in target[..rows].iter_mut().enumerate() {
                *target = source[row * stride + column];
            }
        }
        return;
    }
    for column in (0..columns).step_by(LANES) {
        let count = LANES.min(columns - column);
        // SAFETY: from `column` on, each of the source's rows, at least STEP, has a vector, as asserted for
        // the last. The target has `count` rows from this one on, a pitch apart, with an element for each
        // row of the source, as asserted for the last.
        unsafe {
            let from = source.as_ptr().add(column);
            let to = target.as_mut_ptr().add(column * pitch);
            match count.div_ceil(STEP) {
                1 => from_lanes::<S, 1>(simd, from, stride, [rows, count], to, pitch),
                2 => from_lanes::<S, 2>(simd, from, stride, [rows, count], to, pitch),
                3 => from_lanes::<S, 3>(simd, from, stride, [rows, count], to, pitch),
                _ => from_lanes::<S, 4>(simd, from, stride, [rows, count], to, pitch),
            }
        }
    }
}

/// [`lanes_to_rows`] for up to 16 columns, of which the last is in quarter Q of the lanes.
///
/// # Safety
/// `from` is valid for reading a vector in each row, at least [`STEP`]; `to` for writing `columns` rows of
/// `rows` floats, a pitch apart.
#[inline(always)]
unsafe fn from_lanes<S: Simd, const Q: usize>(
    simd: S,
    from: *const f32,
    stride: usize,
    [rows, columns]: [usize; 2],
    to: *mut f32,
    pitch: usize,
) {
    for row in (0..rows).step_by(STEP) {
        // The last step may turn rows of the one before again.
        let row = row.min(rows - STEP);
        // SAFETY: row + STEP ≤ rows, and only columns that exist are written.
        unsafe {
            let mut v = [simd.zero(); STEP];
            for i in 0..STEP {
                v[i] = simd.load(from.add((row + i) * stride));
            }
            let v = simd.transpose_quarters(v);
            for q in 0..Q {
                for j in 0..STEP {
                    let column = STEP * q + j;
                    if column < columns {
                        simd.store_quarter(v[j], q, to.add(column * pitch + row));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Isa, Kernel};

    struct Rows<'a>(&'a [f32], usize, [usize; 3], &'a mut [f32], usize);

    impl Kernel for Rows<'_> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) {
            rows_to_lanes(simd, self.0, self.1, self.2, self.3, self.4);
        }
    }

    struct Lanes<'a>(&'a [f32], usize, [usize; 2], &'a mut [f32], usize);

    impl Kernel for Lanes<'_> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) {
            lanes_to_rows(simd, self.0, self.1, self.2, self.3, self.4);
        }
    }

    #[test]
    fn rows_become_lanes_and_rows_again() {
        for isa in Isa::available() {
            for [rows, columns] in
                (1_usize..40).flat_map(|r| [1, 3, 4, 5, 8, 9, 30].map(|c| [r, c]))
            {
                let stride = columns + 2;
                let len = (2 * rows - 1) * stride + columns;
                let source: Vec<f32> = (0..len).map(|i| i as f32 + 1.0).collect();
                let width = rows.next_multiple_of(LANES);
                let mut lanes = vec![f32::NAN; 2 * columns * width];
                isa.run(Rows(&source, stride, [2, rows, columns], &mut lanes, width));
                for (i, &x) in lanes.iter().enumerate() {
                    let (row, column) = (i % width, i / width % columns);
                    let first = i / (width * columns) * rows * stride;
                    let expected =
                        if row < rows { source[first + row * stride + column] } else { 0.0 };
                    assert_eq!(x, expected, "{isa:?} {rows} × {columns}");
                }
                for pitch in [columns, columns + 3] {
                    let mut back = vec![-1.0; (rows - 1) * pitch + columns];
                    isa.run(Lanes(&lanes, width, [columns, rows], &mut back, pitch));
                    for (i, &x) in back.iter().enumerate() {
                        let (row, column) = (i / pitch, i % pitch);
                        let is_gap = column >= columns;
                        let expected = if is_gap { -1.0 } else { source[row * stride + column] };
                        assert_eq!(x, expected, "{isa:?} {rows} × {columns}");
                    }
                }
            }
        }
    }

    fn to_lanes_of(source: usize, target: usize, width: usize) {
        let (source, mut target) = (vec![0.0; source], vec![0.0; target]);
        Isa::best().run(Rows(&source, 20, [2, 3, 17], &mut target, width));
    }

    fn from_lanes_of(source: usize, rows: usize, target: usize, pitch: usize) {
        let (source, mut target) = (vec![0.0; source], vec![0.0; target]);
        Isa::best().run(Lanes(&source, 16, [rows, 3], &mut target, pitch));
    }

    #[test]
    fn lengths_that_fit_are_taken() {
        to_lanes_of(117, 2 * 17 * 16, 16);
        from_lanes_of(80, 5, 15, 5);
        from_lanes_of(80, 5, 19, 7);
        from_lanes_of(32, 2, 6, 2);
    }

    #[test]
    #[should_panic(expected = "a source of all rows")]
    fn a_source_that_ends_early_is_refused() {
        to_lanes_of(116, 2 * 17 * 16, 16);
    }

    #[test]
    #[should_panic(expected = "lanes for all rows")]
    fn lanes_that_are_no_whole_vectors_are_refused() {
        to_lanes_of(117, 2 * 17 * 15, 15);
    }

    #[test]
    #[should_panic(expected = "a target of all columns")]
    fn a_target_that_ends_early_is_refused() {
        to_lanes_of(117, 2 * 17 * 16 - 1, 16);
    }

    #[test]
    #[should_panic(expected = "a source of all rows")]
    fn lanes_that_end_early_are_refused() {
        from_lanes_of(79, 5, 15, 5);
    }

    #[test]
    #[should_panic(expected = "a target of all columns")]
    fn rows_that_end_early_are_refused() {
        from_lanes_of(80, 5, 18, 7);
    }

    #[test]
    #[should_panic(expected = "a pitch of all rows")]
    fn rows_that_overlap_are_refused() {
        from_lanes_of(80, 5, 15, 4);
    }
}

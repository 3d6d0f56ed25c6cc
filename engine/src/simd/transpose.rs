//! Matrices with rows and columns exchanged, 16 × 16 elements at a time.

use super::{LANES, Simd};

/// Writes the columns of a matrix as rows: `target[j · width + i] = source[i · stride + j]` for its
/// `rows` and `columns`, and 0 for `i` from `rows` up to `width`.
///
/// # Panics
/// If the source ends before its last element, `width` < `rows`, or `target` is not `columns` rows of
/// `width` long.
#[inline(always)]
pub(crate) fn transpose<S: Simd>(
    simd: S,
    source: &[f32],
    stride: usize,
    [rows, columns]: [usize; 2],
    target: &mut [f32],
    width: usize,
) {
    let end = rows.saturating_sub(1).checked_mul(stride).and_then(|n| n.checked_add(columns));
    let fits = rows == 0 || columns == 0 || end.is_some_and(|end| end <= source.len());
    assert!(fits, "a source of all rows");
    assert!(rows <= width, "a target as wide as the source is high");
    assert!(columns.checked_mul(width) == Some(target.len()), "a target of all columns");
    let (from, to) = (source.as_ptr(), target.as_mut_ptr());
    for column in (0..columns).step_by(LANES) {
        let used = LANES.min(columns - column);
        for row in (0..width).step_by(LANES) {
            let height = rows.saturating_sub(row).min(LANES);
            // What a row of the target has room for. One of fewer than 16 elements is stored as a
            // whole vector, the rest of which the next row overwrites, where the target goes on so far.
            let room = LANES.min(width - row);
            let start = column * width + row;
            let whole = room == LANES
                || (width < LANES && start + (LANES - 1) * width + LANES <= target.len());
            // SAFETY: row + i < rows and column + used ≤ columns, so that a load ends at most where
            // the source's last row does, as asserted. The rows column + j < columns of the target,
            // from `row` on, have `room` elements; whole vectors are stored if they have 16, or if
            // even that of the block's last row ends within the target.
            unsafe {
                let from = from.wrapping_add(row * stride + column);
                let to = to.add(start);
                // Arrays whose every index is a constant stay in registers.
                if whole && used == LANES {
                    let mut block = [simd.zero(); LANES];
                    for i in 0..LANES {
                        if i < height {
                            block[i] = simd.load(from.add(i * stride));
                        }
                    }
                    let block = simd.transpose(block);
                    for j in 0..LANES {
                        simd.store(block[j], to.add(j * width));
                    }
                } else {
                    let mut block = [simd.zero(); LANES];
                    for i in 0..LANES {
                        if i < height {
                            block[i] = simd.load_first(from.add(i * stride), used);
                        }
                    }
                    let block = simd.transpose(block);
                    for j in 0..LANES {
                        if j < used {
                            simd.store_first(block[j], to.add(j * width), room);
                        }
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

    /// A transposition in registers of the numbers 0 to 255.
    struct Block;

    impl Kernel for Block {
        type Output = Vec<f32>;

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Vec<f32> {
            let rows: [[f32; LANES]; LANES] =
                std::array::from_fn(|i| std::array::from_fn(|j| (LANES * i + j) as f32));
            // SAFETY: each array holds 16 floats.
            let vectors = rows.each_ref().map(
                #[inline(always)]
                |row| unsafe { simd.load(row.as_ptr()) },
            );
            let mut out = Vec::new();
            for v in simd.transpose(vectors) {
                out.extend(simd.to_array(v));
            }
            out
        }
    }

    #[test]
    fn sixteen_vectors_become_their_columns() {
        let expected: Vec<f32> = (0..256).map(|i| (16 * (i % 16) + i / 16) as f32).collect();
        for isa in Isa::available() {
            assert_eq!(isa.run(Block), expected, "{isa:?}");
        }
    }

    struct Case<'a> {
        source: &'a [f32],
        stride: usize,
        size: [usize; 2],
        target: &'a mut [f32],
        width: usize,
    }

    impl Kernel for Case<'_> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) {
            transpose(simd, self.source, self.stride, self.size, self.target, self.width);
        }
    }

    #[test]
    fn columns_become_rows_with_zeros_behind() {
        let lengths = [0_usize, 1, 5, 15, 16, 17, 40];
        for isa in Isa::available() {
            for [rows, columns] in lengths.iter().flat_map(|&r| lengths.map(|c| [r, c])) {
                let stride = columns + 3;
                let len = (rows.max(1) - 1) * stride + columns;
                let source: Vec<f32> = (0..len).map(|i| i as f32 + 1.0).collect();
                for width in [rows, rows + 1, rows.next_multiple_of(LANES)] {
                    let mut target = vec![f32::NAN; columns * width];
                    let size = [rows, columns];
                    isa.run(Case { source: &source, stride, size, target: &mut target, width });
                    for (i, x) in target.into_iter().enumerate() {
                        let (row, column) = (i % width, i / width);
                        let expected = if row < rows { source[row * stride + column] } else { 0.0 };
                        assert_eq!(x, expected, "{isa:?} {rows} {columns} {width}");
                    }
                }
            }
        }
    }

    fn refused(source: usize, size: [usize; 2], target: usize, width: usize) {
        let (source, mut target) = (vec![0.0; source], vec![0.0; target]);
        let (source, target) = (&source[..], &mut target[..]);
        Isa::best().run(Case { source, stride: 20, size, target, width });
    }

    #[test]
    #[should_panic(expected = "a source of all rows")]
    fn a_source_that_ends_early_is_refused() {
        refused(56, [3, 17], 51, 3);
    }

    #[test]
    #[should_panic(expected = "a target as wide as the source is high")]
    fn a_target_that_is_too_narrow_is_refused() {
        refused(57, [3, 17], 34, 2);
    }

    #[test]
    #[should_panic(expected = "a target of all columns")]
    fn a_target_that_ends_early_is_refused() {
        refused(57, [3, 17], 50, 3);
    }
}

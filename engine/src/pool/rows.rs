//! Rows of sixteen planes side by side, `[rows, W, 16]`.

use crate::simd::{LANES, Simd, lanes_to_rows, rows_to_lanes};
use std::ops::Range;

/// The rows that a band of windows covers, in memory for the largest band. Rows that the next band covers as
/// well are moved there.
pub(super) struct Rows<'a> {
    lanes: &'a mut [f32],
    /// Floats of a row.
    len: usize,
    rows: Range<usize>,
}

impl<'a> Rows<'a> {
    /// No rows yet, of planes of this width.
    #[inline(always)]
    pub(super) fn new(lanes: &'a mut [f32], width: usize) -> Rows<'a> {
        Rows { lanes, len: width * LANES, rows: 0..0 }
    }

    /// Goes on to `rows`, of which neither end is above its present one. Returns those of them that are new,
    /// and their memory, which is to be written.
    #[inline(always)]
    pub(super) fn slide(&mut self, rows: Range<usize>) -> (Range<usize>, &mut [f32]) {
        let kept = self.rows.end.saturating_sub(rows.start);
        let from = (self.rows.len() - kept) * self.len;
        self.lanes.copy_within(from..from + kept * self.len, 0);
        let new = rows.start + kept..rows.end;
        let lanes = &mut self.lanes[kept * self.len..rows.len() * self.len];
        self.rows = rows;
        (new, lanes)
    }

    /// A row, by its number in the plane.
    #[inline(always)]
    pub(super) fn row(&self, row: usize) -> &[f32] {
        &self.lanes[(row - self.rows.start) * self.len..][..self.len]
    }

    /// See [`Rows::row`].
    #[inline(always)]
    pub(super) fn row_mut(&mut self, row: usize) -> &mut [f32] {
        &mut self.lanes[(row - self.rows.start) * self.len..][..self.len]
    }

    /// The rows before `end`.
    #[inline(always)]
    pub(super) fn until(&self, end: usize) -> (Range<usize>, &[f32]) {
        let rows = self.rows.start..end.min(self.rows.end);
        let len = rows.len() * self.len;
        (rows, &self.lanes[..len])
    }
}

/// Copies these rows of up to 16 planes to `lanes` `[rows, W, 16]`, with 0 for planes that there are not.
#[inline(always)]
pub(super) fn gather<S: Simd>(
    simd: S,
    planes: &[f32],
    [height, width]: [usize; 2],
    rows: Range<usize>,
    lanes: &mut [f32],
) {
    let (len, columns) = (height * width, rows.len() * width);
    let source = &planes[rows.start * width..];
    rows_to_lanes(simd, source, len, [1, planes.len() / len, columns], lanes, LANES);
}

/// Undoes [`gather`]. Other rows of the planes stay as they are.
#[inline(always)]
pub(super) fn spread<S: Simd>(
    simd: S,
    lanes: &[f32],
    rows: Range<usize>,
    planes: &mut [f32],
    [height, width]: [usize; 2],
) {
    let (len, columns) = (height * width, rows.len() * width);
    let count = planes.len() / len;
    lanes_to_rows(simd, lanes, LANES, [columns, count], &mut planes[rows.start * width..], len);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Isa, Kernel};

    #[test]
    fn sliding_keeps_the_rows_of_both_bands() {
        let mut memory = [0.0; 4 * LANES];
        let mut rows = Rows::new(&mut memory, 1);
        for (band, expected) in
            [(0..3, 0..3), (2..6, 3..6), (2..6, 6..6), (5..7, 6..7), (9..10, 9..10)]
        {
            let (new, lanes) = rows.slide(band.clone());
            assert_eq!((new.clone(), lanes.len()), (expected, new.len() * LANES));
            for (row, lanes) in new.zip(lanes.chunks_exact_mut(LANES)) {
                lanes.fill(row as f32);
            }
            for row in band.clone() {
                assert_eq!(rows.row(row), [row as f32; LANES]);
                assert_eq!(rows.row_mut(row), [row as f32; LANES]);
            }
            let (first, lanes) = rows.until(band.start + 1);
            assert_eq!((first, lanes), (band.start..band.start + 1, &[band.start as f32; 16][..]));
            assert_eq!(rows.until(100).0, band);
        }
    }

    /// Rows 1 and 2 of planes `[4, 3]` to lanes, and to other planes.
    struct ThereAndBack<'a>(&'a [f32], &'a mut [f32]);

    impl Kernel for ThereAndBack<'_> {
        type Output = Vec<f32>;

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Vec<f32> {
            let mut lanes = vec![f32::NAN; 2 * 3 * LANES];
            gather(simd, self.0, [4, 3], 1..3, &mut lanes);
            spread(simd, &lanes, 1..3, self.1, [4, 3]);
            lanes
        }
    }

    #[test]
    fn rows_go_to_lanes_and_back() {
        for isa in Isa::available() {
            for planes in [1, 5, 16] {
                let x: Vec<f32> = (0..planes * 12).map(|i| i as f32 + 1.0).collect();
                let mut back = vec![-1.0; x.len()];
                let lanes = isa.run(ThereAndBack(&x, &mut back));
                for (i, &lane) in lanes.iter().enumerate() {
                    let (pixel, plane) = (i / LANES, i % LANES);
                    let expected = if plane < planes { x[plane * 12 + 3 + pixel] } else { 0.0 };
                    assert_eq!(lane, expected, "{isa:?}");
                }
                for (i, &back) in back.iter().enumerate() {
                    let expected = if (3..9).contains(&(i % 12)) { x[i] } else { -1.0 };
                    assert_eq!(back, expected, "{isa:?}");
                }
            }
        }
    }
}

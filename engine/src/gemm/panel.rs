//! How an operand is cut into panels and where its elements come from.
//!
//! A *panel* is what the register tile reads: a few lanes side by side (rows of A, columns of B),
//! and for each of them the same run of the depth K, depth by depth: `panel[k · width + lane]`.

use crate::simd::{LANES, Simd, transpose};
use std::ops::Range;

/// An operand of a product, whatever it is made of. Rows of A and columns of B are both *lanes*.
pub(crate) trait Source: Sync {
    /// Rows of A or columns of B.
    fn lanes(&self) -> usize;

    /// The common dimension K.
    fn depth(&self) -> usize;

    /// Writes a panel: `out[(k - depth.start) · width + (l - lanes.start)]` becomes the element of
    /// lane `l` at depth `k`, and 0 for the lanes beyond `lanes` up to `width`.
    ///
    /// `out` holds `depth.len() · width` floats; `lanes` and `depth` lie within the operand.
    fn pack<S: Simd>(
        &self,
        simd: S,
        lanes: Range<usize>,
        depth: Range<usize>,
        width: usize,
        out: &mut [f32],
    );
}

/// An operand that lies in memory with one stride for the lanes and one for the depth.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dense<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) lanes: usize,
    pub(crate) depth: usize,
    pub(crate) lane_stride: usize,
    pub(crate) depth_stride: usize,
}

impl Source for Dense<'_> {
    #[inline(always)]
    fn lanes(&self) -> usize {
        self.lanes
    }

    #[inline(always)]
    fn depth(&self) -> usize {
        self.depth
    }

    #[inline(always)]
    fn pack<S: Simd>(
        &self,
        simd: S,
        lanes: Range<usize>,
        depth: Range<usize>,
        width: usize,
        out: &mut [f32],
    ) {
        let count = lanes.len();
        let from = depth.start * self.depth_stride + lanes.start * self.lane_stride;
        if self.lane_stride == 1 && count == width && [16, 32].contains(&count) {
            let data = &self.data[from..];
            match count {
                16 => copy_rows::<16>(data, self.depth_stride, out),
                _ => copy_rows::<32>(data, self.depth_stride, out),
            }
        } else if self.lane_stride == 1 {
            for (k, step) in out.chunks_exact_mut(width).enumerate() {
                let lanes = &self.data[from + k * self.depth_stride..][..count];
                let (vectors, _) = lanes.as_chunks::<LANES>();
                let (out, _) = step.as_chunks_mut::<LANES>();
                out[..vectors.len()].copy_from_slice(vectors);
                let copied = vectors.len() * LANES;
                step[copied..count].copy_from_slice(&lanes[copied..]);
                step[count..].fill(0.0);
            }
        } else if self.depth_stride == 1 {
            let rows = &self.data[from..];
            transpose(simd, rows, self.lane_stride, [count, depth.len()], out, width);
        } else {
            for (k, step) in out.chunks_exact_mut(width).enumerate() {
                let from = from + k * self.depth_stride;
                for (lane, value) in step[..count].iter_mut().enumerate() {
                    *value = self.data[from + lane * self.lane_stride];
                }
                step[count..].fill(0.0);
            }
        }
    }
}

/// Copies rows of N floats, which begin `stride` floats apart, one behind the other.
#[inline(always)]
fn copy_rows<const N: usize>(data: &[f32], stride: usize, out: &mut [f32]) {
    for (k, row) in out.as_chunks_mut::<N>().0.iter_mut().enumerate() {
        row.copy_from_slice(&data[k * stride..][..N]);
    }
}

/// A cut of `lanes` into panels of nearly equal width, at most `max_width`: 10 rows under a tile of
/// 6 become 5 + 5, so that no tile is left almost empty.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    lanes: usize,
    panels: usize,
}

impl Cut {
    pub(crate) fn new(lanes: usize, max_width: usize) -> Cut {
        Cut { lanes, panels: lanes.div_ceil(max_width) }
    }

    /// The number of panels.
    pub(crate) fn panels(self) -> usize {
        self.panels
    }

    /// The lanes of panel `i`: the first `lanes % panels` panels have one lane more.
    #[inline(always)]
    pub(crate) fn lanes_of(self, i: usize) -> Range<usize> {
        let (width, wider) = (self.lanes / self.panels, self.lanes % self.panels);
        let start = i * width + i.min(wider);
        start..start + width + usize::from(i < wider)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Isa, Kernel};

    #[test]
    fn a_cut_covers_every_lane_once_with_widths_that_differ_by_one() {
        for lanes in 0..100 {
            for max_width in 1..15 {
                let cut = Cut::new(lanes, max_width);
                let panels: Vec<_> = (0..cut.panels()).map(|i| cut.lanes_of(i)).collect();
                assert!(panels.iter().cloned().flatten().eq(0..lanes));
                let widths = || panels.iter().map(|panel| panel.len());
                assert!(widths().all(|width| (1..=max_width).contains(&width)));
                assert!(widths().max().unwrap_or(0) - widths().min().unwrap_or(0) <= 1);
            }
        }
    }

    struct Pack<'a>(Dense<'a>);

    impl Kernel for Pack<'_> {
        type Output = Vec<f32>;

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Vec<f32> {
            let mut out = vec![f32::NAN; 2 * 4];
            self.0.pack(simd, 1..4, 3..5, 4, &mut out);
            out
        }
    }

    #[test]
    fn a_panel_is_depth_by_depth_with_zeros_behind() {
        // Element (lane l, depth k) is 10 l + k.
        let by_lane: Vec<f32> = (0..35).map(|i| (10 * (i / 7) + i % 7) as f32).collect();
        let by_depth: Vec<f32> = (0..35).map(|i| (10 * (i % 5) + i / 5) as f32).collect();
        let expected = [13.0, 23.0, 33.0, 0.0, 14.0, 24.0, 34.0, 0.0];
        for (data, lane_stride, depth_stride) in [(&by_lane, 7, 1), (&by_depth, 1, 5)] {
            let dense = Dense { data, lanes: 5, depth: 7, lane_stride, depth_stride };
            for isa in Isa::available() {
                assert_eq!(isa.run(Pack(dense)), expected);
            }
        }
    }
}

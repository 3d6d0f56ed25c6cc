//! Weights in the order in which the tiles read them.

use super::multiply::DEPTH;
use crate::conv::classes::Class;
use crate::gemm::Cut;
use crate::simd::{Kernel, Simd, transpose};
use std::ops::Range;

/// Weights whose element (group, lane, channel, kernel element) lies at `group · group_stride + lane ·
/// lane_stride + channel · channel_stride + kernel element`.
#[derive(Clone, Copy)]
pub(super) struct Weights<'a> {
    pub(super) weight: &'a [f32],
    pub(super) group_stride: usize,
    pub(super) lane_stride: usize,
    pub(super) channel_stride: usize,
}

/// Packs the weights of all classes and groups: for each block of the depth, for each panel of rows,
/// `[depth][rows]`. The depth runs over channels and the class's kernel elements.
pub(super) struct Pack<'a> {
    pub(super) classes: &'a [Class],
    pub(super) groups: usize,
    pub(super) rows: usize,
    pub(super) weights: Weights<'a>,
    /// `[classes][groups]`
    pub(super) packed: &'a mut [f32],
}

impl Kernel for Pack<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Pack { classes, groups, rows, weights, mut packed } = self;
        let cut = Cut::new(rows, S::TILE_ROWS);
        for class in classes {
            let (kernels, depth) = (&class.kernels, class.offsets.len());
            for group in 0..groups {
                for first in (0..depth).step_by(DEPTH) {
                    let block = first..depth.min(first + DEPTH);
                    for range in (0..cut.panels()).map(|panel| cut.lanes_of(panel)) {
                        let (panel, rest) = packed.split_at_mut(block.len() * range.len());
                        packed = rest;
                        let at = Panel { kernels, weights, group, first, range };
                        at.pack(simd, panel);
                    }
                }
            }
        }
    }
}

/// A panel: some lanes of a group, from depth `first` on.
struct Panel<'a> {
    kernels: &'a [usize],
    weights: Weights<'a>,
    group: usize,
    first: usize,
    range: Range<usize>,
}

impl Panel<'_> {
    #[inline(always)]
    fn pack<S: Simd>(self, simd: S, out: &mut [f32]) {
        let Panel { kernels, weights, group, first, range } = self;
        let Weights { weight, group_stride, lane_stride, channel_stride } = weights;
        let (start, width) = (group * group_stride + range.start * lane_stride, range.len());
        let in_order =
            kernels.len() == channel_stride && kernels.iter().copied().eq(0..channel_stride);
        if in_order && lane_stride > 1 {
            // The depths of a lane lie side by side.
            let size = [width, out.len() / width];
            transpose(simd, &weight[start + first..], lane_stride, size, out, width);
            return;
        }
        let (mut channel, mut n) = (first / kernels.len(), first % kernels.len());
        for out in out.chunks_exact_mut(width) {
            let from = start + channel * channel_stride + kernels[n];
            if lane_stride == 1 {
                out.copy_from_slice(&weight[from..from + width]);
            } else {
                for (lane, out) in out.iter_mut().enumerate() {
                    *out = weight[from + lane * lane_stride];
                }
            }
            n += 1;
            if n == kernels.len() {
                (channel, n) = (channel + 1, 0);
            }
        }
    }
}

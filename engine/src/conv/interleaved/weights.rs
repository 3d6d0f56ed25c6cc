//! Weights in the order in which the tiles read them.

use super::kernel::DEPTH;
use crate::conv::classes::Class;
use crate::gemm::Cut;
use crate::simd::{Kernel, Simd};

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
    fn run<S: Simd>(self, _: S) {
        let Pack { classes, groups, rows, weights, mut packed } = self;
        let Weights { weight, group_stride, lane_stride, channel_stride } = weights;
        let cut = Cut::new(rows, S::TILE_ROWS);
        for class in classes {
            let (kernels, depth) = (&class.kernels, class.offsets.len());
            for group in 0..groups {
                for first in (0..depth).step_by(DEPTH) {
                    let block = first..depth.min(first + DEPTH);
                    for range in (0..cut.panels()).map(|panel| cut.lanes_of(panel)) {
                        let (panel, rest) = packed.split_at_mut(block.len() * range.len());
                        packed = rest;
                        let (mut channel, mut n) = (first / kernels.len(), first % kernels.len());
                        for out in panel.chunks_exact_mut(range.len()) {
                            let from = group * group_stride + channel * channel_stride + kernels[n];
                            for (out, lane) in out.iter_mut().zip(range.clone()) {
                                *out = weight[from + lane * lane_stride];
                            }
                            n += 1;
                            if n == kernels.len() {
                                (channel, n) = (channel + 1, 0);
                            }
                        }
                    }
                }
            }
        }
    }
}

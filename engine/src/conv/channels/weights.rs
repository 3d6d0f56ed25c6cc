//! Weights as the tiles of forward and of the gradient by the input read them.

use super::layout::{Layout, Sight};
use crate::simd::{Kernel, Simd, transpose};
use std::ops::Range;

/// Channels of the results that are packed side by side, and floats of a panel's rows.
pub(super) const PANEL: usize = 32;

/// Weights `[O, C, Kh, Kw]` of one group.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Weights<'a> {
    pub(in super::super) weight: &'a [f32],
    pub(in super::super) outputs: usize,
    pub(in super::super) inputs: usize,
    /// Kh · Kw.
    pub(in super::super) kernel: usize,
    /// Whether results are the input's channels and sums run over those of the output.
    pub(in super::super) is_backward: bool,
}

impl Weights<'_> {
    /// Channels of the results.
    pub(super) fn lanes(&self) -> usize {
        if self.is_backward { self.inputs } else { self.outputs }
    }

    /// Floats of scratch memory of [`Pack`].
    pub(super) fn scratch_len(&self, layout: &Layout) -> usize {
        let widest = layout.segments().map(|segment| segment.width).max().unwrap_or(0);
        self.kernel * PANEL * if self.is_backward { 1 } else { widest }
    }
}

/// Packs the weights of some lanes: `[blocks][taps][channels of a block][PANEL]`, in the order of the layout
/// and the sight; 0 for lanes that there are not.
pub(super) struct Pack<'a> {
    pub(super) weights: Weights<'a>,
    pub(super) layout: &'a Layout,
    pub(super) sight: &'a Sight,
    pub(super) lanes: Range<usize>,
    pub(super) scratch: &'a mut [f32],
    pub(super) out: &'a mut [f32],
}

impl Kernel for Pack<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Pack { weights, layout, sight, lanes, scratch, out } = self;
        let Weights { weight, inputs, kernel, is_backward, .. } = weights;
        let taps = sight.kernels.len();
        for segment in layout.segments() {
            for block in 0..segment.blocks {
                let (channel, width) = (segment.channel + block * segment.width, segment.width);
                let out = &mut out[channel * taps * PANEL..][..width * taps * PANEL];
                if is_backward {
                    for c in 0..width {
                        let from = &weight[((channel + c) * inputs + lanes.start) * kernel..];
                        let turned = &mut scratch[..kernel * PANEL];
                        transpose(simd, from, kernel, [lanes.len(), kernel], turned, PANEL);
                        for (tap, &element) in sight.kernels.iter().enumerate() {
                            let from = &turned[element * PANEL..][..PANEL];
                            out[(tap * width + c) * PANEL..][..PANEL].copy_from_slice(from);
                        }
                    }
                } else {
                    let depth = inputs * kernel;
                    let from = &weight[lanes.start * depth + channel * kernel..];
                    let turned = &mut scratch[..width * kernel * PANEL];
                    transpose(simd, from, depth, [lanes.len(), width * kernel], turned, PANEL);
                    for (tap, &element) in sight.kernels.iter().enumerate() {
                        for c in 0..width {
                            let from = &turned[(c * kernel + element) * PANEL..][..PANEL];
                            out[(tap * width + c) * PANEL..][..PANEL].copy_from_slice(from);
                        }
                    }
                }
            }
        }
    }
}

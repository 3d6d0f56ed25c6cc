//! Forward and the gradient by the input: positions × 32 channels of the results in a tile.

use super::super::geometry::View;
use super::Channels;
use super::band::Band;
use super::weights::{PANEL, Pack, Weights};
use crate::Context;
use crate::buffer::with_scratch;
use crate::disjoint::Disjoint;
use crate::simd::LANES;

/// A sum for each position of each grid.
pub(in super::super) struct Correlation<'a> {
    pub(in super::super) view: &'a View,
    pub(in super::super) channels: &'a Channels,
    pub(in super::super) groups: usize,
    /// `[N, groups, channels, …]`
    pub(in super::super) images: &'a [f32],
    /// Of group 0, and of which each other group's are the next.
    pub(in super::super) weights: Weights<'a>,
    /// One for each channel of each group, or none.
    pub(in super::super) bias: &'a [f32],
    pub(in super::super) negative_slope: f32,
}

impl Correlation<'_> {
    /// Writes the results `[N, groups, rows, height, width]` and, if wanted, the mean of each row of
    /// each band and the squares about it, both `[N, groups, bands, rows]`.
    pub(in super::super) fn run(
        &self,
        cx: &Context,
        out: &mut [f32],
        moments: Option<[&mut [f32]; 2]>,
    ) {
        let (layout, weights) = (&self.channels.layout, self.weights);
        let (lanes, groups) = (weights.lanes(), self.groups);
        let panels = lanes.div_ceil(PANEL);
        let channels = layout.channels();
        let taps: usize = self.channels.sights.iter().map(|sight| sight.kernels.len()).sum();
        with_scratch(groups * panels * PANEL * channels * taps, |packed| {
            let mut rest = &mut *packed;
            for sight in &self.channels.sights {
                let panel_len = PANEL * channels * sight.kernels.len();
                let (part, next) = rest.split_at_mut(groups * panels * panel_len);
                rest = next;
                let work = part.len();
                let chunk = panel_len.max(1);
                cx.threads().for_each_chunk(
                    part.len().div_ceil(chunk),
                    work,
                    [(part, chunk)],
                    |i, [out]| {
                        let (group, first) = (i / panels, i % panels * PANEL);
                        let group_len = weights.outputs * weights.inputs * weights.kernel;
                        let weight = &weights.weight[group * group_len..];
                        with_scratch(weights.scratch_len(layout), |scratch| {
                            cx.isa().run(Pack {
                                weights: Weights { weight, ..weights },
                                layout,
                                sight,
                                lanes: first..lanes.min(first + PANEL),
                                scratch,
                                out,
                            });
                        });
                    },
                );
            }
            self.run_packed(cx, packed, out, moments);
        });
    }

    /// [`Correlation::run`] with weights `[grids][groups][panels][depth][PANEL]`.
    fn run_packed(
        &self,
        cx: &Context,
        packed: &[f32],
        out: &mut [f32],
        moments: Option<[&mut [f32]; 2]>,
    ) {
        let (view, layout) = (self.view, &self.channels.layout);
        let lanes = self.weights.lanes();
        let image_len = layout.image_len();
        let plane = view.target_size[0] * view.target_size[1];
        let bands = layout.bands;
        let tasks = out.len() / (lanes * plane) * bands;
        let work = [2, out.len(), view.grids.iter().map(|grid| grid.offsets.len()).sum()];
        let work = work.into_iter().fold(1_usize, usize::saturating_mul);
        let row_len = view.target_size[1].next_multiple_of(LANES) * PANEL;
        let out = Disjoint::new(out);
        let run = |task: usize, moments: Option<[&mut [f32]; 2]>| {
            let (item, band) = (task / bands, task % bands);
            with_scratch(layout.len() + row_len, |scratch| {
                let (pixels, row) = scratch.split_at_mut(layout.len());
                cx.isa().run(Band {
                    sums: self,
                    group: item % self.groups,
                    image: &self.images[item * image_len..][..image_len],
                    next: self.images.get((item + 1) * image_len..(item + 2) * image_len),
                    band,
                    packed,
                    out: &out,
                    first: item * lanes * plane,
                    moments,
                    pixels,
                    row,
                });
            });
        };
        match moments {
            None => cx.threads().for_each_chunk::<f32, 0>(tasks, work, [], |task, []| {
                run(task, None);
            }),
            Some(moments) => {
                let parts = moments.map(|moments| (moments, lanes));
                cx.threads().for_each_chunk(tasks, work, parts, |task, parts| {
                    run(task, Some(parts));
                });
            }
        }
    }
}

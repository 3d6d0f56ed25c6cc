//! The gradients by weight and bias: units of a batch and their sums.

use super::geometry::Conv2d;
use super::kernel::Accumulate;
use crate::Context;
use crate::buffer::with_scratch;
use crate::simd::{self, Kernel, Simd, SumRows};
use std::ops::Range;

/// Cuts `units` of a batch into runs, computes the gradient by the weight of each, and adds them in
/// order. `run(group, units, out)` writes the sums over some units for one group's weights.
pub(super) fn add_runs(
    cx: &Context,
    groups: usize,
    units: usize,
    work: usize,
    dweight: &mut [f32],
    run: impl Fn(usize, Range<usize>, &mut [f32]) + Sync,
) {
    if units == 0 {
        return dweight.fill(0.0);
    }
    let run_len = units.div_ceil(weight_runs(units, work, dweight.len()));
    let runs = units.div_ceil(run_len);
    let chunk = dweight.len() / groups;
    let task = |task: usize, out: &mut [f32]| {
        let first = task / groups * run_len;
        run(task % groups, first..units.min(first + run_len), out);
    };
    if runs == 1 {
        let outputs = [(dweight, chunk)];
        cx.threads().for_each_chunk(groups, work, outputs, |n, [out]| task(n, out));
        return;
    }
    with_scratch(runs * dweight.len(), |partial| {
        let outputs = [(&mut *partial, chunk)];
        cx.threads().for_each_chunk(runs * groups, work, outputs, |n, [out]| task(n, out));
        let len = dweight.len();
        let (tasks, outputs) = (len.div_ceil(COLUMNS), [(dweight, COLUMNS)]);
        cx.threads().for_each_chunk(tasks, runs * len, outputs, |task, [out]| {
            let matrices = [&partial[task * COLUMNS..]];
            cx.isa().run(SumRows { rows: runs, stride: len, matrices, outputs: [out] });
        });
    });
}

/// Elements of a task that adds up runs.
const COLUMNS: usize = 1 << 11;

/// Into how many runs of units the gradient by the weight is cut: a function of the problem alone.
/// Each run is some work, and the sums of all runs together are no more than 16 MiB.
fn weight_runs(units: usize, work: usize, weight_len: usize) -> usize {
    const RUN_WORK: usize = 1 << 20;
    const PARTIAL_LEN: usize = 1 << 22;
    let by_work = work / RUN_WORK;
    let by_memory = PARTIAL_LEN / weight_len.max(1);
    by_work.min(by_memory).min(units).clamp(1, 16)
}

/// The gradient by the weights of one group.
pub(super) struct WeightGradient<'a> {
    pub(super) geometry: &'a Conv2d,
    pub(super) group: usize,
    pub(super) x: &'a [f32],
    pub(super) dy: &'a [f32],
}

/// Floats of the units that are worked on together, so that they stay in the cache.
const UNITS_LEN: usize = 1 << 15;

impl WeightGradient<'_> {
    /// The sums over some units, `out` `[O, C, Kh, Kw]`. A unit is a band of an image.
    pub(super) fn run(&self, cx: &Context, units: Range<usize>, out: &mut [f32]) {
        let view = &self.geometry.forward;
        let (rows, positions) = (self.geometry.group_outputs(), view.longest_band());
        let (planes, dy) = (view.planes.len(), rows * positions);
        let together = (UNITS_LEN / (planes + dy)).clamp(1, units.len());
        out.fill(0.0);
        with_scratch(together * (planes + dy), |scratch| {
            let (planes, dy) = scratch.split_at_mut(together * planes);
            for first in units.clone().step_by(together) {
                let units = first..units.end.min(first + together);
                cx.isa().run(Units { gradient: self, units, planes, dy, out });
            }
        });
    }
}

/// Some units that are in the cache together.
struct Units<'a> {
    gradient: &'a WeightGradient<'a>,
    units: Range<usize>,
    planes: &'a mut [f32],
    dy: &'a mut [f32],
    out: &'a mut [f32],
}

impl Kernel for Units<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Units { gradient: &WeightGradient { geometry, group, x, dy: dy_images }, .. } = self;
        let Units { units, planes, dy, out, .. } = self;
        let view = &geometry.forward;
        let grid = &view.grids[0];
        let (rows, pitch) = (geometry.group_outputs(), view.planes.pitch());
        let [height, width] = geometry.output_size();
        let positions = view.longest_band();
        let count = units.len();
        let (planes_len, dy_len) = (view.planes.len(), rows * positions);
        let (planes, dy) = (&mut planes[..count * planes_len], &mut dy[..count * dy_len]);
        let copies = planes.chunks_exact_mut(planes_len).zip(dy.chunks_exact_mut(dy_len));
        for (unit, (planes, dy)) in units.zip(copies) {
            let (image, band) = (unit / view.planes.bands, unit % view.planes.bands);
            let group_len = view.planes.image_len();
            let channels = &x[image * geometry.input_len() + group * group_len..][..group_len];
            view.planes.split(channels, band, planes);
            let band_rows = view.planes.band_rows(band, height);
            let first = image * geometry.output_len() + group * rows * height * width;
            for (row, out) in dy.chunks_exact_mut(positions).enumerate() {
                let channel = &dy_images[first + row * height * width..][..height * width];
                let mut lines =
                    channel.chunks_exact(width).skip(band_rows.start).take(band_rows.len());
                for out in out.chunks_mut(pitch) {
                    let used = lines.next().unwrap_or_default();
                    out[..used.len()].copy_from_slice(used);
                    out[used.len()..].fill(0.0);
                }
            }
        }
        Accumulate { units: count, dy, planes, offsets: &grid.offsets, out }.run(simd);
    }
}

/// `sums[o] = Σ dy[n, o, ..]` for dy `[N, O, positions]`, `image_len` = O · positions.
pub(super) fn plane_sums(
    cx: &Context,
    batch: usize,
    image_len: usize,
    dy: &[f32],
    sums: &mut [f32],
) {
    /// Images of a task.
    const RUN: usize = 8;
    let channels = sums.len();
    with_scratch(batch * channels, |planes| {
        let outputs = [(&mut *planes, RUN * channels)];
        cx.threads().for_each_chunk(batch.div_ceil(RUN), dy.len(), outputs, |run, [sums]| {
            let dy = &dy[run * RUN * image_len..];
            cx.isa().run(PlaneSums { dy, plane_len: image_len / channels, sums });
        });
        sums.fill(0.0);
        for image in planes.chunks_exact(channels) {
            for (sum, plane) in sums.iter_mut().zip(image) {
                *sum += plane;
            }
        }
    });
}

/// `sums[i]` = the sum of the `i`-th plane of dy.
struct PlaneSums<'a> {
    dy: &'a [f32],
    plane_len: usize,
    sums: &'a mut [f32],
}

impl Kernel for PlaneSums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for (sum, plane) in self.sums.iter_mut().zip(self.dy.chunks_exact(self.plane_len)) {
            let [total] = simd::fold(
                simd,
                [plane],
                #[inline(always)]
                |[total], [x]| [simd.add(total, x)],
            );
            *sum = simd.sum(total);
        }
    }
}

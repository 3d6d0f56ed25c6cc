//! The gradient by the weight: output channels × runs of pixels' channels in a tile.

use super::super::geometry::Conv2d;
use super::ahead::{Ahead, Rectangle};
use super::layout::Segment;
use super::tile::{Steps, Target, Walk, tile};
use super::unit::{Copy, Unpack};
use super::{Channels, is_large};
use crate::Context;
use crate::buffer::with_scratch;
use crate::disjoint::Disjoint;
use crate::gemm::Cut;
use crate::simd::{Kernel, LANES, Simd};
use std::ops::Range;

/// Floats of the copies of the units that are worked on together.
const ROUND_LEN: usize = 1 << 21;

/// Rows of a task, where the elements of the gradient are shared out.
const TASK_ROWS: usize = 56;

/// Writes the gradient by the weight, summed over all images.
pub(in super::super) fn backward_weight(
    cx: &Context,
    geometry: &Conv2d,
    channels: &Channels,
    x: &[f32],
    dy: &[f32],
    dweight: &mut [f32],
) {
    let batch = x.len() / geometry.input_len();
    let gradient = Gradient { geometry, channels, x, dy };
    let units = batch * channels.layout.bands;
    let positions = geometry.output_size()[0] * geometry.output_size()[1];
    let work = [2, batch, positions, dweight.len()].into_iter().fold(1, usize::saturating_mul);
    let groups = geometry.options().groups;
    let chunk = dweight.len() / groups;
    if !is_large(chunk) {
        super::super::gradient::add_runs(cx, groups, units, work, dweight, |group, units, out| {
            gradient.run(cx, group, units, out);
        });
    } else {
        for (group, out) in dweight.chunks_exact_mut(chunk).enumerate() {
            gradient.run_shared(cx, group, units, work / groups, out);
        }
    }
}

pub(super) struct Gradient<'a> {
    pub(super) geometry: &'a Conv2d,
    pub(super) channels: &'a Channels,
    pub(super) x: &'a [f32],
    pub(super) dy: &'a [f32],
}

impl Gradient<'_> {
    pub(super) fn rows(&self) -> usize {
        self.geometry.group_outputs()
    }

    /// Floats of a unit of the input and of the output's gradients.
    fn unit_lens(&self) -> [usize; 2] {
        let layout = &self.channels.layout;
        let positions = layout.band * self.geometry.output_size()[1];
        [layout.len().next_multiple_of(LANES), (self.rows() * positions).next_multiple_of(LANES)]
    }

    /// The sums over some units, `out` `[O, C, Kh, Kw]`, on the calling thread.
    fn run(&self, cx: &Context, group: usize, units: Range<usize>, out: &mut [f32]) {
        let [x_len, dy_len] = self.unit_lens();
        let together = if self.channels.layout.bands == 1 {
            (ROUND_LEN / 16 / (x_len + dy_len)).clamp(1, units.len())
        } else {
            1
        };
        with_scratch(out.len() + together * (x_len + dy_len), |scratch| {
            let (sums, scratch) = scratch.split_at_mut(out.len());
            sums.fill(0.0);
            let (x, dy) = scratch.split_at_mut(together * x_len);
            let columns = out.len() / self.rows();
            let end = units.end;
            for first in units.clone().step_by(together) {
                let units = first..units.end.min(first + together);
                let copies = x.chunks_exact_mut(x_len).zip(dy.chunks_exact_mut(dy_len));
                for (unit, (x, dy)) in units.clone().zip(copies) {
                    cx.isa().run(Copy { gradient: self, group, unit, x, dy });
                }
                let rows = 0..self.rows();
                let all = Disjoint::new(sums);
                let ahead = Ahead::new();
                if units.end < end {
                    self.sources(group, units.end).into_iter().enumerate().for_each(
                        |(n, source)| {
                            ahead.set(n, source);
                        },
                    );
                }
                for part in self.parts() {
                    cx.isa().run(Part {
                        gradient: self,
                        units: units.clone(),
                        x,
                        dy,
                        part,
                        rows: rows.clone(),
                        sums: &all,
                        columns,
                        ahead: &ahead,
                    });
                }
            }
            for (sums, out) in sums.chunks_exact(columns).zip(out.chunks_exact_mut(columns)) {
                cx.isa().run(Unpack { gradient: self, sums, out });
            }
        });
    }

    /// The sums over units, `out` `[O, C, Kh, Kw]`, whose elements are shared out.
    fn run_shared(&self, cx: &Context, group: usize, units: usize, work: usize, out: &mut [f32]) {
        let [x_len, dy_len] = self.unit_lens();
        let together = (ROUND_LEN / (x_len + dy_len)).clamp(1, units.max(1));
        let columns = out.len() / self.rows();
        with_scratch(out.len() + together * (x_len + dy_len), |scratch| {
            let (sums, scratch) = scratch.split_at_mut(out.len());
            sums.fill(0.0);
            let (x, dy) = scratch.split_at_mut(together * x_len);
            for first in (0..units).step_by(together) {
                let units = first..units.min(first + together);
                let outputs = [
                    (&mut x[..units.len() * x_len], x_len),
                    (&mut dy[..units.len() * dy_len], dy_len),
                ];
                let elements = units.len() * (x_len + dy_len);
                cx.threads().for_each_chunk(units.len(), elements, outputs, |i, [x, dy]| {
                    cx.isa().run(Copy { gradient: self, group, unit: first + i, x, dy });
                });
                let row_tasks = self.rows().div_ceil(TASK_ROWS);
                let parts = self.parts().count();
                let all = Disjoint::new(sums);
                cx.threads().for_each_chunk::<f32, 0>(parts * row_tasks, work, [], |task, []| {
                    let part = self.parts().nth(task / row_tasks).expect("a part");
                    let cut = Cut::new(self.rows(), TASK_ROWS);
                    cx.isa().run(Part {
                        gradient: self,
                        units: units.clone(),
                        x,
                        dy,
                        part,
                        rows: cut.lanes_of(task % row_tasks),
                        sums: &all,
                        columns,
                        ahead: &Ahead::new(),
                    });
                });
            }
            let tasks = self.rows();
            cx.threads().for_each_chunk(tasks, out.len(), [(out, columns)], |row, [out]| {
                let sums = &sums[row * columns..][..columns];
                cx.isa().run(Unpack { gradient: self, sums, out });
            });
        });
    }

    /// What is copied for a unit.
    fn sources(&self, group: usize, unit: usize) -> [Rectangle; 2] {
        let Gradient { geometry, channels: Channels { layout, .. }, x, dy } = self;
        let (image, band) = (unit / layout.bands, unit % layout.bands);
        let [height, width] = geometry.output_size();
        let (plane, rows) = (height * width, layout.band_rows(band, height));
        let first = image * geometry.input_len() + group * layout.image_len();
        let from = image * geometry.output_len() + group * self.rows() * plane;
        let gradients = Rectangle {
            start: dy[from + rows.start * width..].as_ptr(),
            row_stride: plane,
            rows: self.rows(),
            columns: rows.len() * width,
        };
        [layout.source(&x[first..], band), gradients]
    }

    /// Runs of columns of the sums.
    fn parts(&self) -> impl Iterator<Item = Columns> {
        let Channels { layout, sights, .. } = self.channels;
        let sight = &sights[0];
        let taps = sight.kernels.len();
        layout.segments().flat_map(move |segment| {
            (0..segment.blocks).flat_map(move |block| {
                let channel = segment.channel + block * segment.width;
                let start = segment.start + block * segment.width * layout.area();
                sight.pixels.iter().enumerate().map(move |(run, &pixel)| {
                    let len = sight.run * segment.width;
                    Columns { segment, start, pixel, first: channel * taps + run * len, len }
                })
            })
        })
    }
}

/// Columns of the sums that are a run of pixels' channels.
#[derive(Clone, Copy)]
struct Columns {
    segment: Segment,
    /// Where the run's block begins.
    start: usize,
    /// What position 0 sees.
    pixel: usize,
    /// The first column.
    first: usize,
    len: usize,
}

/// One task: some rows and a run of columns, over some units.
struct Part<'a> {
    gradient: &'a Gradient<'a>,
    units: Range<usize>,
    x: &'a [f32],
    dy: &'a [f32],
    part: Columns,
    rows: Range<usize>,
    sums: &'a Disjoint<'a, f32>,
    columns: usize,
    ahead: &'a Ahead,
}

impl Kernel for Part<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Part { gradient, units, x, dy, part, rows, sums, columns, ahead } = self;
        let Gradient { geometry, channels: Channels { layout, .. }, .. } = gradient;
        let [height, width] = geometry.output_size();
        let [x_len, dy_len] = gradient.unit_lens();
        let [step, _] = layout.steps();
        let Columns { segment, start, pixel, first, len } = part;
        let tile_columns = S::TILE_VECTORS * LANES;
        let all = Cut::new(gradient.rows(), S::TILE_ROWS);
        let is_mine = |panel: &Range<usize>| rows.contains(&panel.start);
        // Units of one size are one walk.
        let together = if layout.bands == 1 { units.len() } else { 1 };
        for panel in (0..all.panels()).map(|panel| all.lanes_of(panel)).filter(is_mine) {
            for column in (0..len).step_by(tile_columns) {
                for unit in (0..units.len()).step_by(together) {
                    let band = layout.band_rows((units.start + unit) % layout.bands, height);
                    let lines = &gradient.channels.lines[..band.len()];
                    let walk = Walk {
                        blocks: together,
                        pixels: lines,
                        len: width,
                        a: Steps {
                            blocks: dy_len,
                            runs: width * panel.len(),
                            pixel: 0,
                            step: panel.len(),
                            row: 1,
                        },
                        b: Steps {
                            blocks: x_len,
                            runs: 0,
                            pixel: segment.width,
                            step: step * segment.width,
                            row: 0,
                        },
                    };
                    let a = &dy[unit * dy_len + panel.start * band.len() * width..];
                    let b = &x[unit * x_len + start + pixel * segment.width + column..];
                    let at = panel.start * columns + first + column;
                    let used = tile_columns.min(len - column);
                    let end = at + (panel.len() - 1) * columns + used;
                    assert!(sums.address(end) >= sums.address(at), "sums of all rows");
                    let target = Target {
                        start: sums.address(at),
                        bias: &[],
                        row_stride: columns,
                        columns: used,
                        lines: ahead.next(band.len() * width * together),
                    };
                    // SAFETY: the sums end behind the last of these elements, as `address` has checked. Tasks
                    // differ in their panels or columns: a panel is of the task whose rows contain its first
                    // one, and the columns of the parts lie one behind the other.
                    unsafe { tile::<S, true>(simd, panel.len(), &[(walk, a, b)], target) };
                }
            }
        }
    }
}

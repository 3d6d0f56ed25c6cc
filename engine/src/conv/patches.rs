//! Virtual im2col: operands of a matrix product that are read straight from images.
//!
//! The patch matrix `[C · Kh · Kw, positions]` of an image has a column for each position of the
//! kernel and a row for each channel and kernel element. It never exists in memory: the product asks
//! for a panel of it, and the panel is gathered from the image (or from padding, which is zero).

use super::axis::{Axis, Tap};
use crate::gemm::Source;
use crate::simd::Simd;
use std::ops::Range;

/// Planes `[channels, H, W]` seen from a grid of positions through taps.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    /// Rows and columns: each says what it sees of the planes' rows and columns.
    pub(super) axes: [&'a Axis; 2],
    pub(super) channels: usize,
}

impl View<'_> {
    /// The number of positions.
    #[inline(always)]
    pub(super) fn positions(&self) -> usize {
        self.axes[0].positions * self.axes[1].positions
    }

    /// Taps of all channels: the depth of the patch matrix.
    #[inline(always)]
    pub(super) fn taps(&self) -> usize {
        self.channels * self.axes[0].taps.len() * self.axes[1].taps.len()
    }

    #[inline(always)]
    fn plane_len(&self) -> usize {
        self.axes[0].size * self.axes[1].size
    }

    /// Calls `f(n, channel, row tap, column tap)` for the taps `range`, `n` counting from 0.
    #[inline(always)]
    fn for_each_tap(&self, range: Range<usize>, mut f: impl FnMut(usize, usize, &Tap, &Tap)) {
        let [rows, cols] = self.axes;
        if range.is_empty() {
            return;
        }
        let per_channel = rows.taps.len() * cols.taps.len();
        let mut channel = range.start / per_channel;
        let rest = range.start % per_channel;
        let (mut row, mut col) = (rest / cols.taps.len(), rest % cols.taps.len());
        for n in 0..range.len() {
            f(n, channel, &rows.taps[row], &cols.taps[col]);
            col += 1;
            if col == cols.taps.len() {
                (row, col) = (row + 1, 0);
                if row == rows.taps.len() {
                    (channel, row) = (channel + 1, 0);
                }
            }
        }
    }

    /// Calls `f(n, row, columns)` for each stretch of `range` within one row of the grid; `n` is the
    /// number of positions before it.
    #[inline(always)]
    fn for_each_stretch(&self, range: Range<usize>, mut f: impl FnMut(usize, usize, Range<usize>)) {
        let width = self.axes[1].positions;
        let (mut row, mut col) = (range.start / width, range.start % width);
        let mut done = 0;
        while done < range.len() {
            let count = (width - col).min(range.len() - done);
            f(done, row, col..col + count);
            done += count;
            (row, col) = (row + 1, 0);
        }
    }

    /// What the positions `cols` of grid row `row` see of `plane` through the taps, padding aside: the
    /// number of positions before the first that sees a pixel, the pixels from there on, every
    /// `step`-th of which is seen, and how many are.
    #[inline(always)]
    fn seen<'p>(
        &self,
        plane: &'p [f32],
        [row_tap, col_tap]: [&Tap; 2],
        row: usize,
        cols: &Range<usize>,
    ) -> (usize, &'p [f32], usize) {
        let [rows, columns] = self.axes;
        let first = col_tap.valid.start.clamp(cols.start, cols.end);
        let end = col_tap.valid.end.clamp(first, cols.end);
        if !row_tap.valid.contains(&row) || first == end {
            return (0, &[], 0);
        }
        let line = &plane[row_tap.input(row, rows.step) * columns.size..][..columns.size];
        (first - cols.start, &line[col_tap.input(first, columns.step)..], end - first)
    }
}

/// `out[i · width] = pixels[i · step]` for `i` below `count`.
#[inline(always)]
fn copy(out: &mut [f32], width: usize, pixels: &[f32], step: usize, count: usize) {
    if count == 0 {
        return;
    }
    let out = &mut out[..(count - 1) * width + 1];
    let pixels = &pixels[..(count - 1) * step + 1];
    match (width, step) {
        (1, 1) => (0..count).for_each(|i| out[i] = pixels[i]),
        (1, 2) => (0..count).for_each(|i| out[i] = pixels[2 * i]),
        _ => (0..count).for_each(|i| out[i * width] = pixels[i * step]),
    }
}

/// The patch matrix of one image as the operand B: lanes are positions, the depth runs over
/// channels and taps.
pub(super) struct Patches<'a> {
    pub(super) view: View<'a>,
    /// `[channels, H, W]`
    pub(super) planes: &'a [f32],
}

impl Source for Patches<'_> {
    #[inline(always)]
    fn lanes(&self) -> usize {
        self.view.positions()
    }

    #[inline(always)]
    fn depth(&self) -> usize {
        self.view.taps()
    }

    #[inline(always)]
    fn pack<S: Simd>(
        &self,
        _: S,
        lanes: Range<usize>,
        depth: Range<usize>,
        width: usize,
        out: &mut [f32],
    ) {
        let view = &self.view;
        let len = view.plane_len();
        view.for_each_tap(
            depth,
            #[inline(always)]
            |k, channel, row_tap, col_tap| {
                let out = &mut out[k * width..][..width];
                let plane = &self.planes[channel * len..][..len];
                view.for_each_stretch(
                    lanes.clone(),
                    #[inline(always)]
                    |done, row, cols| {
                        let out = &mut out[done..done + cols.len()];
                        let (before, pixels, count) =
                            view.seen(plane, [row_tap, col_tap], row, &cols);
                        if count < cols.len() {
                            out.fill(0.0);
                        }
                        copy(&mut out[before..], 1, pixels, view.axes[1].step, count);
                    },
                );
                out[lanes.len()..].fill(0.0);
            },
        );
    }
}

/// The patch matrices of several images side by side, transposed, as the operand B: lanes are
/// channels and taps, the depth runs over images and positions.
pub(super) struct TransposedPatches<'a> {
    pub(super) view: View<'a>,
    /// Images whose first `channels` planes are looked at.
    pub(super) images: &'a [f32],
    /// From one image to the next.
    pub(super) image_stride: usize,
    pub(super) count: usize,
}

impl Source for TransposedPatches<'_> {
    #[inline(always)]
    fn lanes(&self) -> usize {
        self.view.taps()
    }

    #[inline(always)]
    fn depth(&self) -> usize {
        self.count * self.view.positions()
    }

    #[inline(always)]
    fn pack<S: Simd>(
        &self,
        _: S,
        lanes: Range<usize>,
        depth: Range<usize>,
        width: usize,
        out: &mut [f32],
    ) {
        let view = &self.view;
        let len = view.plane_len();
        for_each_image(
            view.positions(),
            depth,
            #[inline(always)]
            |before, image, positions| {
                let planes = &self.images[image * self.image_stride..];
                view.for_each_tap(
                    lanes.clone(),
                    #[inline(always)]
                    |lane, channel, row_tap, col_tap| {
                        let plane = &planes[channel * len..][..len];
                        view.for_each_stretch(
                            positions.clone(),
                            #[inline(always)]
                            |done, row, cols| {
                                let out = &mut out[(before + done) * width + lane..];
                                let (first, pixels, count) =
                                    view.seen(plane, [row_tap, col_tap], row, &cols);
                                if count < cols.len() {
                                    (0..cols.len()).for_each(|n| out[n * width] = 0.0);
                                }
                                copy(
                                    &mut out[first * width..],
                                    width,
                                    pixels,
                                    view.axes[1].step,
                                    count,
                                );
                            },
                        );
                    },
                );
            },
        );
        for step in out.chunks_exact_mut(width) {
            step[lanes.len()..].fill(0.0);
        }
    }
}

/// Gradients by the outputs of several images as the operand A: lanes are output channels, the depth
/// runs over images and positions.
pub(super) struct OutputGradients<'a> {
    /// Images whose first `channels` planes are looked at.
    pub(super) images: &'a [f32],
    pub(super) image_stride: usize,
    pub(super) count: usize,
    pub(super) channels: usize,
    /// Elements of a plane.
    pub(super) positions: usize,
}

impl Source for OutputGradients<'_> {
    #[inline(always)]
    fn lanes(&self) -> usize {
        self.channels
    }

    #[inline(always)]
    fn depth(&self) -> usize {
        self.count * self.positions
    }

    #[inline(always)]
    fn pack<S: Simd>(
        &self,
        _: S,
        lanes: Range<usize>,
        depth: Range<usize>,
        width: usize,
        out: &mut [f32],
    ) {
        for_each_image(
            self.positions,
            depth,
            #[inline(always)]
            |before, image, positions| {
                let steps = &mut out[before * width..][..positions.len() * width];
                for (n, lane) in lanes.clone().enumerate() {
                    let from = image * self.image_stride + lane * self.positions + positions.start;
                    let line = &self.images[from..from + positions.len()];
                    for (step, &value) in steps.chunks_exact_mut(width).zip(line) {
                        step[n] = value;
                    }
                }
            },
        );
        for step in out.chunks_exact_mut(width) {
            step[lanes.len()..].fill(0.0);
        }
    }
}

/// Calls `f(n, image, positions)` for the part of each image within `range` of a depth that runs over
/// images and their positions; `n` is the length of the parts before it.
#[inline(always)]
fn for_each_image(
    positions: usize,
    range: Range<usize>,
    mut f: impl FnMut(usize, usize, Range<usize>),
) {
    let mut at = range.start;
    while at < range.end {
        let (image, first) = (at / positions, at % positions);
        let count = (positions - first).min(range.end - at);
        f(at - range.start, image, first..first + count);
        at += count;
    }
}

/// Weights `[O, channels, Kh, Kw]` of one group as the operand A of the gradient by the input: lanes
/// are input channels, the depth runs over output channels and the taps of a phase.
pub(super) struct PhaseWeights<'a> {
    pub(super) weight: &'a [f32],
    pub(super) outputs: usize,
    pub(super) inputs: usize,
    pub(super) kernel_size: [usize; 2],
    /// The phase: a view of the output gradient.
    pub(super) axes: [&'a Axis; 2],
}

impl Source for PhaseWeights<'_> {
    #[inline(always)]
    fn lanes(&self) -> usize {
        self.inputs
    }

    #[inline(always)]
    fn depth(&self) -> usize {
        View { axes: self.axes, channels: self.outputs }.taps()
    }

    #[inline(always)]
    fn pack<S: Simd>(
        &self,
        _: S,
        lanes: Range<usize>,
        depth: Range<usize>,
        width: usize,
        out: &mut [f32],
    ) {
        let [kh, kw] = self.kernel_size;
        let view = View { axes: self.axes, channels: self.outputs };
        view.for_each_tap(
            depth,
            #[inline(always)]
            |k, output, row_tap, col_tap| {
                let out = &mut out[k * width..][..width];
                for (n, input) in lanes.clone().enumerate() {
                    let kernel = (output * self.inputs + input) * kh + row_tap.kernel;
                    out[n] = self.weight[kernel * kw + col_tap.kernel];
                }
                out[lanes.len()..].fill(0.0);
            },
        );
    }
}

//! An image as blocks of channels, the channels innermost: the layout that patches of many channels are
//! read from.
//!
//! A band of an image is copied once, zero-padded, as `[ceil(C / 64)][height][width][64]`; the last block is
//! only as wide as what is left of the channels. What a kernel element sees of a position is then a run of
//! channels, and what it sees of the next position is a constant distance away, whatever padding,
//! stride and dilation are. So are neighbouring elements of a kernel row that see neighbouring pixels:
//! they are one run.

use super::super::axis::{Axis, Positions};
use super::ahead::Rectangle;
use crate::simd::{LANES, Simd, transpose};
use std::ops::Range;

/// Channels of a block.
const BLOCK: usize = 64;

/// Readable floats behind the image, so that its last runs can be read in whole vectors.
const SLACK: usize = 2 * LANES;

/// Where the pixels of a band of a padded image lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Layout {
    axes: [Axis; 2],
    channels: usize,
    /// Rows of positions of a band; the last band may have fewer.
    pub(in super::super) band: usize,
    /// Bands of the rows of positions.
    pub(in super::super) bands: usize,
    /// Rows and columns of a padded band.
    size: [usize; 2],
}

/// Blocks of equal width, one behind the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) blocks: usize,
    pub(super) width: usize,
    /// The first block's first channel.
    pub(super) channel: usize,
    /// Where the first block begins.
    pub(super) start: usize,
}

/// What the positions of a grid see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Sight {
    /// Where position 0 sees the first pixel of each run, counted in pixels.
    pub(super) pixels: Vec<usize>,
    /// Pixels of a run.
    pub(super) run: usize,
    /// The kernel elements of all pixels of all runs in order, `kh · Kw + kw`.
    pub(super) kernels: Vec<usize>,
}

impl Layout {
    /// The layout for `channels` of an image with these axes and so many rows of positions, in bands of about
    /// `band_len` floats, if the kernel is not so large that it takes more.
    pub(super) fn new(axes: [Axis; 2], channels: usize, rows: usize, band_len: usize) -> Layout {
        let [row_axis, col_axis] = &axes;
        let span = |axis: &Axis, positions: usize| {
            let last = axis.rests.iter().max().unwrap_or(&0);
            (positions + axis.max_shift).saturating_sub(1).saturating_mul(axis.step) + last + 1
        };
        let width = span(col_axis, col_axis.len - col_axis.max_shift);
        let row_len = width.saturating_mul(channels);
        // Rows that two bands share are copied twice: a band has at least as many others.
        let by_cache =
            (band_len / row_len.max(1) / row_axis.step).saturating_sub(row_axis.max_shift);
        let band = by_cache.max(row_axis.max_shift).clamp(1, rows.max(1));
        let bands = rows.div_ceil(band).max(1);
        // Of nearly equal height.
        let band = rows.div_ceil(bands).max(1);
        let bands = rows.div_ceil(band).max(1);
        let size = [span(row_axis, band), width];
        Layout { axes, channels, band, bands, size }
    }

    /// Floats of a band, with [`SLACK`].
    pub(super) fn len(&self) -> usize {
        self.channels * self.area() + SLACK
    }

    /// Whether a band takes at most `len` floats. Nothing else may be asked of one that takes enormously more.
    pub(super) fn is_at_most(&self, len: usize) -> bool {
        self.size[0].saturating_mul(self.size[1]).saturating_mul(self.channels) <= len
    }

    /// Pixels of a band.
    pub(super) fn area(&self) -> usize {
        self.size[0] * self.size[1]
    }

    /// From a position to the next one in its row and in its column, in pixels.
    pub(super) fn steps(&self) -> [usize; 2] {
        [self.axes[1].step, self.axes[0].step * self.size[1]]
    }

    pub(super) fn channels(&self) -> usize {
        self.channels
    }

    /// Elements of the channels of one image.
    pub(super) fn image_len(&self) -> usize {
        self.channels * self.axes[0].size * self.axes[1].size
    }

    /// The rows of positions of a band, of `rows` in all.
    pub(super) fn band_rows(&self, band: usize, rows: usize) -> Range<usize> {
        (band * self.band).min(rows)..((band + 1) * self.band).min(rows)
    }

    /// The blocks: those of full width, and the narrower last one.
    pub(super) fn segments(&self) -> impl Iterator<Item = Segment> + use<> {
        let (blocks, rest) = (self.channels / BLOCK, self.channels % BLOCK);
        let (full, area) = (blocks * BLOCK, self.area());
        [
            Segment { blocks, width: BLOCK, channel: 0, start: 0 },
            Segment { blocks: 1, width: rest, channel: full, start: full * area },
        ]
        .into_iter()
        .filter(|segment| segment.blocks > 0 && segment.width > 0)
    }

    /// What positions with these taps see.
    pub(in super::super) fn sight(
        &self,
        rows: &Positions,
        cols: &Positions,
        kernel_width: usize,
    ) -> Sight {
        let sorted = |positions: &Positions, axis: &Axis| {
            let tap = |tap: &super::super::axis::Tap| {
                (tap.shift * axis.step + axis.rests[tap.line], tap.kernel)
            };
            let mut taps: Vec<_> = positions.taps.iter().map(tap).collect();
            taps.sort_unstable();
            taps
        };
        let (rows, cols) = (sorted(rows, &self.axes[0]), sorted(cols, &self.axes[1]));
        let is_run = cols.windows(2).all(|pair| pair[1].0 == pair[0].0 + 1);
        let run = if is_run { cols.len() } else { 1 };
        let starts = || cols.iter().step_by(run.max(1)).map(|&(offset, _)| offset);
        let pixels = rows.iter().flat_map(|&(row, _)| starts().map(move |col| (row, col)));
        let pixels = pixels.map(|(row, col)| row * self.size[1] + col).collect();
        let kernels = rows.iter().flat_map(|&(_, kh)| cols.iter().map(move |&(_, kw)| (kh, kw)));
        let kernels = kernels.map(|(kh, kw)| kh * kernel_width + kw).collect();
        Sight { pixels, run, kernels }
    }

    /// Copies the channels `[channels, H, W]` of an image into the layout `out` of a band.
    #[inline(always)]
    pub(super) fn split<S: Simd>(&self, simd: S, image: &[f32], band: usize, out: &mut [f32]) {
        let [rows, cols] = &self.axes;
        let (plane, width) = (rows.size * cols.size, self.size[1]);
        // Pixel j of a row is column `first + j` of the image.
        let first = cols.first * cols.step as isize;
        let before = usize::try_from(-first).unwrap_or(0).min(width);
        let skipped = usize::try_from(first).unwrap_or(0);
        let seen = cols.size.saturating_sub(skipped).min(width - before);
        let first_row = (rows.first + (band * self.band) as isize) * rows.step as isize;
        for segment in self.segments() {
            for block in 0..segment.blocks {
                let channel = segment.channel + block * segment.width;
                let from = &image[channel * plane..][..segment.width * plane];
                let out = &mut out[channel * self.area()..][..segment.width * self.area()];
                for (i, out) in out.chunks_exact_mut(width * segment.width).enumerate() {
                    let row = usize::try_from(first_row + i as isize);
                    let Some(row) = row.ok().filter(|&row| row < rows.size && seen > 0) else {
                        out.fill(0.0);
                        continue;
                    };
                    let (zeros, out) = out.split_at_mut(before * segment.width);
                    zeros.fill(0.0);
                    let (out, zeros) = out.split_at_mut(seen * segment.width);
                    zeros.fill(0.0);
                    let from = &from[row * cols.size + skipped..];
                    transpose(simd, from, plane, [segment.width, seen], out, segment.width);
                }
            }
        }
    }

    /// The pixels of an image that [`Layout::split`] copies for a band, in all channels.
    pub(super) fn source(&self, image: &[f32], band: usize) -> Rectangle {
        let [rows, cols] = &self.axes;
        let first = (rows.first + (band * self.band) as isize) * rows.step as isize;
        let begin = first.clamp(0, rows.size as isize) as usize;
        let end = (first + self.size[0] as isize).clamp(0, rows.size as isize) as usize;
        Rectangle {
            start: image.as_ptr().wrapping_add(begin * cols.size),
            row_stride: rows.size * cols.size,
            rows: self.channels,
            columns: (end - begin) * cols.size,
        }
    }
}

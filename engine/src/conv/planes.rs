//! Images cut into zero-padded phase planes, where every patch is a contiguous run.
//!
//! The patch matrix `[C · Kh · Kw, positions]` of an image has a row for each channel and kernel element
//! and a column for each position of the kernel. It never exists in memory. The image is copied once
//! into *phase planes*, the products of the phase lines of its two axes (see [`super::axis`]); there,
//! what the positions see through one kernel element is a plane shifted by a constant. So a row of the
//! patch matrix is an offset, and sixteen of its columns are one load.
//!
//! Positions are numbered along the planes' rows: position `(i, j)` has number `i · pitch + j`. As the
//! planes are a little wider than the grid of positions, some numbers are no positions; what is
//! computed for them is dropped.

use super::axis::{Axis, Positions};
use crate::Error;
use crate::simd::LANES;

/// Readable floats behind the planes, so that the last positions can be read in whole vectors.
pub(super) const SLACK: usize = 2 * LANES;

/// Floats of the planes of a band, if the kernel is not so large that it takes more.
const BAND_LEN: usize = 1 << 15;

/// More floats than these are not taken for the planes of one band.
const MAX_LEN: usize = 1 << 26;

/// Where the phase planes of an image lie in a buffer: `[channels][row lines][column lines][height,
/// pitch]`. An image with many rows of positions is worked on in bands of some rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Planes {
    axes: [Axis; 2],
    channels: usize,
    /// Rows of positions of a band; the last band may have fewer.
    pub(super) band: usize,
    /// Bands of the rows of positions.
    pub(super) bands: usize,
    height: usize,
    /// Where the elements of one channel's planes come from, for small images: an index into the
    /// channel, or one beyond its end for padding. Their rows are too short to be copied as rows.
    sources: Vec<u32>,
}

/// Elements of one channel's planes up to which a table says where they come from.
const TABLE_LEN: usize = 1 << 11;

impl Planes {
    /// Planes of `channels` of an image with these axes and so many rows of positions.
    ///
    /// # Errors
    /// [`Error::Overflow`] if padding and dilation make even a band of one row enormous.
    pub(super) fn new(axes: [Axis; 2], channels: usize, rows: usize) -> Result<Planes, Error> {
        let [row_axis, col_axis] = &axes;
        let lines = row_axis.rests.len() * col_axis.rests.len();
        let row_len = lines.max(1).saturating_mul(channels).saturating_mul(col_axis.len);
        // Rows that two bands share are copied twice: a band has at least as many others.
        let by_cache = (BAND_LEN / row_len.max(1)).saturating_sub(row_axis.max_shift);
        let band = by_cache.max(row_axis.max_shift).clamp(1, rows.max(1));
        let height = band + row_axis.max_shift;
        if row_len.saturating_mul(height) > MAX_LEN {
            return Err(Error::Overflow { op: super::geometry::OP, what: "the padded image" });
        }
        let bands = rows.div_ceil(band).max(1);
        let mut planes = Planes { axes, channels, band, bands, height, sources: Vec::new() };
        if bands == 1 && planes.lines() * planes.plane_len() <= TABLE_LEN {
            planes.sources = planes.sources();
        }
        Ok(planes)
    }

    /// The table of a single band.
    fn sources(&self) -> Vec<u32> {
        let [rows, cols] = &self.axes;
        let mut sources = Vec::with_capacity(self.lines() * self.plane_len());
        for row_line in 0..rows.rests.len() {
            for col_line in 0..cols.rests.len() {
                for i in 0..self.height {
                    for j in 0..cols.len {
                        let pixel = rows.input(row_line, i).zip(cols.input(col_line, j));
                        let source = pixel.and_then(|(h, w)| u32::try_from(h * cols.size + w).ok());
                        sources.push(source.unwrap_or(u32::MAX));
                    }
                }
            }
        }
        sources
    }

    /// From a position to the one below it.
    pub(super) fn pitch(&self) -> usize {
        self.axes[1].len
    }

    fn plane_len(&self) -> usize {
        self.height * self.pitch()
    }

    fn lines(&self) -> usize {
        self.axes[0].rests.len() * self.axes[1].rests.len()
    }

    /// Floats of a buffer of the planes, with [`SLACK`].
    pub(super) fn len(&self) -> usize {
        self.channels * self.lines() * self.plane_len() + SLACK
    }

    /// Elements of the channels of one image.
    pub(super) fn image_len(&self) -> usize {
        self.channels * self.axes[0].size * self.axes[1].size
    }

    /// The offset of what position 0 sees, for each row of the patch matrix: channel by channel,
    /// kernel row by kernel row.
    pub(super) fn offsets(&self, rows: &Positions, cols: &Positions) -> Vec<usize> {
        let mut offsets = Vec::with_capacity(self.channels * rows.taps.len() * cols.taps.len());
        for channel in 0..self.channels {
            for row in &rows.taps {
                for col in &cols.taps {
                    let lines = self.axes[1].rests.len();
                    let plane = channel * self.lines() + row.line * lines + col.line;
                    let start = plane * self.plane_len();
                    offsets.push(start + row.shift * self.pitch() + col.shift);
                }
            }
        }
        offsets
    }

    /// The rows of positions of a band, of `rows` in all.
    pub(super) fn band_rows(&self, band: usize, rows: usize) -> std::ops::Range<usize> {
        (band * self.band).min(rows)..((band + 1) * self.band).min(rows)
    }

    /// Copies the channels `[channels, H, W]` of an image into the planes `out` of a band.
    #[inline(always)]
    pub(super) fn split(&self, image: &[f32], band: usize, out: &mut [f32]) {
        let [rows, cols] = &self.axes;
        let (planes, slack) = out[..self.len()].split_at_mut(self.len() - SLACK);
        slack.fill(0.0);
        if planes.is_empty() {
            return;
        }
        if !self.sources.is_empty() {
            let channels = image.chunks_exact(rows.size * cols.size);
            for (channel, out) in channels.zip(planes.chunks_exact_mut(self.sources.len())) {
                for (out, &source) in out.iter_mut().zip(&self.sources) {
                    *out = channel.get(source as usize).copied().unwrap_or(0.0);
                }
            }
            return;
        }
        let mut planes = planes.chunks_exact_mut(self.plane_len());
        for channel in image.chunks_exact(rows.size * cols.size) {
            for row_line in 0..rows.rests.len() {
                for col_line in 0..cols.rests.len() {
                    let Some(plane) = planes.next() else { return };
                    for (j, out) in plane.chunks_exact_mut(cols.len).enumerate() {
                        match rows.input(row_line, band * self.band + j) {
                            Some(h) => cols.copy_line(col_line, &channel[h * cols.size..], out),
                            None => out.fill(0.0),
                        }
                    }
                }
            }
        }
    }
}

impl Axis {
    /// Copies the elements of a phase line out of an input line.
    #[inline(always)]
    fn copy_line(&self, line: usize, input: &[f32], out: &mut [f32]) {
        let (step, rest) = (self.step, self.rests[line]);
        let input = &input[..self.size];
        // Element j is input (first + j) · step + rest: from 0 on, and below the size.
        let before = usize::try_from(-self.first).unwrap_or(0).min(out.len());
        let skipped = usize::try_from(self.first).unwrap_or(0) * step + rest;
        let seen = input.get(skipped..).unwrap_or_default();
        let (zeros, out) = out.split_at_mut(before);
        zeros.fill(0.0);
        let count = seen.len().div_ceil(step).min(out.len());
        let (out, zeros) = out.split_at_mut(count);
        zeros.fill(0.0);
        match step {
            1 => out.copy_from_slice(&seen[..count]),
            2 => {
                for (out, pair) in out.iter_mut().zip(seen.chunks(2)) {
                    *out = pair[0];
                }
            }
            _ => {
                for (out, run) in out.iter_mut().zip(seen.chunks(step)) {
                    *out = run[0];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conv::axis::AxisOptions;

    /// Every element that a position sees through a tap, read by its offset, is the pixel that the
    /// definition names, or 0.
    #[test]
    fn offsets_lead_to_the_pixels_of_the_patch() {
        let image: Vec<f32> = (0..2 * 9 * 7).map(|i| i as f32 + 1.0).collect();
        for (stride, padding, dilation) in [(1, 0, 1), (2, 1, 1), (2, 0, 2), (3, 3, 1), (1, 2, 3)] {
            let left_out = 0;
            let axis =
                |size, kernel| AxisOptions { size, kernel, stride, padding, dilation, left_out };
            let options = [axis(9, 3), axis(7, 2)];
            let [(row_axis, rows), (col_axis, cols)] = options.map(AxisOptions::forward);
            let planes = Planes::new([row_axis, col_axis], 2, rows.count).unwrap();
            // Bands of one row as well: an image this small would be a single one.
            let height = 1 + planes.axes[0].max_shift;
            let rows_apart = Planes {
                band: 1,
                bands: rows.count,
                height,
                sources: Vec::new(),
                ..planes.clone()
            };
            let by_rows = Planes { sources: Vec::new(), ..planes.clone() };
            assert!(!planes.sources.is_empty());
            for planes in [planes, by_rows, rows_apart] {
                let offsets = planes.offsets(&rows, &cols);
                for band in 0..planes.bands {
                    let mut buffer = vec![f32::NAN; planes.len()];
                    planes.split(&image, band, &mut buffer);
                    let band_rows = planes.band_rows(band, rows.count);
                    for (n, i) in band_rows.enumerate() {
                        for j in 0..cols.count {
                            let mut taps = offsets.iter();
                            for channel in 0..2 {
                                for kh in 0..3 {
                                    for kw in 0..2 {
                                        let at = taps.next().unwrap() + n * planes.pitch() + j;
                                        let h = (i * stride + kh * dilation).wrapping_sub(padding);
                                        let w = (j * stride + kw * dilation).wrapping_sub(padding);
                                        let expected = if h < 9 && w < 7 {
                                            image[(channel * 9 + h) * 7 + w]
                                        } else {
                                            0.0
                                        };
                                        assert_eq!(buffer[at], expected, "{options:?}");
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

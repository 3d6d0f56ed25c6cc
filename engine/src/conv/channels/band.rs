//! One task of forward and of the gradient by the input: a band of rows of one image.

use super::super::geometry::Grid;
use super::Channels;
use super::ahead::{Ahead, Lines, Rectangle};
use super::correlate::Correlation;
use super::layout::{Layout, Segment, Sight};
use super::tile::{Steps, Target, Walk, tile};
use super::weights::PANEL;
use crate::disjoint::Disjoint;
use crate::gemm::Cut;
use crate::simd::{self, Kernel, LANES, Simd, leaky_relu};

/// Cache lines that are asked for at a tile.
const MOST_LINES: usize = 64;

/// One task: a band of rows of one image and group.
pub(super) struct Band<'a> {
    pub(super) sums: &'a Correlation<'a>,
    pub(super) group: usize,
    /// `[channels, H, W]`
    pub(super) image: &'a [f32],
    /// The image behind it, if there is one.
    pub(super) next: Option<&'a [f32]>,
    pub(super) band: usize,
    pub(super) packed: &'a [f32],
    /// The results of all images.
    pub(super) out: &'a Disjoint<'a, f32>,
    /// Where those of this image and group begin, `[lanes, height, width]`.
    pub(super) first: usize,
    /// For the mean of each of this band's channels and the squares about it, if wanted.
    pub(super) moments: Option<[&'a mut [f32]; 2]>,
    /// Holds the image as the layout has it.
    pub(super) pixels: &'a mut [f32],
    /// Holds a row of results, `[width][PANEL]`, the width rounded up to whole vectors.
    pub(super) row: &'a mut [f32],
}

impl Kernel for Band<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Band { sums, group, image, next, band, .. } = self;
        let Band { packed, out, first, mut moments, pixels, row, .. } = self;
        let Correlation {
            view, channels: Channels { layout, sights, .. }, groups, weights, ..
        } = sums;
        let (lanes, [height, width]) = (weights.lanes(), view.target_size);
        layout.split(simd, image, band, pixels);
        let ahead = Ahead::new();
        // What the next task is going to read.
        if band + 1 < layout.bands {
            ahead.set(1, layout.source(image, band + 1));
        } else if let Some(next) = next {
            ahead.set(1, layout.source(next, 0));
        }

        // Rows of the results that positions of this band compute, whatever their grid; those behind
        // the last positions belong to the last band.
        let begin_of = |band: usize| band * layout.band * view.grids[0].rows.target_step;
        let begin = begin_of(band);
        let end = if band + 1 < layout.bands { begin_of(band + 1) } else { height };
        assert!(begin <= end && end <= height, "rows of one band");
        let bias_of = |lane: usize| sums.bias.get(group * lanes + lane).copied().unwrap_or(0.0);
        let is_complete = view.is_complete();
        if !is_complete {
            for lane in 0..lanes {
                let channel = first + lane * height * width;
                // SAFETY: tasks differ in their image, group or band, and so in these elements: a band ends
                // where the next one begins, and within its channel. The part is dropped at once.
                let part = unsafe { out.part(channel + begin * width..channel + end * width) };
                part.fill(bias_of(lane));
            }
        }
        let depth = layout.channels();
        let panels = lanes.div_ceil(PANEL);
        for panel in 0..panels {
            let used = PANEL.min(lanes - panel * PANEL);
            let mut bias = [0.0; PANEL];
            for (lane, bias) in bias[..used].iter_mut().enumerate() {
                *bias = bias_of(panel * PANEL + lane);
            }
            let mut weights_at = 0;
            let mut grid = 0;
            // Grids of the same rows of results, which lie one behind the other.
            for grids in view.grids.chunk_by(|a, b| a.rows.target == b.rows.target) {
                let sights = &sights[grid..][..grids.len()];
                grid += grids.len();
                for i in layout.band_rows(band, grids[0].rows.count) {
                    if !is_complete {
                        row.chunks_exact_mut(PANEL).for_each(|pixel| pixel.copy_from_slice(&bias));
                    }
                    let target = grids[0].rows.target + i * grids[0].rows.target_step;
                    assert!((begin..end).contains(&target), "a row of the band");
                    let start = first + panel * PANEL * height * width + target * width;
                    ahead.set(
                        0,
                        Rectangle {
                            start: out.address(start),
                            row_stride: height * width,
                            rows: used,
                            columns: width,
                        },
                    );
                    let mut weights_at = weights_at;
                    for (grid, sight) in grids.iter().zip(sights) {
                        let len = depth * sight.kernels.len() * PANEL;
                        let weights = &packed[weights_at + (group * panels + panel) * len..][..len];
                        weights_at += groups * panels * len;
                        let position = (i - band * layout.band) * layout.steps()[1];
                        let line = Line {
                            layout,
                            grid,
                            sight,
                            pixels,
                            position,
                            weights,
                            bias: &bias,
                            used,
                            ahead: &ahead,
                        };
                        line.run(simd, row);
                    }
                    if sums.negative_slope != 1.0 {
                        simd::update(
                            simd,
                            [],
                            [&mut *row],
                            #[inline(always)]
                            |[], [x]| [leaky_relu(simd, x, simd.splat(sums.negative_slope))],
                        );
                    }
                    turn(simd, row, used, width, out, start, height * width);
                }
                for sight in sights {
                    weights_at += groups * panels * depth * sight.kernels.len() * PANEL;
                }
            }
            if let Some([mean, squares]) = &mut moments {
                for lane in panel * PANEL..panel * PANEL + used {
                    let channel = first + lane * height * width;
                    // SAFETY: as above.
                    let part = unsafe { out.part(channel + begin * width..channel + end * width) };
                    (mean[lane], squares[lane]) = crate::moments::moments(simd, part);
                }
            }
        }
    }
}

/// The positions of a grid in one row.
struct Line<'a> {
    layout: &'a Layout,
    grid: &'a Grid,
    sight: &'a Sight,
    pixels: &'a [f32],
    /// Where the first position is, in pixels.
    position: usize,
    /// `[depth][PANEL]`
    weights: &'a [f32],
    bias: &'a [f32; PANEL],
    /// Lanes of the panel in use.
    used: usize,
    ahead: &'a Ahead,
}

impl Line<'_> {
    /// Writes the sums, with the bias, to the row of results `[width][PANEL]`.
    #[inline(always)]
    fn run<S: Simd>(&self, simd: S, row: &mut [f32]) {
        let Line { layout, grid, sight, pixels, position, weights, bias, used, ahead } = *self;
        let cut = Cut::new(grid.cols.count, S::TILE_ROWS);
        let columns = S::TILE_VECTORS * LANES;
        let vectors = used.next_multiple_of(LANES);
        for lane in (0..vectors).step_by(columns) {
            for positions in (0..cut.panels()).map(|panel| cut.lanes_of(panel)) {
                let from = position + positions.start * layout.steps()[0];
                let taps = sight.kernels.len();
                let walk = |segment: Segment| {
                    let len = sight.run * segment.width;
                    let runs = sight.pixels.len();
                    let walk = Walk {
                        blocks: segment.blocks,
                        pixels: &sight.pixels,
                        len,
                        a: Steps {
                            blocks: layout.area() * segment.width,
                            runs: 0,
                            pixel: segment.width,
                            step: 1,
                            row: layout.steps()[0] * segment.width,
                        },
                        b: Steps {
                            blocks: runs * len * PANEL,
                            runs: len * PANEL,
                            pixel: 0,
                            step: PANEL,
                            row: 0,
                        },
                    };
                    let a = &pixels[segment.start + from * segment.width..];
                    (walk, a, &weights[segment.channel * taps * PANEL + lane..])
                };
                let lines = ahead.next(MOST_LINES);
                for i in 0..lines.count {
                    simd.prefetch(lines.start.wrapping_add(i * lines.step));
                }
                let mut segments = layout.segments().map(walk);
                let target = grid.cols.target + positions.start * grid.cols.target_step;
                let row_stride = grid.cols.target_step * PANEL;
                let last = (target * PANEL) + (positions.len() - 1) * row_stride + PANEL;
                assert!(last <= row.len(), "positions beyond the row");
                let target = Target {
                    start: row[target * PANEL + lane..].as_mut_ptr(),
                    row_stride,
                    bias: &bias[lane..],
                    lines: Lines::NONE,
                    columns: columns.min(vectors - lane),
                };
                let (first, second) = (segments.next(), segments.next());
                // SAFETY: the row has these positions and lanes, as asserted.
                unsafe {
                    match (first, second) {
                        (Some(first), Some(second)) => {
                            tile::<S, false>(simd, positions.len(), &[first, second], target);
                        }
                        (Some(first), None) => {
                            tile::<S, false>(simd, positions.len(), &[first], target);
                        }
                        _ => {}
                    }
                }
            }
        }
    }
}

/// Writes a row `[width][PANEL]` as `lanes` rows of `width`, `stride` apart, from element `start` on.
#[inline(always)]
fn turn<S: Simd>(
    simd: S,
    row: &[f32],
    lanes: usize,
    width: usize,
    out: &Disjoint<'_, f32>,
    start: usize,
    stride: usize,
) {
    for column in (0..width).step_by(LANES) {
        let from = &row[column * PANEL..][..LANES * PANEL];
        let count = LANES.min(width - column);
        for lane in (0..lanes).step_by(LANES) {
            let mut block = [simd.zero(); LANES];
            for i in 0..LANES {
                block[i] = simd::load(simd, &from[i * PANEL + lane..]);
            }
            let block = simd.transpose(block);
            for j in 0..LANES {
                if lane + j < lanes {
                    let start = start + (lane + j) * stride + column;
                    // SAFETY: the row is of the task's band, and so are these elements; the part is dropped at
                    // once. It is `count` long.
                    unsafe {
                        let out = out.part(start..start + count);
                        if count == LANES {
                            simd.store(block[j], out.as_mut_ptr());
                        } else {
                            simd.store_first(block[j], out.as_mut_ptr(), count);
                        }
                    }
                }
            }
        }
    }
}

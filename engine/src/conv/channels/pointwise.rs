//! Kernels of one element that see every pixel: the product of the weights with the image, which is read where
//! it lies.

use super::ahead::Lines;
use super::tile::{Steps, Target, Walk, tile};
use crate::Context;
use crate::disjoint::Disjoint;
use crate::gemm::{Blocks, Dense, PackedA, with_packed};
use crate::simd::{self, Kernel, LANES, Simd, leaky_relu};
use std::ops::Range;

/// Results `[N, groups, lanes, pixels]` of images `[N, groups, channels, pixels]`.
pub(in super::super) struct Pointwise<'a> {
    pub(in super::super) groups: usize,
    pub(in super::super) channels: usize,
    pub(in super::super) lanes: usize,
    /// A multiple of 16.
    pub(in super::super) pixels: usize,
    pub(in super::super) images: &'a [f32],
    /// One for each lane of each group, or none.
    pub(in super::super) bias: &'a [f32],
    pub(in super::super) negative_slope: f32,
}

/// Floats of the images that a task reads, and pixels of its tiles.
const TASK_LEN: usize = 1 << 15;
const COLUMNS: usize = 2 * LANES;

/// Pixels of a task.
pub(in super::super) fn task_pixels(channels: usize, pixels: usize) -> usize {
    let tasks = pixels.div_ceil((TASK_LEN / channels).max(4 * COLUMNS));
    pixels.div_ceil(tasks).next_multiple_of(COLUMNS)
}

impl Pointwise<'_> {
    /// Writes the results and, if wanted, the mean of each row of each task's pixels and the squares about
    /// it, both `[N, groups, tasks, lanes]`. `weights(n)` are those of group `n`, `[lanes, channels]`.
    pub(in super::super) fn run<'w>(
        &self,
        cx: &Context,
        weights: impl Fn(usize) -> Dense<'w> + Sync,
        out: &mut [f32],
        moments: Option<[&mut [f32]; 2]>,
    ) {
        let Pointwise { groups, channels, lanes, pixels, .. } = *self;
        let part = task_pixels(channels, pixels);
        let parts = pixels.div_ceil(part);
        let tasks = out.len() / (lanes * pixels) * parts;
        let work = [2, out.len(), channels].into_iter().fold(1_usize, usize::saturating_mul);
        let out = Disjoint::new(out);
        with_packed(cx, Blocks::default(), groups, weights, |weights| {
            let run = |task: usize, moments: Option<[&mut [f32]; 2]>| {
                let (item, first) = (task / parts, task % parts * part);
                cx.isa().run(Part {
                    product: self,
                    item,
                    weights: &weights[item % groups],
                    columns: first..pixels.min(first + part),
                    out: &out,
                    moments,
                });
            };
            match moments {
                None => cx.threads().for_each_chunk::<f32, 0>(tasks, work, [], |task, []| {
                    run(task, None);
                }),
                Some(moments) => {
                    let chunks = moments.map(|moments| (moments, lanes));
                    cx.threads().for_each_chunk(tasks, work, chunks, |task, parts| {
                        run(task, Some(parts));
                    });
                }
            }
        });
    }
}

/// One task: some pixels of one image and group.
struct Part<'a> {
    product: &'a Pointwise<'a>,
    /// The number of image and group.
    item: usize,
    weights: &'a PackedA,
    columns: Range<usize>,
    out: &'a Disjoint<'a, f32>,
    moments: Option<[&'a mut [f32]; 2]>,
}

impl Kernel for Part<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Part { product, item, weights, columns, out, moments } = self;
        let Pointwise { groups, channels, lanes, pixels, images, bias, .. } = *product;
        let image = &images[item * channels * pixels..][..channels * pixels];
        let first = item * lanes * pixels;
        let bias = if bias.is_empty() { bias } else { &bias[item % groups * lanes..][..lanes] };
        let tile_columns = S::TILE_VECTORS * LANES;
        let row = |lane: usize, columns: Range<usize>| {
            let row = first + lane * pixels;
            // SAFETY: tasks differ in their image, group or pixels; within the task each part is dropped
            // before the next one is asked for.
            unsafe { out.part(row + columns.start..row + columns.end) }
        };
        for start in columns.clone().step_by(tile_columns) {
            let end = columns.end.min(start + tile_columns);
            for panel in 0..weights.panels() {
                let rows = weights.rows_of(panel);
                for lane in rows.clone() {
                    row(lane, start..end).fill(bias.get(lane).copied().unwrap_or(0.0));
                }
                // The results of the next tile.
                for lane in rows.end..lanes.min(rows.end + rows.len()) {
                    for line in (0..=tile_columns).step_by(LANES) {
                        simd.prefetch(
                            out.address(first + lane * pixels + start).wrapping_add(line),
                        );
                    }
                }
                for block in 0..weights.depth_blocks() {
                    let depth = weights.depth_of(block);
                    let b = &image[depth.start * pixels + start..];
                    let walk = Walk {
                        blocks: 1,
                        pixels: &[0],
                        len: depth.len(),
                        a: Steps { blocks: 0, runs: 0, pixel: 0, step: rows.len(), row: 1 },
                        b: Steps { blocks: 0, runs: 0, pixel: 0, step: pixels, row: 0 },
                    };
                    // The pixels of the next column of tiles, a line of each channel at a time.
                    let ahead = tile_columns + panel % 3 * LANES;
                    let count = if panel < 3 { depth.len() } else { 0 };
                    let lines =
                        Lines { start: b.as_ptr().wrapping_add(ahead), step: pixels, count };
                    // All rows end within the output, as the parts that were filled did. An address of
                    // the first row's part would be good for that part alone.
                    let target = Target {
                        start: out.address(first + rows.start * pixels + start),
                        bias: &[],
                        row_stride: pixels,
                        columns: end - start,
                        lines,
                    };
                    let a = weights.panel(block, panel);
                    // SAFETY: these columns of the panel's rows are the task's, no part of them is
                    // in use, and they lie within the output.
                    unsafe { tile::<S, true>(simd, rows.len(), &[(walk, a, b)], target) };
                }
                if product.negative_slope != 1.0 {
                    for lane in rows.clone() {
                        simd::update(
                            simd,
                            [],
                            [row(lane, start..end)],
                            #[inline(always)]
                            |[], [x]| [leaky_relu(simd, x, simd.splat(product.negative_slope))],
                        );
                    }
                }
            }
        }
        if let Some([mean, squares]) = moments {
            for lane in 0..lanes {
                (mean[lane], squares[lane]) =
                    crate::moments::moments(simd, row(lane, columns.clone()));
            }
        }
    }
}

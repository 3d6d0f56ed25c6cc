//! One task of forward and of the gradient by the input: a band of rows of one image and group.

use super::conv2d::Correlation;
use super::geometry::Grid;
use super::kernel::Correlate;
use crate::disjoint::Disjoint;
use crate::gemm::PackedA;
use crate::simd::{Kernel, LANES, Simd};

pub(super) struct Band<'a> {
    pub(super) sums: &'a Correlation<'a>,
    pub(super) group: usize,
    /// `[channels, H, W]`
    pub(super) image: &'a [f32],
    pub(super) band: usize,
    /// `[grids][groups]`
    pub(super) weights: &'a [PackedA],
    /// The results of all images.
    pub(super) out: &'a Disjoint<'a, f32>,
    /// Where those of this image and group begin, `[rows, height, width]`.
    pub(super) first: usize,
    /// For the mean of each of this band's rows and the squares about it, `[rows]`, if wanted.
    pub(super) moments: Option<[&'a mut [f32]; 2]>,
    /// Holds the planes and the sums.
    pub(super) scratch: &'a mut [f32],
}

impl Kernel for Band<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Band { sums, group, image, band, weights, out, first, mut moments, scratch } = self;
        let (view, rows) = (sums.view, sums.rows);
        let [height, width] = view.target_size;
        let (planes, scratch) = scratch.split_at_mut(view.planes.len());
        view.planes.split(image, band, planes);

        // Rows of the results that positions of this band compute, whatever their grid; those behind
        // the last positions belong to the last band.
        let begin_of = |band: usize| band * view.planes.band * view.grids[0].rows.target_step;
        let begin = begin_of(band);
        let end = if band + 1 < view.planes.bands { begin_of(band + 1) } else { height };
        assert!(begin <= end && end <= height, "rows of one band");
        let part = |row: usize| {
            let channel = first + row * height * width;
            // SAFETY: tasks differ in their image, group or band, and so in these elements: a band ends where
            // the next one begins, and within its channel. Within the task each part is dropped before the
            // next one is asked for.
            unsafe { out.part(channel + begin * width..channel + end * width) }
        };
        let bias = match sums.bias {
            [] => &[],
            bias => &bias[group * rows..][..rows],
        };
        if !view.is_complete() {
            (0..rows).for_each(|row| part(row).fill(bias.get(row).copied().unwrap_or(0.0)));
        }
        for (g, grid) in view.grids.iter().enumerate() {
            let band_rows = view.planes.band_rows(band, grid.rows.count);
            if band_rows.is_empty() {
                continue;
            }
            let pitch = view.planes.pitch();
            let positions = (band_rows.len() - 1) * pitch + grid.cols.count;
            let positions = positions.next_multiple_of(LANES);
            let results = &mut scratch[..rows * positions];
            Correlate {
                a: &weights[g * sums.groups + group],
                planes,
                offsets: &grid.offsets,
                bias,
                negative_slope: sums.negative_slope,
                out: &mut *results,
            }
            .run(simd);
            for (row, results) in results.chunks_exact(positions).enumerate() {
                let part = part(row);
                for (results, i) in results.chunks(pitch).zip(band_rows.clone()) {
                    let target = grid.rows.target + i * grid.rows.target_step - begin;
                    copy_row(results, grid, &mut part[target * width..][..width]);
                }
                if let Some([mean, squares]) = &mut moments {
                    (mean[row], squares[row]) = crate::moments::moments(simd, part);
                }
            }
        }
    }
}

/// Puts a row of results to their places in a row of the output.
#[inline(always)]
fn copy_row(results: &[f32], grid: &Grid, out: &mut [f32]) {
    let (results, out) = (&results[..grid.cols.count], &mut out[grid.cols.target..]);
    match grid.cols.target_step {
        1 => out[..results.len()].copy_from_slice(results),
        step => {
            for (out, &result) in out.iter_mut().step_by(step).zip(results) {
                *out = result;
            }
        }
    }
}

//! Sums over the values of each channel that the gradients are made of.

use super::{BatchNorm, BatchNormBackward, Statistics};
use crate::Context;
use crate::norm::{COLUMNS, sum_rows};
use crate::simd::{Kernel, Simd, column_sums, fold};

/// Σ dy and Σ dy · (x - mean) of each channel. `parts` holds two floats for each run of H·W values.
pub(super) fn channel_sums(
    cx: &Context,
    norm: &BatchNorm,
    inputs: &BatchNormBackward<'_>,
    sums: [&mut [f32]; 2],
    parts: &mut [f32],
) {
    let &BatchNormBackward { x, dy, statistics: Statistics { mean, .. }, .. } = inputs;
    if norm.spatial == 1 {
        let tasks = norm.channels.div_ceil(COLUMNS);
        let outputs = sums.map(|sums| (sums, COLUMNS));
        cx.threads().for_each_chunk(tasks, 4 * x.len(), outputs, |task, sums| {
            let [x, dy, mean] = [x, dy, mean].map(|tensor| &tensor[task * COLUMNS..]);
            cx.isa().run(ColumnSums { norm, x, dy, mean, sums });
        });
    } else if norm.batch == 1 {
        run_sums(cx, norm, inputs, sums);
    } else {
        let (plain, products) = parts.split_at_mut(parts.len() / 2);
        run_sums(cx, norm, inputs, [plain, products]);
        sum_rows(cx, norm.batch, [plain, products], sums);
    }
}

struct ColumnSums<'a> {
    norm: &'a BatchNorm,
    x: &'a [f32],
    dy: &'a [f32],
    mean: &'a [f32],
    sums: [&'a mut [f32]; 2],
}

impl Kernel for ColumnSums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let stride = self.norm.channels;
        let inputs = [(self.x, stride), (self.dy, stride), (self.mean, 0)];
        column_sums(
            simd,
            self.norm.batch,
            inputs,
            self.sums,
            #[inline(always)]
            |[x, dy, mean]| [dy, simd.mul(dy, simd.sub(x, mean))],
        );
    }
}

/// Σ dy and Σ dy · (x - mean) of each run of H·W values.
fn run_sums(cx: &Context, norm: &BatchNorm, inputs: &BatchNormBackward<'_>, sums: [&mut [f32]; 2]) {
    let runs = norm.runs_per_task();
    let tasks = sums[0].len().div_ceil(runs);
    let outputs = sums.map(|sums| (sums, runs));
    cx.threads().for_each_chunk(tasks, 4 * inputs.x.len(), outputs, |task, sums| {
        cx.isa().run(RunSums { norm, first: task * runs, inputs, sums });
    });
}

struct RunSums<'a> {
    norm: &'a BatchNorm,
    /// The number of the first run.
    first: usize,
    inputs: &'a BatchNormBackward<'a>,
    sums: [&'a mut [f32]; 2],
}

impl Kernel for RunSums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let RunSums { norm, first, inputs, sums: [sums, products] } = self;
        let spatial = norm.spatial;
        for (i, c) in norm.channels_from(first).take(sums.len()).enumerate() {
            let [x, dy] =
                [inputs.x, inputs.dy].map(|tensor| &tensor[(first + i) * spatial..][..spatial]);
            let mean = simd.splat(inputs.statistics.mean[c]);
            let [sum, product] = fold(
                simd,
                [x, dy],
                #[inline(always)]
                |[sum, product], [x, dy]| {
                    [simd.add(sum, dy), simd.mul_add(dy, simd.sub(x, mean), product)]
                },
            );
            (sums[i], products[i]) = (simd.sum(sum), simd.sum(product));
        }
    }
}

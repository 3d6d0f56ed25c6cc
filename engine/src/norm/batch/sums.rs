//! Sums over the values of each channel that the gradients are made of.

use super::{BatchNorm, BatchNormBackward};
use crate::Context;
use crate::norm::columns::sum_positions;
use crate::norm::run::gradient_sums;
use crate::norm::{COLUMNS, sum_rows};
use crate::simd::{Kernel, Simd, column_sums};

/// Σ dy and Σ dy · (x - mean) of each channel. `mean` is that of each channel or column; `parts` holds two
/// floats for each of the [`BatchNorm::parts`].
pub(super) fn channel_sums(
    cx: &Context,
    norm: &BatchNorm,
    inputs: &BatchNormBackward<'_>,
    mean: &[f32],
    sums: [&mut [f32]; 2],
    parts: &mut [f32],
) {
    if norm.has_columns() {
        sum_positions(norm.spatial, parts, sums, |sums| {
            column_gradients(cx, norm, inputs, mean, sums);
        });
    } else if norm.batch == 1 {
        run_gradients(cx, norm, inputs, mean, sums);
    } else {
        let (plain, products) = parts.split_at_mut(parts.len() / 2);
        run_gradients(cx, norm, inputs, mean, [plain, products]);
        sum_rows(cx, norm.batch, [plain, products], sums);
    }
}

/// The sums of each column.
fn column_gradients(
    cx: &Context,
    norm: &BatchNorm,
    &BatchNormBackward { x, dy, .. }: &BatchNormBackward<'_>,
    mean: &[f32],
    sums: [&mut [f32]; 2],
) {
    let outputs = sums.map(|sums| (sums, COLUMNS));
    let tasks = norm.columns().div_ceil(COLUMNS);
    cx.threads().for_each_chunk(tasks, 4 * x.len(), outputs, |task, sums| {
        let [x, dy, mean] = [x, dy, mean].map(|tensor| &tensor[task * COLUMNS..]);
        cx.isa().run(ColumnSums { norm, x, dy, mean, sums });
    });
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
        let stride = self.norm.columns();
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

/// The sums of each run of H·W values.
fn run_gradients(
    cx: &Context,
    norm: &BatchNorm,
    inputs: &BatchNormBackward<'_>,
    mean: &[f32],
    sums: [&mut [f32]; 2],
) {
    let runs = norm.runs_per_task();
    let tasks = sums[0].len().div_ceil(runs);
    let outputs = sums.map(|sums| (sums, runs));
    cx.threads().for_each_chunk(tasks, 4 * inputs.x.len(), outputs, |task, sums| {
        cx.isa().run(RunSums { norm, first: task * runs, inputs, mean, sums });
    });
}

struct RunSums<'a> {
    norm: &'a BatchNorm,
    /// The number of the first run.
    first: usize,
    inputs: &'a BatchNormBackward<'a>,
    mean: &'a [f32],
    sums: [&'a mut [f32]; 2],
}

impl Kernel for RunSums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let RunSums { norm, first, inputs, mean, sums: [sums, products] } = self;
        let spatial = norm.spatial;
        for (i, c) in norm.channels_from(first).take(sums.len()).enumerate() {
            let run =
                [inputs.x, inputs.dy].map(|tensor| &tensor[(first + i) * spatial..][..spatial]);
            let [sum, product] = gradient_sums(simd, run, simd.splat(mean[c]));
            (sums[i], products[i]) = (simd.sum(sum), simd.sum(product));
        }
    }
}

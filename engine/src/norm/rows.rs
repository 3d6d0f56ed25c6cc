//! Rows whose parts are normalised by their own values, with a weight and a bias for each element of a row.

use super::layer::{LayerNormBackward, LayerNormGradients, LayerNormOutputs};
use super::{Affine, TASK, sum_rows};
use crate::Context;
use crate::buffer::with_scratch;
use crate::moments::moments;
use crate::simd::{Kernel, Simd, fold, map, update};

/// x `[rows, parts, features]`: each part has a mean and a deviation of its own. Weight and bias are
/// `[parts, features]`.
#[derive(Clone, Copy)]
pub(super) struct Rows {
    pub(super) rows: usize,
    pub(super) parts: usize,
    /// Not 0.
    pub(super) features: usize,
    pub(super) eps: f32,
}

/// Rows that share a sum of the weight's gradient: few enough that rounding errors do not pile up,
/// and enough that the tasks' sums are small beside x.
const SHARE: std::ops::RangeInclusive<usize> = 16..=128;

impl Rows {
    /// The length of a row.
    fn row(&self) -> usize {
        self.parts * self.features
    }

    /// The number of rows of a task.
    fn per_task(&self) -> usize {
        (TASK / self.row()).clamp(*SHARE.start(), *SHARE.end()).min(self.rows.max(1))
    }

    /// y, and mean and deviation of each part, `[rows, parts]`; see [`layer_norm`](super::layer::layer_norm).
    pub(super) fn forward(
        &self,
        cx: &Context,
        x: &[f32],
        affine: Affine<'_>,
        outputs: LayerNormOutputs<'_>,
    ) {
        let LayerNormOutputs { y, mean, inv_std } = outputs;
        let rows = self.per_task();
        let (chunk, parts) = (rows * self.row(), rows * self.parts);
        let outputs = [(y, chunk), (mean, parts), (inv_std, parts)];
        let tasks = self.rows.div_ceil(rows);
        cx.threads().for_each_chunk(tasks, 6 * x.len(), outputs, |task, [y, mean, inv_std]| {
            let x = &x[task * chunk..][..y.len()];
            let outputs = LayerNormOutputs { y, mean, inv_std };
            cx.isa().run(Forward { of: self, x, affine, outputs });
        });
    }

    /// The gradients; see [`layer_norm_backward`](super::layer::layer_norm_backward).
    pub(super) fn backward(
        &self,
        cx: &Context,
        inputs: &LayerNormBackward<'_>,
        gradients: LayerNormGradients<'_>,
    ) {
        let (row, rows) = (self.row(), self.per_task());
        let tasks = self.rows.div_ceil(rows);
        if tasks <= 1 {
            return cx.isa().run(Backward { of: self, first: 0, inputs, gradients });
        }
        let LayerNormGradients { dx, dweight, dbias } = gradients;
        let work = 10 * dx.len();
        with_scratch(2 * tasks * row, |scratch| {
            let (weights, biases) = scratch.split_at_mut(tasks * row);
            let outputs = [(dx, rows * row), (&mut *weights, row), (&mut *biases, row)];
            cx.threads().for_each_chunk(tasks, work, outputs, |task, [dx, dweight, dbias]| {
                let gradients = LayerNormGradients { dx, dweight, dbias };
                cx.isa().run(Backward { of: self, first: task * rows, inputs, gradients });
            });
            sum_rows(cx, tasks, [weights, biases], [dweight, dbias]);
        });
    }
}

struct Forward<'a> {
    of: &'a Rows,
    x: &'a [f32],
    affine: Affine<'a>,
    outputs: LayerNormOutputs<'a>,
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Forward { of, x, affine: Affine { weight, bias }, outputs } = self;
        let features = of.features;
        let parts = x.chunks_exact(features).zip(outputs.y.chunks_exact_mut(features));
        for (i, (x, y)) in parts.enumerate() {
            let (mean, squares) = moments(simd, x);
            let inv_std = 1.0 / (squares / features as f32 + of.eps).sqrt();
            (outputs.mean[i], outputs.inv_std[i]) = (mean, inv_std);
            let (mean, inv_std) = (simd.splat(mean), simd.splat(inv_std));
            let [weight, bias] =
                [weight, bias].map(|values| &values[i % of.parts * features..][..features]);
            map(
                simd,
                [x, weight, bias],
                y,
                #[inline(always)]
                |[x, weight, bias]| {
                    simd.mul_add(simd.mul(simd.sub(x, mean), inv_std), weight, bias)
                },
            );
        }
    }
}

/// The gradients of the rows from number `first` on that dx has space for, and their sums.
struct Backward<'a> {
    of: &'a Rows,
    first: usize,
    inputs: &'a LayerNormBackward<'a>,
    gradients: LayerNormGradients<'a>,
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Backward { of: &Rows { parts, features, .. }, first, inputs, gradients } = self;
        let LayerNormGradients { dx, dweight, dbias } = gradients;
        dweight.fill(0.0);
        dbias.fill(0.0);
        for (i, dx) in dx.chunks_exact_mut(features).enumerate() {
            let part = first * parts + i;
            let [x, dy] = [inputs.x, inputs.dy].map(|t| &t[part * features..][..features]);
            let columns = i % parts * features;
            let weight = &inputs.weight[columns..][..features];
            let inv_std = inputs.inv_std[part];
            let [mean, scale] = [inputs.mean[part], inv_std].map(|v| simd.splat(v));
            let [sum, product] = fold(
                simd,
                [x, dy, weight],
                #[inline(always)]
                |[sum, product], [x, dy, weight]| {
                    let dz = simd.mul(dy, weight);
                    [
                        simd.add(sum, dz),
                        simd.mul_add(dz, simd.mul(simd.sub(x, mean), scale), product),
                    ]
                },
            );
            let [average, steepness] =
                [sum, product].map(|sum| simd.splat(simd.sum(sum) / features as f32));
            let [dweight, dbias] =
                [&mut *dweight, &mut *dbias].map(|sums| &mut sums[columns..][..features]);
            update(
                simd,
                [x, dy, weight],
                [dx, dweight, dbias],
                #[inline(always)]
                |[x, dy, weight], [_, dweight, dbias]| {
                    let z = simd.mul(simd.sub(x, mean), scale);
                    let dz = simd.sub(simd.mul(dy, weight), average);
                    let dx = simd.mul(scale, simd.sub(dz, simd.mul(z, steepness)));
                    [dx, simd.mul_add(dy, z, dweight), simd.add(dbias, dy)]
                },
            );
        }
    }
}

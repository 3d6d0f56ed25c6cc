//! Layer normalisation: each row by its own values.
//!
//! Source: J. Ba, J. Kiros, G. Hinton, "Layer Normalization" (2016), in the form of PyTorch's page
//! "LayerNorm": the variance is the biased one (divisor: features).

use super::{Affine, TASK, check_eps, sum_rows};
use crate::buffer::with_scratch;
use crate::error::expect_len;
use crate::moments::moments;
use crate::simd::{Kernel, Simd, fold, map, update};
use crate::{Context, Error};

/// A layer normalisation of x `[rows, features]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerNorm {
    /// N, or all leading axes together.
    pub rows: usize,
    /// Values per row.
    pub features: usize,
    /// Added to the variance.
    pub eps: f32,
}

/// Rows that share a sum of the weight's gradient: few enough that rounding errors do not pile up,
/// and enough that the groups' sums are small beside x.
const GROUP: std::ops::RangeInclusive<usize> = 16..=128;

impl LayerNorm {
    fn len(&self, op: &'static str) -> Result<usize, Error> {
        if self.features == 0 {
            let (expected, found) = ("at least 1", "0".into());
            return Err(Error::Invalid { op, what: "the number of features", expected, found });
        }
        check_eps(op, self.eps)?;
        self.rows.checked_mul(self.features).ok_or(Error::Overflow { op, what: "x" })
    }

    /// The number of rows of a task.
    fn rows_per_task(&self) -> usize {
        (TASK / self.features).clamp(*GROUP.start(), *GROUP.end()).min(self.rows.max(1))
    }
}

/// Where the results of [`layer_norm`] go. All are overwritten.
#[derive(Debug)]
pub struct LayerNormOutputs<'a> {
    /// `[rows, features]`
    pub y: &'a mut [f32],
    /// Mean of each row, `[rows]`; the backward pass needs it.
    pub mean: &'a mut [f32],
    /// 1 / √(variance + eps) of each row, `[rows]`; the backward pass needs it.
    pub inv_std: &'a mut [f32],
}

/// y `[rows, features]` = (x - mean) · inv_std · weight + bias, with mean and
/// inv_std = 1 / √(variance + eps) of each row.
///
/// Distances are taken from the mean before they are squared or scaled, so values far from 0 lose
/// no digits but those of the mean itself, which is rounded to `f32`.
///
/// # Errors
/// [`Error::Invalid`] if there are no features or eps is not a number of at least 0,
/// [`Error::Length`], [`Error::Overflow`].
pub fn layer_norm(
    cx: &Context,
    norm: &LayerNorm,
    x: &[f32],
    affine: Affine<'_>,
    outputs: LayerNormOutputs<'_>,
) -> Result<(), Error> {
    let op = "layer_norm";
    let len = norm.len(op)?;
    let LayerNormOutputs { y, mean, inv_std } = outputs;
    for (what, expected, found) in [
        ("x", len, x.len()),
        ("weight", norm.features, affine.weight.len()),
        ("bias", norm.features, affine.bias.len()),
        ("y", len, y.len()),
        ("mean", norm.rows, mean.len()),
        ("inv_std", norm.rows, inv_std.len()),
    ] {
        expect_len(op, what, expected, found)?;
    }
    let rows = norm.rows_per_task();
    let chunk = rows * norm.features;
    let outputs = [(y, chunk), (mean, rows), (inv_std, rows)];
    let tasks = norm.rows.div_ceil(rows);
    cx.threads().for_each_chunk(tasks, 6 * len, outputs, |task, [y, mean, inv_std]| {
        let x = &x[task * chunk..][..y.len()];
        cx.isa().run(Forward { norm, x, affine, outputs: LayerNormOutputs { y, mean, inv_std } });
    });
    Ok(())
}

struct Forward<'a> {
    norm: &'a LayerNorm,
    x: &'a [f32],
    affine: Affine<'a>,
    outputs: LayerNormOutputs<'a>,
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Forward { norm, x, affine: Affine { weight, bias }, outputs } = self;
        let features = norm.features;
        let rows = x.chunks_exact(features).zip(outputs.y.chunks_exact_mut(features));
        for (i, (x, y)) in rows.enumerate() {
            let (mean, squares) = moments(simd, x);
            let inv_std = 1.0 / (squares / features as f32 + norm.eps).sqrt();
            (outputs.mean[i], outputs.inv_std[i]) = (mean, inv_std);
            let (mean, inv_std) = (simd.splat(mean), simd.splat(inv_std));
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

/// What the gradients are computed from.
#[derive(Clone, Copy, Debug)]
pub struct LayerNormBackward<'a> {
    /// The input of the normalisation, `[rows, features]`.
    pub x: &'a [f32],
    /// The gradient by its output, `[rows, features]`.
    pub dy: &'a [f32],
    /// `[rows]`, as [`layer_norm`] wrote it.
    pub mean: &'a [f32],
    /// `[rows]`, as [`layer_norm`] wrote it.
    pub inv_std: &'a [f32],
    /// `[features]`
    pub weight: &'a [f32],
}

/// Where the gradients go. All are overwritten.
#[derive(Debug)]
pub struct LayerNormGradients<'a> {
    /// `[rows, features]`
    pub dx: &'a mut [f32],
    /// `[features]`
    pub dweight: &'a mut [f32],
    /// `[features]`
    pub dbias: &'a mut [f32],
}

/// Gradients of [`layer_norm`]. With z = (x - mean) · inv_std and dz = dy · weight:
/// dbias = Σ dy and dweight = Σ dy · z over the rows;
/// dx = inv_std · (dz - average(dz) - z · average(dz · z)), with the averages of the row.
///
/// # Errors
/// As [`layer_norm`].
pub fn layer_norm_backward(
    cx: &Context,
    norm: &LayerNorm,
    inputs: LayerNormBackward<'_>,
    gradients: LayerNormGradients<'_>,
) -> Result<(), Error> {
    let op = "layer_norm_backward";
    let len = norm.len(op)?;
    let LayerNormGradients { dx, dweight, dbias } = gradients;
    for (what, expected, found) in [
        ("x", len, inputs.x.len()),
        ("dy", len, inputs.dy.len()),
        ("mean", norm.rows, inputs.mean.len()),
        ("inv_std", norm.rows, inputs.inv_std.len()),
        ("weight", norm.features, inputs.weight.len()),
        ("dx", len, dx.len()),
        ("dweight", norm.features, dweight.len()),
        ("dbias", norm.features, dbias.len()),
    ] {
        expect_len(op, what, expected, found)?;
    }
    let (features, rows) = (norm.features, norm.rows_per_task());
    let groups = norm.rows.div_ceil(rows);
    if groups <= 1 {
        let gradients = LayerNormGradients { dx, dweight, dbias };
        cx.isa().run(Backward { features, first: 0, inputs: &inputs, gradients });
        return Ok(());
    }
    with_scratch(2 * groups * features, |scratch| {
        let (weights, biases) = scratch.split_at_mut(groups * features);
        let outputs = [(dx, rows * features), (&mut *weights, features), (&mut *biases, features)];
        cx.threads().for_each_chunk(groups, 10 * len, outputs, |group, [dx, dweight, dbias]| {
            let gradients = LayerNormGradients { dx, dweight, dbias };
            cx.isa().run(Backward { features, first: group * rows, inputs: &inputs, gradients });
        });
        sum_rows(cx, groups, [weights, biases], [dweight, dbias]);
    });
    Ok(())
}

/// The gradients of the rows from number `first` on that dx has space for, and their sums.
struct Backward<'a> {
    features: usize,
    first: usize,
    inputs: &'a LayerNormBackward<'a>,
    gradients: LayerNormGradients<'a>,
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Backward { features, first, inputs, gradients } = self;
        let LayerNormGradients { dx, dweight, dbias } = gradients;
        dweight.fill(0.0);
        dbias.fill(0.0);
        let weight = inputs.weight;
        for (i, dx) in dx.chunks_exact_mut(features).enumerate() {
            let row = first + i;
            let [x, dy] = [inputs.x, inputs.dy].map(|t| &t[row * features..][..features]);
            let inv_std = inputs.inv_std[row];
            let [mean, scale] = [inputs.mean[row], inv_std].map(|v| simd.splat(v));
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
            let outputs = [dx, &mut *dweight, &mut *dbias];
            update(
                simd,
                [x, dy, weight],
                outputs,
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

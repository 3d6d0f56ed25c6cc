//! Groups whose channels are runs of values that have the same weight and bias.

use super::{GroupNorm, GroupNormBackward, GroupNormGradients, GroupNormOutputs};
use crate::Context;
use crate::buffer::with_scratch;
use crate::moments::moments;
use crate::norm::run::{gradient_sums, normalise};
use crate::norm::{Affine, TASK, sum_rows};
use crate::simd::{Kernel, Simd, map};

impl GroupNorm {
    /// The number of groups of a task.
    fn groups_per_task(&self) -> usize {
        (TASK / self.values()).max(1)
    }

    /// The first channel of a group of the batch.
    #[inline(always)]
    fn first_channel(&self, group: usize) -> usize {
        group % self.groups * self.channels_per_group()
    }
}

pub(super) fn forward(
    cx: &Context,
    norm: &GroupNorm,
    x: &[f32],
    affine: Affine<'_>,
    outputs: GroupNormOutputs<'_>,
) {
    let GroupNormOutputs { y, mean, inv_std } = outputs;
    let groups = norm.groups_per_task();
    let (tasks, chunk) = (mean.len().div_ceil(groups), groups * norm.values());
    let outputs = [(y, chunk), (mean, groups), (inv_std, groups)];
    cx.threads().for_each_chunk(tasks, 6 * x.len(), outputs, |task, [y, mean, inv_std]| {
        let x = &x[task * chunk..][..y.len()];
        let outputs = GroupNormOutputs { y, mean, inv_std };
        cx.isa().run(Forward { norm, first: task * groups, x, affine, outputs });
    });
}

/// The groups from number `first` on that y has space for.
struct Forward<'a> {
    norm: &'a GroupNorm,
    first: usize,
    x: &'a [f32],
    affine: Affine<'a>,
    outputs: GroupNormOutputs<'a>,
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Forward { norm, first, x, affine: Affine { weight, bias }, outputs } = self;
        let (values, spatial) = (norm.values(), norm.spatial);
        let groups = x.chunks_exact(values).zip(outputs.y.chunks_exact_mut(values));
        for (i, (x, y)) in groups.enumerate() {
            let (mean, squares) = moments(simd, x);
            let inv_std = 1.0 / (squares / values as f32 + norm.eps).sqrt();
            (outputs.mean[i], outputs.inv_std[i]) = (mean, inv_std);
            let channels = x.chunks_exact(spatial).zip(y.chunks_exact_mut(spatial));
            for ((x, y), c) in channels.zip(norm.first_channel(first + i)..) {
                let constants = [mean, inv_std * weight[c], bias[c]].map(|v| simd.splat(v));
                normalise(simd, x, constants, y);
            }
        }
    }
}

pub(super) fn backward(
    cx: &Context,
    norm: &GroupNorm,
    inputs: &GroupNormBackward<'_>,
    gradients: GroupNormGradients<'_>,
) {
    let GroupNormGradients { dx, dweight, dbias } = gradients;
    let images = norm.batch * norm.channels;
    with_scratch(2 * images, |scratch| {
        let (weights, biases) = scratch.split_at_mut(images);
        let groups = norm.groups_per_task();
        let (chunk, channels) = (groups * norm.values(), groups * norm.channels_per_group());
        let (tasks, work) = (inputs.mean.len().div_ceil(groups), 10 * dx.len());
        let outputs = [(dx, chunk), (&mut *weights, channels), (&mut *biases, channels)];
        cx.threads().for_each_chunk(tasks, work, outputs, |task, [dx, dweight, dbias]| {
            let gradients = GroupNormGradients { dx, dweight, dbias };
            cx.isa().run(Backward { norm, first: task * groups, inputs, gradients });
        });
        sum_rows(cx, norm.batch, [weights, biases], [dweight, dbias]);
    });
}

/// The gradients of the groups from number `first` on that dx has space for; those by weight and bias for
/// each channel of each image.
struct Backward<'a> {
    norm: &'a GroupNorm,
    first: usize,
    inputs: &'a GroupNormBackward<'a>,
    gradients: GroupNormGradients<'a>,
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Backward { norm, first, inputs, gradients } = self;
        let GroupNormGradients { dx, dweight, dbias } = gradients;
        let (values, channels, spatial) = (norm.values(), norm.channels_per_group(), norm.spatial);
        for (i, dx) in dx.chunks_exact_mut(values).enumerate() {
            let group = first + i;
            let [x, dy] = [inputs.x, inputs.dy].map(|t| &t[group * values..][..values]);
            let weight = &inputs.weight[norm.first_channel(group)..][..channels];
            let [dweight, dbias] =
                [&mut *dweight, &mut *dbias].map(|sums| &mut sums[i * channels..][..channels]);
            let inv_std = inputs.inv_std[group];
            let mean = simd.splat(inputs.mean[group]);

            // Σ dz and Σ dz · z of the group.
            let (mut sum, mut product) = (0.0, 0.0);
            for (c, (x, dy)) in x.chunks_exact(spatial).zip(dy.chunks_exact(spatial)).enumerate() {
                let [dys, products] = gradient_sums(simd, [x, dy], mean);
                (dbias[c], dweight[c]) = (simd.sum(dys), simd.sum(products) * inv_std);
                sum += weight[c] * dbias[c];
                product += weight[c] * dweight[c];
            }
            let [average, steepness] =
                [inv_std * sum, inv_std * inv_std * product].map(|v| simd.splat(v / values as f32));

            let runs = x.chunks_exact(spatial).zip(dy.chunks_exact(spatial));
            for (((x, dy), dx), &weight) in runs.zip(dx.chunks_exact_mut(spatial)).zip(weight) {
                let scale = simd.splat(weight * inv_std);
                map(
                    simd,
                    [x, dy],
                    dx,
                    #[inline(always)]
                    |[x, dy]| {
                        let distance = simd.mul(simd.sub(x, mean), steepness);
                        simd.sub(simd.sub(simd.mul(dy, scale), average), distance)
                    },
                );
            }
        }
    }
}

//! Group normalisation: the channels of an image in groups, each group by its own values.
//!
//! Source: Y. Wu, K. He, "Group Normalization" (2018), in the form of PyTorch's page "GroupNorm": the
//! variance is the biased one (divisor: values of a group). With as many groups as channels it is the
//! instance normalisation of D. Ulyanov, A. Vedaldi, V. Lempitsky, "Instance Normalization: The Missing
//! Ingredient for Fast Stylization" (2016).

mod channels;

use super::columns::{self, spread, sum_positions};
use super::layer::{LayerNormBackward, LayerNormGradients, LayerNormOutputs};
use super::rows::Rows;
use super::{Affine, check_eps};
use crate::buffer::with_scratch;
use crate::error::expect_len;
use crate::{Context, Error};

/// A group normalisation of x `[N, C, spatial]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroupNorm {
    /// N.
    pub batch: usize,
    /// C.
    pub channels: usize,
    /// H · W; 1 for plain rows of features.
    pub spatial: usize,
    /// A divisor of C: groups of C / groups neighbouring channels.
    pub groups: usize,
    /// Added to the variance.
    pub eps: f32,
}

impl GroupNorm {
    /// The elements of x, and groups of the whole batch.
    fn sizes(&self, op: &'static str) -> Result<(usize, usize), Error> {
        let &GroupNorm { batch, channels, spatial, groups, eps } = self;
        if groups == 0 || !channels.is_multiple_of(groups) {
            return Err(Error::Invalid {
                op,
                what: "the number of groups",
                expected: "a divisor of the number of channels",
                found: format!("{groups} for {channels} channels"),
            });
        }
        if channels == 0 || spatial == 0 {
            let (expected, found) = ("at least 1", "0".into());
            return Err(Error::Invalid { op, what: "the values per group", expected, found });
        }
        check_eps(op, eps)?;
        let len = channels.checked_mul(spatial).and_then(|image| image.checked_mul(batch));
        // There are no more groups than channels, and no more channels than values.
        len.map(|len| (len, batch * groups)).ok_or(Error::Overflow { op, what: "x" })
    }

    /// Channels of a group.
    fn channels_per_group(&self) -> usize {
        self.channels / self.groups
    }

    /// Values of a group.
    fn values(&self) -> usize {
        self.channels_per_group() * self.spatial
    }

    /// An image as a row, of which each group is a part.
    fn rows(&self) -> Rows {
        Rows { rows: self.batch, parts: self.groups, features: self.values(), eps: self.eps }
    }
}

/// Where the results of [`group_norm`] go. All are overwritten.
#[derive(Debug)]
pub struct GroupNormOutputs<'a> {
    /// `[N, C, spatial]`
    pub y: &'a mut [f32],
    /// Mean of each group of each image, `[N, groups]`; the backward pass needs it.
    pub mean: &'a mut [f32],
    /// 1 / √(variance + eps) of each group of each image, `[N, groups]`; the backward pass needs it.
    pub inv_std: &'a mut [f32],
}

/// y `[N, C, spatial]` = (x - mean) · inv_std · weight + bias, with mean and
/// inv_std = 1 / √(variance + eps) of each group of each image, weight and bias `[C]`.
///
/// Distances are taken from the mean before they are squared or scaled, so values far from 0 lose
/// no digits but those of the mean itself, which is rounded to `f32`. A group of one value is its own
/// mean, whatever the batch; PyTorch refuses that for a batch of one.
///
/// # Errors
/// [`Error::Invalid`] if the groups do not divide the channels, there are no channels or positions, or eps
/// is not a number of at least 0; [`Error::Length`], [`Error::Overflow`].
pub fn group_norm(
    cx: &Context,
    norm: &GroupNorm,
    x: &[f32],
    affine: Affine<'_>,
    outputs: GroupNormOutputs<'_>,
) -> Result<(), Error> {
    let op = "group_norm";
    let (len, groups) = norm.sizes(op)?;
    let Affine { weight, bias } = affine;
    let GroupNormOutputs { y, mean, inv_std } = outputs;
    for (what, expected, found) in [
        ("x", len, x.len()),
        ("weight", norm.channels, weight.len()),
        ("bias", norm.channels, bias.len()),
        ("y", len, y.len()),
        ("mean", groups, mean.len()),
        ("inv_std", groups, inv_std.len()),
    ] {
        expect_len(op, what, expected, found)?;
    }
    if len == 0 {
        return Ok(());
    }
    if !columns::are_lanes(norm.spatial) {
        channels::forward(cx, norm, x, affine, GroupNormOutputs { y, mean, inv_std });
        return Ok(());
    }
    let columns = norm.channels * norm.spatial;
    with_scratch(2 * columns, |scratch| {
        let (weights, biases) = scratch.split_at_mut(columns);
        let weight = spread(weight, norm.spatial, weights);
        let bias = spread(bias, norm.spatial, biases);
        let outputs = LayerNormOutputs { y, mean, inv_std };
        norm.rows().forward(cx, x, Affine { weight, bias }, outputs);
    });
    Ok(())
}

/// What the gradients are computed from.
#[derive(Clone, Copy, Debug)]
pub struct GroupNormBackward<'a> {
    /// The input of the normalisation, `[N, C, spatial]`.
    pub x: &'a [f32],
    /// The gradient by its output, `[N, C, spatial]`.
    pub dy: &'a [f32],
    /// `[N, groups]`, as [`group_norm`] wrote it.
    pub mean: &'a [f32],
    /// `[N, groups]`, as [`group_norm`] wrote it.
    pub inv_std: &'a [f32],
    /// `[C]`
    pub weight: &'a [f32],
}

/// Where the gradients go. All are overwritten.
#[derive(Debug)]
pub struct GroupNormGradients<'a> {
    /// `[N, C, spatial]`
    pub dx: &'a mut [f32],
    /// `[C]`
    pub dweight: &'a mut [f32],
    /// `[C]`
    pub dbias: &'a mut [f32],
}

/// Gradients of [`group_norm`]. With z = (x - mean) · inv_std and dz = dy · weight:
/// dbias = Σ dy and dweight = Σ dy · z over images and positions;
/// dx = inv_std · (dz - average(dz) - z · average(dz · z)), with the averages of the group.
///
/// # Errors
/// As [`group_norm`].
pub fn group_norm_backward(
    cx: &Context,
    norm: &GroupNorm,
    inputs: GroupNormBackward<'_>,
    gradients: GroupNormGradients<'_>,
) -> Result<(), Error> {
    let op = "group_norm_backward";
    let (len, groups) = norm.sizes(op)?;
    let GroupNormBackward { x, dy, mean, inv_std, weight } = inputs;
    let GroupNormGradients { dx, dweight, dbias } = gradients;
    for (what, expected, found) in [
        ("x", len, x.len()),
        ("dy", len, dy.len()),
        ("mean", groups, mean.len()),
        ("inv_std", groups, inv_std.len()),
        ("weight", norm.channels, weight.len()),
        ("dx", len, dx.len()),
        ("dweight", norm.channels, dweight.len()),
        ("dbias", norm.channels, dbias.len()),
    ] {
        expect_len(op, what, expected, found)?;
    }
    if len == 0 {
        dweight.fill(0.0);
        dbias.fill(0.0);
        return Ok(());
    }
    if !columns::are_lanes(norm.spatial) {
        channels::backward(cx, norm, &inputs, GroupNormGradients { dx, dweight, dbias });
        return Ok(());
    }
    let columns = norm.channels * norm.spatial;
    with_scratch(3 * columns, |scratch| {
        let (weights, sums) = scratch.split_at_mut(columns);
        let weight = spread(weight, norm.spatial, weights);
        sum_positions(norm.spatial, sums, [dweight, dbias], |[dweight, dbias]| {
            let inputs = LayerNormBackward { x, dy, mean, inv_std, weight };
            norm.rows().backward(cx, &inputs, LayerNormGradients { dx, dweight, dbias });
        });
    });
    Ok(())
}

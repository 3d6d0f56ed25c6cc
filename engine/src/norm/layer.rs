//! Layer normalisation: each row by its own values.
//!
//! Source: J. Ba, J. Kiros, G. Hinton, "Layer Normalization" (2016), in the form of PyTorch's page
//! "LayerNorm": the variance is the biased one (divisor: features).

use super::rows::Rows;
use super::{Affine, check_eps};
use crate::error::expect_len;
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

impl LayerNorm {
    fn len(&self, op: &'static str) -> Result<usize, Error> {
        if self.features == 0 {
            let (expected, found) = ("at least 1", "0".into());
            return Err(Error::Invalid { op, what: "the number of features", expected, found });
        }
        check_eps(op, self.eps)?;
        self.rows.checked_mul(self.features).ok_or(Error::Overflow { op, what: "x" })
    }

    fn rows(&self) -> Rows {
        Rows { rows: self.rows, parts: 1, features: self.features, eps: self.eps }
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
    norm.rows().forward(cx, x, affine, LayerNormOutputs { y, mean, inv_std });
    Ok(())
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
    norm.rows().backward(cx, &inputs, LayerNormGradients { dx, dweight, dbias });
    Ok(())
}

//! Normalisations of each input by itself.

use super::batch_norm::default_eps;
use super::check::{check, check_eps};
use super::fields::{Shape, list};
use super::pass::with_room;
use super::{Backward, Forward, LayerError, Module, Operation, Parameter, Values};
use crate::Error;
use loupe_engine::Buffer;
use loupe_engine::norm::Affine;
use loupe_engine::norm::layer::{
    self, LayerNormBackward, LayerNormGradients, LayerNormOutputs, layer_norm, layer_norm_backward,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// `[…, normalized_shape]` → the same: each run of the last axes normalised by itself. PyTorch's `LayerNorm`, with
/// affine parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerNorm {
    /// The last axes of the input.
    #[serde(deserialize_with = "list")]
    pub normalized_shape: Vec<usize>,
    /// Added to the variance; default 1e-5.
    #[serde(default = "default_eps")]
    pub eps: f32,
}

impl LayerNorm {
    /// PyTorch's eps.
    pub fn new(normalized_shape: impl Into<Vec<usize>>) -> LayerNorm {
        LayerNorm { normalized_shape: normalized_shape.into(), eps: default_eps() }
    }

    /// Sets what is added to the variance.
    pub fn eps(self, eps: f32) -> LayerNorm {
        LayerNorm { eps, ..self }
    }

    /// Values that are normalised together.
    pub(crate) fn features(&self) -> usize {
        self.normalized_shape.iter().product()
    }
}

impl fmt::Display for LayerNorm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LayerNorm({})", Shape(&self.normalized_shape))
    }
}

impl Module for LayerNorm {
    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, LayerError> {
        check_eps(self.eps)?;
        let axes = &self.normalized_shape;
        check(!axes.is_empty(), || "normalized_shape must have at least one axis".into())?;
        if input.ends_with(axes) {
            return Ok(input.to_vec());
        }
        Err(LayerError::shape(format!("[…, {}]", Shape(axes))))
    }

    fn parameters(&self) -> Vec<Parameter> {
        Parameter::of_norm(&self.normalized_shape)
    }

    fn operation(&self, batch: usize, input: &[usize]) -> Result<Box<dyn Operation>, Error> {
        let features = self.features();
        let rows = batch * input.iter().product::<usize>() / features;
        let dims = layer::LayerNorm { rows, features, eps: self.eps };
        let [mean, inv_std] = [(); 2].map(|()| Buffer::zeros(rows));
        Ok(Box::new(LayerNormOperation { dims, mean, inv_std }))
    }
}

#[derive(Debug)]
struct LayerNormOperation {
    dims: layer::LayerNorm,
    mean: Buffer,
    inv_std: Buffer,
}

impl Operation for LayerNormOperation {
    fn forward(&mut self, pass: &mut Forward<'_>, x: &[f32], y: &mut [f32]) -> Result<(), Error> {
        let affine = Affine { weight: pass.parameter(0), bias: pass.parameter(1) };
        let (mean, inv_std) = (&mut *self.mean, &mut *self.inv_std);
        let outputs = LayerNormOutputs { y, mean, inv_std };
        Ok(layer_norm(pass.context(), &self.dims, x, affine, outputs)?)
    }

    fn backward(
        &mut self,
        pass: &mut Backward<'_>,
        Values { x, dy, .. }: Values<'_>,
        dx: Option<&mut [f32]>,
    ) -> Result<(), Error> {
        let (cx, weight) = (pass.context(), pass.parameter(0));
        let (mean, inv_std) = (&*self.mean, &*self.inv_std);
        let inputs = LayerNormBackward { x, dy, mean, inv_std, weight };
        let [dweight, dbias] = pass.gradients();
        with_room(dx, x.len(), |dx| {
            let gradients = LayerNormGradients { dx, dweight, dbias };
            Ok(layer_norm_backward(cx, &self.dims, inputs, gradients)?)
        })
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.mean) + size_of_val(&*self.inv_std)
    }
}

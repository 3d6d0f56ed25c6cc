//! Fully connected layers.

use super::check::{check, check_lens};
use super::fields::yes;
use super::{Backward, Forward, LayerError, Module, Operation, Parameter, Values};
use crate::Error;
use loupe_engine::linear::{self, linear_backward_input, linear_backward_weight};
use serde::{Deserialize, Serialize};
use std::fmt;

/// `[in_features]` → `[out_features]`: x Wᵀ + b. PyTorch's `Linear`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Linear {
    /// Features of the input.
    pub in_features: usize,
    /// Features of the output.
    pub out_features: usize,
    /// Whether there is a bias for each output; default yes.
    #[serde(default = "yes")]
    pub bias: bool,
}

impl Linear {
    /// With bias.
    pub fn new(in_features: usize, out_features: usize) -> Linear {
        Linear { in_features, out_features, bias: true }
    }

    /// Sets whether there is a bias.
    pub fn bias(self, bias: bool) -> Linear {
        Linear { bias, ..self }
    }

    /// What the engine needs to know of it.
    pub(crate) fn dims(&self, batch: usize) -> linear::Linear {
        let &Linear { in_features, out_features, .. } = self;
        linear::Linear { batch, in_features, out_features }
    }
}

impl fmt::Display for Linear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bias = if self.bias { "" } else { ", bias=False" };
        write!(f, "Linear({}, {}{bias})", self.in_features, self.out_features)
    }
}

impl Module for Linear {
    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, LayerError> {
        let &Linear { in_features, out_features, .. } = self;
        check(in_features > 0 && out_features > 0, || "features must be at least 1".into())?;
        check_lens("the weight", &[in_features.saturating_mul(out_features)])?;
        match input {
            [features] if *features == in_features => Ok(vec![out_features]),
            _ => Err(LayerError::shape(format!("[{in_features}]"))),
        }
    }

    fn parameters(&self) -> Vec<Parameter> {
        let &Linear { in_features, out_features, bias } = self;
        Parameter::of_products(
            &[out_features, in_features],
            bias.then_some(out_features),
            in_features,
        )
    }

    fn multiply_adds(&self, _: &[usize], _: &[usize]) -> u64 {
        (self.in_features as u64).saturating_mul(self.out_features as u64)
    }

    fn operation(&self, batch: usize, _: &[usize]) -> Result<Box<dyn Operation>, Error> {
        Ok(Box::new(LinearOperation { dims: self.dims(batch), has_bias: self.bias }))
    }
}

#[derive(Debug)]
struct LinearOperation {
    dims: linear::Linear,
    has_bias: bool,
}

impl Operation for LinearOperation {
    fn forward(&mut self, pass: &mut Forward<'_>, x: &[f32], y: &mut [f32]) -> Result<(), Error> {
        let bias = self.has_bias.then(|| pass.parameter(1));
        Ok(linear::linear(pass.context(), &self.dims, x, pass.parameter(0), bias, y)?)
    }

    fn backward(
        &mut self,
        pass: &mut Backward<'_>,
        Values { x, dy, .. }: Values<'_>,
        dx: Option<&mut [f32]>,
    ) -> Result<(), Error> {
        let (cx, weight) = (pass.context(), pass.parameter(0));
        let (dweight, dbias) = pass.weight_and_bias();
        linear_backward_weight(cx, &self.dims, x, dy, dweight, dbias)?;
        if let Some(dx) = dx {
            linear_backward_input(cx, &self.dims, weight, dy, dx)?;
        }
        Ok(())
    }
}

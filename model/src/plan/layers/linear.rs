//! A fully connected layer.

use super::{Backward, Forward, What};
use crate::Error;
use crate::parameters::LayerTensors;
use loupe_engine::linear::{Linear, linear, linear_backward_input, linear_backward_weight};

#[derive(Debug)]
pub(super) struct LinearNode {
    pub(super) dims: Linear,
    pub(super) tensors: LayerTensors,
}

impl LinearNode {
    pub(super) fn forward(
        &self,
        pass: &Forward<'_>,
        x: &[f32],
        y: &mut [f32],
    ) -> Result<(), Error> {
        let weight = &pass.parameters[self.tensors.weight.clone()];
        let bias = self.tensors.bias.clone().map(|bias| &pass.parameters[bias]);
        Ok(linear(pass.cx, &self.dims, x, weight, bias, y)?)
    }

    pub(super) fn backward(
        &self,
        pass: &mut Backward<'_>,
        index: usize,
        [x, dy]: [&[f32]; 2],
        dx: Option<&mut [f32]>,
    ) -> Result<(), Error> {
        let (dweight, dbias) = self.tensors.split(pass.gradients);
        let (cx, probe) = (pass.cx, pass.probe);
        probe.time(What::WeightGradient.of(index), || {
            linear_backward_weight(cx, &self.dims, x, dy, dweight, dbias)
        })?;
        if let Some(dx) = dx {
            let weight = &pass.parameters[self.tensors.weight.clone()];
            probe.time(What::InputGradient.of(index), || {
                linear_backward_input(cx, &self.dims, weight, dy, dx)
            })?;
        }
        Ok(())
    }
}

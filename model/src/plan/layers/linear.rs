//! A fully connected layer.

use super::{Backward, Factors, Forward, Purpose, What};
use crate::Error;
use crate::layers::Values;
use crate::parameters::LayerTensors;
use crate::plan::memory::bytes;
use loupe_engine::Buffer;
use loupe_engine::linear::{Linear, linear, linear_backward_input, linear_backward_weight};

/// From so many weights on, the gradient by them is left as factors at batch size 1: writing and reading it
/// would take longer than a loop of the optimiser of its own.
const FACTORS_FROM: usize = 1 << 13;

#[derive(Debug)]
pub(super) struct LinearNode {
    dims: Linear,
    tensors: LayerTensors,
    /// The gradient by the output and the input, if the gradient by the weight is left as these factors.
    factors: Option<[Buffer; 2]>,
}

impl LinearNode {
    pub(super) fn new(dims: Linear, tensors: LayerTensors, purpose: Purpose) -> LinearNode {
        let leaves_factors = purpose == Purpose::Training
            && dims.batch == 1
            && tensors.weight().len() >= FACTORS_FROM;
        let factors =
            leaves_factors.then(|| [dims.out_features, dims.in_features].map(Buffer::zeros));
        LinearNode { dims, tensors, factors }
    }

    /// Bytes of gradients by values.
    pub(super) fn bytes(&self) -> usize {
        self.factors.iter().flatten().map(|factor| bytes(factor)).sum()
    }

    /// The gradient by the weight, if it is left as factors.
    pub(super) fn factors(&self, node: usize) -> Option<Factors<'_>> {
        let place = self.tensors.weight();
        self.factors.as_ref().map(|[dy, x]| Factors { node, place, dy, x })
    }

    pub(super) fn forward(
        &self,
        pass: &Forward<'_>,
        x: &[f32],
        y: &mut [f32],
    ) -> Result<(), Error> {
        let weight = &pass.parameters[self.tensors.weight()];
        let bias = self.tensors.bias().map(|bias| &pass.parameters[bias]);
        Ok(linear(pass.cx, &self.dims, x, weight, bias, y)?)
    }

    pub(super) fn backward(
        &mut self,
        pass: &mut Backward<'_>,
        index: usize,
        Values { x, dy, .. }: Values<'_>,
        dx: Option<&mut [f32]>,
    ) -> Result<(), Error> {
        let (dweight, dbias) = self.tensors.weight_and_bias(pass.gradients);
        let (cx, probe) = (pass.cx, pass.probe);
        if let Some([kept_dy, kept_x]) = &mut self.factors {
            probe.time(What::BiasGradient.of(index), || {
                kept_dy.copy_from_slice(dy);
                kept_x.copy_from_slice(x);
                // Of a single row.
                if let Some(dbias) = dbias {
                    dbias.copy_from_slice(dy);
                }
            });
        } else {
            probe.time(What::WeightGradient.of(index), || {
                linear_backward_weight(cx, &self.dims, x, dy, dweight, dbias)
            })?;
        }
        if let Some(dx) = dx {
            let weight = &pass.parameters[self.tensors.weight()];
            probe.time(What::InputGradient.of(index), || {
                linear_backward_input(cx, &self.dims, weight, dy, dx)
            })?;
        }
        Ok(())
    }
}

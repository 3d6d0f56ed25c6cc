//! One layer, forward and backward.

use crate::Error;
use crate::layers::{Backward, BatchNormOperation, Forward, Operation, Statistics, Values};
use crate::network::Network;
use crate::normalization::Normalization;
use crate::parameters::LayerTensors;
use crate::spec::FlatLayer;
use loupe_engine::Context;
use loupe_engine::elementwise::add;

/// Mean and variance that a normalisation has used: y = (x − mean) / √(variance + eps) · weight + bias.
#[derive(Clone, Debug, PartialEq)]
pub struct NormStatistics {
    /// Of each channel for a normalisation by the batch; otherwise of each run of values that is normalised by
    /// itself.
    pub mean: Vec<f32>,
    /// As long as `mean`; biased where it was taken from the values.
    pub variance: Vec<f32>,
}

/// A layer at its place.
pub(super) struct Step<'a> {
    cx: &'a Context,
    network: &'a Network,
    layer: &'a FlatLayer,
    tensors: &'a LayerTensors,
    batch: usize,
    normalization: Normalization,
}

/// A layer's operation, with the state of its last pass.
enum Traced {
    BatchNorm(BatchNormOperation),
    Other(Box<dyn Operation>),
    /// Of two values.
    Sum,
}

impl<'a> Step<'a> {
    pub(super) fn new(
        cx: &'a Context,
        network: &'a Network,
        index: usize,
        batch: usize,
        normalization: Normalization,
    ) -> Step<'a> {
        let (layer, tensors) = (&network.layers()[index], &network.layout.layers[index]);
        Step { cx, network, layer, tensors, batch, normalization }
    }

    fn operation(&self) -> Result<Traced, Error> {
        let (layer, shape) = (&self.layer.layer, &self.layer.input_shape);
        Ok(match (layer.batch_norm(), layer.module()) {
            (Some([eps, momentum]), _) => {
                Traced::BatchNorm(BatchNormOperation::new(self.batch, shape, eps, momentum))
            }
            (None, Some(module)) => Traced::Other(module.operation(self.batch, shape)?),
            (None, None) => Traced::Sum,
        })
    }

    fn pass(&self) -> Forward<'a> {
        Forward {
            cx: self.cx,
            parameters: &self.network.parameters,
            tensors: self.tensors,
            statistics: match self.normalization {
                Normalization::BatchStatistics => Statistics::Batch,
                Normalization::RunningStatistics => Statistics::Running(&self.network.statistics),
            },
            random_key: None,
        }
    }

    /// Writes the output y for the values that the layer reads; what a normalisation has normalised by.
    pub(super) fn forward(
        &self,
        inputs: &[&[f32]],
        y: &mut [f32],
    ) -> Result<Option<NormStatistics>, Error> {
        let x = inputs[0];
        match self.operation()? {
            Traced::Sum => add(self.cx, x, inputs[1], y)?,
            Traced::Other(mut operation) => operation.forward(&mut self.pass(), x, y)?,
            Traced::BatchNorm(mut operation) => {
                operation.forward(&mut self.pass(), x, y)?;
                let measured = operation.measured();
                let (mean, variance) = (measured.mean.to_vec(), measured.variance.to_vec());
                return Ok(Some(NormStatistics { mean, variance }));
            }
        }
        let together = self.layer.layer.normalized_len(&self.layer.input_shape);
        Ok(together.map(|len| {
            let (mean, variance) = x.chunks_exact(len).map(moments).unzip();
            NormStatistics { mean, variance }
        }))
    }

    /// Writes the gradients by the layer's parameters into `gradients`, the buffer of all. The gradients by the
    /// values that it reads; dy is the one by the output y.
    pub(super) fn backward(
        &self,
        inputs: &[&[f32]],
        [y, dy]: [&[f32]; 2],
        gradients: &mut [f32],
    ) -> Result<Vec<Vec<f32>>, Error> {
        let mut operation: Box<dyn Operation> = match self.operation()? {
            Traced::Sum => return Ok(vec![dy.to_vec(); inputs.len()]),
            Traced::BatchNorm(operation) => Box::new(operation),
            Traced::Other(operation) => operation,
        };
        let x = inputs[0];
        // The state that the forward pass has left.
        operation.forward(&mut self.pass(), x, &mut vec![0.0; y.len()])?;
        let mut pass = Backward {
            cx: self.cx,
            parameters: &self.network.parameters,
            gradients,
            tensors: self.tensors,
            random_key: None,
        };
        let mut dx = vec![0.0; x.len()];
        operation.backward(&mut pass, Values { x, y, dy }, Some(&mut dx))?;
        Ok(vec![dx])
    }
}

/// Mean and biased variance.
fn moments(row: &[f32]) -> (f32, f32) {
    let count = row.len() as f64;
    let mean = row.iter().map(|&x| f64::from(x)).sum::<f64>() / count;
    let squares = row.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>();
    (mean as f32, (squares / count) as f32)
}

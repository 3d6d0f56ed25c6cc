//! A network in numbers: shapes, parameters, arithmetic and memory, layer by layer.

use crate::parameters::NetworkLayout;
use crate::spec::{NetworkSpec, SpecError};
use serde::Serialize;
use std::ops::Range;

/// A network in numbers, for one batch size. Where numbers do not fit 64 bits they are the largest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Inputs of a batch.
    pub batch_size: usize,
    /// Shape of one input.
    pub input: Vec<usize>,
    /// From input to output.
    pub layers: Vec<LayerSummary>,
}

/// A layer in numbers. Those of the arithmetic and the memory are of the whole batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LayerSummary {
    /// Its number in the network, from 0, or `3.layers.0` within block 3; its tensors' names begin with it.
    pub path: String,
    /// As PyTorch prints it.
    pub layer: String,
    /// Shape of one output, without the batch.
    pub output: Vec<usize>,
    /// Trainable numbers.
    pub parameters: usize,
    /// Running means and variances.
    pub statistics: usize,
    /// Multiplications and additions, each pair counted once, of the way forward: those of convolutions and
    /// linear layers, products with padding included.
    pub multiply_adds: u64,
    /// Bytes of the output, which a `View` or `Flatten` shares with its input.
    pub output_bytes: u64,
}

impl Summary {
    /// The numbers of `spec` for batches of `batch_size`. Nothing of the network is allocated.
    ///
    /// # Errors
    /// As [`NetworkSpec::shapes`].
    pub fn new(spec: &NetworkSpec, batch_size: usize) -> Result<Summary, SpecError> {
        let flat = spec.flatten()?;
        let layout = NetworkLayout::new(&flat);
        let batch = batch_size as u64;
        let total = |ranges: &[Range<usize>]| ranges.iter().map(|range| range.len()).sum();
        let layers = flat.into_iter().zip(&layout.layers).map(|(layer, tensors)| LayerSummary {
            multiply_adds: layer.multiply_adds().saturating_mul(batch),
            output_bytes: match layer.layer.is_view() {
                true => 0,
                false => bytes(&layer.output_shape).saturating_mul(batch),
            },
            layer: layer.layer.to_string(),
            path: layer.path,
            output: layer.output_shape,
            parameters: total(&tensors.parameters),
            statistics: tensors.running.as_ref().map_or(0, |running| total(running)),
        });
        let layers = layers.collect();
        Ok(Summary { batch_size, input: spec.input.clone(), layers })
    }

    /// Trainable numbers of all layers.
    pub fn parameters(&self) -> usize {
        self.layers.iter().map(|layer| layer.parameters).fold(0, usize::saturating_add)
    }

    /// Running means and variances of all layers.
    pub fn statistics(&self) -> usize {
        self.layers.iter().map(|layer| layer.statistics).fold(0, usize::saturating_add)
    }

    /// Multiply-adds of all layers.
    pub fn multiply_adds(&self) -> u64 {
        self.layers.iter().map(|layer| layer.multiply_adds).fold(0, u64::saturating_add)
    }

    /// Bytes of a batch of inputs.
    pub fn input_bytes(&self) -> u64 {
        bytes(&self.input).saturating_mul(self.batch_size as u64)
    }

    /// Bytes of the outputs of all layers.
    pub fn output_bytes(&self) -> u64 {
        self.layers.iter().map(|layer| layer.output_bytes).fold(0, u64::saturating_add)
    }
}

/// Bytes of a tensor of floats.
fn bytes(shape: &[usize]) -> u64 {
    let float = size_of::<f32>() as u64;
    shape.iter().fold(float, |bytes, &size| bytes.saturating_mul(size as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nets::{mnist_cnn, mnist_mlp};

    /// As torchinfo counts them, which counts multiply-adds of biases and normalisations too.
    #[test]
    fn the_tutorials_networks() {
        let summary = Summary::new(&mnist_cnn(), 2).unwrap();
        let parameters: Vec<_> = summary.layers.iter().map(|layer| layer.parameters).collect();
        assert_eq!(parameters, [260, 0, 20, 910, 0, 20, 0, 2510, 0]);
        assert_eq!((summary.parameters(), summary.statistics()), (3720, 40));
        assert_eq!(summary.layers[3].output, [10, 5, 5]);
        assert_eq!(summary.multiply_adds(), 2 * (36_000 + 22_500 + 2_500));
        assert_eq!(summary.multiply_adds() * 2, 2 * mnist_cnn().forward_flops().unwrap());
        assert_eq!(summary.input_bytes(), 2 * 784 * 4);
        assert_eq!(summary.layers[6].output_bytes, 0);
        assert_eq!(summary.output_bytes(), 2 * 4 * (3 * 1440 + 3 * 250 + 2 * 10));
        assert_eq!(Summary::new(&mnist_mlp(), 1).unwrap().parameters(), 159_410);
    }

    #[test]
    fn absurd_batches_saturate() {
        let summary = Summary::new(&mnist_cnn(), usize::MAX).unwrap();
        assert_eq!(summary.output_bytes(), u64::MAX);
        assert_eq!(summary.multiply_adds(), u64::MAX);
    }
}

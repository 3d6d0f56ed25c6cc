//! One layer, forward and backward.

use super::{LayerTrace, Trace};
use crate::Error;
use crate::network::Network;
use crate::normalization::Normalization;
use crate::parameters::LayerTensors;
use crate::spec::{Layer, conv_geometry};
use loupe_engine::Context;
use loupe_engine::activation::{
    leaky_relu, leaky_relu_backward, relu, relu_backward, sigmoid, sigmoid_backward,
};
use loupe_engine::conv::{
    Conv2d, Conv2dParameters, conv2d, conv2d_backward_input, conv2d_backward_weight,
};
use loupe_engine::linear::{Linear, linear, linear_backward_input, linear_backward_weight};
use loupe_engine::norm::batch::{
    BatchNorm, BatchNormBackward, BatchNormGradients, Statistics, batch_norm, batch_norm_backward,
    batch_norm_backward_running, batch_statistics,
};
use loupe_engine::norm::layer::{
    LayerNorm, LayerNormBackward, LayerNormGradients, LayerNormOutputs, layer_norm,
    layer_norm_backward,
};

/// Mean and variance that a normalisation has used: y = (x − mean) / √(variance + eps) · weight + bias.
#[derive(Clone, Debug, PartialEq)]
pub struct NormStatistics {
    /// Of each channel for a `BatchNorm2d`; for a `LayerNorm` of each run of values that is normalised by
    /// itself.
    pub mean: Vec<f32>,
    /// As long as `mean`; biased where it was taken from the values.
    pub variance: Vec<f32>,
}

impl NormStatistics {
    fn zeros(len: usize) -> NormStatistics {
        NormStatistics { mean: vec![0.0; len], variance: vec![0.0; len] }
    }

    fn by_channel(&self) -> Statistics<'_> {
        Statistics { mean: &self.mean, variance: &self.variance }
    }
}

/// A layer and the shape of what reaches it.
pub(super) struct Step<'a> {
    cx: &'a Context,
    network: &'a Network,
    index: usize,
    batch: usize,
    /// Of one input, without the batch.
    shape: &'a [usize],
}

impl<'a> Step<'a> {
    pub(super) fn new(
        cx: &'a Context,
        network: &'a Network,
        index: usize,
        batch: usize,
        shape: &'a [usize],
    ) -> Step<'a> {
        Step { cx, network, index, batch, shape }
    }

    fn layer(&self) -> &'a Layer {
        &self.network.spec().layers[self.index]
    }

    /// Of a layer that has parameters.
    fn tensors(&self) -> &'a LayerTensors {
        self.network.layout.layers[self.index].as_ref().expect("a layer with parameters")
    }

    fn weight(&self) -> &'a [f32] {
        &self.network.parameters[self.tensors().weight.clone()]
    }

    fn bias(&self) -> Option<&'a [f32]> {
        self.tensors().bias.clone().map(|bias| &self.network.parameters[bias])
    }

    fn conv2d(&self) -> Conv2d {
        let size = [self.shape[1], self.shape[2]];
        conv_geometry(self.layer(), size).expect("shape inference has passed")
    }

    fn batch_norm(&self, channels: usize, eps: f32) -> BatchNorm {
        let spatial = self.shape[1..].iter().product();
        BatchNorm { batch: self.batch, channels, spatial, eps }
    }

    fn layer_norm(&self, normalized_shape: &[usize], eps: f32) -> LayerNorm {
        let features = normalized_shape.iter().product();
        let rows = self.batch * self.shape.iter().product::<usize>() / features;
        LayerNorm { rows, features, eps }
    }

    /// Writes the output y for the input x; what a normalisation has normalised by.
    pub(super) fn forward(
        &self,
        x: &[f32],
        normalization: Normalization,
        y: &mut [f32],
    ) -> Result<Option<NormStatistics>, Error> {
        let cx = self.cx;
        match self.layer() {
            Layer::Conv2d { .. } => {
                let parameters = Conv2dParameters { weight: self.weight(), bias: self.bias() };
                conv2d(cx, &self.conv2d(), x, parameters, y)?;
            }
            &Layer::Linear { in_features, out_features, .. } => {
                let dims = Linear { batch: self.batch, in_features, out_features };
                linear(cx, &dims, x, self.weight(), self.bias(), y)?;
            }
            &Layer::BatchNorm2d { num_features, eps, .. } => {
                let dims = self.batch_norm(num_features, eps);
                let mut statistics = NormStatistics::zeros(num_features);
                let NormStatistics { mean, variance } = &mut statistics;
                match normalization {
                    Normalization::BatchStatistics => {
                        batch_statistics(cx, &dims, x, mean, variance)?;
                    }
                    Normalization::RunningStatistics => {
                        let running = self.tensors().running.clone();
                        let places = running.expect("a batch normalisation has running statistics");
                        let [kept_mean, kept_variance] =
                            places.map(|place| &self.network.statistics[place]);
                        mean.copy_from_slice(kept_mean);
                        variance.copy_from_slice(kept_variance);
                    }
                }
                let affine = self.tensors().affine(&self.network.parameters);
                batch_norm(cx, &dims, x, statistics.by_channel(), affine, y)?;
                return Ok(Some(statistics));
            }
            Layer::LayerNorm { normalized_shape, eps } => {
                let dims = self.layer_norm(normalized_shape, *eps);
                let mut statistics = NormStatistics::zeros(dims.rows);
                let mut inv_std = vec![0.0; dims.rows];
                let affine = self.tensors().affine(&self.network.parameters);
                let outputs =
                    LayerNormOutputs { y, mean: &mut statistics.mean, inv_std: &mut inv_std };
                layer_norm(cx, &dims, x, affine, outputs)?;
                let rows = x.chunks_exact(dims.features).zip(&statistics.mean);
                statistics.variance = rows.map(|(row, &mean)| variance(row, mean)).collect();
                return Ok(Some(statistics));
            }
            &Layer::LeakyReLU { negative_slope } => leaky_relu(cx, negative_slope, x, y)?,
            Layer::ReLU {} => relu(cx, x, y)?,
            Layer::Sigmoid {} => sigmoid(cx, x, y)?,
            Layer::View { .. } => y.copy_from_slice(x),
        }
        Ok(None)
    }

    /// Writes the gradient by the input x to `dx` and those by the layer's parameters into `gradients`, the
    /// buffer of all; dy is the gradient by the output.
    pub(super) fn backward(
        &self,
        trace: &Trace,
        [x, dy]: [&[f32]; 2],
        LayerTrace { output: y, statistics, .. }: &LayerTrace,
        gradients: &mut [f32],
        dx: &mut [f32],
    ) -> Result<(), Error> {
        let cx = self.cx;
        let used = || statistics.as_ref().expect("a normalisation keeps its statistics");
        match self.layer() {
            Layer::Conv2d { .. } => {
                let geometry = self.conv2d();
                let (dweight, dbias) = self.tensors().split(gradients);
                conv2d_backward_weight(cx, &geometry, x, dy, dweight, dbias)?;
                conv2d_backward_input(cx, &geometry, self.weight(), dy, dx)?;
            }
            &Layer::Linear { in_features, out_features, .. } => {
                let dims = Linear { batch: self.batch, in_features, out_features };
                let (dweight, dbias) = self.tensors().split(gradients);
                linear_backward_weight(cx, &dims, x, dy, dweight, dbias)?;
                linear_backward_input(cx, &dims, self.weight(), dy, dx)?;
            }
            &Layer::BatchNorm2d { num_features, eps, .. } => {
                let dims = self.batch_norm(num_features, eps);
                let (dweight, dbias) = self.tensors().split(gradients);
                let dbias = dbias.expect("a normalisation has a bias");
                let (statistics, weight) = (used().by_channel(), self.weight());
                let inputs = BatchNormBackward { x, dy, statistics, weight, negative_slope: None };
                let gradients = BatchNormGradients { dx, dweight, dbias, dx_sums: None };
                match trace.normalization {
                    Normalization::BatchStatistics => {
                        batch_norm_backward(cx, &dims, inputs, gradients)?;
                    }
                    Normalization::RunningStatistics => {
                        batch_norm_backward_running(cx, &dims, inputs, gradients)?;
                    }
                }
            }
            Layer::LayerNorm { normalized_shape, eps } => {
                let dims = self.layer_norm(normalized_shape, *eps);
                let NormStatistics { mean, variance } = used();
                let inv_std: Vec<f32> = variance.iter().map(|v| 1.0 / (v + eps).sqrt()).collect();
                let (dweight, dbias) = self.tensors().split(gradients);
                let dbias = dbias.expect("a normalisation has a bias");
                let weight = self.weight();
                let inputs = LayerNormBackward { x, dy, mean, inv_std: &inv_std, weight };
                let gradients = LayerNormGradients { dx, dweight, dbias };
                layer_norm_backward(cx, &dims, inputs, gradients)?;
            }
            &Layer::LeakyReLU { negative_slope } => {
                leaky_relu_backward(cx, negative_slope, x, dy, dx)?;
            }
            Layer::ReLU {} => relu_backward(cx, x, dy, dx)?,
            Layer::Sigmoid {} => sigmoid_backward(cx, y, dy, dx)?,
            Layer::View { .. } => dx.copy_from_slice(dy),
        }
        Ok(())
    }
}

/// The mean of (x − mean)².
fn variance(row: &[f32], mean: f32) -> f32 {
    let square = |&x: &f32| (f64::from(x) - f64::from(mean)).powi(2);
    (row.iter().map(square).sum::<f64>() / row.len() as f64) as f32
}

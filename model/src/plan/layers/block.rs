//! Convolution with what follows it: activation and batch normalisation. And such a normalisation by itself.

use super::{Backward, Forward, What};
use crate::Error;
use crate::layers::{BatchNormOperation, InputGradient, Measured, Operation, Values};
use crate::parameters::LayerTensors;
use loupe_engine::Buffer;
use loupe_engine::activation::leaky_relu_backward;
use loupe_engine::conv::{
    Conv2d, Conv2dFused, Conv2dParameters, conv2d_backward_input, conv2d_backward_weight,
    conv2d_fused,
};

/// `Conv2d`, then `LeakyReLU` if there is a slope, then a batch normalisation if there is one.
#[derive(Debug)]
pub(super) struct BlockNode {
    pub(super) geometry: Conv2d,
    pub(super) tensors: LayerTensors,
    /// Not negative: the sign of the activation is then that of its input.
    pub(super) negative_slope: Option<f32>,
    pub(super) norm: Option<BlockNorm>,
    /// The gradient by the convolution's output, before the activation; empty if that is the gradient
    /// by the block's output.
    pub(super) dz: Buffer,
}

/// The normalisation of a block.
#[derive(Debug)]
pub(super) struct BlockNorm {
    pub(super) norm: NormNode,
    /// What it normalises: the convolution's output behind the activation.
    pub(super) activated: Buffer,
    /// Σ dz of each channel: the gradient by the convolution's bias.
    pub(super) dz_sums: Buffer,
}

impl BlockNode {
    pub(super) fn measured(&self) -> Option<Measured<'_>> {
        self.norm.as_ref().map(|norm| norm.norm.norm.measured())
    }

    pub(super) fn forward(
        &mut self,
        pass: &mut Forward<'_>,
        node: usize,
        x: &[f32],
        y: &mut [f32],
    ) -> Result<(), Error> {
        let parameters = Conv2dParameters {
            weight: &pass.parameters[self.tensors.weight()],
            bias: self.tensors.bias().map(|bias| &pass.parameters[bias]),
        };
        let negative_slope = self.negative_slope.unwrap_or(1.0);
        let (cx, probe) = (pass.cx, pass.probe);
        let forward = What::Forward.of(node);
        let Some(BlockNorm { norm: NormNode { norm, tensors, index }, activated, .. }) =
            &mut self.norm
        else {
            let fused = Conv2dFused { negative_slope, statistics: None };
            let geometry = &self.geometry;
            return Ok(probe.time(forward, || conv2d_fused(cx, geometry, x, parameters, fused, y))?);
        };
        let by_batch = pass.statistics.are_of_batch();
        let statistics = by_batch.then(|| norm.statistics_mut());
        let fused = Conv2dFused { negative_slope, statistics };
        probe
            .time(forward, || conv2d_fused(cx, &self.geometry, x, parameters, fused, activated))?;
        probe.time(What::Normalize.of(node), || {
            norm.normalize(&mut pass.of_layer(tensors, *index), activated, y)
        })
    }

    pub(super) fn backward(
        &mut self,
        pass: &mut Backward<'_>,
        node: usize,
        Values { x, y, dy }: Values<'_>,
        dx: Option<&mut [f32]>,
    ) -> Result<(), Error> {
        let (cx, probe) = (pass.cx, pass.probe);
        let mut dbias_is_known = false;
        let dz = match (&mut self.norm, self.negative_slope) {
            (Some(BlockNorm { norm, activated, dz_sums }), negative_slope) => {
                let dx = &mut *self.dz;
                let gradient = InputGradient { dx, negative_slope, sums: Some(dz_sums) };
                probe.time(What::NormGradient.of(node), || {
                    let mut pass = pass.of_layer(&norm.tensors, norm.index);
                    norm.norm.differentiate(&mut pass, activated, dy, gradient)
                })?;
                if let Some(bias) = self.tensors.bias() {
                    pass.gradients[bias].copy_from_slice(dz_sums);
                }
                dbias_is_known = true;
                &self.dz
            }
            (None, Some(slope)) => {
                probe.time(What::ActivationGradient.of(node), || {
                    leaky_relu_backward(cx, slope, y, dy, &mut self.dz)
                })?;
                &self.dz
            }
            (None, None) => dy,
        };
        let (dweight, dbias) = self.tensors.weight_and_bias(pass.gradients);
        let dbias = dbias.filter(|_| !dbias_is_known);
        probe.time(What::WeightGradient.of(node), || {
            conv2d_backward_weight(cx, &self.geometry, x, dz, dweight, dbias)
        })?;
        if let Some(dx) = dx {
            let weight = &pass.parameters[self.tensors.weight()];
            probe.time(What::InputGradient.of(node), || {
                conv2d_backward_input(cx, &self.geometry, weight, dz, dx)
            })?;
        }
        Ok(())
    }
}

/// A batch normalisation that no convolution has taken in, or that of a block.
#[derive(Debug)]
pub(super) struct NormNode {
    pub(super) norm: BatchNormOperation,
    pub(super) tensors: LayerTensors,
    /// The layer's number in the network.
    pub(super) index: usize,
}

impl NormNode {
    pub(super) fn forward(
        &mut self,
        pass: &mut Forward<'_>,
        node: usize,
        x: &[f32],
        y: &mut [f32],
    ) -> Result<(), Error> {
        let NormNode { norm, tensors, index } = self;
        let probe = pass.probe;
        let mut pass = pass.of_layer(tensors, *index);
        if pass.statistics.are_of_batch() {
            probe.time(What::Statistics.of(node), || norm.measure(&pass, x))?;
        }
        probe.time(What::Normalize.of(node), || norm.normalize(&mut pass, x, y))
    }

    pub(super) fn backward(
        &mut self,
        pass: &mut Backward<'_>,
        values: Values<'_>,
        dx: Option<&mut [f32]>,
    ) -> Result<(), Error> {
        self.norm.backward(&mut pass.of_layer(&self.tensors, self.index), values, dx)
    }
}

//! Convolution with what follows it: activation and batch normalisation.

use super::norm::{InputGradient, Norm};
use super::{Backward, Forward, Statistics, What};
use crate::Error;
use crate::parameters::LayerTensors;
use loupe_engine::Buffer;
use loupe_engine::activation::leaky_relu_backward;
use loupe_engine::conv::{
    Conv2d, Conv2dFused, Conv2dParameters, conv2d_backward_input, conv2d_backward_weight,
    conv2d_fused,
};

/// `Conv2d`, then `LeakyReLU` if there is a slope, then `BatchNorm2d` if there is a normalisation.
#[derive(Debug)]
pub(super) struct Block {
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
    pub(super) norm: Norm,
    /// What it normalises: the convolution's output behind the activation.
    pub(super) activated: Buffer,
    /// Σ dz of each channel: the gradient by the convolution's bias.
    pub(super) dz_sums: Buffer,
}

impl Block {
    pub(super) fn forward(
        &mut self,
        pass: &mut Forward<'_>,
        index: usize,
        x: &[f32],
        y: &mut [f32],
    ) -> Result<(), Error> {
        let parameters = Conv2dParameters {
            weight: &pass.parameters[self.tensors.weight.clone()],
            bias: self.tensors.bias.clone().map(|bias| &pass.parameters[bias]),
        };
        let negative_slope = self.negative_slope.unwrap_or(1.0);
        let (cx, probe) = (pass.cx, pass.probe);
        let forward = What::Forward.of(index);
        let Some(BlockNorm { norm, activated, .. }) = &mut self.norm else {
            let fused = Conv2dFused { negative_slope, statistics: None };
            let geometry = &self.geometry;
            return Ok(probe.time(forward, || conv2d_fused(cx, geometry, x, parameters, fused, y))?);
        };
        let by_batch = !matches!(pass.statistics, Statistics::Running(_));
        let statistics = by_batch.then(|| norm.statistics_mut());
        let fused = Conv2dFused { negative_slope, statistics };
        probe
            .time(forward, || conv2d_fused(cx, &self.geometry, x, parameters, fused, activated))?;
        probe.time(What::Normalize.of(index), || norm.normalize(pass, activated, y))
    }

    pub(super) fn backward(
        &mut self,
        pass: &mut Backward<'_>,
        index: usize,
        [x, y, dy]: [&[f32]; 3],
        dx: Option<&mut [f32]>,
    ) -> Result<(), Error> {
        let (cx, probe) = (pass.cx, pass.probe);
        let mut dbias_is_known = false;
        let dz = match (&mut self.norm, self.negative_slope) {
            (Some(BlockNorm { norm, activated, dz_sums }), negative_slope) => {
                let dx = &mut *self.dz;
                let gradient = InputGradient { dx, negative_slope, sums: Some(dz_sums) };
                probe.time(What::NormGradient.of(index), || {
                    norm.backward(pass, activated, dy, gradient)
                })?;
                if let Some(bias) = self.tensors.bias.clone() {
                    pass.gradients[bias].copy_from_slice(dz_sums);
                }
                dbias_is_known = true;
                &self.dz
            }
            (None, Some(slope)) => {
                probe.time(What::ActivationGradient.of(index), || {
                    leaky_relu_backward(cx, slope, y, dy, &mut self.dz)
                })?;
                &self.dz
            }
            (None, None) => dy,
        };
        let (dweight, dbias) = self.tensors.split(pass.gradients);
        let dbias = dbias.filter(|_| !dbias_is_known);
        probe.time(What::WeightGradient.of(index), || {
            conv2d_backward_weight(cx, &self.geometry, x, dz, dweight, dbias)
        })?;
        if let Some(dx) = dx {
            let weight = &pass.parameters[self.tensors.weight.clone()];
            probe.time(What::InputGradient.of(index), || {
                conv2d_backward_input(cx, &self.geometry, weight, dz, dx)
            })?;
        }
        Ok(())
    }
}

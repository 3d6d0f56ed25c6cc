//! Normalisation layers.

use super::{Backward, Forward, Measured, Statistics, What};
use crate::Error;
use crate::parameters::LayerTensors;
use crate::plan::memory::bytes;
use loupe_engine::Buffer;
use loupe_engine::norm::batch::{
    self, BatchNorm, BatchNormBackward, BatchNormGradients, batch_norm, batch_norm_backward,
    batch_statistics, update_running_statistics,
};
use loupe_engine::norm::layer::{
    LayerNorm, LayerNormBackward, LayerNormGradients, LayerNormOutputs, layer_norm,
    layer_norm_backward,
};

/// A batch normalisation, alone or within a block.
#[derive(Debug)]
pub(super) struct Norm {
    pub(super) dims: BatchNorm,
    momentum: f32,
    pub(super) tensors: LayerTensors,
    mean: Buffer,
    variance: Buffer,
}

impl Norm {
    pub(super) fn new(dims: BatchNorm, momentum: f32, tensors: LayerTensors) -> Norm {
        let (mean, variance) = (Buffer::zeros(dims.channels), Buffer::zeros(dims.channels));
        Norm { dims, momentum, tensors, mean, variance }
    }

    /// Bytes of the statistics.
    pub(super) fn bytes(&self) -> usize {
        bytes(&self.mean) + bytes(&self.variance)
    }

    /// Mean and variance of the batch, to be written before [`Norm::normalize`].
    pub(super) fn statistics_mut(&mut self) -> (&mut [f32], &mut [f32]) {
        (&mut self.mean, &mut self.variance)
    }

    /// Mean and variance that the last forward pass wrote.
    pub(super) fn statistics(&self) -> batch::Statistics<'_> {
        batch::Statistics { mean: &self.mean, variance: &self.variance }
    }

    /// The same, and of how many values they are.
    pub(super) fn measured(&self) -> Measured<'_> {
        let values = self.dims.batch * self.dims.spatial;
        Measured { mean: &self.mean, variance: &self.variance, values }
    }

    /// Normalises x by the batch's statistics, which are known, or by the running ones; in training
    /// moves the running ones.
    pub(super) fn normalize(
        &self,
        pass: &mut Forward<'_>,
        x: &[f32],
        y: &mut [f32],
    ) -> Result<(), Error> {
        let affine = self.tensors.affine(pass.parameters);
        let running = self.tensors.running.clone();
        let [mean, variance] = running.expect("a batch normalisation has running statistics");
        let statistics = match &mut pass.statistics {
            Statistics::Running(running) => {
                batch::Statistics { mean: &running[mean], variance: &running[variance] }
            }
            Statistics::Training(running) => {
                let (before, after) = running.split_at_mut(variance.start);
                let after = &mut after[..variance.len()];
                let batch = self.statistics();
                update_running_statistics(
                    &self.dims,
                    self.momentum,
                    batch,
                    &mut before[mean],
                    after,
                )?;
                batch
            }
            Statistics::Batch => self.statistics(),
        };
        Ok(batch_norm(pass.cx, &self.dims, x, statistics, affine, y)?)
    }

    /// Writes the gradients by the parameters, and into `gradient` the one by x.
    pub(super) fn backward(
        &self,
        pass: &mut Backward<'_>,
        x: &[f32],
        dy: &[f32],
        gradient: InputGradient<'_>,
    ) -> Result<(), Error> {
        let statistics = batch::Statistics { mean: &self.mean, variance: &self.variance };
        let weight = &pass.parameters[self.tensors.weight.clone()];
        let InputGradient { dx, negative_slope, sums } = gradient;
        let inputs = BatchNormBackward { x, dy, statistics, weight, negative_slope };
        let (dweight, dbias) = self.tensors.split(pass.gradients);
        let dbias = dbias.expect("a normalisation has a bias");
        let gradients = BatchNormGradients { dx, dweight, dbias, dx_sums: sums };
        Ok(batch_norm_backward(pass.cx, &self.dims, inputs, gradients)?)
    }
}

/// The gradient by the input of a batch normalisation, or by what a LeakyReLU in front made it of.
pub(super) struct InputGradient<'a> {
    pub(super) dx: &'a mut [f32],
    /// Slope of the LeakyReLU, if it is to be differentiated too.
    pub(super) negative_slope: Option<f32>,
    /// The sum of `dx` for each channel, if wanted.
    pub(super) sums: Option<&'a mut [f32]>,
}

/// `BatchNorm2d` that no convolution has taken in.
#[derive(Debug)]
pub(super) struct BatchNormNode {
    pub(super) norm: Norm,
}

impl BatchNormNode {
    pub(super) fn forward(
        &mut self,
        pass: &mut Forward<'_>,
        index: usize,
        x: &[f32],
        y: &mut [f32],
    ) -> Result<(), Error> {
        let norm = &mut self.norm;
        let probe = pass.probe;
        if !matches!(pass.statistics, Statistics::Running(_)) {
            let (mean, variance) = (&mut norm.mean, &mut norm.variance);
            probe.time(What::Statistics.of(index), || {
                batch_statistics(pass.cx, &norm.dims, x, mean, variance)
            })?;
        }
        probe.time(What::Normalize.of(index), || norm.normalize(pass, x, y))
    }

    pub(super) fn backward(
        &mut self,
        pass: &mut Backward<'_>,
        x: &[f32],
        dy: &[f32],
        dx: &mut [f32],
    ) -> Result<(), Error> {
        let gradient = InputGradient { dx, negative_slope: None, sums: None };
        self.norm.backward(pass, x, dy, gradient)
    }
}

/// `LayerNorm`.
#[derive(Debug)]
pub(super) struct LayerNormNode {
    dims: LayerNorm,
    tensors: LayerTensors,
    mean: Buffer,
    inv_std: Buffer,
}

impl LayerNormNode {
    pub(super) fn new(dims: LayerNorm, tensors: LayerTensors) -> LayerNormNode {
        let (mean, inv_std) = (Buffer::zeros(dims.rows), Buffer::zeros(dims.rows));
        LayerNormNode { dims, tensors, mean, inv_std }
    }

    /// Bytes of the statistics.
    pub(super) fn bytes(&self) -> usize {
        bytes(&self.mean) + bytes(&self.inv_std)
    }

    pub(super) fn forward(
        &mut self,
        pass: &Forward<'_>,
        x: &[f32],
        y: &mut [f32],
    ) -> Result<(), Error> {
        let affine = self.tensors.affine(pass.parameters);
        let (mean, inv_std) = (&mut *self.mean, &mut *self.inv_std);
        let outputs = LayerNormOutputs { y, mean, inv_std };
        Ok(layer_norm(pass.cx, &self.dims, x, affine, outputs)?)
    }

    pub(super) fn backward(
        &self,
        pass: &mut Backward<'_>,
        x: &[f32],
        dy: &[f32],
        dx: &mut [f32],
    ) -> Result<(), Error> {
        let weight = &pass.parameters[self.tensors.weight.clone()];
        let (mean, inv_std) = (&*self.mean, &*self.inv_std);
        let inputs = LayerNormBackward { x, dy, mean, inv_std, weight };
        let (dweight, dbias) = self.tensors.split(pass.gradients);
        let dbias = dbias.expect("a normalisation has a bias");
        let gradients = LayerNormGradients { dx, dweight, dbias };
        Ok(layer_norm_backward(pass.cx, &self.dims, inputs, gradients)?)
    }
}

//! Normalisation by the statistics of a batch.

use super::check::{check, check_eps, image};
use super::pass::{Statistics, with_room};
use super::{Backward, Forward, LayerError, Module, Operation, Parameter, Values};
use crate::Error;
use loupe_engine::Buffer;
use loupe_engine::norm::Affine;
use loupe_engine::norm::batch::{
    self, BatchNormBackward, BatchNormGradients, batch_norm, batch_norm_backward,
    batch_norm_backward_running, batch_statistics, update_running_statistics,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// `[C, H, W]` → the same: each channel normalised over the batch and the image. PyTorch's `BatchNorm2d`, with
/// affine parameters and running statistics.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchNorm2d {
    /// C.
    pub num_features: usize,
    /// Added to the variance; default 1e-5.
    #[serde(default = "default_eps")]
    pub eps: f32,
    /// Share of the newest batch in the running statistics; default 0.1.
    #[serde(default = "default_momentum")]
    pub momentum: f32,
}

/// `[C]` or `[C, L]` → the same: each channel normalised over the batch and the length. PyTorch's `BatchNorm1d`,
/// with affine parameters and running statistics.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchNorm1d {
    /// C.
    pub num_features: usize,
    /// Added to the variance; default 1e-5.
    #[serde(default = "default_eps")]
    pub eps: f32,
    /// Share of the newest batch in the running statistics; default 0.1.
    #[serde(default = "default_momentum")]
    pub momentum: f32,
}

pub(super) fn default_eps() -> f32 {
    1e-5
}

fn default_momentum() -> f32 {
    0.1
}

fn check_options(eps: f32, momentum: f32) -> Result<(), LayerError> {
    check_eps(eps)?;
    let share = (0.0..=1.0).contains(&momentum);
    check(share, || format!("momentum must lie in [0, 1], found {momentum}"))
}

impl BatchNorm2d {
    /// PyTorch's eps and momentum.
    pub fn new(num_features: usize) -> BatchNorm2d {
        BatchNorm2d { num_features, eps: default_eps(), momentum: default_momentum() }
    }

    /// Sets what is added to the variance.
    pub fn eps(self, eps: f32) -> BatchNorm2d {
        BatchNorm2d { eps, ..self }
    }

    /// Sets the share of the newest batch in the running statistics.
    pub fn momentum(self, momentum: f32) -> BatchNorm2d {
        BatchNorm2d { momentum, ..self }
    }
}

impl BatchNorm1d {
    /// PyTorch's eps and momentum.
    pub fn new(num_features: usize) -> BatchNorm1d {
        BatchNorm1d { num_features, eps: default_eps(), momentum: default_momentum() }
    }

    /// Sets what is added to the variance.
    pub fn eps(self, eps: f32) -> BatchNorm1d {
        BatchNorm1d { eps, ..self }
    }

    /// Sets the share of the newest batch in the running statistics.
    pub fn momentum(self, momentum: f32) -> BatchNorm1d {
        BatchNorm1d { momentum, ..self }
    }
}

impl fmt::Display for BatchNorm2d {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BatchNorm2d({})", self.num_features)
    }
}

impl fmt::Display for BatchNorm1d {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BatchNorm1d({})", self.num_features)
    }
}

impl Module for BatchNorm2d {
    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, LayerError> {
        check_options(self.eps, self.momentum)?;
        image(self.num_features, input)?;
        Ok(input.to_vec())
    }

    fn parameters(&self) -> Vec<Parameter> {
        Parameter::of_norm(&[self.num_features])
    }

    fn operation(&self, batch: usize, input: &[usize]) -> Result<Box<dyn Operation>, Error> {
        Ok(Box::new(BatchNormOperation::new(batch, input, self.eps, self.momentum)))
    }
}

impl Module for BatchNorm1d {
    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, LayerError> {
        check_options(self.eps, self.momentum)?;
        let channels = self.num_features;
        match *input {
            [found] | [found, _] if found == channels => Ok(input.to_vec()),
            _ => Err(LayerError::shape(format!("[{channels}] or [{channels}, length]"))),
        }
    }

    fn parameters(&self) -> Vec<Parameter> {
        Parameter::of_norm(&[self.num_features])
    }

    fn operation(&self, batch: usize, input: &[usize]) -> Result<Box<dyn Operation>, Error> {
        Ok(Box::new(BatchNormOperation::new(batch, input, self.eps, self.momentum)))
    }
}

/// What a batch normalisation found in a batch.
pub(crate) struct Measured<'a> {
    /// `[C]`
    pub(crate) mean: &'a [f32],
    /// `[C]`, biased: divided by the number of values.
    pub(crate) variance: &'a [f32],
    /// Values of a channel, N · H · W.
    pub(crate) values: usize,
}

/// A batch normalisation, by itself or behind a convolution that has taken the statistics.
#[derive(Debug)]
pub(crate) struct BatchNormOperation {
    dims: batch::BatchNorm,
    momentum: f32,
    /// Those of the last forward pass.
    mean: Buffer,
    variance: Buffer,
    /// Whether these were the running ones, which do not depend on the inputs.
    are_running: bool,
}

impl BatchNormOperation {
    /// `input` is the shape of one input, whose first axis are the channels.
    pub(crate) fn new(
        batch: usize,
        input: &[usize],
        eps: f32,
        momentum: f32,
    ) -> BatchNormOperation {
        let (channels, spatial) = (input[0], input[1..].iter().product());
        let dims = batch::BatchNorm { batch, channels, spatial, eps };
        let [mean, variance] = [(); 2].map(|()| Buffer::zeros(channels));
        BatchNormOperation { dims, momentum, mean, variance, are_running: false }
    }

    /// Mean and variance of the batch, to be written before [`BatchNormOperation::normalize`].
    pub(crate) fn statistics_mut(&mut self) -> (&mut [f32], &mut [f32]) {
        (&mut self.mean, &mut self.variance)
    }

    /// Mean and variance of the last forward pass, and of how many values they are.
    pub(crate) fn measured(&self) -> Measured<'_> {
        let values = self.dims.batch * self.dims.spatial;
        Measured { mean: &self.mean, variance: &self.variance, values }
    }

    fn statistics(&self) -> batch::Statistics<'_> {
        batch::Statistics { mean: &self.mean, variance: &self.variance }
    }

    /// Writes mean and variance of the batch, if it is normalised by them.
    pub(crate) fn measure(&mut self, pass: &Forward<'_>, x: &[f32]) -> Result<(), Error> {
        if pass.statistics.are_of_batch() {
            batch_statistics(pass.cx, &self.dims, x, &mut self.mean, &mut self.variance)?;
        }
        Ok(())
    }

    /// Normalises x by the batch's statistics, which are known, or by the running ones; in training moves
    /// the running ones.
    pub(crate) fn normalize(
        &mut self,
        pass: &mut Forward<'_>,
        x: &[f32],
        y: &mut [f32],
    ) -> Result<(), Error> {
        let affine = Affine { weight: pass.parameter(0), bias: pass.parameter(1) };
        let running = pass.tensors.running.clone();
        let [mean, variance] = running.expect("a batch normalisation has running statistics");
        self.are_running = !pass.statistics.are_of_batch();
        match &mut pass.statistics {
            Statistics::Running(running) => {
                self.mean.copy_from_slice(&running[mean]);
                self.variance.copy_from_slice(&running[variance]);
            }
            Statistics::Training(running) => {
                let [mean, variance] =
                    running.get_disjoint_mut([mean, variance]).expect("tensors do not overlap");
                let batch = self.statistics();
                update_running_statistics(&self.dims, self.momentum, batch, mean, variance)?;
            }
            Statistics::Batch => {}
        }
        Ok(batch_norm(pass.cx, &self.dims, x, self.statistics(), affine, y)?)
    }

    /// Writes the gradients by the parameters, and into `gradient` the one by x.
    pub(crate) fn differentiate(
        &self,
        pass: &mut Backward<'_>,
        x: &[f32],
        dy: &[f32],
        gradient: InputGradient<'_>,
    ) -> Result<(), Error> {
        let InputGradient { dx, negative_slope, sums } = gradient;
        let (cx, weight) = (pass.cx, pass.parameter(0));
        let statistics = self.statistics();
        let inputs = BatchNormBackward { x, dy, statistics, weight, negative_slope };
        let [dweight, dbias] = pass.gradients();
        let gradients = BatchNormGradients { dx, dweight, dbias, dx_sums: sums };
        let backward =
            if self.are_running { batch_norm_backward_running } else { batch_norm_backward };
        Ok(backward(cx, &self.dims, inputs, gradients)?)
    }
}

/// The gradient by the input of a batch normalisation, or by what a LeakyReLU in front made it of.
pub(crate) struct InputGradient<'a> {
    pub(crate) dx: &'a mut [f32],
    /// Slope of the LeakyReLU, if it is to be differentiated too.
    pub(crate) negative_slope: Option<f32>,
    /// The sum of `dx` for each channel, if wanted.
    pub(crate) sums: Option<&'a mut [f32]>,
}

impl Operation for BatchNormOperation {
    fn forward(&mut self, pass: &mut Forward<'_>, x: &[f32], y: &mut [f32]) -> Result<(), Error> {
        self.measure(pass, x)?;
        self.normalize(pass, x, y)
    }

    fn backward(
        &mut self,
        pass: &mut Backward<'_>,
        Values { x, dy, .. }: Values<'_>,
        dx: Option<&mut [f32]>,
    ) -> Result<(), Error> {
        with_room(dx, x.len(), |dx| {
            let gradient = InputGradient { dx, negative_slope: None, sums: None };
            self.differentiate(pass, x, dy, gradient)
        })
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.mean) + size_of_val(&*self.variance)
    }
}

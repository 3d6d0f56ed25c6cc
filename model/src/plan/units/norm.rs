//! A batch normalisation of units.

use super::values::{Place, Values};
use super::{Part, Sizes};
use crate::Error;
use crate::layers::{Measured, Statistics};
use crate::parameters::LayerTensors;
use crate::plan::memory::bytes;
use crate::plan::{Backward, Forward};
use loupe_engine::norm::batch::{
    self, BatchNorm, UnitConstants, UnitGradient, UnitLayout, UnitNorm, gradient_constants, scales,
    sum_units, update_running_statistics,
};
use loupe_engine::{Buffer, Isa, LANES};
use std::ops::Range;

/// `BatchNorm2d`, with the gradient of a `LeakyReLU` in front of it.
#[derive(Debug)]
pub(super) struct NormNode {
    pub(super) norm: UnitNorm,
    /// Of the whole batch.
    pub(super) dims: BatchNorm,
    pub(super) momentum: f32,
    pub(super) tensors: LayerTensors,
    pub(super) x: Place,
    /// None if the convolution behind normalises what it reads.
    pub(super) y: Option<Place>,
    /// x is the output of a convolution, which measures it, or normalises it by running statistics.
    pub(super) follows_conv: bool,
    /// Means of x and squares about them.
    pub(super) moments: [Place; 2],
    /// The gradient by y, in whose place the one by x is written, or by the input of the LeakyReLU.
    pub(super) dy: Place,
    /// Slope of the LeakyReLU whose output x is; 1 for none.
    pub(super) negative_slope: f32,
    /// Σ dy, Σ dy · (x - mean), Σ dx.
    pub(super) sums: [Place; 3],
    /// The bias of the convolution in front, whose gradient Σ dx is.
    pub(super) conv_bias: Option<Range<usize>>,
    pub(super) constants: Constants,
}

/// Numbers of each channel.
#[derive(Debug)]
pub(super) struct Constants {
    mean: Buffer,
    variance: Buffer,
    scale: Buffer,
    bias: Buffer,
    average: Buffer,
    steepness: Buffer,
    sums: Buffer,
    products: Buffer,
}

impl Constants {
    pub(super) fn new(channels: usize) -> Constants {
        let zeros = || Buffer::zeros(channels);
        Constants {
            mean: zeros(),
            variance: zeros(),
            scale: zeros(),
            bias: zeros(),
            average: zeros(),
            steepness: zeros(),
            sums: zeros(),
            products: zeros(),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        let Constants { mean, variance, scale, bias, average, steepness, sums, products } = self;
        let all = [mean, variance, scale, bias, average, steepness, sums, products];
        all.into_iter().map(|numbers| bytes(numbers)).sum()
    }
}

impl NormNode {
    /// What x is normalised by.
    pub(super) fn constants(&self) -> UnitConstants<'_> {
        let Constants { mean, scale, bias, .. } = &self.constants;
        UnitConstants { mean, scale, bias }
    }

    /// What was found in the last batch.
    pub(super) fn measured(&self) -> Measured<'_> {
        let BatchNorm { batch, channels, spatial, .. } = self.dims;
        let Constants { mean, variance, .. } = &self.constants;
        let (mean, variance) = (&mean[..channels], &variance[..channels]);
        Measured { mean, variance, values: batch * spatial }
    }

    /// Whether nothing is to be done in a part of a forward pass: running statistics need no measuring, and
    /// a convolution in front or behind normalises as it writes or reads.
    pub(super) fn is_needless(&self, part: Part, by_batch: bool) -> bool {
        let by_neighbour = self.y.is_none() || (self.follows_conv && !by_batch);
        if part == Part::First { !by_batch } else { by_neighbour }
    }

    /// Where the running statistics are.
    fn running(&self) -> [Range<usize>; 2] {
        self.tensors.running.clone().expect("a batch normalisation has running statistics")
    }

    pub(super) fn prepare_forward(&mut self, pass: &Forward<'_>) -> Result<(), Error> {
        let bias = self.tensors.affine(pass.parameters).bias;
        self.constants.bias[..bias.len()].copy_from_slice(bias);
        if let Statistics::Running(running) = pass.statistics {
            let [mean, variance] = self.running();
            let channels = self.dims.channels;
            self.constants.mean[..channels].copy_from_slice(&running[mean]);
            self.constants.variance[..channels].copy_from_slice(&running[variance]);
            self.set_scale(pass.parameters)?;
        }
        Ok(())
    }

    fn set_scale(&mut self, parameters: &[f32]) -> Result<(), Error> {
        let weight = self.tensors.affine(parameters).weight;
        let Constants { variance, scale, .. } = &mut self.constants;
        Ok(scales(self.dims.eps, variance, weight, scale)?)
    }

    /// Statistics of the batch, from those of the units; in training the running ones move.
    pub(super) fn merge_moments(
        &mut self,
        pass: &mut Forward<'_>,
        sizes: Sizes,
        units: &[f32],
    ) -> Result<(), Error> {
        let Constants { mean, variance, .. } = &mut self.constants;
        let moments = self.moments.each_ref().map(|place| &units[place.range.start..]);
        let outputs = [&mut **mean, &mut **variance];
        let isa = pass.cx.isa();
        let in_last = sizes.batch - (sizes.units - 1) * sizes.images;
        let last = self.norm.spatial / sizes.images * in_last;
        self.norm.merge_moments(isa, [sizes.units, last], moments, sizes.kept_len, outputs)?;
        let [running_mean, running_variance] = self.running();
        if let Statistics::Training(running) = &mut pass.statistics {
            let (before, after) = running.split_at_mut(running_variance.start);
            let after = &mut after[..running_variance.len()];
            let channels = self.dims.channels;
            let Constants { mean, variance, .. } = &self.constants;
            let statistics =
                batch::Statistics { mean: &mean[..channels], variance: &variance[..channels] };
            let before = &mut before[running_mean];
            update_running_statistics(&self.dims, self.momentum, statistics, before, after)?;
        }
        self.set_scale(pass.parameters)
    }

    /// Measures so many images of a unit.
    pub(super) fn measure(
        &self,
        isa: Isa,
        images: usize,
        unit: &mut Values<'_>,
    ) -> Result<(), Error> {
        let [means, squares] = &self.moments;
        let [x, means, squares] = unit.at([&self.x, means, squares]);
        match self.is_partial(images) {
            false => self.norm.moments(isa, x, means, squares)?,
            true => self.norm.partial_moments(isa, images, x, means, squares)?,
        }
        Ok(())
    }

    /// Whether a unit of so many images has lanes of others.
    fn is_partial(&self, images: usize) -> bool {
        self.norm.layout == UnitLayout::Rows && images < LANES
    }

    pub(super) fn normalize(&self, isa: Isa, unit: &mut Values<'_>) -> Result<(), Error> {
        let Some(y) = &self.y else { return Ok(()) };
        let [x, y] = unit.at([&self.x, y]);
        Ok(self.norm.normalize(isa, x, self.constants(), y)?)
    }

    /// The gradients by weight and bias, and what the units' gradients need of the batch.
    pub(super) fn merge_sums(
        &mut self,
        pass: &mut Backward<'_>,
        sizes: Sizes,
        units: &[f32],
    ) -> Result<(), Error> {
        let Constants { variance, scale, average, steepness, sums, products, .. } =
            &mut self.constants;
        for (place, out) in self.sums.iter().zip([&mut *sums, &mut *products]) {
            sum_units(pass.cx, sizes.units, &units[place.range.start..], sizes.kept_len, out)?;
        }
        let weight = self.tensors.affine(pass.parameters).weight;
        let (dweight, dbias) = self.tensors.weight_and_bias(pass.gradients);
        let dbias = dbias.expect("a normalisation has a bias");
        Ok(gradient_constants(
            self.dims.eps,
            self.dims.batch * self.dims.spatial,
            variance,
            weight,
            [sums, products],
            [dweight, dbias],
            [scale, average, steepness],
        )?)
    }

    /// Sums over a unit, for what all units must be known for.
    pub(super) fn add_up(&self, isa: Isa, unit: &mut Values<'_>) -> Result<(), Error> {
        let [sums, products, _] = &self.sums;
        let [x, dy, sums, products] = unit.at([&self.x, &self.dy, sums, products]);
        let mean = &self.constants.mean;
        Ok(self.norm.backward_sums(isa, x, dy, mean, [sums, products])?)
    }

    /// The gradient by x of a unit of so many images.
    pub(super) fn backward(
        &self,
        isa: Isa,
        images: usize,
        unit: &mut Values<'_>,
    ) -> Result<(), Error> {
        let Constants { mean, scale, average, steepness, .. } = &self.constants;
        let gradient = UnitGradient { mean, scale, average, steepness };
        let [x, dy, sums] = unit.at([&self.x, &self.dy, &self.sums[2]]);
        self.norm.backward_input(isa, x, gradient, self.negative_slope, dy, sums)?;
        if self.is_partial(images) {
            self.norm.clear_missing(isa, images, dy, sums)?;
        }
        Ok(())
    }

    /// Writes the gradient by the bias of the convolution in front.
    pub(super) fn finish_backward(
        &self,
        pass: &mut Backward<'_>,
        sizes: Sizes,
        units: &[f32],
    ) -> Result<(), Error> {
        let Some(bias) = self.conv_bias.clone() else { return Ok(()) };
        let sums = &units[self.sums[2].range.start..];
        Ok(sum_units(pass.cx, sizes.units, sums, sizes.kept_len, &mut pass.gradients[bias])?)
    }
}

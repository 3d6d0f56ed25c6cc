//! A convolution of units, with the activation behind it.

use super::lanes::UnitConv;
use super::values::{Place, Values};
use super::{Probe, Sizes, What};
use crate::Error;
use crate::parameters::LayerTensors;
use crate::plan::Backward;
use loupe_engine::activation::leaky_relu_backward;
use loupe_engine::conv::Then;
use loupe_engine::norm::batch::{UnitConstants, UnitNorm, sum_units};
use loupe_engine::{Buffer, Context, Isa};
use std::ops::Range;

/// `Conv2d`, or `Linear` as a convolution of images of one pixel; then `LeakyReLU` if there is a slope.
#[derive(Debug)]
pub(super) struct ConvNode {
    pub(super) conv: UnitConv,
    /// It reads what the normalisation in front of it does, which does not write anything then.
    pub(super) normalizes: bool,
    pub(super) tensors: LayerTensors,
    /// Not negative: the sign of the activation is then that of its input.
    pub(super) negative_slope: Option<f32>,
    pub(super) x: Place,
    pub(super) y: Place,
    /// Of y, for a batch normalisation that follows.
    pub(super) moments: Option<[Place; 2]>,
    pub(super) packed_forward: Buffer,
    /// None in plans for inference.
    pub(super) gradients: Option<ConvGradients>,
}

/// What the backward pass of a convolution needs.
#[derive(Debug)]
pub(super) struct ConvGradients {
    /// The gradient by x; none if x is the input.
    pub(super) dx: Option<Place>,
    /// The gradient by y.
    pub(super) dy: Place,
    /// The gradient before the activation, if what follows does not give that as `dy`.
    pub(super) dz: Option<Place>,
    /// Among the run's sums.
    pub(super) weight_sums: Range<usize>,
    /// Among the run's sums, and how they are summed; none if there is no bias or what follows knows its
    /// gradient.
    pub(super) bias_sums: Option<(Range<usize>, UnitNorm)>,
    pub(super) packed: Buffer,
    /// The sums of all runs.
    pub(super) total: Buffer,
}

/// What a forward pass of a convolution does for the normalisation behind it.
pub(super) enum Behind<'a> {
    Nothing,
    /// Measures y, if there is a normalisation.
    Measure,
    /// Writes y normalised by these, to the place of the normalisation's output.
    Normalize(&'a Place, UnitConstants<'a>),
}

impl ConvNode {
    /// `input` is that of a normalisation whose work the convolution does.
    pub(super) fn prepare_forward(
        &mut self,
        isa: Isa,
        parameters: &[f32],
        input: Option<UnitConstants<'_>>,
    ) -> Result<(), Error> {
        let weight = &parameters[self.tensors.weight()];
        let bias = self.tensors.bias().map(|bias| &parameters[bias]);
        self.conv.pack_forward(isa, weight, bias, input, &mut self.packed_forward)
    }

    pub(super) fn forward(
        &self,
        isa: Isa,
        behind: Behind<'_>,
        unit: &mut Values<'_>,
    ) -> Result<(), Error> {
        let slope = self.negative_slope.unwrap_or(1.0);
        let packed = &self.packed_forward;
        match (behind, &self.moments) {
            (Behind::Normalize(y, constants), _) => {
                let [x, y] = unit.at([&self.x, y]);
                self.conv.forward(isa, packed, x, slope, y, Then::Normalize(constants))
            }
            (Behind::Measure, Some([means, squares])) => {
                let [x, y, means, squares] = unit.at([&self.x, &self.y, means, squares]);
                self.conv.forward(isa, packed, x, slope, y, Then::Measure([means, squares]))
            }
            _ => {
                let [x, y] = unit.at([&self.x, &self.y]);
                self.conv.forward(isa, packed, x, slope, y, Then::Nothing)
            }
        }
    }

    pub(super) fn prepare_backward(
        &mut self,
        isa: Isa,
        parameters: &[f32],
        (probe, index): (Probe<'_>, usize),
    ) -> Result<(), Error> {
        if let Some(ConvGradients { dx: Some(_), packed, .. }) = &mut self.gradients {
            let weight = &parameters[self.tensors.weight()];
            probe.time(What::PackBackward.of(index), || {
                self.conv.pack_backward(isa, weight, packed)
            })?;
        }
        Ok(())
    }

    pub(super) fn backward(
        &self,
        serial: &Context,
        (probe, index): (Probe<'_>, usize),
        input: Option<UnitConstants<'_>>,
        unit: &mut Values<'_>,
        sums: &mut [f32],
    ) -> Result<(), Error> {
        let isa = serial.isa();
        let gradients = self.gradients.as_ref().expect("a plan for training");
        let dz = match &gradients.dz {
            Some(place) => {
                let [y, dy, dz] = unit.at([&self.y, &gradients.dy, place]);
                let slope = self.negative_slope.unwrap_or(1.0);
                probe.time_part(What::ActivationGradient.of(index), || {
                    leaky_relu_backward(serial, slope, y, dy, dz)
                })?;
                place
            }
            None => &gradients.dy,
        };
        let [x, dz_values] = unit.at([&self.x, dz]);
        let weight_sums = &mut sums[gradients.weight_sums.clone()];
        probe.time_part(What::WeightGradient.of(index), || {
            let mean = input.map(|input| input.mean);
            self.conv.backward_weight(isa, x, mean, dz_values, weight_sums)
        })?;
        if let Some((range, norm)) = &gradients.bias_sums {
            let bias_sums = &mut sums[range.clone()];
            probe.time_part(What::BiasGradient.of(index), || {
                norm.add_sums(isa, dz_values, bias_sums)
            })?;
        }
        if let Some(dx) = &gradients.dx {
            let [dz, dx] = unit.at([dz, dx]);
            probe.time_part(What::InputGradient.of(index), || {
                self.conv.backward_input(isa, &gradients.packed, dz, dx)
            })?;
        }
        Ok(())
    }

    /// Writes the gradients by weight and bias, but for a bias that a normalisation takes care of.
    pub(super) fn finish_backward(
        &mut self,
        pass: &mut Backward<'_>,
        input: Option<UnitConstants<'_>>,
        sizes: Sizes,
        sums: &[f32],
    ) -> Result<(), Error> {
        let gradients = self.gradients.as_mut().expect("a plan for training");
        let (dweight, dbias) = self.tensors.weight_and_bias(pass.gradients);
        let (runs, stride) = (sizes.runs(), sizes.sums_len);
        let total = if runs == 1 {
            &sums[gradients.weight_sums.clone()]
        } else {
            let sums = &sums[gradients.weight_sums.start..];
            sum_units(pass.cx, runs, sums, stride, &mut gradients.total)?;
            &gradients.total
        };
        self.conv.unpack_weight(pass.cx.isa(), total, input, dweight)?;
        if let (Some((range, _)), Some(dbias)) = (&gradients.bias_sums, dbias) {
            sum_units(pass.cx, runs, &sums[range.start..], stride, dbias)?;
        }
        Ok(())
    }
}

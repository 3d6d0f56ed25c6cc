//! Weights on their way to the kernels, and gradients on their way back.

use super::InterleavedConv2d;
use super::normalized::Inputs;
use super::weights::{Pack, Weights};
use crate::Error;
use crate::buffer::with_scratch;
use crate::conv::geometry::OP;
use crate::error::expect_len;
use crate::norm::batch::UnitConstants;
use crate::simd::Isa;

impl InterleavedConv2d {
    /// Floats that [`InterleavedConv2d::pack_forward`] writes.
    pub fn packed_forward_len(&self) -> usize {
        let channels = self.geometry.options().out_channels;
        self.biases_len() + self.centres_len() + channels * self.forward.depth()
    }

    /// Floats that [`InterleavedConv2d::pack_backward`] writes.
    pub fn packed_backward_len(&self) -> usize {
        self.geometry.options().in_channels * self.backward.depth()
    }

    /// Bias `[O]` and weights `[O, C / groups, Kh, Kw]` in the order in which
    /// [`InterleavedConv2d::forward`] reads them with the same `isa`; and `input`, all `[C]`, by which x is
    /// normalised.
    ///
    /// # Errors
    /// [`Error::Length`]; [`Error::Invalid`] if the convolution is one
    /// [of normalised images](InterleavedConv2d::of_normalized) and there is no `input`, or the reverse.
    pub fn pack_forward(
        &self,
        isa: Isa,
        weight: &[f32],
        bias: Option<&[f32]>,
        input: Option<UnitConstants<'_>>,
        packed: &mut [f32],
    ) -> Result<(), Error> {
        expect_len(OP, "the weight", self.geometry.weight_len(), weight.len())?;
        expect_len(OP, "the packed weight", self.packed_forward_len(), packed.len())?;
        if let Some(bias) = bias {
            expect_len(OP, "the bias", self.geometry.options().out_channels, bias.len())?;
        }
        self.check_input(input.map(|input| [input.mean, input.scale, input.bias]))?;
        let (biases, packed) = packed.split_at_mut(self.biases_len());
        let (centres, packed) = packed.split_at_mut(self.centres_len());
        let Some(input) = input else {
            for biases in biases.chunks_exact_mut(self.geometry.options().out_channels) {
                match bias {
                    Some(bias) => biases.copy_from_slice(bias),
                    None => biases.fill(0.0),
                }
            }
            self.pack_weight(isa, weight, packed);
            return Ok(());
        };
        let inputs = Inputs { geometry: &self.geometry, classes: &self.forward.classes, input };
        inputs.biases(weight, bias, biases);
        inputs.centres(centres);
        with_scratch(weight.len(), |scaled| {
            inputs.scale(weight, scaled);
            self.pack_weight(isa, scaled, packed);
        });
        Ok(())
    }

    /// The weights behind biases and centres.
    fn pack_weight(&self, isa: Isa, weight: &[f32], packed: &mut [f32]) {
        let channels = self.geometry.options().out_channels;
        let rows = self.geometry.group_outputs();
        let weights = Weights {
            weight,
            group_stride: rows * (self.geometry.weight_len() / channels),
            lane_stride: self.geometry.weight_len() / channels,
            channel_stride: self.geometry.kernel_len(),
        };
        let (classes, groups) = (&self.forward.classes, self.geometry.options().groups);
        isa.run(Pack { classes, groups, rows, weights, packed });
    }

    /// Weights `[O, C / groups, Kh, Kw]` in the order in which [`InterleavedConv2d::backward_input`]
    /// reads them with the same `isa`.
    ///
    /// # Errors
    /// [`Error::Length`].
    pub fn pack_backward(&self, isa: Isa, weight: &[f32], packed: &mut [f32]) -> Result<(), Error> {
        expect_len(OP, "the weight", self.geometry.weight_len(), weight.len())?;
        expect_len(OP, "the packed weight", self.packed_backward_len(), packed.len())?;
        let (rows, outputs) = (self.geometry.group_inputs(), self.geometry.group_outputs());
        let kernel_len = self.geometry.kernel_len();
        let weights = Weights {
            weight,
            group_stride: outputs * rows * kernel_len,
            lane_stride: kernel_len,
            channel_stride: rows * kernel_len,
        };
        let (classes, groups) = (&self.backward.classes, self.geometry.options().groups);
        isa.run(Pack { classes, groups, rows, weights, packed });
        Ok(())
    }

    /// Floats of the sums that [`InterleavedConv2d::backward_weight`] adds to.
    pub fn sums_len(&self) -> usize {
        let sums = if self.normalizes { self.biases_len() } else { 0 };
        self.geometry.weight_len() + sums
    }

    /// The gradient by the weight `[O, C / groups, Kh, Kw]` from the sums of all units, for the `input` that
    /// the weights were packed for.
    ///
    /// # Errors
    /// As [`InterleavedConv2d::pack_forward`].
    pub fn unpack_weight(
        &self,
        sums: &[f32],
        input: Option<UnitConstants<'_>>,
        dweight: &mut [f32],
    ) -> Result<(), Error> {
        expect_len(OP, "the sums", self.sums_len(), sums.len())?;
        expect_len(OP, "dweight", self.geometry.weight_len(), dweight.len())?;
        self.check_input(input.map(|input| [input.mean, input.scale, input.bias]))?;
        match input {
            None => dweight.copy_from_slice(sums),
            Some(input) => {
                let classes = &self.forward.classes;
                Inputs { geometry: &self.geometry, classes, input }.gradient(sums, dweight);
            }
        }
        Ok(())
    }

    /// A bias for each class of results: they meet different kernel elements, whose weights times the bias
    /// of a normalisation are part of it.
    pub(super) fn biases_len(&self) -> usize {
        self.forward.classes.len() * self.geometry.options().out_channels
    }

    /// What is subtracted from the sources of each class and group.
    pub(super) fn centres_len(&self) -> usize {
        if self.normalizes { self.forward.depth() * self.geometry.options().groups } else { 0 }
    }

    /// Whether there are numbers of the inputs' channels if and only if x is normalised.
    pub(super) fn check_input<const N: usize>(
        &self,
        input: Option<[&[f32]; N]>,
    ) -> Result<(), Error> {
        let channels = self.geometry.options().in_channels;
        if self.normalizes != input.is_some() {
            let (expected, found) = match self.normalizes {
                true => ("given, for a convolution of normalised images", "none"),
                false => ("none, for a convolution of images as they are", "some"),
            };
            let found = found.into();
            return Err(Error::Invalid { op: OP, what: "the input's constants", expected, found });
        }
        let mut numbers = input.iter().flatten();
        numbers.try_for_each(|numbers| {
            expect_len(OP, "a constant of the input", channels, numbers.len())
        })
    }
}

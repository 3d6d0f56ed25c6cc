//! What the lanes of a unit's vectors are: images or channels.

use crate::Error;
use loupe_engine::conv::{
    BlockedConv2d, Conv2d, InterleavedConv2d, Then, block, deinterleave, interleave, unblock,
};
use loupe_engine::norm::batch::{UnitConstants, UnitLayout, UnitNorm};
use loupe_engine::{Isa, LANES};

/// What makes a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lanes {
    /// A unit is 16 images, one in each lane.
    Images,
    /// A unit is one image; the lanes are 16 of its channels.
    Channels,
}

impl Lanes {
    pub(super) fn images(self) -> usize {
        match self {
            Lanes::Images => LANES,
            Lanes::Channels => 1,
        }
    }

    /// A part of a batch as a batch normalisation sees it. The channels of missing lanes count.
    pub(super) fn norm(self, channels: usize, spatial: usize) -> UnitNorm {
        match self {
            Lanes::Images => {
                UnitNorm { layout: UnitLayout::Rows, channels, spatial: spatial * LANES }
            }
            Lanes::Channels => {
                let channels = channels.next_multiple_of(LANES);
                UnitNorm { layout: UnitLayout::Blocks, channels, spatial }
            }
        }
    }
}

/// How a value lies in a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `[len, 16]`: 16 images.
    Interleaved,
    /// As outside, one image.
    Plain,
    /// `[ceil(C / 16), H, W, 16]`: one image.
    Blocked { channels: usize },
}

impl Form {
    /// Floats of a value of this shape.
    pub(super) fn len(self, shape: &[usize]) -> usize {
        let len: usize = shape.iter().product();
        match self {
            Form::Interleaved => len * LANES,
            Form::Plain => len,
            Form::Blocked { channels } => len / channels * channels.next_multiple_of(LANES),
        }
    }

    /// Images as they lie outside, to a value of a unit.
    pub(super) fn load(self, isa: Isa, images: &[f32], value: &mut [f32]) -> Result<(), Error> {
        match self {
            Form::Interleaved => interleave(isa, value.len() / LANES, images, value)?,
            Form::Plain => value.copy_from_slice(images),
            Form::Blocked { channels } => block(isa, channels, images, value)?,
        }
        Ok(())
    }

    /// A value of a unit to images as they lie outside.
    pub(super) fn store(self, isa: Isa, value: &[f32], images: &mut [f32]) -> Result<(), Error> {
        match self {
            Form::Interleaved => deinterleave(isa, value.len() / LANES, value, images)?,
            Form::Plain => images.copy_from_slice(value),
            Form::Blocked { channels } => unblock(isa, channels, value, images)?,
        }
        Ok(())
    }
}

/// A convolution of a unit. See the functions of the same names in the engine. There is an `input` or a
/// `mean` if and only if the convolution is one of normalised interleaved images.
#[derive(Debug)]
pub(super) enum UnitConv {
    Interleaved(InterleavedConv2d),
    Blocked(BlockedConv2d),
}

/// The same call of either convolution.
macro_rules! either {
    ($conv:expr, $c:ident => $call:expr) => {
        match $conv {
            UnitConv::Interleaved($c) => $call,
            UnitConv::Blocked($c) => $call,
        }
    };
}

impl UnitConv {
    pub(super) fn geometry(&self) -> &Conv2d {
        either!(self, c => c.geometry())
    }

    pub(super) fn output_len(&self) -> usize {
        either!(self, c => c.output_len())
    }

    pub(super) fn packed_forward_len(&self) -> usize {
        either!(self, c => c.packed_forward_len())
    }

    pub(super) fn packed_backward_len(&self) -> usize {
        either!(self, c => c.packed_backward_len())
    }

    /// Floats of the sums of gradients by the weight.
    pub(super) fn sums_len(&self) -> usize {
        either!(self, c => c.sums_len())
    }

    pub(super) fn pack_forward(
        &self,
        isa: Isa,
        weight: &[f32],
        bias: Option<&[f32]>,
        input: Option<UnitConstants<'_>>,
        packed: &mut [f32],
    ) -> Result<(), Error> {
        match self {
            UnitConv::Interleaved(conv) => conv.pack_forward(isa, weight, bias, input, packed)?,
            UnitConv::Blocked(conv) => conv.pack_forward(isa, weight, bias, packed)?,
        }
        Ok(())
    }

    pub(super) fn pack_backward(
        &self,
        isa: Isa,
        weight: &[f32],
        packed: &mut [f32],
    ) -> Result<(), Error> {
        Ok(either!(self, c => c.pack_backward(isa, weight, packed))?)
    }

    pub(super) fn forward(
        &self,
        isa: Isa,
        packed: &[f32],
        x: &[f32],
        negative_slope: f32,
        y: &mut [f32],
        then: Then<'_>,
    ) -> Result<(), Error> {
        Ok(either!(self, c => c.forward(isa, packed, x, negative_slope, y, then))?)
    }

    pub(super) fn backward_input(
        &self,
        isa: Isa,
        packed: &[f32],
        dz: &[f32],
        dx: &mut [f32],
    ) -> Result<(), Error> {
        Ok(either!(self, c => c.backward_input(isa, packed, dz, dx))?)
    }

    pub(super) fn backward_weight(
        &self,
        isa: Isa,
        x: &[f32],
        mean: Option<&[f32]>,
        dz: &[f32],
        sums: &mut [f32],
    ) -> Result<(), Error> {
        match self {
            UnitConv::Interleaved(conv) => conv.backward_weight(isa, x, mean, dz, sums)?,
            UnitConv::Blocked(conv) => conv.backward_weight(isa, x, dz, sums)?,
        }
        Ok(())
    }

    /// The sums of all units as the gradient by the weight.
    pub(super) fn unpack_weight(
        &self,
        isa: Isa,
        sums: &[f32],
        input: Option<UnitConstants<'_>>,
        dweight: &mut [f32],
    ) -> Result<(), Error> {
        match self {
            UnitConv::Interleaved(conv) => conv.unpack_weight(sums, input, dweight)?,
            UnitConv::Blocked(conv) => conv.unpack_weight(isa, sums, dweight)?,
        }
        Ok(())
    }
}

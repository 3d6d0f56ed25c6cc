//! A convolution in the plan's layout.

use loupe_engine::conv::{
    Conv2d, Conv2dFused, Conv2dParameters, InterleavedConv2d, conv2d_backward_input,
    conv2d_backward_weight, conv2d_fused,
};
use loupe_engine::{Context, Error};

/// A convolution of images one behind the other, or of 16 images side by side.
#[derive(Debug)]
pub(super) enum Conv {
    Plain(Conv2d),
    Interleaved(InterleavedConv2d),
}

impl Conv {
    pub(super) fn new(geometry: Conv2d, interleaved: bool) -> Result<Conv, Error> {
        Ok(match interleaved {
            false => Conv::Plain(geometry),
            true => Conv::Interleaved(InterleavedConv2d::new(geometry)?),
        })
    }

    pub(super) fn out_channels(&self) -> usize {
        let geometry = match self {
            Conv::Plain(geometry) => geometry,
            Conv::Interleaved(conv) => conv.geometry(),
        };
        geometry.options().out_channels
    }

    pub(super) fn forward(
        &self,
        cx: &Context,
        x: &[f32],
        parameters: Conv2dParameters<'_>,
        fused: Conv2dFused<'_>,
        y: &mut [f32],
    ) -> Result<(), Error> {
        match self {
            Conv::Plain(geometry) => conv2d_fused(cx, geometry, x, parameters, fused, y),
            Conv::Interleaved(conv) => conv.forward(cx, x, parameters, fused, y),
        }
    }

    pub(super) fn backward_input(
        &self,
        cx: &Context,
        weight: &[f32],
        dy: &[f32],
        dx: &mut [f32],
    ) -> Result<(), Error> {
        match self {
            Conv::Plain(geometry) => conv2d_backward_input(cx, geometry, weight, dy, dx),
            Conv::Interleaved(conv) => conv.backward_input(cx, weight, dy, dx),
        }
    }

    pub(super) fn backward_weight(
        &self,
        cx: &Context,
        x: &[f32],
        dy: &[f32],
        dweight: &mut [f32],
        dbias: Option<&mut [f32]>,
    ) -> Result<(), Error> {
        match self {
            Conv::Plain(geometry) => conv2d_backward_weight(cx, geometry, x, dy, dweight, dbias),
            Conv::Interleaved(conv) => conv.backward_weight(cx, x, dy, dweight, dbias),
        }
    }
}

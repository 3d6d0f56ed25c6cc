//! An activation that no convolution in front of it has taken in.

use crate::Error;
use loupe_engine::Context;
use loupe_engine::activation::{
    leaky_relu, leaky_relu_backward, relu, relu_backward, sigmoid, sigmoid_backward,
};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Activation {
    LeakyRelu { negative_slope: f32 },
    Relu,
    Sigmoid,
}

impl Activation {
    pub(super) fn forward(self, cx: &Context, x: &[f32], y: &mut [f32]) -> Result<(), Error> {
        match self {
            Activation::LeakyRelu { negative_slope } => leaky_relu(cx, negative_slope, x, y),
            Activation::Relu => relu(cx, x, y),
            Activation::Sigmoid => sigmoid(cx, x, y),
        }?;
        Ok(())
    }

    pub(super) fn backward(
        self,
        cx: &Context,
        x: &[f32],
        y: &[f32],
        dy: &[f32],
        dx: &mut [f32],
    ) -> Result<(), Error> {
        match self {
            Activation::LeakyRelu { negative_slope } => {
                leaky_relu_backward(cx, negative_slope, x, dy, dx)
            }
            Activation::Relu => relu_backward(cx, x, dy, dx),
            Activation::Sigmoid => sigmoid_backward(cx, y, dy, dx),
        }?;
        Ok(())
    }
}

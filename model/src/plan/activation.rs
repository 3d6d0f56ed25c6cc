//! An activation that no convolution in front of it has taken in.

use super::{Backward, Forward};
use crate::Error;
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
    pub(super) fn forward(self, pass: &Forward<'_>, x: &[f32], y: &mut [f32]) -> Result<(), Error> {
        match self {
            Activation::LeakyRelu { negative_slope } => leaky_relu(pass.cx, negative_slope, x, y),
            Activation::Relu => relu(pass.cx, x, y),
            Activation::Sigmoid => sigmoid(pass.cx, x, y),
        }?;
        Ok(())
    }

    pub(super) fn backward(
        self,
        pass: &Backward<'_>,
        x: &[f32],
        y: &[f32],
        dy: &[f32],
        dx: &mut [f32],
    ) -> Result<(), Error> {
        match self {
            Activation::LeakyRelu { negative_slope } => {
                leaky_relu_backward(pass.cx, negative_slope, x, dy, dx)
            }
            Activation::Relu => relu_backward(pass.cx, x, dy, dx),
            Activation::Sigmoid => sigmoid_backward(pass.cx, y, dy, dx),
        }?;
        Ok(())
    }
}

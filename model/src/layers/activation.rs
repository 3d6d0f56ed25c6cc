//! Functions of single elements.

use super::check::check_finite;
use super::{Backward, Forward, LayerError, Module, Operation, Values};
use crate::Error;
use loupe_engine::Context;
use loupe_engine::activation::{
    leaky_relu, leaky_relu_backward, relu, relu_backward, sigmoid, sigmoid_backward,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// max(x, 0), for each element. PyTorch's `ReLU`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReLU;

/// max(x, 0) + negative_slope · min(x, 0), for each element. PyTorch's `LeakyReLU`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeakyReLU {
    /// Default 0.01.
    #[serde(default = "leaky_slope")]
    pub negative_slope: f32,
}

/// 1 / (1 + exp(−x)), for each element. PyTorch's `Sigmoid`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sigmoid;

fn leaky_slope() -> f32 {
    0.01
}

impl LeakyReLU {
    /// With this slope.
    pub fn new(negative_slope: f32) -> LeakyReLU {
        LeakyReLU { negative_slope }
    }
}

impl Default for LeakyReLU {
    fn default() -> LeakyReLU {
        LeakyReLU::new(leaky_slope())
    }
}

/// A function of single elements, as plans compute it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Activation {
    LeakyRelu { negative_slope: f32 },
    Relu,
    Sigmoid,
}

impl Activation {
    /// Whether 0 becomes 0, and a gradient there is of no use.
    pub(crate) fn keeps_zero(self) -> bool {
        match self {
            Activation::LeakyRelu { .. } | Activation::Relu => true,
            Activation::Sigmoid => false,
        }
    }

    pub(crate) fn forward(self, cx: &Context, x: &[f32], y: &mut [f32]) -> Result<(), Error> {
        match self {
            Activation::LeakyRelu { negative_slope } => leaky_relu(cx, negative_slope, x, y),
            Activation::Relu => relu(cx, x, y),
            Activation::Sigmoid => sigmoid(cx, x, y),
        }?;
        Ok(())
    }

    pub(crate) fn backward(
        self,
        cx: &Context,
        Values { x, y, dy }: Values<'_>,
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

impl Operation for Activation {
    fn forward(&mut self, pass: &mut Forward<'_>, x: &[f32], y: &mut [f32]) -> Result<(), Error> {
        Activation::forward(*self, pass.context(), x, y)
    }

    fn backward(
        &mut self,
        pass: &mut Backward<'_>,
        values: Values<'_>,
        dx: Option<&mut [f32]>,
    ) -> Result<(), Error> {
        dx.map_or(Ok(()), |dx| Activation::backward(*self, pass.context(), values, dx))
    }
}

/// Modules whose operation is an [`Activation`].
macro_rules! activations {
    ($($layer:ident => |$this:ident| $activation:expr, $name:expr, $check:expr;)*) => {$(
        impl $layer {
            pub(crate) fn activation(&self) -> Activation {
                let $this = self;
                $activation
            }
        }

        impl fmt::Display for $layer {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let $this = self;
                f.write_str(&$name)
            }
        }

        impl Module for $layer {
            fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, LayerError> {
                let $this = self;
                $check?;
                Ok(input.to_vec())
            }

            fn operation(&self, _: usize, _: &[usize]) -> Result<Box<dyn Operation>, Error> {
                Ok(Box::new(self.activation()))
            }
        }
    )*};
}

activations! {
    ReLU => |_this| Activation::Relu, "ReLU()", Ok(());
    LeakyReLU => |this| Activation::LeakyRelu { negative_slope: this.negative_slope },
        format!("LeakyReLU({})", this.negative_slope),
        check_finite("negative_slope", this.negative_slope);
    Sigmoid => |_this| Activation::Sigmoid, "Sigmoid()", Ok(());
}

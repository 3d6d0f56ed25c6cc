//! Functions of single elements.

use super::check::check_finite;
use super::fields::approximation;
use super::{Backward, Forward, LayerError, Module, Operation, Values};
use crate::Error;
use loupe_engine::Context;
use loupe_engine::activation::{
    GeluApproximation, gelu, gelu_backward, leaky_relu, leaky_relu_backward, relu, relu_backward,
    sigmoid, sigmoid_backward, silu, silu_backward, tanh, tanh_backward,
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

/// x / (1 + exp(−x)), for each element. PyTorch's `SiLU`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiLU;

/// tanh(x), for each element. PyTorch's `Tanh`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tanh;

/// x · Φ(x) with the distribution function Φ of the normal distribution, for each element. PyTorch's `GELU`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GELU {
    /// `none`, the default, or by a formula with `tanh`.
    #[serde(default, with = "approximation")]
    pub approximate: GeluApproximation,
}

impl GELU {
    /// Not approximated.
    pub fn new() -> GELU {
        GELU::default()
    }

    /// Sets how it is approximated.
    pub fn approximate(self, approximate: GeluApproximation) -> GELU {
        GELU { approximate }
    }
}

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
    Silu,
    Tanh,
    Gelu(GeluApproximation),
}

impl Activation {
    /// Whether 0 becomes 0, and a gradient there is of no use.
    pub(crate) fn keeps_zero(self) -> bool {
        match self {
            Activation::LeakyRelu { .. } | Activation::Relu => true,
            Activation::Sigmoid => false,
            Activation::Silu | Activation::Tanh | Activation::Gelu(_) => true,
        }
    }

    pub(crate) fn forward(self, cx: &Context, x: &[f32], y: &mut [f32]) -> Result<(), Error> {
        match self {
            Activation::LeakyRelu { negative_slope } => leaky_relu(cx, negative_slope, x, y),
            Activation::Relu => relu(cx, x, y),
            Activation::Sigmoid => sigmoid(cx, x, y),
            Activation::Silu => silu(cx, x, y),
            Activation::Tanh => tanh(cx, x, y),
            Activation::Gelu(approximation) => gelu(cx, approximation, x, y),
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
            Activation::Silu => silu_backward(cx, x, dy, dx),
            Activation::Tanh => tanh_backward(cx, y, dy, dx),
            Activation::Gelu(approximation) => gelu_backward(cx, approximation, x, dy, dx),
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

/// Of layers without options, or with such as cannot be wrong.
fn sound<L>(_: &L) -> Result<(), LayerError> {
    Ok(())
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
                $check(self)?;
                Ok(input.to_vec())
            }

            fn operation(&self, _: usize, _: &[usize]) -> Result<Box<dyn Operation>, Error> {
                Ok(Box::new(self.activation()))
            }
        }
    )*};
}

activations! {
    ReLU => |_this| Activation::Relu, "ReLU()", sound;
    LeakyReLU => |this| Activation::LeakyRelu { negative_slope: this.negative_slope },
        format!("LeakyReLU({})", this.negative_slope),
        |this: &LeakyReLU| check_finite("negative_slope", this.negative_slope);
    Sigmoid => |_this| Activation::Sigmoid, "Sigmoid()", sound;
    SiLU => |_this| Activation::Silu, "SiLU()", sound;
    Tanh => |_this| Activation::Tanh, "Tanh()", sound;
    GELU => |this| Activation::Gelu(this.approximate),
        format!("GELU(approximate='{}')", approximation::name(&this.approximate)), sound;
}

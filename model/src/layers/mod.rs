//! The layers that a network can be made of.
//!
//! Each is a struct of its options, with the names and defaults of the PyTorch module of the same name, and a
//! [`Module`]. [`Layer`] is any of them, as it stands in a [`NetworkSpec`](crate::NetworkSpec).
//!
//! ```
//! use loupe_model::layers::{BatchNorm2d, Conv2d, Flatten, LeakyReLU, Linear, ReLU, Residual};
//! use loupe_model::NetworkSpec;
//!
//! let block = Residual::new()
//!     .add(Conv2d::new(8, 8, 3).padding(1))
//!     .add(BatchNorm2d::new(8));
//! let spec = NetworkSpec::new([1, 28, 28])
//!     .add(Conv2d::new(1, 8, 5).stride(2))
//!     .add(LeakyReLU::new(0.02))
//!     .add(block)
//!     .add(ReLU)
//!     .add(Flatten)
//!     .add(Linear::new(8 * 12 * 12, 10));
//! assert_eq!(spec.shapes()?.last().unwrap(), &[10]);
//! # Ok::<(), loupe_model::SpecError>(())
//! ```

mod activation;
mod batch_norm;
pub(crate) mod check;
mod conv;
mod conv_transpose;
mod custom;
mod dropout;
mod fields;
mod group_norm;
mod linear;
mod module;
mod norm;
mod pass;
mod plain;
mod pool;
mod residual;
mod shape;
mod softmax;
mod upsample;

pub(crate) use activation::Activation;
pub use activation::{GELU, LeakyReLU, ReLU, SiLU, Sigmoid, Tanh};
pub use batch_norm::{BatchNorm1d, BatchNorm2d};
pub(crate) use batch_norm::{BatchNormOperation, InputGradient, Measured};
pub use conv::Conv2d;
pub use conv_transpose::ConvTranspose2d;
pub use custom::Custom;
pub use dropout::Dropout;
pub use fields::Pair;
pub(crate) use fields::layers;
pub use group_norm::GroupNorm;
pub use linear::Linear;
pub use module::{Init, LayerError, Module, Operation, Parameter, Values};
pub use norm::LayerNorm;
pub(crate) use pass::Statistics;
pub use pass::{Backward, Forward};
pub use pool::{AdaptiveAvgPool2d, AvgPool2d, MaxPool2d};
pub use residual::Residual;
pub use shape::{Flatten, View};
pub use softmax::Softmax;
pub use upsample::Upsample;

pub use loupe_engine::activation::GeluApproximation;
pub use loupe_engine::pad::PaddingMode;

use serde::{Deserialize, Serialize};
use std::fmt;

/// Declares [`Layer`], of which every variant but `Residual` is a module.
macro_rules! layers {
    ($($name:ident,)*) => {
        /// Any layer. In a file it is a table of its options with a field `type`.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "type")]
        #[non_exhaustive]
        pub enum Layer {
            $(
                #[doc = concat!("See [`", stringify!($name), "`](struct@", stringify!($name), ").")]
                $name($name),
            )*
            /// See [`Residual`](struct@Residual).
            Residual(Residual),
            /// A layer of another crate, which no file can hold.
            #[serde(skip)]
            Custom(Custom),
        }

        $(
            impl From<$name> for Layer {
                fn from(layer: $name) -> Layer {
                    Layer::$name(layer)
                }
            }
        )*

        impl Layer {
            /// What it is, unless it is a [`Residual`](struct@Residual) of other layers.
            pub fn module(&self) -> Option<&dyn Module> {
                match self {
                    $(Layer::$name(layer) => Some(layer),)*
                    Layer::Residual(_) => None,
                    Layer::Custom(layer) => Some(layer.module()),
                }
            }
        }
    };
}

layers! {
    AdaptiveAvgPool2d,
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    Conv2d,
    ConvTranspose2d,
    Dropout,
    Flatten,
    GELU,
    GroupNorm,
    LayerNorm,
    LeakyReLU,
    Linear,
    MaxPool2d,
    ReLU,
    SiLU,
    Sigmoid,
    Softmax,
    Tanh,
    Upsample,
    View,
}

impl From<Residual> for Layer {
    fn from(layer: Residual) -> Layer {
        Layer::Residual(layer)
    }
}

impl Layer {
    /// A layer of your own.
    pub fn custom(module: impl Module + 'static) -> Layer {
        Layer::Custom(Custom::new(module))
    }

    /// Whether it gives its input under another shape, so that plans need not compute anything.
    pub(crate) fn is_view(&self) -> bool {
        matches!(self, Layer::View(_) | Layer::Flatten(_))
    }

    /// Whether it makes random choices in training; one of your own may.
    pub(crate) fn is_random(&self) -> bool {
        matches!(self, Layer::Dropout(_) | Layer::Custom(_))
    }

    /// Options of a normalisation by the statistics of a batch: eps and momentum.
    pub(crate) fn batch_norm(&self) -> Option<[f32; 2]> {
        match self {
            Layer::BatchNorm1d(norm) => Some([norm.eps, norm.momentum]),
            Layer::BatchNorm2d(norm) => Some([norm.eps, norm.momentum]),
            _ => None,
        }
    }

    /// Neighbouring values of one input that are normalised together, if it normalises each input by itself.
    pub(crate) fn normalized_len(&self, input: &[usize]) -> Option<usize> {
        match self {
            Layer::GroupNorm(norm) => Some(input.iter().product::<usize>() / norm.num_groups),
            Layer::LayerNorm(norm) => Some(norm.features()),
            _ => None,
        }
    }

    /// The function of single elements that it is.
    pub(crate) fn activation(&self) -> Option<Activation> {
        match self {
            Layer::LeakyReLU(layer) => Some(layer.activation()),
            Layer::GELU(layer) => Some(layer.activation()),
            Layer::ReLU(layer) => Some(layer.activation()),
            Layer::SiLU(layer) => Some(layer.activation()),
            Layer::Sigmoid(layer) => Some(layer.activation()),
            Layer::Tanh(layer) => Some(layer.activation()),
            _ => None,
        }
    }
}

/// As PyTorch prints the module: `Conv2d(1, 10, kernel_size=5, stride=2)`.
impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, self.module()) {
            (_, Some(module)) => fmt::Display::fmt(module, f),
            (Layer::Residual(layer), _) => fmt::Display::fmt(layer, f),
            (_, None) => unreachable!("all others are modules"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Layer, String> {
        serde_json::from_str(json).map_err(|e| e.to_string())
    }

    #[test]
    fn defaults_are_pytorchs() {
        let text = r#"{"type": "Conv2d", "in_channels": 1, "out_channels": 2, "kernel_size": 3}"#;
        assert_eq!(parse(text), Ok(Conv2d::new(1, 2, 3).into()));
        let text = r#"{"type": "BatchNorm2d", "num_features": 10}"#;
        let expected = BatchNorm2d { num_features: 10, eps: 1e-5, momentum: 0.1 };
        assert_eq!(parse(text), Ok(expected.into()));
        assert_eq!(parse(r#"{"type": "LeakyReLU"}"#), Ok(LeakyReLU::new(0.01).into()));
    }

    #[test]
    fn numbers_may_stand_for_pairs_and_lists() {
        assert_eq!(parse(r#"{"type": "View", "shape": 250}"#), Ok(View::new([250]).into()));
        let text = r#"{"type": "LayerNorm", "normalized_shape": [3, 4]}"#;
        assert_eq!(parse(text), Ok(LayerNorm::new([3, 4]).into()));
        let text =
            r#"{"type": "Conv2d", "in_channels": 1, "out_channels": 2, "kernel_size": [3, 3, 3]}"#;
        assert!(parse(text).unwrap_err().contains("expected one number or two, found 3"));
    }

    #[test]
    fn unknown_fields_and_layers_are_errors() {
        assert!(parse(r#"{"type": "Sigmoid", "slope": 1}"#).is_err());
        assert!(parse(r#"{"type": "ReLU", "slope": 1}"#).is_err());
        assert!(parse(r#"{"type": "LeakyReLU", "slope": 1}"#).is_err());
        let error = parse(r#"{"type": "Conv3d"}"#).unwrap_err();
        assert!(error.contains("Conv3d") && error.contains("Conv2d"), "{error}");
    }

    #[test]
    fn every_layer_survives_a_file() {
        let residual = Residual::new().add(ReLU).add(Linear::new(3, 3)).shortcut(Sigmoid);
        let layers: Vec<Layer> = vec![
            Conv2d::new(2, 4, (3, 5)).stride(2).padding((1, 0)).dilation(3).groups(2).into(),
            BatchNorm1d::new(3).eps(0.5).momentum(0.25).into(),
            BatchNorm2d::new(3).into(),
            Conv2d::new(2, 4, 3).padding(1).padding_mode(PaddingMode::Reflect).into(),
            ConvTranspose2d::new(4, 2, 4).stride(2).padding(1).output_padding((1, 0)).into(),
            ConvTranspose2d::new(4, 2, 3).dilation(2).groups(2).bias(false).into(),
            MaxPool2d::new(3).stride(2).padding(1).dilation((1, 2)).into(),
            MaxPool2d::new(2).into(),
            AvgPool2d::new(3).stride(2).padding(1).count_include_pad(false).into(),
            AdaptiveAvgPool2d::new(1).into(),
            Upsample::new((2, 3)).into(),
            GroupNorm::new(2, 4).eps(0.5).into(),
            GELU::new().approximate(GeluApproximation::Tanh).into(),
            SiLU.into(),
            Tanh.into(),
            Softmax::new(-1).into(),
            Dropout::new(0.25).into(),
            Flatten.into(),
            LayerNorm::new([2, 3]).eps(0.5).into(),
            LeakyReLU::new(0.5).into(),
            Linear::new(3, 4).bias(false).into(),
            ReLU.into(),
            Sigmoid.into(),
            View::new([4]).into(),
            residual.into(),
        ];
        for layer in layers {
            let text = serde_json::to_string(&layer).unwrap();
            assert_eq!(parse(&text), Ok(layer), "{text}");
        }
    }

    #[test]
    fn layers_print_as_in_pytorch() {
        let print = |layer: Layer| layer.to_string();
        let conv = Conv2d::new(1, 10, 5).stride(2);
        assert_eq!(print(conv.into()), "Conv2d(1, 10, kernel_size=5, stride=2)");
        let conv = Conv2d::new(4, 8, (3, 1)).padding((1, 0)).groups(4).bias(false);
        let expected = "Conv2d(4, 8, kernel_size=(3, 1), padding=(1, 0), groups=4, bias=False)";
        assert_eq!(print(conv.into()), expected);
        assert_eq!(print(LayerNorm::new([200]).into()), "LayerNorm(200)");
        assert_eq!(print(View::new([10, 5, 5]).into()), "View(10, 5, 5)");
        assert_eq!(print(ReLU.into()), "ReLU()");
        assert_eq!(print(GELU::new().into()), "GELU(approximate='none')");
        assert_eq!(print(Dropout::default().into()), "Dropout(p=0.5)");
        assert_eq!(print(Softmax::new(1).into()), "Softmax(dim=1)");
        let pool = MaxPool2d::new(3).stride(2).padding(1);
        assert_eq!(print(pool.into()), "MaxPool2d(kernel_size=3, stride=2, padding=1)");
        assert_eq!(print(AdaptiveAvgPool2d::new(1).into()), "AdaptiveAvgPool2d(output_size=1)");
        assert_eq!(print(Upsample::new(2).into()), "Upsample(scale_factor=2, mode='nearest')");
        let block = Residual::new().add(ReLU).shortcut(ReLU).shortcut(ReLU);
        assert_eq!(print(block.into()), "Residual(1 layer, shortcut of 2)");
    }
}

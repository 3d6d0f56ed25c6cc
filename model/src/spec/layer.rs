//! The layers that a network can be made of.

use loupe_engine::conv::Conv2dOptions;
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// One layer. Meaning and defaults are those of the PyTorch module of the same name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", deny_unknown_fields)]
pub enum Layer {
    /// `[C, H, W]` → `[O, Ho, Wo]`: cross-correlation with O kernels.
    Conv2d {
        /// C.
        in_channels: usize,
        /// O.
        out_channels: usize,
        /// Kh, Kw.
        #[serde(deserialize_with = "pair")]
        kernel_size: [usize; 2],
        /// Steps of the kernel; default 1.
        #[serde(default = "ones", deserialize_with = "pair")]
        stride: [usize; 2],
        /// Zeros at each of the two sides; default 0.
        #[serde(default, deserialize_with = "pair")]
        padding: [usize; 2],
        /// Distance of kernel elements; default 1.
        #[serde(default = "ones", deserialize_with = "pair")]
        dilation: [usize; 2],
        /// Groups of channels that do not see each other; default 1.
        #[serde(default = "one")]
        groups: usize,
        /// Whether there is a bias for each kernel; default yes.
        #[serde(default = "yes")]
        bias: bool,
    },
    /// `[in_features]` → `[out_features]`: x Wᵀ + b.
    Linear {
        /// Features of the input.
        in_features: usize,
        /// Features of the output.
        out_features: usize,
        /// Whether there is a bias for each output; default yes.
        #[serde(default = "yes")]
        bias: bool,
    },
    /// `[C, H, W]` → the same: each channel normalised over the batch and the image.
    BatchNorm2d {
        /// C.
        num_features: usize,
        /// Added to the variance; default 1e-5.
        #[serde(default = "norm_eps")]
        eps: f32,
        /// Share of the newest batch in the running statistics; default 0.1.
        #[serde(default = "norm_momentum")]
        momentum: f32,
    },
    /// `[…, normalized_shape]` → the same: each run of the last axes normalised by itself.
    LayerNorm {
        /// The last axes of the input.
        #[serde(deserialize_with = "list")]
        normalized_shape: Vec<usize>,
        /// Added to the variance; default 1e-5.
        #[serde(default = "norm_eps")]
        eps: f32,
    },
    /// max(x, 0) + negative_slope · min(x, 0), for each element.
    LeakyReLU {
        /// Default 0.01.
        #[serde(default = "leaky_slope")]
        negative_slope: f32,
    },
    /// max(x, 0), for each element.
    ReLU {},
    /// 1 / (1 + exp(−x)), for each element.
    Sigmoid {},
    /// The same elements under another shape, without the batch.
    View {
        /// The new shape.
        #[serde(deserialize_with = "list")]
        shape: Vec<usize>,
    },
}

impl Layer {
    /// A convolution with bias; see [`Conv2dOptions`].
    pub fn conv2d(options: Conv2dOptions) -> Layer {
        let Conv2dOptions {
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
        } = options;
        Layer::Conv2d {
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias: true,
        }
    }

    /// A fully connected layer with bias.
    pub fn linear(in_features: usize, out_features: usize) -> Layer {
        Layer::Linear { in_features, out_features, bias: true }
    }

    /// Batch normalisation with PyTorch's eps and momentum.
    pub fn batch_norm2d(num_features: usize) -> Layer {
        Layer::BatchNorm2d { num_features, eps: norm_eps(), momentum: norm_momentum() }
    }

    /// Layer normalisation with PyTorch's eps.
    pub fn layer_norm(normalized_shape: &[usize]) -> Layer {
        Layer::LayerNorm { normalized_shape: normalized_shape.to_vec(), eps: norm_eps() }
    }

    /// Another shape, without the batch.
    pub fn view(shape: &[usize]) -> Layer {
        Layer::View { shape: shape.to_vec() }
    }
}

/// As PyTorch prints the module: `Conv2d(1, 10, kernel_size=5, stride=2)`.
impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Layer::Conv2d {
                in_channels,
                out_channels,
                kernel_size,
                stride,
                padding,
                dilation,
                groups,
                bias,
            } => {
                write!(f, "Conv2d({in_channels}, {out_channels}, ")?;
                write!(f, "kernel_size={}", Pair(*kernel_size))?;
                for (name, value, default) in
                    [("stride", stride, 1), ("padding", padding, 0), ("dilation", dilation, 1)]
                {
                    if *value != [default; 2] {
                        write!(f, ", {name}={}", Pair(*value))?;
                    }
                }
                if *groups != 1 {
                    write!(f, ", groups={groups}")?;
                }
                f.write_str(if *bias { ")" } else { ", bias=False)" })
            }
            Layer::Linear { in_features, out_features, bias } => {
                let bias = if *bias { "" } else { ", bias=False" };
                write!(f, "Linear({in_features}, {out_features}{bias})")
            }
            Layer::BatchNorm2d { num_features, .. } => write!(f, "BatchNorm2d({num_features})"),
            Layer::LayerNorm { normalized_shape, .. } => {
                write!(f, "LayerNorm({})", Shape(normalized_shape))
            }
            Layer::LeakyReLU { negative_slope } => write!(f, "LeakyReLU({negative_slope})"),
            Layer::ReLU {} => f.write_str("ReLU()"),
            Layer::Sigmoid {} => f.write_str("Sigmoid()"),
            Layer::View { shape } => write!(f, "View({})", Shape(shape)),
        }
    }
}

/// `3`, or `(3, 5)`.
struct Pair([usize; 2]);

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [h, w] = self.0;
        if h == w { write!(f, "{h}") } else { write!(f, "({h}, {w})") }
    }
}

/// `200`, or `10, 12, 12`.
struct Shape<'a>(&'a [usize]);

impl fmt::Display for Shape<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, size) in self.0.iter().enumerate() {
            write!(f, "{}{size}", if i > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}

fn one() -> usize {
    1
}

fn ones() -> [usize; 2] {
    [1, 1]
}

fn yes() -> bool {
    true
}

fn norm_eps() -> f32 {
    1e-5
}

fn norm_momentum() -> f32 {
    0.1
}

fn leaky_slope() -> f32 {
    0.01
}

/// A number or a list of numbers.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a whole number or a list of whole numbers")]
enum Numbers {
    One(usize),
    List(Vec<usize>),
}

/// `5` or `[5, 5]`.
fn pair<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[usize; 2], D::Error> {
    match Numbers::deserialize(deserializer)? {
        Numbers::One(n) => Ok([n, n]),
        Numbers::List(list) => <[usize; 2]>::try_from(list).map_err(|list| {
            serde::de::Error::custom(format!("expected one number or two, found {}", list.len()))
        }),
    }
}

/// `250` or `[10, 5, 5]`.
fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<usize>, D::Error> {
    Ok(match Numbers::deserialize(deserializer)? {
        Numbers::One(n) => vec![n],
        Numbers::List(list) => list,
    })
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
        assert_eq!(parse(text), Ok(Layer::conv2d(Conv2dOptions::new(1, 2, [3, 3]))));
        let text = r#"{"type": "BatchNorm2d", "num_features": 10}"#;
        let expected = Layer::BatchNorm2d { num_features: 10, eps: 1e-5, momentum: 0.1 };
        assert_eq!(parse(text), Ok(expected));
        let text = r#"{"type": "LeakyReLU"}"#;
        assert_eq!(parse(text), Ok(Layer::LeakyReLU { negative_slope: 0.01 }));
    }

    #[test]
    fn numbers_may_stand_for_pairs_and_lists() {
        assert_eq!(parse(r#"{"type": "View", "shape": 250}"#), Ok(Layer::view(&[250])));
        let text = r#"{"type": "LayerNorm", "normalized_shape": [3, 4]}"#;
        assert_eq!(parse(text), Ok(Layer::layer_norm(&[3, 4])));
        let text =
            r#"{"type": "Conv2d", "in_channels": 1, "out_channels": 2, "kernel_size": [3, 3, 3]}"#;
        assert!(parse(text).unwrap_err().contains("expected one number or two, found 3"));
    }

    #[test]
    fn unknown_fields_and_layers_are_errors() {
        assert!(parse(r#"{"type": "Sigmoid", "slope": 1}"#).is_err());
        assert!(parse(r#"{"type": "ReLU", "slope": 1}"#).is_err());
        let error = parse(r#"{"type": "Conv3d"}"#).unwrap_err();
        assert!(error.contains("Conv3d") && error.contains("Conv2d"), "{error}");
    }

    #[test]
    fn layers_print_as_in_pytorch() {
        let options = Conv2dOptions { stride: [2, 2], ..Conv2dOptions::new(1, 10, [5, 5]) };
        let conv = Layer::conv2d(options);
        assert_eq!(conv.to_string(), "Conv2d(1, 10, kernel_size=5, stride=2)");
        assert_eq!(Layer::layer_norm(&[200]).to_string(), "LayerNorm(200)");
        assert_eq!(Layer::view(&[10, 5, 5]).to_string(), "View(10, 5, 5)");
    }
}

//! One layer of a network: forward and backward, whatever it is.

use crate::reference::activation::{
    gelu, gelu_backward, gelu_tanh, gelu_tanh_backward, leaky_relu, leaky_relu_backward, relu,
    relu_backward, sigmoid, sigmoid_backward, silu, silu_backward, tanh, tanh_backward,
};
use crate::reference::batch_norm::{BatchNorm, batch_norm, batch_norm_backward};
use crate::reference::conv_transpose2d::{
    ConvTranspose2dDims, conv_transpose2d, conv_transpose2d_backward,
};
use crate::reference::conv2d::{Conv2dDims, conv2d, conv2d_backward};
use crate::reference::dropout::dropout;
use crate::reference::group_norm::{GroupNorm, group_norm, group_norm_backward};
use crate::reference::layer_norm::{LayerNorm, layer_norm, layer_norm_backward};
use crate::reference::linear::{LinearDims, linear, linear_backward};
use crate::reference::pad::{PadDims, pad2d, pad2d_backward};
use crate::reference::pool::{
    Pool2d, Resize2d, adaptive_avg_pool2d, adaptive_avg_pool2d_backward, avg_pool2d,
    avg_pool2d_backward, max_pool2d, max_pool2d_backward, upsample_nearest2d,
    upsample_nearest2d_backward,
};
use crate::reference::softmax::{softmax, softmax_backward};

/// A layer with its parameters; they come in the order weight, bias.
///
/// Sizes are those of one input: a batch in them is not used, that of the call is, and `planes` are the channels of
/// one image.
#[derive(Clone, Debug)]
pub enum Layer {
    /// [`conv2d`].
    Conv2d {
        /// Sizes.
        dims: Conv2dDims,
        /// `[O, C / groups, Kh, Kw]`.
        weight: Vec<f64>,
        /// `[O]`, if there is one.
        bias: Option<Vec<f64>>,
    },
    /// [`conv_transpose2d`].
    ConvTranspose2d {
        /// Sizes.
        dims: ConvTranspose2dDims,
        /// `[C, O / groups, Kh, Kw]`.
        weight: Vec<f64>,
        /// `[O]`, if there is one.
        bias: Option<Vec<f64>>,
    },
    /// [`linear`].
    Linear {
        /// Values per row of the input.
        in_features: usize,
        /// Values per row of the output.
        out_features: usize,
        /// `[out, in]`.
        weight: Vec<f64>,
        /// `[out]`, if there is one.
        bias: Option<Vec<f64>>,
    },
    /// [`batch_norm`] with the statistics of the batch.
    BatchNorm {
        /// C, as long as `weight`; whatever is left of an image is its spatial size.
        weight: Vec<f64>,
        /// `[C]`.
        bias: Vec<f64>,
        /// Added to the variance.
        eps: f64,
    },
    /// [`layer_norm`].
    LayerNorm {
        /// `[features]`.
        weight: Vec<f64>,
        /// `[features]`.
        bias: Vec<f64>,
        /// Added to the variance.
        eps: f64,
    },
    /// [`group_norm`].
    GroupNorm {
        /// Groups of channels.
        groups: usize,
        /// C, as long as `weight`; whatever is left of an image is its spatial size.
        weight: Vec<f64>,
        /// `[C]`.
        bias: Vec<f64>,
        /// Added to the variance.
        eps: f64,
    },
    /// [`relu`].
    Relu,
    /// [`leaky_relu`].
    LeakyRelu {
        /// Slope at negative values.
        slope: f64,
    },
    /// [`sigmoid`].
    Sigmoid,
    /// [`tanh`].
    Tanh,
    /// [`silu`].
    Silu,
    /// [`gelu`].
    Gelu,
    /// [`gelu_tanh`].
    GeluTanh,
    /// [`softmax`] of `[outer, classes, inner]`, which are one input.
    Softmax([usize; 3]),
    /// [`pad2d`].
    Pad(PadDims),
    /// [`max_pool2d`].
    MaxPool(Pool2d),
    /// [`avg_pool2d`].
    AvgPool {
        /// Sizes.
        pool: Pool2d,
        /// Whether padding counts.
        count_include_pad: bool,
    },
    /// [`adaptive_avg_pool2d`].
    AdaptiveAvgPool(Resize2d),
    /// [`upsample_nearest2d`].
    Upsample(Resize2d),
    /// [`dropout`].
    Dropout {
        /// The probability of 0.
        p: f64,
        /// Of the random numbers.
        key: u64,
    },
    /// Images to rows of features. The values stay where they are.
    Flatten,
}

impl Layer {
    pub(super) fn forward(&self, batch: usize, x: &[f64]) -> Vec<f64> {
        match self {
            Self::Conv2d { dims, weight, bias } => {
                conv2d(&Conv2dDims { batch, ..dims.clone() }, x, weight, bias.as_deref())
            }
            Self::ConvTranspose2d { dims, weight, bias } => {
                let dims = ConvTranspose2dDims { batch, ..dims.clone() };
                conv_transpose2d(&dims, x, weight, bias.as_deref())
            }
            &Self::Linear { in_features, out_features, ref weight, ref bias } => {
                let dims = LinearDims { batch, in_features, out_features };
                linear(&dims, x, weight, bias.as_deref())
            }
            Self::BatchNorm { weight, bias, eps } => {
                batch_norm(&batch_norm_of(batch, x, [weight, bias], *eps), x).0
            }
            Self::LayerNorm { weight, bias, eps } => {
                layer_norm(&layer_norm_of(x, [weight, bias], *eps), x)
            }
            Self::GroupNorm { groups, weight, bias, eps } => {
                group_norm(&group_norm_of(batch, x, *groups, [weight, bias], *eps), x).0
            }
            Self::Relu => relu(x),
            Self::LeakyRelu { slope } => leaky_relu(*slope, x),
            Self::Sigmoid => sigmoid(x),
            Self::Tanh => tanh(x),
            Self::Silu => silu(x),
            Self::Gelu => gelu(x),
            Self::GeluTanh => gelu_tanh(x),
            &Self::Softmax([outer, classes, inner]) => softmax([batch * outer, classes, inner], x),
            Self::Pad(dims) => pad2d(&pad_of(batch, dims), x),
            Self::MaxPool(pool) => max_pool2d(&pool_of(batch, pool), x),
            Self::AvgPool { pool, count_include_pad } => {
                avg_pool2d(&pool_of(batch, pool), *count_include_pad, x)
            }
            Self::AdaptiveAvgPool(resize) => adaptive_avg_pool2d(&resize_of(batch, resize), x),
            Self::Upsample(resize) => upsample_nearest2d(&resize_of(batch, resize), x),
            Self::Dropout { p, key } => dropout(*p, *key, x),
            Self::Flatten => x.to_vec(),
        }
    }

    /// Gradients by the input, and by each parameter in its order. y is the output.
    pub(super) fn backward(
        &self,
        batch: usize,
        x: &[f64],
        y: &[f64],
        dy: &[f64],
    ) -> (Vec<f64>, Vec<Vec<f64>>) {
        let dx = match self {
            Self::Conv2d { dims, weight, bias } => {
                let gradients =
                    conv2d_backward(&Conv2dDims { batch, ..dims.clone() }, x, weight, dy);
                let by = by_parameters(gradients.weight, bias.is_some(), gradients.bias);
                return (gradients.input, by);
            }
            Self::ConvTranspose2d { dims, weight, bias } => {
                let dims = ConvTranspose2dDims { batch, ..dims.clone() };
                let gradients = conv_transpose2d_backward(&dims, x, weight, dy);
                let by = by_parameters(gradients.weight, bias.is_some(), gradients.bias);
                return (gradients.input, by);
            }
            &Self::Linear { in_features, out_features, ref weight, ref bias } => {
                let dims = LinearDims { batch, in_features, out_features };
                let gradients = linear_backward(&dims, x, weight, dy);
                let by = by_parameters(gradients.weight, bias.is_some(), gradients.bias);
                return (gradients.input, by);
            }
            Self::BatchNorm { weight, bias, eps } => {
                let norm = batch_norm_of(batch, x, [weight, bias], *eps);
                let gradients = batch_norm_backward(&norm, x, dy);
                return (gradients.input, vec![gradients.weight, gradients.bias]);
            }
            Self::LayerNorm { weight, bias, eps } => {
                let gradients = layer_norm_backward(&layer_norm_of(x, [weight, bias], *eps), x, dy);
                return (gradients.input, vec![gradients.weight, gradients.bias]);
            }
            Self::GroupNorm { groups, weight, bias, eps } => {
                let norm = group_norm_of(batch, x, *groups, [weight, bias], *eps);
                let gradients = group_norm_backward(&norm, x, dy);
                return (gradients.input, vec![gradients.weight, gradients.bias]);
            }
            Self::Relu => relu_backward(x, dy),
            Self::LeakyRelu { slope } => leaky_relu_backward(*slope, x, dy),
            Self::Sigmoid => sigmoid_backward(x, dy),
            Self::Tanh => tanh_backward(x, dy),
            Self::Silu => silu_backward(x, dy),
            Self::Gelu => gelu_backward(x, dy),
            Self::GeluTanh => gelu_tanh_backward(x, dy),
            &Self::Softmax([outer, classes, inner]) => {
                softmax_backward([batch * outer, classes, inner], y, dy)
            }
            Self::Pad(dims) => pad2d_backward(&pad_of(batch, dims), dy),
            Self::MaxPool(pool) => max_pool2d_backward(&pool_of(batch, pool), x, dy),
            Self::AvgPool { pool, count_include_pad } => {
                avg_pool2d_backward(&pool_of(batch, pool), *count_include_pad, dy)
            }
            Self::AdaptiveAvgPool(resize) => {
                adaptive_avg_pool2d_backward(&resize_of(batch, resize), dy)
            }
            Self::Upsample(resize) => upsample_nearest2d_backward(&resize_of(batch, resize), dy),
            Self::Dropout { p, key } => dropout(*p, *key, dy),
            Self::Flatten => dy.to_vec(),
        };
        (dx, Vec::new())
    }

    pub(super) fn parameters(&self) -> Vec<(&'static str, &Vec<f64>)> {
        let (weight, bias) = match self {
            Self::Conv2d { weight, bias, .. }
            | Self::ConvTranspose2d { weight, bias, .. }
            | Self::Linear { weight, bias, .. } => (weight, bias.as_ref()),
            Self::BatchNorm { weight, bias, .. }
            | Self::LayerNorm { weight, bias, .. }
            | Self::GroupNorm { weight, bias, .. } => (weight, Some(bias)),
            _ => return Vec::new(),
        };
        [("weight", weight)].into_iter().chain(bias.map(|bias| ("bias", bias))).collect()
    }

    pub(super) fn parameters_mut(&mut self) -> Vec<&mut Vec<f64>> {
        let (weight, bias) = match self {
            Self::Conv2d { weight, bias, .. }
            | Self::ConvTranspose2d { weight, bias, .. }
            | Self::Linear { weight, bias, .. } => (weight, bias.as_mut()),
            Self::BatchNorm { weight, bias, .. }
            | Self::LayerNorm { weight, bias, .. }
            | Self::GroupNorm { weight, bias, .. } => (weight, Some(bias)),
            _ => return Vec::new(),
        };
        [weight].into_iter().chain(bias).collect()
    }
}

fn by_parameters(weight: Vec<f64>, has_bias: bool, bias: Vec<f64>) -> Vec<Vec<f64>> {
    [weight].into_iter().chain(has_bias.then_some(bias)).collect()
}

fn batch_norm_of<'a>(
    batch: usize,
    x: &[f64],
    [weight, bias]: [&'a Vec<f64>; 2],
    eps: f64,
) -> BatchNorm<'a> {
    let channels = weight.len();
    BatchNorm { batch, channels, spatial: x.len() / (batch * channels), weight, bias, eps }
}

fn layer_norm_of<'a>(x: &[f64], [weight, bias]: [&'a Vec<f64>; 2], eps: f64) -> LayerNorm<'a> {
    let features = weight.len();
    LayerNorm { rows: x.len() / features, features, weight, bias, eps }
}

fn group_norm_of<'a>(
    batch: usize,
    x: &[f64],
    groups: usize,
    [weight, bias]: [&'a Vec<f64>; 2],
    eps: f64,
) -> GroupNorm<'a> {
    let channels = weight.len();
    let spatial = x.len() / (batch * channels);
    GroupNorm { batch, channels, spatial, groups, weight, bias, eps }
}

fn pad_of(batch: usize, dims: &PadDims) -> PadDims {
    PadDims { planes: batch * dims.planes, ..dims.clone() }
}

fn pool_of(batch: usize, pool: &Pool2d) -> Pool2d {
    Pool2d { planes: batch * pool.planes, ..pool.clone() }
}

fn resize_of(batch: usize, resize: &Resize2d) -> Resize2d {
    Resize2d { planes: batch * resize.planes, ..resize.clone() }
}

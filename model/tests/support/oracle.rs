//! A network in the oracle's words.

use loupe_engine::reference::conv_transpose2d::ConvTranspose2dDims;
use loupe_engine::reference::conv2d::Conv2dDims;
use loupe_engine::reference::network::{Layer as Oracle, Network as OracleNetwork, Step};
use loupe_engine::reference::pad::{PadDims, Padding};
use loupe_engine::reference::pool::{Pool2d, Resize2d};
use loupe_model::layers::{Conv2d, ConvTranspose2d, GeluApproximation, PaddingMode, Softmax};
use loupe_model::{FlatLayer, Layer, Network};

/// The same network: parameters widened, statistics of the batch, no value dropped.
pub(crate) fn oracle_network(network: &Network) -> OracleNetwork {
    oracle_with_keys(network, &[])
}

/// The same, where the layers of the flat list make their random choices by these keys.
pub(crate) fn oracle_with_keys(network: &Network, keys: &[Option<u64>]) -> OracleNetwork {
    let mut steps: Vec<Step> = Vec::new();
    // The oracle's value of each of the network's: some layers are two steps.
    let mut values = vec![0];
    for (index, flat) in network.layers().iter().enumerate() {
        let inputs: Vec<usize> = flat.inputs.iter().map(|&value| values[value]).collect();
        if matches!(flat.layer, Layer::Residual(_)) {
            steps.push(Step::Sum(inputs));
        } else {
            let mut value = inputs[0];
            for layer in oracle_layers(network, flat, keys.get(index).copied().flatten()) {
                steps.push(Step::Layer(layer, value));
                value = steps.len();
            }
        }
        values.push(steps.len());
    }
    OracleNetwork { steps }
}

fn oracle_layers(network: &Network, flat: &FlatLayer, key: Option<u64>) -> Vec<Oracle> {
    let wide = |name: &str| -> Option<Vec<f64>> {
        let name = format!("{}.{name}", flat.path);
        let values = network.tensor(&name)?;
        Some(values.iter().copied().map(f64::from).collect())
    };
    let (weight, bias) = (|| wide("weight").unwrap(), wide("bias"));
    let affine = || [weight(), bias.clone().unwrap()];
    let (input, output) = (&flat.input_shape, &flat.output_shape);
    let size = |shape: &[usize]| [shape[1], shape[2]];
    let pool = |kernel, stride: Option<[usize; 2]>, padding, dilation| {
        let stride = stride.unwrap_or(kernel);
        Pool2d { planes: input[0], size: size(input), kernel, stride, padding, dilation }
    };
    let resize = || Resize2d { planes: input[0], size: size(input), output_size: size(output) };
    let layer = match &flat.layer {
        Layer::Conv2d(conv) => return convolution(conv, size(input), weight(), bias),
        Layer::ConvTranspose2d(conv) => {
            Oracle::ConvTranspose2d { dims: transposed(conv, size(input)), weight: weight(), bias }
        }
        Layer::Linear(linear) => Oracle::Linear {
            in_features: linear.in_features,
            out_features: linear.out_features,
            weight: weight(),
            bias,
        },
        Layer::BatchNorm1d(_) | Layer::BatchNorm2d(_) => {
            let [weight, bias] = affine();
            Oracle::BatchNorm { weight, bias, eps: eps(&flat.layer) }
        }
        Layer::LayerNorm(_) => {
            let [weight, bias] = affine();
            Oracle::LayerNorm { weight, bias, eps: eps(&flat.layer) }
        }
        Layer::GroupNorm(norm) => {
            let ([weight, bias], groups) = (affine(), norm.num_groups);
            Oracle::GroupNorm { groups, weight, bias, eps: eps(&flat.layer) }
        }
        Layer::LeakyReLU(layer) => Oracle::LeakyRelu { slope: f64::from(layer.negative_slope) },
        Layer::ReLU(_) => Oracle::Relu,
        Layer::Sigmoid(_) => Oracle::Sigmoid,
        Layer::Tanh(_) => Oracle::Tanh,
        Layer::SiLU(_) => Oracle::Silu,
        Layer::GELU(gelu) => match gelu.approximate {
            GeluApproximation::None => Oracle::Gelu,
            GeluApproximation::Tanh => Oracle::GeluTanh,
        },
        &Layer::Softmax(Softmax { dim }) => {
            let axes = input.len() as isize;
            let axis = if dim < 0 { dim + axes } else { dim - 1 } as usize;
            let product = |axes: &[usize]| axes.iter().product();
            Oracle::Softmax([product(&input[..axis]), input[axis], product(&input[axis + 1..])])
        }
        Layer::MaxPool2d(layer) => {
            let [kernel, padding, dilation] = [layer.kernel_size, layer.padding, layer.dilation];
            Oracle::MaxPool(pool(kernel, layer.stride, padding, dilation))
        }
        Layer::AvgPool2d(layer) => Oracle::AvgPool {
            pool: pool(layer.kernel_size, layer.stride, layer.padding, [1, 1]),
            count_include_pad: layer.count_include_pad,
        },
        Layer::AdaptiveAvgPool2d(_) => Oracle::AdaptiveAvgPool(resize()),
        Layer::Upsample(_) => Oracle::Upsample(resize()),
        Layer::Dropout(layer) => match key {
            Some(key) => Oracle::Dropout { p: f64::from(layer.p), key },
            None => Oracle::Flatten,
        },
        Layer::View(_) | Layer::Flatten(_) => Oracle::Flatten,
        other => unreachable!("{other} is not among the layers of the oracle"),
    };
    vec![layer]
}

fn eps(layer: &Layer) -> f64 {
    f64::from(match layer {
        Layer::BatchNorm1d(norm) => norm.eps,
        Layer::BatchNorm2d(norm) => norm.eps,
        Layer::GroupNorm(norm) => norm.eps,
        Layer::LayerNorm(norm) => norm.eps,
        other => unreachable!("{other} is no normalisation"),
    })
}

/// A convolution, behind a padding of its own if that is not of zeros.
fn convolution(
    conv: &Conv2d,
    size: [usize; 2],
    weight: Vec<f64>,
    bias: Option<Vec<f64>>,
) -> Vec<Oracle> {
    let mode = match conv.padding_mode {
        PaddingMode::Zeros => None,
        PaddingMode::Reflect => Some(Padding::Reflect),
        PaddingMode::Replicate => Some(Padding::Replicate),
        PaddingMode::Circular => Some(Padding::Circular),
    };
    let [h, w] = conv.padding;
    let pad =
        mode.map(|mode| PadDims { planes: conv.in_channels, size, padding: [h, h, w, w], mode });
    let [height, width] = pad.as_ref().map_or(size, PadDims::out_size);
    let dims = Conv2dDims {
        batch: 0,
        in_channels: conv.in_channels,
        height,
        width,
        out_channels: conv.out_channels,
        kernel: conv.kernel_size,
        stride: conv.stride,
        padding: if pad.is_some() { [0, 0] } else { conv.padding },
        dilation: conv.dilation,
        groups: conv.groups,
    };
    let conv = Oracle::Conv2d { dims, weight, bias };
    pad.map(Oracle::Pad).into_iter().chain([conv]).collect()
}

fn transposed(conv: &ConvTranspose2d, size: [usize; 2]) -> ConvTranspose2dDims {
    ConvTranspose2dDims {
        batch: 0,
        in_channels: conv.in_channels,
        out_channels: conv.out_channels,
        size,
        kernel: conv.kernel_size,
        stride: conv.stride,
        padding: conv.padding,
        output_padding: conv.output_padding,
        dilation: conv.dilation,
        groups: conv.groups,
    }
}

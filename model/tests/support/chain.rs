//! Small networks of all layers, made of numbers: whatever they are, the layers fit each other.

use loupe_model::Layer;
use loupe_model::layers::{
    AdaptiveAvgPool2d, AvgPool2d, BatchNorm1d, BatchNorm2d, Conv2d, ConvTranspose2d, Dropout,
    Flatten, GELU, GeluApproximation, GroupNorm, LayerNorm, LeakyReLU, Linear, MaxPool2d,
    PaddingMode, ReLU, Residual, SiLU, Sigmoid, Softmax, Tanh, Upsample, View,
};

/// Added to variances: so much that a kernel of small weights does not make gradients of large terms
/// that cancel.
pub(crate) const EPS: f32 = 0.1;

/// The layers of each list of `picks` that fit, for batches of `batch` inputs: those of the first; a residual block of
/// those of the second with a block of the third in it; those of the fourth; a linear layer.
pub(crate) fn layers(picks: &[Vec<[u8; 4]>; 4], input: &[usize], batch: usize) -> Vec<Layer> {
    let [first, second, inner, last] = picks;
    let (mut layers, shape) = chain(first, input.to_vec(), batch);
    let (mut within, middle) = chain(second, shape.clone(), batch);
    let (deepest, end) = chain(inner, middle.clone(), batch);
    within.push(block(deepest, &middle, &end).into());
    layers.push(block(within, &shape, &end).into());
    let (rest, shape) = chain(last, end, batch);
    layers.extend(rest);
    layers.push(Flatten.into());
    layers.push(Linear::new(shape.iter().product(), 5).into());
    layers
}

/// One of the layers that take this shape, by the numbers of `pick`.
fn layer(pick: [u8; 4], shape: &[usize]) -> Layer {
    let [kind, a, b, c] = pick.map(usize::from);
    // A divisor of the channels.
    let groups = if shape[0].is_multiple_of(2) { 1 + a % 2 } else { 1 };
    let pair = |least: usize| [least + b % 2, least + c % 2];
    let &[channels, _, _] = shape else {
        let len = shape[0];
        return match kind % 15 {
            0 | 1 => Linear::new(len, 3 + a % 5).bias(b % 2 == 0).into(),
            2 => BatchNorm1d::new(len).eps(EPS).into(),
            3 => LayerNorm::new([len]).eps(EPS).into(),
            4 => GroupNorm::new(groups, len).eps(EPS).into(),
            5 => Dropout::new(0.3).into(),
            6 => Softmax::new(-1).into(),
            7 => View::new([len, 1, 1]).into(),
            kind => activation(kind),
        };
    };
    match kind % 22 {
        0 | 1 => {
            let modes = [PaddingMode::Reflect, PaddingMode::Replicate, PaddingMode::Circular];
            let mode = [&[PaddingMode::Zeros; 3][..], &modes].concat()[a % 6];
            let conv = Conv2d::new(channels, groups * (1 + c % 3), pair(2)).groups(groups);
            conv.stride(1 + a % 2).padding([b % 2, 1]).padding_mode(mode).bias(c % 2 == 0).into()
        }
        2 | 3 => {
            let conv = ConvTranspose2d::new(channels, groups * (1 + c % 3), pair(2)).groups(groups);
            let conv = conv.stride([2, 1 + a % 2]).padding([c % 2, 0]).output_padding([b % 2, 0]);
            conv.dilation([1, 1 + c % 2]).bias(b % 2 == 0).into()
        }
        4 => BatchNorm2d::new(channels).eps(EPS).into(),
        5 => GroupNorm::new(groups, channels).eps(EPS).into(),
        6 => LayerNorm::new(&shape[1 + a % 2..]).eps(EPS).into(),
        7 => MaxPool2d::new(pair(2)).stride(1 + a % 2).padding([b % 2, c % 2]).into(),
        8 => MaxPool2d::new(2).stride([1, 2]).dilation(pair(1)).into(),
        9 => {
            let pool = AvgPool2d::new(pair(2)).stride(pair(1)).padding([a % 2, c % 2]);
            pool.count_include_pad(a % 2 == 0).into()
        }
        10 => AdaptiveAvgPool2d::new([1 + a % 3, 1 + b % 3]).into(),
        11 => Upsample::new([1 + a % 2, 2]).into(),
        12 => Softmax::new(1 + (a % 3) as isize).into(),
        13 => Dropout::new(0.3).into(),
        14 => Flatten.into(),
        kind => activation(kind),
    }
}

fn activation(kind: usize) -> Layer {
    match kind % 7 {
        0 => ReLU.into(),
        1 => LeakyReLU::new(-0.2).into(),
        2 => Sigmoid.into(),
        3 => Tanh.into(),
        4 => SiLU.into(),
        5 => GELU::new().into(),
        _ => GELU::new().approximate(GeluApproximation::Tanh).into(),
    }
}

/// What a layer gives, unless it cannot take the shape, gives more values than a small network should, or normalises
/// so few that their gradients vanish.
fn output(layer: &Layer, shape: &[usize], batch: usize) -> Option<Vec<usize>> {
    let output = layer.module()?.output_shape(shape).ok()?;
    let values: usize = shape.iter().product();
    let normalized = match layer {
        Layer::BatchNorm1d(_) | Layer::BatchNorm2d(_) => batch * values / shape[0],
        Layer::GroupNorm(norm) => values / norm.num_groups,
        Layer::LayerNorm(norm) => norm.normalized_shape.iter().product(),
        // One class has the share 1 whatever it was.
        Layer::Softmax(softmax) if softmax.dim < 0 => 1 + shape[shape.len() - 1],
        Layer::Softmax(softmax) => 1 + shape[softmax.dim as usize - 1],
        _ => 3,
    };
    let outputs: usize = output.iter().product();
    let sound = normalized > 2 && (1..=400).contains(&outputs);
    sound.then_some(output)
}

/// Those of the layers that fit, one behind the other, and the shape behind them.
fn chain(picks: &[[u8; 4]], mut shape: Vec<usize>, batch: usize) -> (Vec<Layer>, Vec<usize>) {
    let mut layers = Vec::new();
    for &pick in picks {
        let layer = layer(pick, &shape);
        if let Some(output) = output(&layer, &shape, batch) {
            layers.push(layer);
            shape = output;
        }
    }
    (layers, shape)
}

/// A block of these layers: passed by unchanged where that fits, else by a projection.
fn block(layers: Vec<Layer>, input: &[usize], output: &[usize]) -> Residual {
    let block = Residual { layers, shortcut: Vec::new() };
    match (input, output) {
        _ if input == output => block,
        (&[channels, ..], &[outputs, height, width]) if input.len() == 3 => block
            .shortcut(AdaptiveAvgPool2d::new([height, width]))
            .shortcut(Conv2d::new(channels, outputs, 1).bias(false)),
        _ => {
            let [inputs, outputs] = [input, output].map(|shape| shape.iter().product());
            let block = block.shortcut(Flatten).shortcut(Linear::new(inputs, outputs));
            if output.len() == 1 { block } else { block.shortcut(View::new(output)) }
        }
    }
}

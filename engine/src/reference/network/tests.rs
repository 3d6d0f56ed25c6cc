use super::*;
use crate::reference::conv_transpose2d::ConvTranspose2dDims;
use crate::reference::conv2d::Conv2dDims;
use crate::reference::finite::{assert_gradient, partial};
use crate::reference::pad::{PadDims, Padding};
use crate::reference::pool::{Pool2d, Resize2d};
use crate::reference::random::Random;

/// Step of the central differences: rounding leaves them seven digits of the largest element.
const STEP: f64 = 1e-5;

/// A step moves the input of no activation by more than this.
const REACH: f64 = 10.0 * STEP;

fn conv(random: &mut Random, dims: Conv2dDims) -> Layer {
    Layer::Conv2d {
        weight: random.uniform_f64(dims.weight_len(), -0.3, 0.3),
        bias: Some(random.uniform_f64(dims.out_channels, -0.3, 0.3)),
        dims,
    }
}

fn linear_layer(random: &mut Random, in_features: usize, out_features: usize) -> Layer {
    let limit = 1.0 / (in_features as f64).sqrt();
    Layer::Linear {
        in_features,
        out_features,
        weight: random.uniform_f64(out_features * in_features, -limit, limit),
        bias: Some(random.uniform_f64(out_features, -limit, limit)),
    }
}

fn batch_norm_layer(random: &mut Random, channels: usize) -> Layer {
    Layer::BatchNorm {
        weight: random.uniform_f64(channels, 0.5, 1.5),
        bias: random.uniform_f64(channels, -0.5, 0.5),
        eps: 1e-5,
    }
}

/// Convolution of a square image by a square kernel with stride 2.
fn dims(in_channels: usize, size: usize, out_channels: usize, kernel: usize) -> Conv2dDims {
    Conv2dDims {
        batch: 0,
        in_channels,
        height: size,
        width: size,
        out_channels,
        kernel: [kernel; 2],
        stride: [2; 2],
        padding: [0; 2],
        dilation: [1; 2],
        groups: 1,
    }
}

/// The tutorial's convolutional network for MNIST: 3,720 parameters.
fn cnn(random: &mut Random) -> Network {
    Network::chain([
        conv(random, dims(1, 28, 10, 5)),
        Layer::LeakyRelu { slope: 0.02 },
        batch_norm_layer(random, 10),
        conv(random, dims(10, 12, 10, 3)),
        Layer::LeakyRelu { slope: 0.02 },
        batch_norm_layer(random, 10),
        Layer::Flatten,
        linear_layer(random, 250, 10),
        Layer::Sigmoid,
    ])
}

/// The tutorial's fully connected network for MNIST: 159,410 parameters.
fn mlp(random: &mut Random) -> Network {
    Network::chain([
        Layer::Flatten,
        linear_layer(random, 784, 200),
        Layer::LeakyRelu { slope: 0.02 },
        Layer::LayerNorm {
            weight: random.uniform_f64(200, 0.5, 1.5),
            bias: random.uniform_f64(200, -0.5, 0.5),
            eps: 1e-5,
        },
        linear_layer(random, 200, 10),
        Layer::Sigmoid,
    ])
}

/// An input, uniform in [0, 1), for which no step along a coordinate carries a unit across the
/// kink of its activation.
fn smooth_input(random: &mut Random, network: &Network, batch: usize, features: usize) -> Vec<f64> {
    loop {
        let x = random.uniform_f64(batch * features, 0.0, 1.0);
        let values = network.values(batch, vec![x.clone()]);
        let smooth = network.steps.iter().all(|step| match step {
            Step::Layer(Layer::Relu | Layer::LeakyRelu { .. }, value) => {
                values[*value].iter().all(|x| x.abs() > REACH)
            }
            _ => true,
        });
        if smooth {
            return x;
        }
    }
}

/// Compares a gradient of `f` at `point` with central differences: at every coordinate, or at
/// `most` random ones if there are more.
fn assert_at(
    what: &str,
    analytic: &[f64],
    mut f: impl FnMut(&[f64]) -> f64,
    point: &[f64],
    most: usize,
) {
    assert_eq!(analytic.len(), point.len(), "{what}");
    let mut random = Random::new(65);
    let coordinates: Vec<usize> = if point.len() <= most {
        (0..point.len()).collect()
    } else {
        (0..most).map(|_| random.below(point.len())).collect()
    };
    let analytic: Vec<f64> = coordinates.iter().map(|&i| analytic[i]).collect();
    let numeric = coordinates.iter().map(|&i| partial(&mut f, point, i, STEP));
    assert_gradient(what, &analytic, &numeric.collect::<Vec<_>>(), 1e-7);
}

/// Compares the gradients by every parameter tensor, each at `most` coordinates or fewer, and by
/// the input.
fn assert_gradients(network: &Network, batch: usize, x: &[f64], loss: &Loss<'_>, most: usize) {
    let gradients = network.backward(batch, x, loss);
    assert_eq!(gradients.output, network.forward(batch, x));
    assert_eq!(gradients.loss, loss.of(&gradients.output).value);
    let by_input = |x: &[f64]| loss.of(&network.forward(batch, x)).value;
    assert_at("input", &gradients.input, by_input, x, 200);

    let values = network.values(batch, vec![x.to_vec()]);
    let mut analytic = gradients.parameters.iter();
    let mut changed = network.clone();
    for (tensor, (name, parameter)) in network.parameters().into_iter().enumerate() {
        // What lies before the layer does not change.
        let step: usize = name.split('.').next().unwrap().parse().unwrap();
        let by_parameter = |parameter: &[f64]| {
            changed.parameters_mut()[tensor].copy_from_slice(parameter);
            loss.of(changed.values(batch, values[..=step].to_vec()).last().unwrap()).value
        };
        let analytic = analytic.next().expect("one gradient per parameter");
        assert_at(&name, analytic, by_parameter, parameter, most);
        changed.parameters_mut()[tensor].copy_from_slice(parameter);
    }
    assert!(analytic.next().is_none(), "more gradients than parameters");
}

#[test]
fn cnn_has_the_tutorials_shapes() {
    let network = cnn(&mut Random::new(61));
    let values = network.values(3, vec![vec![0.5; 3 * 784]]);
    let lengths: Vec<usize> = values.iter().map(|value| value.len() / 3).collect();
    assert_eq!(lengths, [784, 1440, 1440, 1440, 250, 250, 250, 250, 10, 10]);
    let parameters = network.parameters();
    let sizes: Vec<_> = parameters.iter().map(|(n, v)| (n.as_str(), v.len())).collect();
    let expected = [
        ("0.weight", 250),
        ("0.bias", 10),
        ("2.weight", 10),
        ("2.bias", 10),
        ("3.weight", 900),
        ("3.bias", 10),
        ("5.weight", 10),
        ("5.bias", 10),
        ("7.weight", 2500),
        ("7.bias", 10),
    ];
    assert_eq!(sizes, expected);
}

#[test]
fn gradients_of_the_cnn() {
    let mut random = Random::new(62);
    let network = cnn(&mut random);
    let x = smooth_input(&mut random, &network, 2, 784);
    let target = random.uniform_f64(20, 0.0, 1.0);
    assert_gradients(&network, 2, &x, &Loss::Bce(&target), usize::MAX);
}

#[test]
fn gradients_of_the_mlp_at_random_coordinates() {
    let mut random = Random::new(63);
    let network = mlp(&mut random);
    let count: usize = network.parameters().iter().map(|(_, v)| v.len()).sum();
    assert_eq!(count, 159_410);
    let x = smooth_input(&mut random, &network, 2, 784);
    let target = random.uniform_f64(20, 0.0, 1.0);
    assert_gradients(&network, 2, &x, &Loss::Bce(&target), 40);
}

/// Weight and bias of a normalisation.
fn affine(random: &mut Random, len: usize) -> (Vec<f64>, Vec<f64>) {
    (random.uniform_f64(len, 0.5, 1.5), random.uniform_f64(len, -0.5, 0.5))
}

/// A chain of all layers on images, two ways around each other of which one is the input itself, and all layers
/// on features.
fn every_layer(random: &mut Random) -> Network {
    let first = Conv2dDims {
        batch: 0,
        in_channels: 2,
        height: 9,
        width: 8,
        out_channels: 4,
        kernel: [3, 2],
        stride: [1, 2],
        padding: [2, 1],
        dilation: [2, 1],
        groups: 2,
    };
    assert_eq!([first.out_height(), first.out_width()], [9, 5]);
    let up = ConvTranspose2dDims {
        batch: 0,
        in_channels: 4,
        out_channels: 2,
        size: [3, 2],
        kernel: [3, 2],
        stride: [2, 1],
        padding: [1, 0],
        output_padding: [1, 0],
        dilation: [1, 2],
        groups: 2,
    };
    assert_eq!(up.out_size(), [6, 4]);
    let pool = Pool2d {
        planes: 4,
        size: [9, 5],
        kernel: [3, 2],
        stride: [2, 2],
        padding: [1, 1],
        dilation: [1, 1],
    };
    let mean = Pool2d { size: [6, 4], planes: 2, padding: [1, 0], ..pool.clone() };
    let pad = PadDims { planes: 2, size: [7, 6], padding: [1; 4], mode: Padding::Reflect };
    let resize = |size, output_size| Resize2d { planes: 4, size, output_size };
    let (weight, bias) = affine(random, 4);
    let group_norm = Layer::GroupNorm { groups: 2, weight, bias, eps: 1e-3 };
    let (weight, bias) = affine(random, 12);
    let layer_norm = Layer::LayerNorm { weight, bias, eps: 1e-3 };
    let weight = random.uniform_f64(first.weight_len(), -1.0, 1.0);
    let chain = [
        Layer::Pad(pad),
        Layer::Conv2d { weight, bias: None, dims: first },
        batch_norm_layer(random, 4),
        Layer::Relu,
        Layer::MaxPool(pool),
        group_norm,
        Layer::AdaptiveAvgPool(resize([5, 3], [3, 2])),
        Layer::Gelu,
        Layer::ConvTranspose2d {
            weight: random.uniform_f64(up.weight_len(), -1.0, 1.0),
            bias: Some(random.uniform_f64(2, -0.3, 0.3)),
            dims: up,
        },
        Layer::Softmax([1, 2, 24]),
        Layer::AvgPool { pool: mean, count_include_pad: false },
        Layer::Upsample(Resize2d { planes: 2, size: [3, 2], output_size: [3, 4] }),
        Layer::Silu,
    ];
    let mut network = Network::chain(chain);
    let mut add = |step| {
        network.steps.push(step);
        network.steps.len()
    };
    // [2, 3, 4]
    let before = add(Step::Layer(Layer::Flatten, 13));
    let value = add(Step::Layer(linear_layer(random, 24, 24), before));
    let value = add(Step::Layer(Layer::Dropout { p: 0.3, key: 7 }, value));
    let value = add(Step::Layer(Layer::Tanh, value));
    let value = add(Step::Sum(vec![value, before]));
    let value = add(Step::Layer(layer_norm, value));
    let value = add(Step::Layer(Layer::GeluTanh, value));
    let value = add(Step::Layer(linear_layer(random, 24, 7), value));
    let value = add(Step::Layer(Layer::Sigmoid, value));
    let weight = random.uniform_f64(35, -1.0, 1.0);
    let last = Layer::Linear { in_features: 7, out_features: 5, weight, bias: None };
    let value = add(Step::Layer(last, value));
    add(Step::Layer(Layer::LeakyRelu { slope: 0.1 }, value));
    network
}

#[test]
fn gradients_of_a_network_of_every_layer() {
    let mut random = Random::new(64);
    let network = every_layer(&mut random);
    let x = smooth_input(&mut random, &network, 3, 84);
    let target = random.uniform_f64(15, 0.0, 1.0);
    for loss in [Loss::CrossEntropy(&[4, 0, 2]), Loss::Mse(&target), Loss::BceWithLogits(&target)] {
        assert_gradients(&network, 3, &x, &loss, usize::MAX);
    }
}

#[test]
fn values_that_are_read_twice_get_both_gradients() {
    // y = (x + x) + x
    let network = Network { steps: vec![Step::Sum(vec![0, 0]), Step::Sum(vec![1, 0])] };
    let found = network.backward(1, &[1.0, 2.0], &Loss::L1(&[0.0, 0.0]));
    assert_eq!((found.output, found.input), (vec![3.0, 6.0], vec![1.5, 1.5]));
}

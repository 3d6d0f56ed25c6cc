use super::*;
use crate::reference::finite::{assert_gradient, partial};
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
    Network {
        layers: vec![
            conv(random, dims(1, 28, 10, 5)),
            Layer::LeakyRelu { slope: 0.02 },
            batch_norm_layer(random, 10),
            conv(random, dims(10, 12, 10, 3)),
            Layer::LeakyRelu { slope: 0.02 },
            batch_norm_layer(random, 10),
            Layer::Flatten,
            linear_layer(random, 250, 10),
            Layer::Sigmoid,
        ],
    }
}

/// The tutorial's fully connected network for MNIST: 159,410 parameters.
fn mlp(random: &mut Random) -> Network {
    Network {
        layers: vec![
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
        ],
    }
}

/// An input, uniform in [0, 1), for which no step along a coordinate carries a unit across the
/// kink of its activation.
fn smooth_input(random: &mut Random, network: &Network, batch: usize, features: usize) -> Vec<f64> {
    loop {
        let x = random.uniform_f64(batch * features, 0.0, 1.0);
        let activations = network.activations(batch, &x);
        let smooth = network.layers.iter().zip(&activations).all(|(layer, x)| match layer {
            Layer::Relu | Layer::LeakyRelu { .. } => x.iter().all(|x| x.abs() > REACH),
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

    let activations = network.activations(batch, x);
    let mut analytic = gradients.parameters.iter();
    for (i, layer) in network.layers.iter().enumerate() {
        for (tensor, (name, values)) in layer.parameters().into_iter().enumerate() {
            // What lies before the layer does not change.
            let mut rest = Network { layers: network.layers[i..].to_vec() };
            let by_parameter = |values: &[f64]| {
                rest.parameters_mut()[tensor].copy_from_slice(values);
                loss.of(&rest.forward(batch, &activations[i])).value
            };
            let what = format!("{i}.{name}");
            let analytic = analytic.next().expect("one gradient per parameter");
            assert_at(&what, analytic, by_parameter, values, most);
        }
    }
    assert!(analytic.next().is_none(), "more gradients than parameters");
}

#[test]
fn cnn_has_the_tutorials_shapes() {
    let network = cnn(&mut Random::new(61));
    let activations = network.activations(3, &[0.5; 3 * 784]);
    let lengths: Vec<usize> = activations.iter().map(|a| a.len() / 3).collect();
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

#[test]
fn gradients_of_a_network_of_every_layer() {
    let mut random = Random::new(64);
    let first = Conv2dDims {
        batch: 0,
        in_channels: 2,
        height: 5,
        width: 6,
        out_channels: 4,
        kernel: [3, 2],
        stride: [1, 2],
        padding: [2, 1],
        dilation: [2, 1],
        groups: 2,
    };
    let values = 4 * first.out_height() * first.out_width();
    let network = Network {
        layers: vec![
            Layer::Conv2d {
                weight: random.uniform_f64(first.weight_len(), -1.0, 1.0),
                bias: None,
                dims: first,
            },
            batch_norm_layer(&mut random, 4),
            Layer::Relu,
            Layer::Flatten,
            Layer::LayerNorm {
                weight: random.uniform_f64(values, 0.5, 1.5),
                bias: random.uniform_f64(values, -0.5, 0.5),
                eps: 1e-3,
            },
            linear_layer(&mut random, values, 7),
            Layer::Sigmoid,
            Layer::Linear {
                in_features: 7,
                out_features: 5,
                weight: random.uniform_f64(35, -1.0, 1.0),
                bias: None,
            },
            Layer::LeakyRelu { slope: 0.1 },
        ],
    };
    let x = smooth_input(&mut random, &network, 3, 60);
    let target = random.uniform_f64(15, 0.0, 1.0);
    for loss in [Loss::CrossEntropy(&[4, 0, 2]), Loss::Mse(&target), Loss::BceWithLogits(&target)] {
        assert_gradients(&network, 3, &x, &loss, usize::MAX);
    }
}

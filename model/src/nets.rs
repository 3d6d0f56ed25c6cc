//! The tutorial's two networks.

use crate::spec::{Layer, NetworkSpec};
use loupe_engine::conv::Conv2dOptions;

/// Slope of the tutorial's LeakyReLU layers.
const SLOPE: f32 = 0.02;

/// The convolutional network for MNIST digits `[1, 28, 28]`: 3,720 parameters.
pub fn mnist_cnn() -> NetworkSpec {
    let conv = |inputs, kernel| {
        let options = Conv2dOptions::new(inputs, 10, [kernel, kernel]);
        Layer::conv2d(Conv2dOptions { stride: [2, 2], ..options })
    };
    NetworkSpec {
        input: vec![1, 28, 28],
        layers: vec![
            conv(1, 5), // [10, 12, 12]
            Layer::LeakyReLU { negative_slope: SLOPE },
            Layer::batch_norm2d(10),
            conv(10, 3), // [10, 5, 5]
            Layer::LeakyReLU { negative_slope: SLOPE },
            Layer::batch_norm2d(10),
            Layer::view(&[250]),
            Layer::linear(250, 10),
            Layer::Sigmoid {},
        ],
    }
}

/// The fully connected network for MNIST digits `[1, 28, 28]`: 159,010 weights and biases of the
/// linear layers and 400 of the normalisation, 159,410 parameters.
pub fn mnist_mlp() -> NetworkSpec {
    NetworkSpec {
        input: vec![1, 28, 28],
        layers: vec![
            Layer::view(&[784]),
            Layer::linear(784, 200),
            Layer::LeakyReLU { negative_slope: SLOPE },
            Layer::layer_norm(&[200]),
            Layer::linear(200, 10),
            Layer::Sigmoid {},
        ],
    }
}

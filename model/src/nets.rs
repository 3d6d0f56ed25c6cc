//! The tutorial's two networks.

use crate::layers::{BatchNorm2d, Conv2d, LayerNorm, LeakyReLU, Linear, Sigmoid, View};
use crate::spec::NetworkSpec;

/// Slope of the tutorial's LeakyReLU layers.
const SLOPE: f32 = 0.02;

/// The convolutional network for MNIST digits `[1, 28, 28]`: 3,720 parameters.
pub fn mnist_cnn() -> NetworkSpec {
    NetworkSpec::new([1, 28, 28])
        .add(Conv2d::new(1, 10, 5).stride(2)) // [10, 12, 12]
        .add(LeakyReLU::new(SLOPE))
        .add(BatchNorm2d::new(10))
        .add(Conv2d::new(10, 10, 3).stride(2)) // [10, 5, 5]
        .add(LeakyReLU::new(SLOPE))
        .add(BatchNorm2d::new(10))
        .add(View::new([250]))
        .add(Linear::new(250, 10))
        .add(Sigmoid)
}

/// The fully connected network for MNIST digits `[1, 28, 28]`: 159,010 weights and biases of the
/// linear layers and 400 of the normalisation, 159,410 parameters.
pub fn mnist_mlp() -> NetworkSpec {
    NetworkSpec::new([1, 28, 28])
        .add(View::new([784]))
        .add(Linear::new(784, 200))
        .add(LeakyReLU::new(SLOPE))
        .add(LayerNorm::new([200]))
        .add(Linear::new(200, 10))
        .add(Sigmoid)
}

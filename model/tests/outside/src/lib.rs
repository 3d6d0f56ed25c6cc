//! Three networks, built by the public API of loupe alone: a classifier of grey images, a residual network and a
//! generator of images. They are narrow, so that the fixtures of `tests/` stay small.

#![forbid(unsafe_code)]

use loupe_model::NetworkSpec;
use loupe_model::layers::{
    AdaptiveAvgPool2d, BatchNorm2d, Conv2d, ConvTranspose2d, Flatten, Linear, MaxPool2d, ReLU,
    Residual, Tanh,
};

/// `[1, 28, 28]` → `[10]` logits, 8,866 parameters: LeNet-5 as it is mostly written today, with ReLU and the maxima
/// of windows, half of its kernels and a quarter of its hidden units.
///
/// Source: Y. LeCun et al., "Gradient-Based Learning Applied to Document Recognition" (1998).
pub fn lenet5() -> NetworkSpec {
    NetworkSpec::new([1, 28, 28])
        .add(Conv2d::new(1, 4, 5).padding(2))
        .add(ReLU)
        .add(MaxPool2d::new(2))
        .add(Conv2d::new(4, 8, 5))
        .add(ReLU)
        .add(MaxPool2d::new(2))
        .add(Flatten)
        .add(Linear::new(8 * 5 * 5, 32))
        .add(ReLU)
        .add(Linear::new(32, 24))
        .add(ReLU)
        .add(Linear::new(24, 10))
}

/// `[3, 32, 32]` → `[10]` logits, 14,250 parameters: a residual network for CIFAR of eight layers, three blocks with
/// 8, 16 and 24 channels. The first block is passed by unchanged, the others by a projection.
///
/// Source: K. He et al., "Deep Residual Learning for Image Recognition" (2015), section 4.2.
pub fn resnet() -> NetworkSpec {
    NetworkSpec::new([3, 32, 32])
        .add(Conv2d::new(3, 8, 3).padding(1).bias(false))
        .add(BatchNorm2d::new(8))
        .add(ReLU)
        .add(block(8, 8, 1))
        .add(ReLU)
        .add(block(8, 16, 2))
        .add(ReLU)
        .add(block(16, 24, 2))
        .add(ReLU)
        .add(AdaptiveAvgPool2d::new(1))
        .add(Flatten)
        .add(Linear::new(24, 10))
}

/// Two convolutions with normalisations, and a shortcut around them, which is a projection where the shape changes.
fn block(inputs: usize, outputs: usize, stride: usize) -> Residual {
    let block = Residual::new()
        .add(Conv2d::new(inputs, outputs, 3).stride(stride).padding(1).bias(false))
        .add(BatchNorm2d::new(outputs))
        .add(ReLU)
        .add(Conv2d::new(outputs, outputs, 3).padding(1).bias(false))
        .add(BatchNorm2d::new(outputs));
    if (inputs, stride) == (outputs, 1) {
        return block;
    }
    block
        .shortcut(Conv2d::new(inputs, outputs, 1).stride(stride).bias(false))
        .shortcut(BatchNorm2d::new(outputs))
}

/// Length of the noise that [`dcgan_generator`] makes images of.
pub const NOISE: usize = 100;

/// `[100, 1, 1]` → `[3, 32, 32]` in (−1, 1), 22,224 parameters: noise to images, twice as large with each layer.
///
/// Source: A. Radford et al., "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial
/// Networks" (2015).
pub fn dcgan_generator() -> NetworkSpec {
    NetworkSpec::new([NOISE, 1, 1])
        .add(ConvTranspose2d::new(NOISE, 12, 4).bias(false))
        .add(BatchNorm2d::new(12))
        .add(ReLU)
        .add(upsampled(12, 8))
        .add(BatchNorm2d::new(8))
        .add(ReLU)
        .add(upsampled(8, 8))
        .add(BatchNorm2d::new(8))
        .add(ReLU)
        .add(upsampled(8, 3))
        .add(Tanh)
}

fn upsampled(inputs: usize, outputs: usize) -> ConvTranspose2d {
    ConvTranspose2d::new(inputs, outputs, 4).stride(2).padding(1).bias(false)
}

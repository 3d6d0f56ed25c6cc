//! Networks that have every layer, with random values, and what plans make of them.

use loupe_engine::Context;
use loupe_engine::reference::random::Random;
use loupe_model::layers::{
    AdaptiveAvgPool2d, AvgPool2d, BatchNorm1d, BatchNorm2d, Conv2d, ConvTranspose2d, Dropout,
    Flatten, GELU, GeluApproximation, GroupNorm, LayerNorm, LeakyReLU, Linear, MaxPool2d,
    PaddingMode, ReLU, Residual, SiLU, Sigmoid, Softmax, Tanh, Upsample, View,
};
use loupe_model::{Network, NetworkSpec, Normalization, Plan, nets};

/// All of them by name.
pub(crate) fn all() -> Vec<(&'static str, NetworkSpec)> {
    vec![
        ("cnn", nets::mnist_cnn()),
        ("mlp", nets::mnist_mlp()),
        ("lenet", lenet()),
        ("residual", residual()),
        ("generator", generator()),
        ("convolutions", convolutions()),
        ("transposed", transposed()),
        ("pools", pools()),
        (DILATED[0], NetworkSpec::new([2, 9, 8]).add(MaxPool2d::new(2).dilation((3, 2)))),
        (DILATED[1], dilated()),
        ("adaptive", adaptive()),
        ("norms", norms()),
        ("rows", rows()),
        ("activations", activations()),
        ("softmax", NetworkSpec::new([3, 4, 5]).add(Softmax::new(-2)).add(Softmax::new(1))),
        ("upsample", NetworkSpec::new([2, 3, 4]).add(ReLU).add(Upsample::new((2, 3)))),
        ("dropouts", dropouts()),
        ("dropout", NetworkSpec::new([5]).add(Dropout::default()).add(Dropout::new(1.0))),
        ("nothing", NetworkSpec::new([2, 3])),
    ]
}

/// Networks with operators that not every runtime has.
pub(crate) const DILATED: [&str; 2] = ["dilated-pool", "dilated-transposed"];

/// LeNet-5. Source: Y. LeCun et al., "Gradient-Based Learning Applied to Document Recognition" (1998).
fn lenet() -> NetworkSpec {
    NetworkSpec::new([1, 28, 28])
        .add(Conv2d::new(1, 6, 5).padding(2))
        .add(Tanh)
        .add(AvgPool2d::new(2))
        .add(Conv2d::new(6, 16, 5))
        .add(Tanh)
        .add(AvgPool2d::new(2))
        .add(Flatten)
        .add(Linear::new(400, 120))
        .add(Tanh)
        .add(Linear::new(120, 84))
        .add(Tanh)
        .add(Linear::new(84, 10))
        .add(Softmax::default())
}

fn residual() -> NetworkSpec {
    let inner = Residual::new().add(ReLU).add(Conv2d::new(8, 8, 1));
    let same = Residual::new()
        .add(Conv2d::new(8, 8, 3).padding(1).bias(false))
        .add(BatchNorm2d::new(8))
        .add(inner)
        .add(Conv2d::new(8, 8, 3).padding(1).bias(false))
        .add(BatchNorm2d::new(8));
    let smaller = Residual::new()
        .add(Conv2d::new(8, 12, 3).stride(2).padding(1).bias(false))
        .add(BatchNorm2d::new(12))
        .add(ReLU)
        .add(Conv2d::new(12, 12, 3).padding(1))
        .shortcut(Conv2d::new(8, 12, 1).stride(2).bias(false))
        .shortcut(BatchNorm2d::new(12));
    NetworkSpec::new([3, 16, 12])
        .add(Conv2d::new(3, 8, 3).padding(1).bias(false))
        .add(BatchNorm2d::new(8))
        .add(ReLU)
        .add(same)
        .add(ReLU)
        .add(smaller)
        .add(ReLU)
        .add(Residual::new())
        .add(AdaptiveAvgPool2d::new(1))
        .add(Flatten)
        .add(Linear::new(12, 10).bias(false))
}

/// Source: A. Radford, L. Metz, S. Chintala, "Unsupervised Representation Learning with Deep Convolutional
/// Generative Adversarial Networks" (2015), smaller.
fn generator() -> NetworkSpec {
    NetworkSpec::new([20])
        .add(View::new([20, 1, 1]))
        .add(ConvTranspose2d::new(20, 12, 4).bias(false))
        .add(BatchNorm2d::new(12))
        .add(ReLU)
        .add(ConvTranspose2d::new(12, 8, 4).stride(2).padding(1).bias(false))
        .add(BatchNorm2d::new(8))
        .add(ReLU)
        .add(ConvTranspose2d::new(8, 2, 4).stride(2).padding(1))
        .add(Tanh)
}

fn convolutions() -> NetworkSpec {
    NetworkSpec::new([2, 13, 11])
        .add(Conv2d::new(2, 4, (3, 5)).padding((2, 1)).padding_mode(PaddingMode::Reflect))
        .add(Conv2d::new(4, 6, 3).groups(2).padding(2).padding_mode(PaddingMode::Replicate))
        .add(Conv2d::new(6, 6, 3).groups(6).padding((1, 2)).padding_mode(PaddingMode::Circular))
        .add(Conv2d::new(6, 4, 3).padding((0, 1)).padding_mode(PaddingMode::Circular))
        .add(Conv2d::new(4, 4, 3).padding(0).padding_mode(PaddingMode::Reflect).bias(false))
        .add(Conv2d::new(4, 3, (2, 3)).stride((2, 1)).dilation((1, 2)).padding((1, 3)))
}

fn transposed() -> NetworkSpec {
    NetworkSpec::new([4, 3, 5])
        .add(
            ConvTranspose2d::new(4, 6, (3, 2)).groups(2).bias(false).stride((2, 3)).padding((1, 0)),
        )
        .add(ConvTranspose2d::new(6, 3, 3).stride(2).padding(1).output_padding((1, 0)))
        .add(ConvTranspose2d::new(3, 2, (2, 3)).bias(false))
}

fn dilated() -> NetworkSpec {
    NetworkSpec::new([4, 3, 5])
        .add(ConvTranspose2d::new(4, 6, (2, 3)).groups(2).dilation((3, 2)).padding((0, 2)))
}

fn pools() -> NetworkSpec {
    NetworkSpec::new([3, 17, 15])
        .add(MaxPool2d::new((3, 2)).stride(1).padding(1))
        .add(AvgPool2d::new(3).stride((1, 2)).padding(1))
        .add(AvgPool2d::new((3, 2)).stride(1).padding((1, 1)).count_include_pad(false))
        .add(MaxPool2d::new(2))
}

fn adaptive() -> NetworkSpec {
    NetworkSpec::new([2, 12, 10])
        .add(AdaptiveAvgPool2d::new((6, 5)))
        .add(AdaptiveAvgPool2d::new((4, 7)))
        .add(AdaptiveAvgPool2d::new((3, 7)))
        .add(AdaptiveAvgPool2d::new((5, 1)))
}

fn norms() -> NetworkSpec {
    NetworkSpec::new([6, 4, 5])
        .add(BatchNorm2d::new(6).eps(1e-3))
        .add(GroupNorm::new(3, 6))
        .add(LayerNorm::new([5]))
        .add(GroupNorm::new(6, 6).eps(0.1))
        .add(LayerNorm::new([4, 5]).eps(0.2))
        .add(GroupNorm::new(1, 6))
        .add(LayerNorm::new([6, 4, 5]))
}

fn rows() -> NetworkSpec {
    NetworkSpec::new([3, 2, 8])
        .add(View::new([6, 8]))
        .add(BatchNorm1d::new(6).eps(1e-2))
        .add(GroupNorm::new(2, 6))
        .add(Flatten)
        .add(BatchNorm1d::new(48))
        .add(GroupNorm::new(4, 48))
        .add(Linear::new(48, 7))
        .add(LayerNorm::new([7]))
}

fn activations() -> NetworkSpec {
    NetworkSpec::new([40])
        .add(Linear::new(40, 40))
        .add(LeakyReLU::new(-0.3))
        .add(GELU::new())
        .add(Linear::new(40, 40))
        .add(GELU::new().approximate(GeluApproximation::Tanh))
        .add(Linear::new(40, 40))
        .add(SiLU)
        .add(Linear::new(40, 40))
        .add(Tanh)
        .add(Linear::new(40, 40))
        .add(Sigmoid)
        .add(ReLU)
}

fn dropouts() -> NetworkSpec {
    let block =
        Residual::new().add(Dropout::default()).add(Linear::new(4, 4)).add(Dropout::default());
    let around = Residual::new().add(Tanh).shortcut(Dropout::default());
    NetworkSpec::new([4])
        .add(Dropout::new(0.2))
        .add(block)
        .add(around)
        .add(Dropout::new(0.3))
        .add(Dropout::new(0.3))
}

/// The network with every tensor and running statistic random.
pub(crate) fn random(spec: NetworkSpec, seed: u64) -> Network {
    let mut network = Network::new(spec, seed).unwrap();
    let mut random = Random::new(seed);
    let names = network.tensors().chain(network.statistics()).map(|(info, _)| info.name.clone());
    for name in names.collect::<Vec<_>>() {
        let is_variance = name.ends_with("running_var");
        for value in network.tensor_mut(&name).unwrap() {
            *value += random.uniform(-0.3, 0.3) as f32;
            if is_variance {
                *value = value.abs() + 0.2;
            }
        }
    }
    network
}

/// `batch` inputs, and the outputs by running statistics.
pub(crate) fn answer(network: &Network, batch: usize, seed: u64) -> [Vec<f32>; 2] {
    let len = batch * network.spec().input_len().unwrap();
    let inputs = Random::new(seed).uniform_f32(len, -1.0, 1.0);
    let mut plan = Plan::new(network, batch).unwrap();
    plan.input_mut().copy_from_slice(&inputs);
    let cx = Context::serial();
    let outputs = plan.infer(&cx, network, Normalization::RunningStatistics).unwrap().to_vec();
    [inputs, outputs]
}

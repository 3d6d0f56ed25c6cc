//! burn, on its backend "flex".

mod layers;

use crate::tensor;
use burn::module::{Module, Param, RunningState};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::{BinaryCrossEntropyLoss, BinaryCrossEntropyLossConfig};
use burn::nn::{BatchNorm, BatchNormConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::activation::{leaky_relu, sigmoid};
use burn::tensor::module::{conv_transpose2d, conv2d, conv2d_weight_backward};
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions};
use burn::tensor::{Device, Int, Tensor, TensorData};
use loupe_benches::{Call, Case, ConvShape, Kind, Library, Pass, load_network, signed};
use loupe_model::Network;
use std::hint::black_box;

pub(crate) struct Burn;

impl Library for Burn {
    fn name(&self) -> &'static str {
        "burn"
    }

    fn variants(&self, _: &Case) -> Vec<&'static str> {
        vec!["plain"]
    }

    fn prepare(&self, case: &Case, _: &str, _: usize) -> Call {
        match case {
            Case::Network { network, kind, batch } => match network.as_str() {
                "cnn" => run_network(Cnn::new, Cnn::logits, *kind, *batch),
                _ => run_network(Mlp::new, Mlp::logits, *kind, *batch),
            },
            &Case::Gemm([m, n, k]) => {
                let device = Device::flex();
                let a = from::<2>(signed(1, m * k), [m, k], &device);
                let b = from::<2>(signed(2, k * n), [k, n], &device);
                run(move || a.clone().matmul(b.clone()))
            }
            Case::Conv(shape, pass) => convolution(shape, *pass),
            Case::Fused(shape) => layers::block(shape),
            Case::Norm(shape, direction) => layers::norm(shape, *direction),
            Case::Optim(rule, len) => layers::optim(*rule, *len),
        }
    }
}

#[derive(Module, Debug)]
struct Cnn {
    conv1: Conv2d,
    norm1: BatchNorm,
    conv2: Conv2d,
    norm2: BatchNorm,
    linear: Linear,
}

impl Cnn {
    fn new(device: &Device) -> Cnn {
        let network = load_network("cnn");
        let conv = |layer: usize, inputs, kernel| {
            let config = Conv2dConfig::new([inputs, 10], [kernel; 2]).with_stride([2, 2]);
            let mut conv = config.init(device);
            conv.weight = parameter(&network, layer, "weight", device);
            conv.bias = Some(parameter(&network, layer, "bias", device));
            conv
        };
        let norm = |layer: usize| {
            let mut norm = BatchNormConfig::new(10).init(device);
            norm.gamma = parameter(&network, layer, "weight", device);
            norm.beta = parameter(&network, layer, "bias", device);
            norm.running_mean = RunningState::new(load(&network, layer, "running_mean", device));
            norm.running_var = RunningState::new(load(&network, layer, "running_var", device));
            norm
        };
        Cnn {
            conv1: conv(0, 1, 5),
            norm1: norm(2),
            conv2: conv(3, 10, 3),
            norm2: norm(5),
            linear: linear(&network, 7, 250, 10, device),
        }
    }

    fn logits(&self, x: Tensor<4>) -> Tensor<2> {
        let x = self.norm1.forward(leaky_relu(self.conv1.forward(x), 0.02));
        let x = self.norm2.forward(leaky_relu(self.conv2.forward(x), 0.02));
        self.linear.forward(x.flatten(1, 3))
    }
}

#[derive(Module, Debug)]
struct Mlp {
    first: Linear,
    norm: LayerNorm,
    second: Linear,
}

impl Mlp {
    fn new(device: &Device) -> Mlp {
        let network = load_network("mlp");
        let mut norm = LayerNormConfig::new(200).init(device);
        norm.gamma = parameter(&network, 3, "weight", device);
        norm.beta = Some(parameter(&network, 3, "bias", device));
        Mlp {
            first: linear(&network, 1, 784, 200, device),
            norm,
            second: linear(&network, 4, 200, 10, device),
        }
    }

    fn logits(&self, x: Tensor<4>) -> Tensor<2> {
        let x = leaky_relu(self.first.forward(x.flatten(1, 3)), 0.02);
        self.second.forward(self.norm.forward(x))
    }
}

/// burn keeps the weights of a linear layer as `[in, out]`.
fn linear(
    network: &Network,
    layer: usize,
    inputs: usize,
    outputs: usize,
    device: &Device,
) -> Linear {
    let mut linear = LinearConfig::new(inputs, outputs).init(device);
    let weight: Tensor<2> = load(network, layer, "weight", device);
    let values = weight.transpose().to_data();
    linear.weight = Param::from_tensor(Tensor::from_data(values, device));
    linear.bias = Some(parameter(network, layer, "bias", device));
    linear
}

fn load<const D: usize>(network: &Network, layer: usize, name: &str, device: &Device) -> Tensor<D> {
    let (shape, values) = tensor(network, &format!("{layer}.{name}"));
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn parameter<const D: usize>(
    network: &Network,
    layer: usize,
    name: &str,
    device: &Device,
) -> Param<Tensor<D>> {
    Param::from_tensor(load(network, layer, name, device))
}

fn from<const D: usize>(values: Vec<f32>, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().expect("floats")
}

fn run_network<M: Module + 'static>(
    new: fn(&Device) -> M,
    logits: fn(&M, Tensor<4>) -> Tensor<2>,
    kind: Kind,
    batch: usize,
) -> Call {
    let (images, targets) = Case::images(batch);
    if kind == Kind::Infer {
        let device = Device::flex();
        let (model, images) = (new(&device).valid(), from(images, [batch, 1, 28, 28], &device));
        return run(move || sigmoid(logits(&model, images.clone())));
    }
    let device = Device::flex().autodiff();
    let images: Tensor<4> = from(images, [batch, 1, 28, 28], &device);
    let targets: Vec<i32> = targets.into_iter().map(|target| target as i32).collect();
    let targets: Tensor<2, Int> = Tensor::from_data(TensorData::new(targets, [batch, 10]), &device);
    let loss_of: BinaryCrossEntropyLoss =
        BinaryCrossEntropyLossConfig::new().with_logits(true).init(&device);
    let adam = AdamConfig::new().with_beta_2(0.999).with_epsilon(1e-8);
    let (mut model, mut adam) = (Some(new(&device)), adam.init());
    let mut step = move || {
        let now = model.take().expect("a model");
        let loss = loss_of.forward(logits(&now, images.clone()), targets.clone());
        let gradients = GradientsParams::from_grads(loss.backward(), &now);
        model = Some(adam.step(1e-3, now, gradients));
        loss
    };
    let losses = [step(), step()].map(|loss| floats(loss)[0]);
    Call::new(losses.to_vec(), move || {
        black_box(step());
    })
}

/// dX is the transposed convolution that burn's own backward pass runs.
fn convolution(shape: &ConvShape, pass: Pass) -> Call {
    let device = Device::flex();
    let ([inputs, outputs], [kernel, stride, padding]) = (shape.channels, shape.kernel);
    let [height, width] = shape.size;
    let [out_height, out_width] = shape.geometry().output_size();
    let [x, weight, bias, dy] = shape.inputs();
    let x: Tensor<4> = from(x, [shape.batch, inputs, height, width], &device);
    let weight: Tensor<4> = from(weight, [outputs, inputs, kernel, kernel], &device);
    let bias: Tensor<1> = from(bias, [outputs], &device);
    let dy: Tensor<4> = from(dy, [shape.batch, outputs, out_height, out_width], &device);
    let options = ConvOptions::new([stride; 2], [padding; 2], [1; 2], 1);
    match pass {
        Pass::Forward => {
            run(move || conv2d(x.clone(), weight.clone(), Some(bias.clone()), options.clone()))
        }
        Pass::Dx => {
            let rest = |size, out: usize| size - ((out - 1) * stride + kernel - 2 * padding);
            let rest = [rest(height, out_height), rest(width, out_width)];
            let options = ConvTransposeOptions::new([stride; 2], [padding; 2], rest, [1; 2], 1);
            run(move || conv_transpose2d(dy.clone(), weight.clone(), None, options.clone()))
        }
        Pass::Dw => run(move || {
            black_box(dy.clone().sum_dims(&[0, 2, 3]));
            conv2d_weight_backward(x.clone(), weight.clone(), dy.clone(), options.clone())
        }),
    }
}

fn run<const D: usize>(run: impl Fn() -> Tensor<D> + 'static) -> Call {
    Call::new(floats(run()), move || {
        black_box(run());
    })
}

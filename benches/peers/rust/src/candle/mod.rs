//! candle.

mod layers;

use crate::tensor;
use candle_core::{Device, IndexOp, Module, ModuleT, Result, Tensor, Var};
use candle_nn::ops::{layer_norm_slow, leaky_relu, sigmoid};
use candle_nn::{AdamW, BatchNorm, Conv2d, Conv2dConfig, Linear, Optimizer, ParamsAdamW, loss};
use loupe_benches::{Call, Case, ConvShape, Kind, Library, Pass, Rule, load_network, signed};
use loupe_model::Network;
use std::hint::black_box;

pub(crate) struct Candle;

impl Library for Candle {
    fn name(&self) -> &'static str {
        "candle"
    }

    fn variants(&self, case: &Case) -> Vec<&'static str> {
        match case {
            // candle's SGD has no momentum.
            Case::Optim(Rule::Sgd, _) => vec![],
            _ => vec!["plain"],
        }
    }

    fn prepare(&self, case: &Case, _: &str, _: usize) -> Call {
        let call = match case {
            Case::Network { network, kind: Kind::Train, batch } => train(network, *batch),
            Case::Network { network, kind: Kind::Infer, batch } => infer(network, *batch),
            &Case::Gemm(size) => product(size),
            Case::Conv(shape, pass) => convolution(shape, *pass),
            Case::Fused(shape) => layers::block(shape),
            Case::Norm(shape, direction) => layers::norm(shape, *direction),
            Case::Optim(_, len) => layers::adam(*len),
        };
        call.expect("candle runs the case")
    }
}

/// The layers of one of the tutorial's networks, up to the logits.
enum Layers {
    Cnn { convolutions: [(Conv2d, BatchNorm); 2], linear: Linear },
    Mlp { first: Linear, norm: (Tensor, Tensor), second: Linear },
}

struct Net {
    layers: Layers,
    variables: Vec<Var>,
}

impl Net {
    fn new(name: &str) -> Result<Net> {
        let network = load_network(name);
        let mut variables = Vec::new();
        let mut variable = |name: &str| -> Result<Tensor> {
            let variable = Var::from_tensor(&values(&network, name)?)?;
            variables.push(variable.clone());
            Ok(variable.as_tensor().clone())
        };
        let mut parameters = |layer: usize| -> Result<(Tensor, Tensor)> {
            Ok((variable(&format!("{layer}.weight"))?, variable(&format!("{layer}.bias"))?))
        };
        let linear = |(weight, bias)| Linear::new(weight, Some(bias));
        let layers = if name == "mlp" {
            let (first, norm) = (linear(parameters(1)?), parameters(3)?);
            Layers::Mlp { first, norm, second: linear(parameters(4)?) }
        } else {
            let mut block = |layer: usize| -> Result<(Conv2d, BatchNorm)> {
                let (weight, bias) = parameters(layer)?;
                let config = Conv2dConfig { stride: 2, ..Default::default() };
                let convolution = Conv2d::new(weight, Some(bias), config);
                let (weight, bias) = parameters(layer + 2)?;
                let running = |what: &str| {
                    let name = format!("{}.running_{what}", layer + 2);
                    Var::from_tensor(&values(&network, &name)?)
                };
                let (mean, var) = (running("mean")?, running("var")?);
                let (mean, var) = (mean.as_tensor().clone(), var.as_tensor().clone());
                Ok((convolution, BatchNorm::new(10, mean, var, weight, bias, 1e-5)?))
            };
            let convolutions = [block(0)?, block(3)?];
            Layers::Cnn { convolutions, linear: linear(parameters(7)?) }
        };
        Ok(Net { layers, variables })
    }

    fn logits(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        match &self.layers {
            Layers::Cnn { convolutions, linear } => {
                let mut x = x.clone();
                for (convolution, norm) in convolutions {
                    x = norm.forward_t(&leaky_relu(&convolution.forward(&x)?, 0.02)?, train)?;
                }
                linear.forward(&x.flatten_from(1)?)
            }
            Layers::Mlp { first, norm: (weight, bias), second } => {
                let x = leaky_relu(&first.forward(&x.flatten_from(1)?)?, 0.02)?;
                // `LayerNorm` calls a fused kernel that has no gradient.
                second.forward(&layer_norm_slow(&x, weight, bias, 1e-5)?)
            }
        }
    }
}

fn values(network: &Network, name: &str) -> Result<Tensor> {
    let (shape, values) = tensor(network, name);
    Tensor::from_vec(values, shape, &Device::Cpu)
}

fn floats(tensor: &Tensor) -> Result<Vec<f32>> {
    tensor.flatten_all()?.to_vec1()
}

fn train(network: &str, batch: usize) -> Result<Call> {
    let net = Net::new(network)?;
    let (images, targets) = Case::images(batch);
    let images = Tensor::from_vec(images, (batch, 1, 28, 28), &Device::Cpu)?;
    let targets = Tensor::from_vec(targets, (batch, 10), &Device::Cpu)?;
    let adam = ParamsAdamW { lr: 1e-3, weight_decay: 0.0, ..Default::default() };
    let mut adam = AdamW::new(net.variables.clone(), adam)?;
    let mut step = move || -> Result<f32> {
        let logits = net.logits(&images, true)?;
        let loss = loss::binary_cross_entropy_with_logit(&logits, &targets)?;
        adam.backward_step(&loss)?;
        loss.to_scalar()
    };
    let losses = vec![step()?, step()?];
    Ok(Call::new(losses, move || {
        black_box(step().expect("a step"));
    }))
}

fn infer(network: &str, batch: usize) -> Result<Call> {
    let net = Net::new(network)?;
    let images = Tensor::from_vec(Case::images(batch).0, (batch, 1, 28, 28), &Device::Cpu)?;
    run(move || sigmoid(&net.logits(&images, false)?.detach()))
}

fn product([m, n, k]: [usize; 3]) -> Result<Call> {
    let a = Tensor::from_vec(signed(1, m * k), (m, k), &Device::Cpu)?;
    let b = Tensor::from_vec(signed(2, k * n), (k, n), &Device::Cpu)?;
    run(move || a.matmul(&b))
}

/// The gradients are those that candle's `backward` computes.
fn convolution(shape: &ConvShape, pass: Pass) -> Result<Call> {
    let ([inputs, outputs], [kernel, stride, padding]) = (shape.channels, shape.kernel);
    let [height, width] = shape.size;
    let [out_height, out_width] = shape.geometry().output_size();
    let [x, weight, bias, dy] = shape.inputs();
    let x = Tensor::from_vec(x, (shape.batch, inputs, height, width), &Device::Cpu)?;
    let weight = Tensor::from_vec(weight, (outputs, inputs, kernel, kernel), &Device::Cpu)?;
    let bias = Tensor::from_vec(bias, outputs, &Device::Cpu)?;
    let dy = Tensor::from_vec(dy, (shape.batch, outputs, out_height, out_width), &Device::Cpu)?;
    match pass {
        Pass::Forward => {
            let config = Conv2dConfig { stride, padding, ..Default::default() };
            let convolution = Conv2d::new(weight, Some(bias), config);
            run(move || convolution.forward(&x))
        }
        Pass::Dx => {
            let rest = height - ((out_height - 1) * stride + kernel - 2 * padding);
            run(move || dy.conv_transpose2d(&weight, padding, rest, stride, 1))
        }
        Pass::Dw => run(move || {
            let (x, across) = (x.transpose(0, 1)?, dy.transpose(0, 1)?);
            let dweight = x.conv2d(&across, padding, 1, stride, 1)?.transpose(0, 1)?;
            black_box(dy.sum((0, 2, 3))?);
            dweight.i((.., .., ..kernel, ..kernel))
        }),
    }
}

fn run(run: impl Fn() -> Result<Tensor> + 'static) -> Result<Call> {
    let output = floats(&run()?)?;
    Ok(Call::new(output, move || {
        black_box(run().expect("it ran before"));
    }))
}

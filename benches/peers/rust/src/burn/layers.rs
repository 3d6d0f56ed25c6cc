//! Fused blocks, normalisations and optimisers.

use super::{floats, from, run};
use burn::module::{Module, Param};
use burn::optim::momentum::MomentumConfig;
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::activation::leaky_relu;
use burn::tensor::module::{batch_norm_train, conv2d, layer_norm};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor};
use loupe_benches::{Call, Case, ConvShape, Direction, NormShape, Rule, signed};
use std::hint::black_box;

const EPS: f64 = Case::EPS as f64;

pub(super) fn block(shape: &ConvShape) -> Call {
    let device = Device::flex();
    let ([inputs, outputs], [kernel, stride, padding]) = (shape.channels, shape.kernel);
    let [x, weight, bias, _] = shape.inputs();
    let x: Tensor<4> = from(x, [shape.batch, inputs, shape.size[0], shape.size[1]], &device);
    let weight: Tensor<4> = from(weight, [outputs, inputs, kernel, kernel], &device);
    let bias: Tensor<1> = from(bias, [outputs], &device);
    let scale = Tensor::ones([outputs], &device);
    let options = ConvOptions::new([stride; 2], [padding; 2], [1; 2], 1);
    run(move || {
        let y = conv2d(x.clone(), weight.clone(), Some(bias.clone()), options.clone());
        let y = leaky_relu(y, f64::from(Case::SLOPE));
        batch_norm_train(y, scale.clone(), bias.clone(), EPS).output
    })
}

pub(super) fn norm(shape: &NormShape, direction: Direction) -> Call {
    match *shape {
        NormShape::Batch(sizes) => normalise(shape, sizes, direction, |x, weight, bias| {
            batch_norm_train(x, weight, bias, EPS).output
        }),
        NormShape::Layer(sizes) => normalise(shape, sizes, direction, |x, weight, bias| {
            layer_norm(x, weight, Some(bias), EPS)
        }),
    }
}

/// Backward, burn's automatic differentiation needs a forward pass of its own for each backward pass; it is
/// not timed. What is: the backward pass of Σ dy · y, which is that of y and a product with dy.
fn normalise<const D: usize>(
    shape: &NormShape,
    sizes: [usize; D],
    direction: Direction,
    normalise: fn(Tensor<D>, Tensor<1>, Tensor<1>) -> Tensor<D>,
) -> Call {
    let [x, weight, bias, dy] = shape.inputs();
    let channels = [weight.len()];
    let plain = Device::flex();
    let device = if direction == Direction::Backward { plain.clone().autodiff() } else { plain };
    let x: Tensor<D> = from(x, sizes, &device);
    let (weight, bias) = (from(weight, channels, &device), from(bias, channels, &device));
    if direction == Direction::Forward {
        return run(move || normalise(x.clone(), weight.clone(), bias.clone()));
    }
    let dy: Tensor<D> = from(dy, sizes, &device);
    let (x, weight, bias) = (x.require_grad(), weight.require_grad(), bias.require_grad());
    let forward = {
        let x = x.clone();
        move || (normalise(x.clone(), weight.clone(), bias.clone()) * dy.clone()).sum()
    };
    let dx = x.grad(&forward().backward()).expect("a gradient");
    Call::after(floats(dx), forward, |sum| {
        black_box(sum.backward());
    })
}

#[derive(Module, Debug)]
struct Parameters {
    values: Param<Tensor<1>>,
}

pub(super) fn optim(rule: Rule, len: usize) -> Call {
    let device = Device::flex().autodiff();
    let values = Param::from_tensor(from(signed(1, len), [len], &device));
    let gradient: Tensor<1> = from(signed(2, len), [len], &Device::flex());
    let id = values.id;
    let mut model = Some(Parameters { values });
    let mut optimizer: ModuleOptimizer = match rule {
        Rule::Adam => AdamConfig::new().with_beta_2(0.999).with_epsilon(1e-8).init(),
        Rule::Sgd => {
            let momentum = MomentumConfig::new().with_momentum(0.9).with_dampening(0.0);
            SgdConfig::new().with_momentum(Some(momentum)).init()
        }
    };
    let mut step = move || {
        let mut gradients = GradientsParams::new();
        gradients.register(id, gradient.clone());
        let now = optimizer.step(1e-3, model.take().expect("a model"), gradients);
        let values = now.values.val();
        model = Some(now);
        values
    };
    (1..Case::OPTIM_STEPS).for_each(|_| drop(step()));
    Call::new(floats(step().inner()), move || {
        black_box(step());
    })
}

//! Fused blocks, normalisations and Adam.

use super::{floats, run};
use candle_core::{Device, Module, Result, Shape, Tensor, Var};
use candle_nn::ops::{layer_norm, layer_norm_slow, leaky_relu};
use candle_nn::{AdamW, BatchNorm, Conv2d, Conv2dConfig, Optimizer, ParamsAdamW};
use loupe_benches::{Call, Case, ConvShape, Direction, NormShape, signed};
use std::hint::black_box;

fn from(values: Vec<f32>, shape: impl Into<Shape>) -> Result<Tensor> {
    Tensor::from_vec(values, shape.into(), &Device::Cpu)
}

/// In training it also updates running statistics.
fn batch_norm(weight: Tensor, bias: Tensor) -> Result<BatchNorm> {
    let channels = weight.elem_count();
    let (mean, var) = (from(vec![0.0; channels], channels)?, from(vec![1.0; channels], channels)?);
    BatchNorm::new(channels, mean, var, weight, bias, f64::from(Case::EPS))
}

pub(super) fn block(shape: &ConvShape) -> Result<Call> {
    let ([inputs, outputs], [kernel, stride, padding]) = (shape.channels, shape.kernel);
    let [x, weight, bias, _] = shape.inputs();
    let x = from(x, (shape.batch, inputs, shape.size[0], shape.size[1]))?;
    let (weight, bias) = (from(weight, (outputs, inputs, kernel, kernel))?, from(bias, outputs)?);
    let norm = batch_norm(from(vec![1.0; outputs], outputs)?, bias.clone())?;
    let config = Conv2dConfig { stride, padding, ..Default::default() };
    let convolution = Conv2d::new(weight, Some(bias), config);
    run(move || {
        let y = leaky_relu(&convolution.forward(&x)?, f64::from(Case::SLOPE))?;
        norm.forward_train(&y)
    })
}

pub(super) fn norm(shape: &NormShape, direction: Direction) -> Result<Call> {
    let [x, weight, bias, dy] = shape.inputs();
    let sizes = Shape::from(shape.sizes().to_vec());
    let (x, dy) = (from(x, sizes.clone())?, from(dy, sizes)?);
    let (weight, bias) = (from(weight.clone(), weight.len())?, from(bias.clone(), bias.len())?);
    if direction == Direction::Backward {
        return backward(shape, [x, weight, bias], dy);
    }
    match shape {
        NormShape::Batch(_) => {
            let norm = batch_norm(weight, bias)?;
            run(move || norm.forward_train(&x))
        }
        NormShape::Layer(_) => run(move || layer_norm(&x, &weight, &bias, Case::EPS)),
    }
}

/// The backward pass of Σ dy · y, which is that of y and a product with dy.
fn backward(shape: &NormShape, inputs: [Tensor; 3], dy: Tensor) -> Result<Call> {
    let [x, weight, bias] = &inputs;
    let variables = [Var::from_tensor(x)?, Var::from_tensor(weight)?, Var::from_tensor(bias)?];
    let [x, weight, bias] = variables.each_ref().map(Var::as_tensor);
    let y = match shape {
        NormShape::Batch(_) => batch_norm(weight.clone(), bias.clone())?.forward_train(x)?,
        // The fused kernel has no gradient.
        NormShape::Layer(_) => layer_norm_slow(x, weight, bias, Case::EPS)?,
    };
    let sum = (y * dy)?.sum_all()?;
    let gradients = sum.backward()?;
    let dx = floats(gradients.get(x).expect("a gradient"))?;
    Ok(Call::new(dx, move || {
        black_box(sum.backward().expect("it ran before"));
    }))
}

/// The gradients come from a backward pass that is made once, of Σ gradient · parameter.
pub(super) fn adam(len: usize) -> Result<Call> {
    let parameters = Var::from_tensor(&from(signed(1, len), len)?)?;
    let sum = (parameters.as_tensor() * from(signed(2, len), len)?)?.sum_all()?;
    let gradients = sum.backward()?;
    let adam = ParamsAdamW { lr: 1e-3, weight_decay: 0.0, ..Default::default() };
    let mut adam = AdamW::new(vec![parameters.clone()], adam)?;
    for _ in 0..Case::OPTIM_STEPS {
        adam.step(&gradients)?;
    }
    Ok(Call::new(floats(parameters.as_tensor())?, move || {
        adam.step(&gradients).expect("a step");
    }))
}

//! The block of a convolutional network in training: convolution, bias, LeakyReLU, statistics of the batch,
//! normalisation with weights of 1. As a plan of a network runs it (`plan`), as one operation and a
//! normalisation (`fused`), and as single operations (`apart`).

use super::once;
use crate::{Call, Case, ConvShape};
use loupe_engine::activation::leaky_relu;
use loupe_engine::conv::{Conv2d, Conv2dFused, Conv2dParameters, conv2d, conv2d_fused};
use loupe_engine::norm::Affine;
use loupe_engine::norm::batch::{BatchNorm, Statistics, batch_norm, batch_statistics};
use loupe_engine::{Context, Error};
use loupe_model::layers::{self, BatchNorm2d, LeakyReLU};
use loupe_model::{Network, NetworkSpec, Normalization, Plan};
use std::hint::black_box;

pub(super) fn prepare(cx: Context, shape: &ConvShape, variant: &str) -> Call {
    if variant == "plan" {
        return plan(cx, shape);
    }
    let (mut block, len) = (Block::new(cx, shape), shape.batch * shape.geometry().output_len());
    if variant == "fused" {
        once(len, move |y| block.fused(y))
    } else {
        once(len, move |y| block.apart(y))
    }
}

/// Everything that a block reads, and what it keeps on the way.
struct Block {
    cx: Context,
    geometry: Conv2d,
    x: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
    scale: Vec<f32>,
    statistics: [Vec<f32>; 2],
    convolved: Vec<f32>,
    activated: Vec<f32>,
}

impl Block {
    fn new(cx: Context, shape: &ConvShape) -> Block {
        let [x, weight, bias, y] = shape.inputs();
        Block {
            cx,
            geometry: shape.geometry(),
            scale: vec![1.0; bias.len()],
            statistics: [bias.clone(), bias.clone()],
            convolved: y.clone(),
            activated: y,
            x,
            weight,
            bias,
        }
    }

    fn norm(&self) -> BatchNorm {
        let (batch, channels) = (self.x.len() / self.geometry.input_len(), self.bias.len());
        let spatial = self.geometry.output_len() / channels;
        BatchNorm { batch, channels, spatial, eps: Case::EPS }
    }

    fn normalise(&self, y: &mut [f32]) -> Result<(), Error> {
        let statistics = Statistics { mean: &self.statistics[0], variance: &self.statistics[1] };
        let affine = Affine { weight: &self.scale, bias: &self.bias };
        batch_norm(&self.cx, &self.norm(), &self.activated, statistics, affine, y)
    }

    fn apart(&mut self, y: &mut [f32]) -> Result<(), Error> {
        let norm = self.norm();
        let parameters = Conv2dParameters { weight: &self.weight, bias: Some(&self.bias) };
        conv2d(&self.cx, &self.geometry, &self.x, parameters, &mut self.convolved)?;
        leaky_relu(&self.cx, Case::SLOPE, &self.convolved, &mut self.activated)?;
        let [mean, variance] = &mut self.statistics;
        batch_statistics(&self.cx, &norm, &self.activated, mean, variance)?;
        self.normalise(y)
    }

    fn fused(&mut self, y: &mut [f32]) -> Result<(), Error> {
        let parameters = Conv2dParameters { weight: &self.weight, bias: Some(&self.bias) };
        let [mean, variance] = &mut self.statistics;
        let fused = Conv2dFused { negative_slope: Case::SLOPE, statistics: Some((mean, variance)) };
        conv2d_fused(&self.cx, &self.geometry, &self.x, parameters, fused, &mut self.activated)?;
        self.normalise(y)
    }
}

/// A network that is the block, with a plan for its batch.
fn plan(cx: Context, shape: &ConvShape) -> Call {
    let [x, weight, bias, _] = shape.inputs();
    let ([inputs, outputs], [kernel, stride, padding]) = (shape.channels, shape.kernel);
    let spec = NetworkSpec::new([inputs, shape.size[0], shape.size[1]])
        .add(layers::Conv2d::new(inputs, outputs, kernel).stride(stride).padding(padding))
        .add(LeakyReLU::new(Case::SLOPE))
        .add(BatchNorm2d::new(outputs).eps(Case::EPS));
    let mut network = Network::new(spec, 0).expect("a network");
    for (name, values) in [("0.weight", &weight), ("0.bias", &bias), ("2.bias", &bias)] {
        network.tensor_mut(name).expect("a tensor").copy_from_slice(values);
    }
    let mut plan = Plan::new(&network, shape.batch).expect("a plan");
    plan.input_mut().copy_from_slice(&x);
    let by_batch = Normalization::BatchStatistics;
    let output = plan.infer(&cx, &network, by_batch).expect("outputs").to_vec();
    Call::new(output, move || {
        black_box(plan.infer(&cx, &network, by_batch).expect("outputs"));
    })
}

//! Batch and layer normalisation, forward with the statistics, and backward.

use super::once;
use crate::{Call, Case, Direction, NormShape};
use loupe_engine::Context;
use loupe_engine::norm::Affine;
use loupe_engine::norm::batch::{
    BatchNorm, BatchNormBackward, BatchNormGradients, Statistics, batch_norm, batch_norm_backward,
    batch_statistics,
};
use loupe_engine::norm::layer::{
    LayerNorm, LayerNormBackward, LayerNormGradients, LayerNormOutputs, layer_norm,
    layer_norm_backward,
};

pub(super) fn prepare(cx: Context, shape: &NormShape, direction: Direction) -> Call {
    let inputs = shape.inputs();
    match *shape {
        NormShape::Batch([batch, channels, height, width]) => {
            let norm = BatchNorm { batch, channels, spatial: height * width, eps: Case::EPS };
            match direction {
                Direction::Forward => batch_forward(cx, norm, inputs),
                Direction::Backward => batch_backward(cx, norm, inputs),
            }
        }
        NormShape::Layer([rows, features]) => {
            let norm = LayerNorm { rows, features, eps: Case::EPS };
            match direction {
                Direction::Forward => layer_forward(cx, norm, inputs),
                Direction::Backward => layer_backward(cx, norm, inputs),
            }
        }
    }
}

fn batch_forward(cx: Context, norm: BatchNorm, [x, weight, bias, _]: [Vec<f32>; 4]) -> Call {
    let [mut mean, mut variance] = [0; 2].map(|_| vec![0.0; norm.channels]);
    once(x.len(), move |y| {
        batch_statistics(&cx, &norm, &x, &mut mean, &mut variance)?;
        let statistics = Statistics { mean: &mean, variance: &variance };
        let affine = Affine { weight: &weight, bias: &bias };
        batch_norm(&cx, &norm, &x, statistics, affine, y)
    })
}

fn batch_backward(cx: Context, norm: BatchNorm, [x, weight, _, dy]: [Vec<f32>; 4]) -> Call {
    let [mut mean, mut variance, mut dweight, mut dbias] = [0; 4].map(|_| vec![0.0; norm.channels]);
    batch_statistics(&cx, &norm, &x, &mut mean, &mut variance).expect("shapes fit");
    once(x.len(), move |dx| {
        let statistics = Statistics { mean: &mean, variance: &variance };
        let inputs =
            BatchNormBackward { x: &x, dy: &dy, statistics, weight: &weight, negative_slope: None };
        let (dweight, dbias) = (&mut dweight[..], &mut dbias[..]);
        let gradients = BatchNormGradients { dx, dweight, dbias, dx_sums: None };
        batch_norm_backward(&cx, &norm, inputs, gradients)
    })
}

fn layer_forward(cx: Context, norm: LayerNorm, [x, weight, bias, _]: [Vec<f32>; 4]) -> Call {
    let [mut mean, mut inv_std] = [0; 2].map(|_| vec![0.0; norm.rows]);
    once(x.len(), move |y| {
        let affine = Affine { weight: &weight, bias: &bias };
        let outputs = LayerNormOutputs { y, mean: &mut mean, inv_std: &mut inv_std };
        layer_norm(&cx, &norm, &x, affine, outputs)
    })
}

fn layer_backward(cx: Context, norm: LayerNorm, [x, weight, bias, dy]: [Vec<f32>; 4]) -> Call {
    let [mut mean, mut inv_std] = [0; 2].map(|_| vec![0.0; norm.rows]);
    let [mut dweight, mut dbias] = [0; 2].map(|_| vec![0.0; norm.features]);
    let mut y = vec![0.0; x.len()];
    let outputs = LayerNormOutputs { y: &mut y, mean: &mut mean, inv_std: &mut inv_std };
    let affine = Affine { weight: &weight, bias: &bias };
    layer_norm(&cx, &norm, &x, affine, outputs).expect("shapes fit");
    once(x.len(), move |dx| {
        let inputs =
            LayerNormBackward { x: &x, dy: &dy, mean: &mean, inv_std: &inv_std, weight: &weight };
        let (dweight, dbias) = (&mut dweight[..], &mut dbias[..]);
        layer_norm_backward(&cx, &norm, inputs, LayerNormGradients { dx, dweight, dbias })
    })
}

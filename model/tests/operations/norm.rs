//! Normalisations.

use crate::case::{Case, poison};
use loupe_engine::norm::Affine;
use loupe_engine::norm::batch::{
    BatchNorm, BatchNormBackward, BatchNormGradients, Statistics, batch_norm, batch_norm_backward,
    batch_norm_backward_running, batch_statistics, update_running_statistics,
};
use loupe_engine::norm::layer::{
    LayerNorm, LayerNormBackward, LayerNormGradients, LayerNormOutputs, layer_norm,
    layer_norm_backward,
};

pub(crate) fn check_batch_norm2d(case: &Case<'_>) {
    check_batch_norm(case, if case.case == "offset" { 4e-6 } else { 5e-7 });
}

/// N, C and the positions of x `[N, C, ...]`.
pub(crate) fn sizes(case: &Case<'_>) -> [usize; 3] {
    let &[batch, channels, ref positions @ ..] = case.fixture.shape(&case.name("x")) else {
        panic!("x is [N, C, ...]");
    };
    [batch, channels, positions.iter().product()]
}

/// A batch normalisation of x of any rank, in training or by running statistics.
pub(crate) fn check_batch_norm(case: &Case<'_>, share: f64) {
    let [batch, channels, spatial] = sizes(case);
    let eps = case.scalar("eps") as f32;
    let norm = BatchNorm { batch, channels, spatial, eps };
    let (cx, x, dy) = (&case.cx, case.f32("x"), case.f32("dy"));
    let (weight, bias) = (case.f32("weight"), case.f32("bias"));
    let (mut running_mean, mut running_variance) =
        (case.f32("running_mean"), case.f32("running_var"));
    let momentum = case.scalar("momentum") as f32;

    let training = case.has("new_running_mean");
    assert_eq!(training, !case.case.ends_with("running"));
    let (mut mean, mut variance) = (running_mean.clone(), running_variance.clone());
    if training {
        batch_statistics(cx, &norm, &x, &mut mean, &mut variance).unwrap();
    }
    let statistics = Statistics { mean: &mean, variance: &variance };
    let mut y = poison(x.len());
    let affine = Affine { weight: &weight, bias: &bias };
    batch_norm(cx, &norm, &x, statistics, affine, &mut y).unwrap();
    case.near("y", &y, share);

    let inputs =
        BatchNormBackward { x: &x, dy: &dy, statistics, weight: &weight, negative_slope: None };
    let (mut dx, mut dweight, mut dbias) = (poison(x.len()), poison(channels), poison(channels));
    let gradients =
        BatchNormGradients { dx: &mut dx, dweight: &mut dweight, dbias: &mut dbias, dx_sums: None };
    let backward = if training { batch_norm_backward } else { batch_norm_backward_running };
    backward(cx, &norm, inputs, gradients).unwrap();
    case.near("dx", &dx, share);
    case.near("dweight", &dweight, share);
    case.near("dbias", &dbias, share);

    if training {
        let running = (&mut running_mean, &mut running_variance);
        update_running_statistics(&norm, momentum, statistics, running.0, running.1).unwrap();
        case.near("new_running_mean", &running_mean, share);
        case.near("new_running_var", &running_variance, share);
    }
}

pub(crate) fn check_layer_norm(case: &Case<'_>) {
    let share = if case.case == "offset" { 2.4e-5 } else { 8e-7 };
    let (cx, x, dy) = (&case.cx, case.f32("x"), case.f32("dy"));
    let (weight, bias) = (case.f32("weight"), case.f32("bias"));
    let (features, rows) = (weight.len(), x.len() / weight.len());
    let norm = LayerNorm { rows, features, eps: case.scalar("eps") as f32 };

    let (mut y, mut mean, mut inv_std) = (poison(x.len()), poison(rows), poison(rows));
    let outputs = LayerNormOutputs { y: &mut y, mean: &mut mean, inv_std: &mut inv_std };
    layer_norm(cx, &norm, &x, Affine { weight: &weight, bias: &bias }, outputs).unwrap();
    case.near("y", &y, share);

    let inputs =
        LayerNormBackward { x: &x, dy: &dy, mean: &mean, inv_std: &inv_std, weight: &weight };
    let (mut dx, mut dweight, mut dbias) = (poison(x.len()), poison(features), poison(features));
    let gradients = LayerNormGradients { dx: &mut dx, dweight: &mut dweight, dbias: &mut dbias };
    layer_norm_backward(cx, &norm, inputs, gradients).unwrap();
    case.near("dx", &dx, share);
    case.near("dweight", &dweight, share);
    case.near("dbias", &dbias, share);
}

//! Batch and layer normalisation, forward and backward. Rates count each float that has to be read or
//! written once: 2 per element forward (and 1 more for the statistics of the batch), 3 backward.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use loupe_benches::{Rates, Work, bench, context, criterion, signed, thread_counts};
use loupe_engine::norm::Affine;
use loupe_engine::norm::batch::{
    BatchNorm, BatchNormBackward, BatchNormGradients, Statistics, batch_norm, batch_norm_backward,
    batch_statistics,
};
use loupe_engine::norm::layer::{
    LayerNorm, LayerNormBackward, LayerNormGradients, LayerNormOutputs, layer_norm,
    layer_norm_backward,
};
use loupe_engine::reference::compare::{Tolerance, assert_close, widen};
use loupe_engine::reference::{batch_norm as oracle_batch, layer_norm as oracle_layer};

/// N, C, H · W: after the convolutions of the MNIST network, and a larger image.
const BATCH_NORMS: [[usize; 3]; 3] = [[256, 10, 144], [256, 10, 25], [16, 64, 3136]];
/// Rows, features: of the fully connected network, and wider rows.
const LAYER_NORMS: [[usize; 2]; 2] = [[256, 200], [1024, 1024]];
const EPS: f32 = 1e-5;

fn tolerance() -> Tolerance {
    Tolerance::abs_rel(2e-5, 1e-5)
}

fn batch_norms(criterion: &mut Criterion<Rates>) {
    for [batch, channels, spatial] in BATCH_NORMS {
        let len = batch * channels * spatial;
        let norm = BatchNorm { batch, channels, spatial, eps: EPS };
        let inputs = || (signed(1, len), signed(2, channels), signed(3, channels), signed(4, len));
        let mut group =
            criterion.benchmark_group(format!("batch norm {batch}x{channels}x{spatial}"));
        for threads in thread_counts() {
            bench(&mut group, BenchmarkId::new("forward", threads), Work::Bytes(12 * len), || {
                let (cx, (x, weight, bias, mut y)) = (context(threads), inputs());
                let [mut mean, mut variance] = [weight.clone(), weight.clone()];
                let expected = {
                    let (weight, bias) = (&widen(&weight), &widen(&bias));
                    let eps = f64::from(EPS);
                    let norm =
                        oracle_batch::BatchNorm { batch, channels, spatial, weight, bias, eps };
                    oracle_batch::batch_norm(&norm, &widen(&x)).0
                };
                let mut run = move |y: &mut [f32]| {
                    batch_statistics(&cx, &norm, &x, &mut mean, &mut variance).expect("shapes");
                    let statistics = Statistics { mean: &mean, variance: &variance };
                    let affine = Affine { weight: &weight, bias: &bias };
                    batch_norm(&cx, &norm, &x, statistics, affine, y).expect("shapes");
                };
                run(&mut y);
                assert_close("batch norm", &y, &expected, &tolerance());
                move || run(&mut y)
            });
            bench(&mut group, BenchmarkId::new("backward", threads), Work::Bytes(12 * len), || {
                let (cx, (x, weight, bias, dy)) = (context(threads), inputs());
                let [mut mean, mut variance, mut dweight, mut dbias] =
                    [0; 4].map(|_| vec![0.0; channels]);
                batch_statistics(&cx, &norm, &x, &mut mean, &mut variance).expect("shapes");
                let expected = {
                    let (weight, bias) = (&widen(&weight), &widen(&bias));
                    let eps = f64::from(EPS);
                    let norm =
                        oracle_batch::BatchNorm { batch, channels, spatial, weight, bias, eps };
                    oracle_batch::batch_norm_backward(&norm, &widen(&x), &widen(&dy)).input
                };
                let mut dx = vec![f32::NAN; len];
                let mut run = move |dx: &mut [f32]| {
                    let statistics = Statistics { mean: &mean, variance: &variance };
                    let inputs = BatchNormBackward {
                        x: &x,
                        dy: &dy,
                        statistics,
                        weight: &weight,
                        negative_slope: None,
                    };
                    let (dweight, dbias) = (&mut dweight[..], &mut dbias[..]);
                    let gradients = BatchNormGradients { dx, dweight, dbias, dx_sums: None };
                    batch_norm_backward(&cx, &norm, inputs, gradients).expect("shapes");
                };
                run(&mut dx);
                assert_close("batch norm backward", &dx, &expected, &tolerance());
                move || run(&mut dx)
            });
        }
        group.finish();
    }
}

fn layer_norms(criterion: &mut Criterion<Rates>) {
    for [rows, features] in LAYER_NORMS {
        let len = rows * features;
        let norm = LayerNorm { rows, features, eps: EPS };
        let inputs = || (signed(1, len), signed(2, features), signed(3, features), signed(4, len));
        let mut group = criterion.benchmark_group(format!("layer norm {rows}x{features}"));
        for threads in thread_counts() {
            bench(&mut group, BenchmarkId::new("forward", threads), Work::Bytes(8 * len), || {
                let (cx, (x, weight, bias, mut y)) = (context(threads), inputs());
                let [mut mean, mut inv_std] = [0; 2].map(|_| vec![0.0; rows]);
                let expected = {
                    let (weight, bias) = (&widen(&weight), &widen(&bias));
                    let eps = f64::from(EPS);
                    let norm = oracle_layer::LayerNorm { rows, features, weight, bias, eps };
                    oracle_layer::layer_norm(&norm, &widen(&x))
                };
                let mut run = move |y: &mut [f32]| {
                    let affine = Affine { weight: &weight, bias: &bias };
                    let (mean, inv_std) = (&mut mean[..], &mut inv_std[..]);
                    let outputs = LayerNormOutputs { y, mean, inv_std };
                    layer_norm(&cx, &norm, &x, affine, outputs).expect("shapes");
                };
                run(&mut y);
                assert_close("layer norm", &y, &expected, &tolerance());
                move || run(&mut y)
            });
            bench(&mut group, BenchmarkId::new("backward", threads), Work::Bytes(12 * len), || {
                let (cx, (x, weight, bias, dy)) = (context(threads), inputs());
                let [mut mean, mut inv_std] = [0; 2].map(|_| vec![0.0; rows]);
                let [mut dweight, mut dbias] = [0; 2].map(|_| vec![0.0; features]);
                let mut dx = vec![f32::NAN; len];
                let outputs =
                    LayerNormOutputs { y: &mut dx, mean: &mut mean, inv_std: &mut inv_std };
                let affine = Affine { weight: &weight, bias: &bias };
                layer_norm(&cx, &norm, &x, affine, outputs).expect("shapes");
                let expected = {
                    let (weight, bias) = (&widen(&weight), &widen(&bias));
                    let eps = f64::from(EPS);
                    let norm = oracle_layer::LayerNorm { rows, features, weight, bias, eps };
                    oracle_layer::layer_norm_backward(&norm, &widen(&x), &widen(&dy)).input
                };
                let mut run = move |dx: &mut [f32]| {
                    let inputs = LayerNormBackward {
                        x: &x,
                        dy: &dy,
                        mean: &mean,
                        inv_std: &inv_std,
                        weight: &weight,
                    };
                    let (dweight, dbias) = (&mut dweight[..], &mut dbias[..]);
                    let gradients = LayerNormGradients { dx, dweight, dbias };
                    layer_norm_backward(&cx, &norm, inputs, gradients).expect("shapes");
                };
                run(&mut dx);
                assert_close("layer norm backward", &dx, &expected, &tolerance());
                move || run(&mut dx)
            });
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = criterion();
    targets = batch_norms, layer_norms
}
criterion_main!(benches);

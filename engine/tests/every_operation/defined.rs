//! What the guide of the crate says of numbers out of the ordinary.

use crate::numbers::poison;
use loupe_engine::conv::*;
use loupe_engine::gemm::*;
use loupe_engine::norm::Affine;
use loupe_engine::norm::batch::*;
use loupe_engine::norm::group::*;
use loupe_engine::norm::layer::*;
use loupe_engine::optim::*;
use loupe_engine::{Context, Isa, Threads};

fn tiers() -> impl Iterator<Item = Context> {
    Isa::available().map(|isa| Context::new(isa, Threads::serial()))
}

const WEIGHT: [f32; 2] = [2.0, 3.0];
const BIAS: [f32; 2] = [0.5, -0.25];
const AFFINE: Affine<'_> = Affine { weight: &WEIGHT, bias: &BIAS };

/// The three normalisations of `x` `[3, 2, 50]`; for layer normalisation each of the 6 runs of 50 is a row.
fn normalised(cx: &Context, x: &[f32]) -> [Vec<f32>; 3] {
    let [mut batch_y, mut group_y, mut layer_y] = [(); 3].map(|()| poison(300));
    let norm = BatchNorm { batch: 3, channels: 2, spatial: 50, eps: 1e-5 };
    let [mut mean, mut variance] = [[f32::NAN; 2]; 2];
    batch_statistics(cx, &norm, x, &mut mean, &mut variance).unwrap();
    let statistics = Statistics { mean: &mean, variance: &variance };
    batch_norm(cx, &norm, x, statistics, AFFINE, &mut batch_y).unwrap();

    let norm = GroupNorm { batch: 3, channels: 2, spatial: 50, groups: 2, eps: 1e-5 };
    let [mut mean, mut inv_std] = [[f32::NAN; 6]; 2];
    let outputs = GroupNormOutputs { y: &mut group_y, mean: &mut mean, inv_std: &mut inv_std };
    group_norm(cx, &norm, x, AFFINE, outputs).unwrap();

    let norm = LayerNorm { rows: 6, features: 50, eps: 1e-5 };
    let affine = Affine { weight: &[2.0; 50], bias: &[0.5; 50] };
    let outputs = LayerNormOutputs { y: &mut layer_y, mean: &mut mean, inv_std: &mut inv_std };
    layer_norm(cx, &norm, x, affine, outputs).unwrap();
    [batch_y, group_y, layer_y]
}

fn ordinary() -> Vec<f32> {
    (0..300).map(|i| ((i * 37) % 101) as f32 / 50.0 - 1.0).collect()
}

/// Values of no variance become the bias. Where the squares of distances from the mean are beyond f32, all is NaN.
#[test]
fn a_variance_of_nothing_and_one_beyond_f32() {
    for cx in tiers() {
        for constant in [0.1, -3e-39, 1e30] {
            for (which, y) in normalised(&cx, &[constant; 300]).iter().enumerate() {
                for (i, &y) in y.iter().enumerate() {
                    let bias = if which == 2 { 0.5 } else { BIAS[i / 50 % 2] };
                    assert!((y - bias).abs() <= 1e-3, "{which}: {constant} becomes {y} at {i}");
                }
            }
        }
        let huge: Vec<f32> = ordinary().iter().map(|x| x * 1e30).collect();
        assert!(normalised(&cx, &huge).iter().flatten().all(|y| y.is_nan()));
    }
}

/// One NaN or infinity makes NaN of all that are normalised with it, and of nothing else.
#[test]
fn what_is_normalised_together_is_lost_together() {
    for cx in tiers() {
        let clean = normalised(&cx, &ordinary());
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut x = ordinary();
            // Image 1, channel 0.
            x[117] = bad;
            for (which, (y, clean)) in normalised(&cx, &x).iter().zip(&clean).enumerate() {
                for (i, (&y, &clean)) in y.iter().zip(clean).enumerate() {
                    let together = if which == 0 { i / 50 % 2 == 0 } else { i / 50 == 2 };
                    assert!(if together { y.is_nan() } else { y == clean }, "{which}: {y} at {i}");
                }
            }
        }
    }
}

/// A NaN reaches the outputs whose window it lies in, and no others.
#[test]
fn a_convolution_spreads_nan_as_far_as_its_kernel() {
    for channels in [1, 3, 64] {
        for (batch, size) in [(1, 9), (2, 20), (17, 9)] {
            let options =
                Conv2dOptions { padding: [1, 1], ..Conv2dOptions::new(channels, 5, [3, 3]) };
            let geometry = Conv2d::new(options, [size, size]).unwrap();
            let weight = vec![0.5; geometry.weight_len()];
            let parameters = Conv2dParameters { weight: &weight, bias: None };
            let mut x = vec![0.25; batch * geometry.input_len()];
            // In the last channel of the last image.
            let (row, column) = (4, 6);
            let plane = x.len() - size * size;
            x[plane + row * size + column] = f32::NAN;
            let last = (batch - 1) * geometry.output_len();
            for cx in tiers() {
                let mut y = poison(batch * geometry.output_len());
                conv2d(&cx, &geometry, &x, parameters, &mut y).unwrap();
                for (at, y) in y.iter().enumerate() {
                    let [i, j] = [at / size % size, at % size];
                    let near = i.abs_diff(row) <= 1 && j.abs_diff(column) <= 1;
                    let what =
                        format!("{channels} channels, {batch} images of {size}: {y} at {at}");
                    assert_eq!(y.is_nan(), at >= last && near, "{what}");
                }
            }
        }
    }
}

/// Rows of A and columns of B carry NaN to their row and column of C; 0 · ∞ is NaN; C counts only with a beta.
#[test]
fn a_product_spreads_nan_along_rows_and_columns() {
    let (m, k, n) = (20, 30, 40);
    for cx in tiers() {
        for backend in [Backend::Auto, Backend::MatrixMultiply] {
            let (mut a, mut b, mut c) = (vec![0.0; m * k], vec![1.0; k * n], poison(m * n));
            a[3 * k + 7] = f32::NAN;
            b[9 * n + 11] = f32::INFINITY;
            let a = Matrix::row_major(&a, [m, k]).unwrap();
            let b = Matrix::row_major(&b, [k, n]).unwrap();
            let to = MatrixMut::row_major(&mut c, [m, n]).unwrap();
            gemm(&cx, a, b, to, GemmOptions { alpha: 1.0, beta: 0.0, backend }).unwrap();
            for (i, c) in c.iter().enumerate() {
                assert_eq!(c.is_nan(), i / n == 3 || i % n == 11, "{c} at {i}");
            }
        }
    }
}

/// What a step does to a parameter, given its gradient; its neighbours are those of an ordinary step.
#[test]
fn a_gradient_that_is_not_finite_spoils_its_parameter_only() {
    for cx in tiers() {
        let step = |gradient: [f32; 3]| {
            let [mut sgd, mut adam, mut adamw] = [[1.0_f32; 3]; 3];
            let [mut velocity, mut first, mut second] = [[0.0; 3]; 3];
            let options = SgdOptions { lr: 0.1, momentum: 0.9, weight_decay: 0.0, nesterov: false };
            sgd_step(&cx, &options, &mut sgd, Gradient::dense(&gradient), &mut velocity).unwrap();
            let gradient = Gradient::dense(&gradient);
            let state = AdamState {
                parameters: &mut adam,
                gradient,
                first_moment: &mut first,
                second_moment: &mut second,
            };
            adam_step(&cx, &AdamOptions::default(), 1, state).unwrap();
            let [mut first, mut second] = [[0.0; 3]; 2];
            let state = AdamState {
                parameters: &mut adamw,
                gradient,
                first_moment: &mut first,
                second_moment: &mut second,
            };
            adamw_step(&cx, &AdamWOptions::default(), 1, state).unwrap();
            [sgd, adam, adamw]
        };
        let ordinary = step([0.5, 0.5, 0.5]);
        for bad in [f32::NAN, f32::INFINITY] {
            let found = step([0.5, bad, 0.5]);
            for (found, ordinary) in found.iter().zip(&ordinary) {
                assert_eq!([found[0], found[2]], [ordinary[0], ordinary[2]]);
                assert!(!found[1].is_finite(), "{found:?}");
            }
        }
        // Its square is beyond f32: the step of Adam is 0.
        let [sgd, adam, _] = step([0.5, 1e30, 0.5]);
        assert_eq!([sgd[1], adam[1]], [1.0 - 1e29, 1.0]);
    }
}

//! Products, linear layers, softmax and normalisations: operations with sizes beside their slices.

use crate::{fit, float, floats, pair, size, survive};
use loupe_engine::activation::*;
use loupe_engine::gemm::*;
use loupe_engine::linear::*;
use loupe_engine::norm::Affine;
use loupe_engine::norm::batch::*;
use loupe_engine::norm::group::*;
use loupe_engine::norm::layer::*;

const CASES: u32 = 1000;

#[test]
fn products() {
    let sizes = [size(), size(), size()];
    let values = (sizes, [pair(), pair()], size(), [fit(), fit(), fit()], [float(), float()]);
    // 24 products on each context.
    survive(CASES / 4, values, |contexts, (sizes, strides, row_stride, fits, [alpha, beta])| {
        let [m, k, n] = sizes;
        let a_data = floats(&[m, k], fits[0]);
        let b_data = floats(&[k, n], fits[1]);
        let mut c_data = floats(&[m, n], fits[2]);
        let rows = |data, shape| Matrix::row_major(data, shape).ok();
        let strided = |data, shape, strides| Matrix::new(data, shape, strides).ok();
        // Strides of 0 make a long product of little data, for which Miri has no time.
        let few = !cfg!(miri) || sizes.iter().all(|&size| size < 20);
        let repeated = |data, shape| strided(data, shape, [0, 0]).filter(|_| few);
        for cx in contexts {
            for (a, b) in [
                (rows(&a_data, [m, k]), rows(&b_data, [k, n])),
                (strided(&a_data, [m, k], strides[0]), strided(&b_data, [k, n], strides[1])),
                (repeated(&a_data, [m, k]), repeated(&b_data, [k, n])),
                (rows(&a_data, [k, m]).map(Matrix::transposed), rows(&b_data, [k, n])),
            ] {
                let (Some(a), Some(b)) = (a, b) else { continue };
                for backend in [Backend::Auto, Backend::Loupe, Backend::MatrixMultiply] {
                    let options = GemmOptions { alpha, beta, backend };
                    if let Ok(c) = MatrixMut::row_major(&mut c_data, [m, n]) {
                        let _ = gemm(cx, a, b, c, options);
                    }
                    if let Ok(c) = MatrixMut::new(&mut c_data, [m, n], row_stride) {
                        let _ = gemm(cx, a, b, c, options);
                    }
                }
            }
        }
    });
}

#[test]
fn linear_layers() {
    let values = ([size(), size(), size()], [fit(), fit(), fit(), fit()]);
    survive(CASES, values, |contexts, ([batch, in_features, out_features], fits)| {
        let layer = Linear { batch, in_features, out_features };
        let _ = (layer.forward_path(), layer.input_path(), layer.weight_path());
        let x = floats(&[batch, in_features], fits[0]);
        let mut weight = floats(&[out_features, in_features], fits[1]);
        let mut bias = floats(&[out_features], fits[2]);
        let mut y = floats(&[batch, out_features], fits[3]);
        let mut dx = x.clone();
        for cx in contexts {
            let _ = linear(cx, &layer, &x, &weight, Some(&bias), &mut y);
            let _ = linear(cx, &layer, &x, &weight, None, &mut y);
            let _ = linear_backward_input(cx, &layer, &weight, &y, &mut dx);
            let _ = linear_backward_weight(cx, &layer, &x, &y, &mut weight, Some(&mut bias));
        }
    });
}

#[test]
fn softmaxes() {
    let values = ([size(), size(), size()], [fit(), fit(), fit()]);
    survive(CASES, values, |contexts, ([outer, classes, inner], fits)| {
        let dims = Softmax { outer, classes, inner };
        let [x, mut y, dy] = fits.map(|fit| floats(&[outer, classes, inner], fit));
        for cx in contexts {
            let _ = softmax(cx, &dims, &x, &mut y);
            let _ = softmax_backward(cx, &dims, &x, &dy, &mut y);
            let _ = log_softmax(cx, &dims, &x, &mut y);
            let _ = log_softmax_backward(cx, &dims, &x, &dy, &mut y);
        }
    });
}

#[test]
fn batch_norms() {
    let values = ([size(), size(), size()], [float(), float(), float()], [fit(), fit(), fit()]);
    survive(CASES, values, |contexts, ([batch, channels, spatial], options, fits)| {
        let [eps, momentum, slope] = options;
        let norm = BatchNorm { batch, channels, spatial, eps };
        let [x, mut y] = [fits[0], fits[1]].map(|fit| floats(&[batch, channels, spatial], fit));
        let [mut mean, mut variance, weight, bias] = [(); 4].map(|()| floats(&[channels], fits[2]));
        for cx in contexts {
            let _ = batch_statistics(cx, &norm, &x, &mut mean, &mut variance);
            let statistics = Statistics { mean: &mean, variance: &variance };
            let [mut running_mean, mut running_variance] = [weight.clone(), bias.clone()];
            let running = [&mut running_mean[..], &mut running_variance[..]];
            let [running_mean, running_variance] = running;
            let _ = update_running_statistics(
                &norm,
                momentum,
                statistics,
                running_mean,
                running_variance,
            );
            let affine = Affine { weight: &weight, bias: &bias };
            let _ = batch_norm(cx, &norm, &x, statistics, affine, &mut y);
            for (negative_slope, sums) in [(None, false), (Some(slope), true)] {
                for backward in [batch_norm_backward, batch_norm_backward_running] {
                    let [mut dweight, mut dbias, mut dx_sums] = [(); 3].map(|()| weight.clone());
                    let inputs = BatchNormBackward {
                        x: &x,
                        dy: &x,
                        statistics,
                        weight: &weight,
                        negative_slope,
                    };
                    let gradients = BatchNormGradients {
                        dx: &mut y,
                        dweight: &mut dweight,
                        dbias: &mut dbias,
                        dx_sums: sums.then_some(&mut dx_sums[..]),
                    };
                    let _ = backward(cx, &norm, inputs, gradients);
                }
            }
        }
    });
}

#[test]
fn units_of_batch_norms() {
    let sizes = ([size(), size()], [size(), size(), size(), size()]);
    survive(CASES, (sizes, float(), [fit(), fit()]), |contexts, (sizes, eps, fits)| {
        let ([channels, spatial], [units, last, stride, count]) = sizes;
        let layouts = [UnitLayout::Rows, UnitLayout::Blocks];
        for (cx, layout) in contexts.iter().flat_map(|cx| layouts.map(|layout| (cx, layout))) {
            let isa = cx.isa();
            let norm = UnitNorm { layout, channels, spatial };
            let x = floats(&[channels, spatial], fits[0]);
            let mut y = x.clone();
            let [mut a, mut b, mut c, mut d, mut e] =
                [(); 5].map(|()| floats(&[channels], fits[1]));
            let _ = norm.moments(isa, &x, &mut a, &mut b);
            let _ = norm.partial_moments(isa, last, &x, &mut a, &mut b);
            let _ = norm.add_sums(isa, &x, &mut a);
            for stride in [stride, channels] {
                for units in [units, 1] {
                    let outputs = [&mut a[..], &mut b[..]];
                    let _ = norm.merge_moments(isa, [units, last], [&c, &d], stride, outputs);
                    let _ = sum_units(cx, units, &c, stride, &mut b);
                }
            }
            let constants = UnitConstants { mean: &c, scale: &c, bias: &c };
            let _ = norm.normalize(isa, &x, constants, &mut y);
            let _ = norm.backward_sums(isa, &x, &y, &c, [&mut a, &mut b]);
            let gradient = UnitGradient { mean: &c, scale: &c, average: &c, steepness: &c };
            let _ = norm.backward_input(isa, &x, gradient, eps, &mut y, &mut a);
            let _ = norm.clear_missing(isa, last, &mut y, &mut a);
            let _ = scales(eps, &c, &x, &mut a);
            let variance = c.clone();
            let (sums, gradients) = ([&x[..], &x], [&mut a[..], &mut b]);
            let rest = [&mut c[..], &mut d, &mut e];
            let _ = gradient_constants(eps, count, &variance, &variance, sums, gradients, rest);
        }
    });
}

#[test]
fn norms_of_groups_and_rows() {
    let values = ([size(), size(), size(), size()], float(), [fit(), fit(), fit()]);
    survive(CASES, values, |contexts, ([batch, channels, spatial, groups], eps, fits)| {
        for groups in [groups, 1, channels] {
            let norm = GroupNorm { batch, channels, spatial, groups, eps };
            let x = floats(&[batch, channels, spatial], fits[0]);
            let mut y = x.clone();
            let [mut mean, mut inv_std] = [(); 2].map(|()| floats(&[batch, groups], fits[1]));
            let [weight, mut dw, mut db] = [(); 3].map(|()| floats(&[channels], fits[2]));
            for cx in contexts {
                let affine = Affine { weight: &weight, bias: &weight };
                let outputs =
                    GroupNormOutputs { y: &mut y, mean: &mut mean, inv_std: &mut inv_std };
                let _ = group_norm(cx, &norm, &x, affine, outputs);
                let [mean, inv_std] = [&mean, &inv_std];
                let inputs = GroupNormBackward { x: &x, dy: &x, mean, inv_std, weight: &weight };
                let [dweight, dbias] = [&mut dw, &mut db];
                let gradients = GroupNormGradients { dx: &mut y, dweight, dbias };
                let _ = group_norm_backward(cx, &norm, inputs, gradients);
            }
        }
        let (rows, features) = (batch, channels);
        let norm = LayerNorm { rows, features, eps };
        let x = floats(&[rows, features], fits[0]);
        let mut y = x.clone();
        let [mut mean, mut inv_std] = [(); 2].map(|()| floats(&[rows], fits[1]));
        let [weight, mut dw, mut db] = [(); 3].map(|()| floats(&[features], fits[2]));
        for cx in contexts {
            let affine = Affine { weight: &weight, bias: &weight };
            let outputs = LayerNormOutputs { y: &mut y, mean: &mut mean, inv_std: &mut inv_std };
            let _ = layer_norm(cx, &norm, &x, affine, outputs);
            let [mean, inv_std] = [&mean, &inv_std];
            let inputs = LayerNormBackward { x: &x, dy: &x, mean, inv_std, weight: &weight };
            let [dweight, dbias] = [&mut dw, &mut db];
            let _ = layer_norm_backward(
                cx,
                &norm,
                inputs,
                LayerNormGradients { dx: &mut y, dweight, dbias },
            );
        }
    });
}

//! Products, normalisations, and what is done row by row.

use crate::numbers::{Numbers, Results, batch, between, floats, poison};
use loupe_engine::Context;
use loupe_engine::activation::*;
use loupe_engine::gemm::*;
use loupe_engine::linear::*;
use loupe_engine::loss::*;
use loupe_engine::norm::Affine;
use loupe_engine::norm::batch::*;
use loupe_engine::norm::group::*;
use loupe_engine::norm::layer::*;

pub(crate) fn products(cx: &Context, random: &mut Numbers) -> Results {
    let (rows, others) = if random.below(3) == 0 { (20, 20) } else { (260, 120) };
    let m = between(random, rows, 2 * rows);
    let [k, n] = [(); 2].map(|()| between(random, others, 2 * others));
    let (a, b) = (floats(random, m * k), floats(random, k * n));
    let mut results = Vec::new();
    for (backend, beta) in
        [(Backend::Auto, 0.0), (Backend::Auto, 0.5), (Backend::MatrixMultiply, 0.5)]
    {
        let mut c = vec![1.0; m * n];
        let a = Matrix::row_major(&a, [m, k]).unwrap();
        let b = Matrix::row_major(&b, [k, n]).unwrap();
        let to = MatrixMut::row_major(&mut c, [m, n]).unwrap();
        gemm(cx, a, b, to, GemmOptions { alpha: 0.5, beta, backend }).unwrap();
        results.push(c);
    }
    // Also few rows and narrow layers, which are computed otherwise.
    for (batch, out_features) in [(m, n), (1, m * 3), (m, 9)] {
        let layer = Linear { batch, in_features: k, out_features };
        let x = floats(random, batch * k);
        let weight = floats(random, out_features * k);
        let (bias, dy) = (floats(random, out_features), floats(random, batch * out_features));
        let (mut y, mut dx) = (poison(dy.len()), poison(x.len()));
        let (mut dweight, mut dbias) = (poison(weight.len()), poison(bias.len()));
        linear(cx, &layer, &x, &weight, Some(&bias), &mut y).unwrap();
        linear_backward_input(cx, &layer, &weight, &dy, &mut dx).unwrap();
        linear_backward_weight(cx, &layer, &x, &dy, &mut dweight, Some(&mut dbias)).unwrap();
        results.extend([y, dx, dweight, dbias]);
    }
    results
}

pub(crate) fn normalisations(cx: &Context, random: &mut Numbers) -> Results {
    let (batch, groups) = (batch(random) + 1, between(random, 1, 4));
    let channels = groups * between(random, 1, 8);
    let spatial = [1, 4, 30, 257][random.below(4)];
    let (eps, len) = (1e-3, batch * channels * spatial);
    let (x, dy) = (floats(random, len), floats(random, len));
    let (weight, bias) = (floats(random, channels), floats(random, channels));
    let affine = Affine { weight: &weight, bias: &bias };
    let [mut y, mut dx] = [(); 2].map(|()| poison(len));
    let [mut mean, mut variance, mut dweight, mut dbias, mut sums] =
        [(); 5].map(|()| poison(channels));

    let norm = BatchNorm { batch, channels, spatial, eps };
    batch_statistics(cx, &norm, &x, &mut mean, &mut variance).unwrap();
    let statistics = Statistics { mean: &mean, variance: &variance };
    batch_norm(cx, &norm, &x, statistics, affine, &mut y).unwrap();
    let mut results = vec![y.clone()];
    for backward in [batch_norm_backward, batch_norm_backward_running] {
        let negative_slope = Some(0.5);
        let inputs =
            BatchNormBackward { x: &x, dy: &dy, statistics, weight: &weight, negative_slope };
        let gradients = BatchNormGradients {
            dx: &mut dx,
            dweight: &mut dweight,
            dbias: &mut dbias,
            dx_sums: Some(&mut sums),
        };
        backward(cx, &norm, inputs, gradients).unwrap();
        results.extend([&dx, &dweight, &dbias, &sums].map(Clone::clone));
    }
    results.extend([mean, variance]);

    let norm = GroupNorm { batch, channels, spatial, groups, eps };
    let [mut mean, mut inv_std] = [(); 2].map(|()| poison(batch * groups));
    let outputs = GroupNormOutputs { y: &mut y, mean: &mut mean, inv_std: &mut inv_std };
    group_norm(cx, &norm, &x, affine, outputs).unwrap();
    let (mean, inv_std) = (&mean[..], &inv_std[..]);
    let inputs = GroupNormBackward { x: &x, dy: &dy, mean, inv_std, weight: &weight };
    let [dw, db] = [&mut dweight, &mut dbias];
    let gradients = GroupNormGradients { dx: &mut dx, dweight: dw, dbias: db };
    group_norm_backward(cx, &norm, inputs, gradients).unwrap();
    results.extend([&y, &dx, &dweight, &dbias].map(Clone::clone));

    let (rows, features) = (batch * spatial, channels);
    let norm = LayerNorm { rows, features, eps };
    let [mut mean, mut inv_std] = [(); 2].map(|()| poison(rows));
    let outputs = LayerNormOutputs { y: &mut y, mean: &mut mean, inv_std: &mut inv_std };
    layer_norm(cx, &norm, &x, affine, outputs).unwrap();
    let (mean, inv_std) = (&mean[..], &inv_std[..]);
    let inputs = LayerNormBackward { x: &x, dy: &dy, mean, inv_std, weight: &weight };
    let [dw, db] = [&mut dweight, &mut dbias];
    let gradients = LayerNormGradients { dx: &mut dx, dweight: dw, dbias: db };
    layer_norm_backward(cx, &norm, inputs, gradients).unwrap();
    results.extend([y, dx, dweight, dbias]);
    results
}

pub(crate) fn softmaxes_and_losses(cx: &Context, random: &mut Numbers) -> Results {
    let rows = if random.below(3) == 0 { 3 } else { between(random, 500, 2000) };
    let (classes, inner) = (between(random, 2, 70), [1, 1, 5][random.below(3)]);
    let dims = Softmax { outer: rows.div_ceil(inner), classes, inner };
    let len = dims.outer * classes * inner;
    let (x, dy) = (floats(random, len), floats(random, len));
    let mut results = vec![poison(len); 4];
    let [y, dx, log, log_dx] = &mut results[..] else { unreachable!() };
    softmax(cx, &dims, &x, y).unwrap();
    softmax_backward(cx, &dims, y, &dy, dx).unwrap();
    log_softmax(cx, &dims, &x, log).unwrap();
    log_softmax_backward(cx, &dims, log, &dy, log_dx).unwrap();

    let rows = len / classes;
    let target: Vec<usize> = (0..rows).map(|_| random.below(classes)).collect();
    let probabilities = random.uniform_f32(len, 0.0, 1.0);
    let prediction = random.uniform_f32(len, 0.0, 1.0);
    let weight = random.uniform_f32(classes, 0.1, 1.0);
    let mut losses = Vec::new();
    for reduction in [Reduction::Mean, Reduction::Sum] {
        for (label_smoothing, weight) in [(0.0, None), (0.2, Some(&weight[..]))] {
            let options = CrossEntropyOptions { label_smoothing, weight, reduction };
            let [mut by_class, mut by_row] = [(); 2].map(|()| poison(len));
            let gradient = Some(&mut by_class[..]);
            losses.push(cross_entropy(cx, &options, &x, &target, gradient).unwrap());
            let (t, gradient) = (&probabilities, Some(&mut by_row[..]));
            let loss = cross_entropy_probabilities(cx, &options, classes, &x, t, gradient);
            losses.push(loss.unwrap());
            results.extend([by_class, by_row]);
        }
        for loss in [bce, bce_with_logits, mse, l1] {
            let mut gradient = poison(len);
            let given = Some(&mut gradient[..]);
            losses.push(loss(cx, reduction, &prediction, &probabilities, given).unwrap());
            losses.push(loss(cx, reduction, &prediction, &probabilities, None).unwrap());
            results.push(gradient);
        }
    }
    results.push(losses);
    results
}

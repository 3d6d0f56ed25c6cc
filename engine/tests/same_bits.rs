//! Every operation that may share its work out gives the same bits on 1, 2, 3 and 7 threads, those of a pool of
//! its own or of the caller's. About half of the random cases have enough work to be shared out.

use loupe_engine::activation::*;
use loupe_engine::conv::*;
use loupe_engine::dropout::*;
use loupe_engine::elementwise::*;
use loupe_engine::gemm::*;
use loupe_engine::linear::*;
use loupe_engine::loss::*;
use loupe_engine::norm::Affine;
use loupe_engine::norm::batch::*;
use loupe_engine::norm::group::*;
use loupe_engine::norm::layer::*;
use loupe_engine::optim::*;
use loupe_engine::pad::*;
use loupe_engine::pool::*;
use loupe_engine::reference::compare::assert_bits;
use loupe_engine::reference::random::Random;
use loupe_engine::upsample::*;
use loupe_engine::{Context, Isa, Threads};
use std::sync::Arc;

/// Writes all that some operations compute, for a random problem, into vectors.
type Operations = fn(&Context, &mut Random) -> Vec<Vec<f32>>;

/// Runs the operations for random problems on every tier, and on many numbers of threads.
fn check(name: &str, cases: u64, operations: Operations) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    let own = [2, 3, 7].map(|count| Threads::new(count).unwrap());
    let all: Vec<Threads> = own.into_iter().chain([Threads::from_pool(Arc::new(pool))]).collect();
    let mut shared = 0;
    for seed in 0..cases {
        for isa in Isa::available() {
            let serial = operations(&Context::new(isa, Threads::serial()), &mut Random::new(seed));
            for threads in &all {
                let (threads, watch) = threads.watched();
                let count = threads.count();
                let found = operations(&Context::new(isa, threads), &mut Random::new(seed));
                shared += u64::from(watch.take().is_some_and(|largest| largest.threads > 1));
                assert_eq!(found.len(), serial.len());
                for (i, (found, serial)) in found.iter().zip(&serial).enumerate() {
                    let what = format!("{name}, seed {seed}, {isa:?}, {count} threads, result {i}");
                    assert_bits(&what, found, serial);
                }
            }
        }
    }
    let most = cases * 4 * Isa::available().count() as u64;
    assert!(4 * shared >= most, "{name}: {shared} of {most} cases are shared out");
}

fn floats(random: &mut Random, len: usize) -> Vec<f32> {
    random.uniform_f32(len, -1.0, 1.0)
}

fn poison(len: usize) -> Vec<f32> {
    vec![f32::NAN; len]
}

fn between(random: &mut Random, low: usize, high: usize) -> usize {
    low + random.below(high - low + 1)
}

/// Few or many.
fn batch(random: &mut Random) -> usize {
    if random.below(3) == 0 { between(random, 1, 3) } else { between(random, 20, 60) }
}

fn convolution(random: &mut Random) -> (Conv2dOptions, [usize; 2]) {
    let groups = between(random, 1, 2);
    let [inputs, outputs] = [(); 2].map(|()| groups * between(random, 1, 18));
    let kernel_size = [(); 2].map(|()| between(random, 1, 3));
    let options = Conv2dOptions {
        stride: [(); 2].map(|()| between(random, 1, 2)),
        padding: [(); 2].map(|()| random.below(2)),
        groups,
        ..Conv2dOptions::new(inputs, outputs, kernel_size)
    };
    (options, [(); 2].map(|()| between(random, 4, 20)))
}

#[test]
fn convolutions() {
    check("conv2d", 24, |cx, random| {
        let (options, size) = convolution(random);
        let geometry = Conv2d::new(options, size).unwrap();
        let n = batch(random);
        let x = floats(random, n * geometry.input_len());
        let dy = floats(random, n * geometry.output_len());
        let weight = floats(random, geometry.weight_len());
        let bias = floats(random, options.out_channels);
        let [mut y, mut fused] = [(); 2].map(|()| poison(dy.len()));
        let (mut dx, mut dweight) = (poison(x.len()), poison(weight.len()));
        let [mut dbias, mut mean, mut variance] = [(); 3].map(|()| poison(bias.len()));
        let parameters = Conv2dParameters { weight: &weight, bias: Some(&bias) };
        conv2d(cx, &geometry, &x, parameters, &mut y).unwrap();
        let statistics = Some((&mut mean[..], &mut variance[..]));
        let then = Conv2dFused { negative_slope: 0.1, statistics };
        conv2d_fused(cx, &geometry, &x, parameters, then, &mut fused).unwrap();
        conv2d_backward_input(cx, &geometry, &weight, &dy, &mut dx).unwrap();
        conv2d_backward_weight(cx, &geometry, &x, &dy, &mut dweight, Some(&mut dbias)).unwrap();
        vec![y, fused, mean, variance, dx, dweight, dbias]
    });
}

#[test]
fn transposed_convolutions() {
    check("conv_transpose2d", 16, |cx, random| {
        let (o, size) = convolution(random);
        let options = ConvTranspose2dOptions {
            stride: o.stride,
            groups: o.groups,
            ..ConvTranspose2dOptions::new(o.in_channels, o.out_channels, o.kernel_size)
        };
        let geometry = ConvTranspose2d::new(options, size).unwrap();
        let n = batch(random);
        let x = floats(random, n * geometry.input_len());
        let dy = floats(random, n * geometry.output_len());
        let weight = floats(random, geometry.weight_len());
        let bias = floats(random, options.out_channels);
        let (mut y, mut dx) = (poison(dy.len()), poison(x.len()));
        let (mut dweight, mut dbias) = (poison(weight.len()), poison(bias.len()));
        let parameters = Conv2dParameters { weight: &weight, bias: Some(&bias) };
        conv_transpose2d(cx, &geometry, &x, parameters, &mut y).unwrap();
        conv_transpose2d_backward_input(cx, &geometry, &weight, &dy, &mut dx).unwrap();
        let db = Some(&mut dbias[..]);
        conv_transpose2d_backward_weight(cx, &geometry, &x, &dy, &mut dweight, db).unwrap();
        vec![y, dx, dweight, dbias]
    });
}

#[test]
fn products() {
    check("gemm and linear", 24, |cx, random| {
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
    });
}

#[test]
fn pools_padding_and_upsampling() {
    check("windows", 24, |cx, random| {
        let planes = if random.below(3) == 0 { 2 } else { between(random, 60, 200) };
        let size = [(); 2].map(|()| between(random, 8, 40));
        let kernel_size = [(); 2].map(|()| between(random, 1, 3));
        let stride = [(); 2].map(|()| between(random, 1, 3));
        let max = MaxPool2dOptions { stride, ..MaxPool2dOptions::new(kernel_size) };
        let max = MaxPool2d::new(max, size).unwrap();
        let average = AvgPool2dOptions { stride, ..AvgPool2dOptions::new(kernel_size) };
        let average = AvgPool2d::new(average, size).unwrap();
        let x = floats(random, planes * size[0] * size[1]);
        let dy = floats(random, planes * max.output_len());
        let [mut y, mut mean] = [(); 2].map(|()| poison(dy.len()));
        let [mut dx, mut mean_dx, mut adaptive_dx] = [(); 3].map(|()| poison(x.len()));
        max_pool2d(cx, &max, &x, &mut y).unwrap();
        max_pool2d_backward(cx, &max, &x, &dy, &mut dx).unwrap();
        avg_pool2d(cx, &average, &x, &mut mean).unwrap();
        avg_pool2d_backward(cx, &average, &dy, &mut mean_dx).unwrap();
        let mut results = vec![y, mean, dx, mean_dx];

        let to = [[1, 1], [3, 5]][random.below(2)];
        let adaptive = AdaptiveAvgPool2d::new(size, to).unwrap();
        let mut y = poison(planes * adaptive.output_len());
        adaptive_avg_pool2d(cx, &adaptive, &x, &mut y).unwrap();
        adaptive_avg_pool2d_backward(cx, &adaptive, &y, &mut adaptive_dx).unwrap();
        results.extend([y, adaptive_dx]);

        let up = UpsampleNearest2d::new(stride, size).unwrap();
        let (mut y, mut dx) = (poison(planes * up.output_len()), poison(x.len()));
        upsample_nearest2d(cx, &up, &x, &mut y).unwrap();
        upsample_nearest2d_backward(cx, &up, &y, &mut dx).unwrap();
        results.extend([y, dx]);

        for mode in [
            PaddingMode::Zeros,
            PaddingMode::Reflect,
            PaddingMode::Replicate,
            PaddingMode::Circular,
        ] {
            let pad = Pad2d::new(mode, size, [1, 2, 3, 0]).unwrap();
            let [height, width] = pad.output_size();
            let (mut y, mut dx) = (poison(planes * height * width), poison(x.len()));
            pad2d(cx, &pad, &x, &mut y).unwrap();
            pad2d_backward(cx, &pad, &y, &mut dx).unwrap();
            results.extend([y, dx]);
        }
        results
    });
}

#[test]
fn normalisations() {
    check("norms", 24, |cx, random| {
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
    });
}

#[test]
fn functions_of_single_elements() {
    check("elementwise", 16, |cx, random| {
        let len = if random.below(3) == 0 { 100 } else { between(random, 40_000, 150_000) };
        let (x, dy) = (floats(random, len), floats(random, len));
        let mut results = Vec::new();
        let mut run = |f: &dyn Fn(&mut [f32])| {
            let mut y = poison(len);
            f(&mut y);
            results.push(y);
        };
        run(&|y| relu(cx, &x, y).unwrap());
        run(&|y| relu_backward(cx, &x, &dy, y).unwrap());
        run(&|y| leaky_relu(cx, 0.1, &x, y).unwrap());
        run(&|y| leaky_relu_backward(cx, 0.1, &x, &dy, y).unwrap());
        run(&|y| sigmoid(cx, &x, y).unwrap());
        run(&|y| sigmoid_backward(cx, &x, &dy, y).unwrap());
        run(&|y| silu(cx, &x, y).unwrap());
        run(&|y| silu_backward(cx, &x, &dy, y).unwrap());
        run(&|y| tanh(cx, &x, y).unwrap());
        run(&|y| tanh_backward(cx, &x, &dy, y).unwrap());
        for approximation in [GeluApproximation::None, GeluApproximation::Tanh] {
            run(&|y| gelu(cx, approximation, &x, y).unwrap());
            run(&|y| gelu_backward(cx, approximation, &x, &dy, y).unwrap());
        }
        let drop = Dropout { p: 0.3, key: 11 };
        run(&|y| dropout(cx, &drop, &x, y).unwrap());
        run(&|y| dropout_backward(cx, &drop, &dy, y).unwrap());
        run(&|y| add(cx, &x, &dy, y).unwrap());
        run(&|y| {
            y.copy_from_slice(&x);
            add_assign(cx, &dy, y).unwrap();
        });
        results
    });
}

#[test]
fn softmaxes_and_losses() {
    check("rows", 24, |cx, random| {
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
    });
}

fn adam_state<'a>(
    parameters: &'a mut [f32],
    gradient: Gradient<'a>,
    [first_moment, second_moment]: [&'a mut [f32]; 2],
) -> AdamState<'a> {
    AdamState { parameters, gradient, first_moment, second_moment }
}

#[test]
fn optimisers_and_clipping() {
    check("optim", 16, |cx, random| {
        let (rows, columns) = match random.below(3) {
            0 => (3, 20),
            _ => (between(random, 100, 300), between(random, 300, 600)),
        };
        let len = rows * columns;
        let (dy, x) = (floats(random, rows), floats(random, columns));
        let dense = floats(random, len);
        let start = floats(random, len);
        let mut results = Vec::new();
        for gradient in [Gradient::dense(&dense), Gradient::outer(&dy, &x)] {
            let norm = gradient_norm(cx, [gradient, Gradient::dense(&start)]);
            results.push(vec![norm]);
            let gradient = gradient.scaled(clip_factor(norm, 0.5).unwrap());
            let (mut theta, mut velocity) = (start.clone(), vec![0.0; len]);
            let sgd = SgdOptions { lr: 0.1, momentum: 0.9, weight_decay: 0.01, nesterov: true };
            sgd_step(cx, &sgd, &mut theta, gradient, &mut velocity).unwrap();
            results.extend([theta.clone(), velocity]);
            let [mut first, mut second] = [(); 2].map(|()| vec![0.0; len]);
            for step in 1..3 {
                let adam = AdamOptions { weight_decay: 0.01, ..AdamOptions::default() };
                let state = adam_state(&mut theta, gradient, [&mut first, &mut second]);
                adam_step(cx, &adam, step, state).unwrap();
                let state = adam_state(&mut theta, gradient, [&mut first, &mut second]);
                adamw_step(cx, &AdamWOptions::default(), step + 1, state).unwrap();
            }
            results.extend([theta, first, second]);
        }
        results
    });
}

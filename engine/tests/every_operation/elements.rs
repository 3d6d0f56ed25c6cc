//! Operations on single elements.

use crate::numbers::{Numbers, Results, between, floats, poison};
use loupe_engine::Context;
use loupe_engine::activation::*;
use loupe_engine::dropout::*;
use loupe_engine::elementwise::*;
use loupe_engine::optim::*;

pub(crate) fn functions_of_single_elements(cx: &Context, random: &mut Numbers) -> Results {
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
    run(&|y| {
        y.copy_from_slice(&x);
        flush_denormals(cx, y);
        assert!(!has_denormals(cx, y));
    });
    results
}

fn adam_state<'a>(
    parameters: &'a mut [f32],
    gradient: Gradient<'a>,
    [first_moment, second_moment]: [&'a mut [f32]; 2],
) -> AdamState<'a> {
    AdamState { parameters, gradient, first_moment, second_moment }
}

pub(crate) fn optimisers_and_clipping(cx: &Context, random: &mut Numbers) -> Results {
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
        let gradient = gradient.scaled(clip_factor(norm, 0.5).unwrap_or(1.0));
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
}

//! Element by element: activations, dropout, losses, optimisers.

use crate::{Fit, fit, float, floats, size, survive};
use loupe_engine::activation::*;
use loupe_engine::dropout::*;
use loupe_engine::elementwise::*;
use loupe_engine::loss::*;
use loupe_engine::optim::*;
use loupe_engine::{Buffer, Context, Error, with_scratch};
use proptest::prelude::*;

const CASES: u32 = 1000;

fn double() -> impl Strategy<Value = f64> {
    const VALUES: [f64; 9] =
        [0.0, -0.0, 1.0, 1e300, -1e300, 1e-320, f64::NAN, f64::INFINITY, f64::MAX];
    prop_oneof![-1.0..2.0_f64, prop::sample::select(&VALUES[..])]
}

fn len() -> impl Strategy<Value = usize> {
    prop_oneof![0_usize..40, Just(5000_usize)]
}

#[test]
fn functions_of_single_elements() {
    type Forward = fn(&Context, &[f32], &mut [f32]) -> Result<(), Error>;
    type Backward = fn(&Context, &[f32], &[f32], &mut [f32]) -> Result<(), Error>;
    const FUNCTIONS: [(Forward, Backward); 4] = [
        (relu, relu_backward),
        (sigmoid, sigmoid_backward),
        (silu, silu_backward),
        (tanh, tanh_backward),
    ];
    let values = (len(), [fit(), fit(), fit()], [float(), float()], any::<u64>());
    survive(CASES, values, |contexts, (len, fits, [slope, p], key)| {
        let [mut x, dy, mut y] = fits.map(|fit| floats(&[len], fit));
        // Whatever it is.
        if let Some(first) = x.first_mut() {
            *first = slope;
        }
        for cx in contexts {
            for (forward, backward) in FUNCTIONS {
                let _ = forward(cx, &x, &mut y);
                let _ = backward(cx, &x, &dy, &mut y);
            }
            let _ = leaky_relu(cx, slope, &x, &mut y);
            let _ = leaky_relu_backward(cx, slope, &x, &dy, &mut y);
            for approximation in [GeluApproximation::None, GeluApproximation::Tanh] {
                let _ = gelu(cx, approximation, &x, &mut y);
                let _ = gelu_backward(cx, approximation, &x, &dy, &mut y);
            }
            let _ = dropout(cx, &Dropout { p, key }, &x, &mut y);
            let _ = dropout_backward(cx, &Dropout { p, key }, &dy, &mut y);
            let _ = add(cx, &x, &dy, &mut y);
            let _ = add_assign(cx, &x, &mut y);
            let _ = has_denormals(cx, &x);
            flush_denormals(cx, &mut y);
        }
    });
}

#[test]
fn losses() {
    let classes = prop::collection::vec(prop_oneof![0_usize..5, size()], 0..20);
    let values = (classes, size(), [fit(), fit(), fit()], (double(), float(), any::<[bool; 2]>()));
    survive(
        CASES,
        values,
        |contexts, (target, classes, fits, (smoothing, first, [mean, weighted]))| {
            let reduction = if mean { Reduction::Mean } else { Reduction::Sum };
            let mut logits = floats(&[target.len(), classes], fits[0]);
            if let Some(logit) = logits.first_mut() {
                *logit = first;
            }
            let [probabilities, mut gradient] =
                [fits[1], fits[2]].map(|fit| floats(&[target.len(), classes], fit));
            let weight = floats(&[classes], fits[1]).iter().map(|w| w.abs()).collect::<Vec<_>>();
            let options = CrossEntropyOptions {
                label_smoothing: smoothing,
                weight: weighted.then_some(&weight[..]),
                reduction,
            };
            for cx in contexts {
                for options in [options, CrossEntropyOptions { label_smoothing: 0.25, ..options }] {
                    let _ = cross_entropy(cx, &options, &logits, &target, Some(&mut gradient));
                    let _ = cross_entropy(cx, &options, &logits, &target, None);
                    let given = Some(&mut gradient[..]);
                    let _ = cross_entropy_probabilities(
                        cx,
                        &options,
                        classes,
                        &logits,
                        &probabilities,
                        given,
                    );
                }
                for loss in [bce, bce_with_logits, mse, l1] {
                    let _ = loss(cx, reduction, &logits, &probabilities, Some(&mut gradient));
                    let _ = loss(cx, reduction, &logits, &probabilities, None);
                }
            }
        },
    );
}

fn adam_state<'a>(
    parameters: &'a mut [f32],
    gradient: Gradient<'a>,
    [first_moment, second_moment]: [&'a mut [f32]; 2],
) -> AdamState<'a> {
    AdamState { parameters, gradient, first_moment, second_moment }
}

#[test]
fn optimisers() {
    let options = ([double(), double(), double(), double(), double()], any::<bool>());
    let values =
        (options, (len(), 0_usize..9, 0_usize..9), [fit(), fit(), fit()], (any::<u64>(), float()));
    survive(CASES, values, |contexts, ((numbers, nesterov), lens, fits, (step, scale))| {
        let [lr, beta1, beta2, eps, weight_decay] = numbers;
        let (len, rows, columns) = lens;
        let (dy, x) = (floats(&[rows], Fit::Right), floats(&[columns], Fit::Right));
        let dense = floats(&[len], fits[0]);
        for (gradient, len) in [
            (Gradient::dense(&dense), len),
            (Gradient::outer(&dy, &x), rows * columns),
            (Gradient::outer(&dy, &x).scaled(scale), rows * columns),
        ] {
            let mut parameters = floats(&[len], Fit::Right);
            let [mut first, mut second] = [fits[1], fits[2]].map(|fit| floats(&[len], fit));
            for cx in contexts {
                let momentum = beta1;
                let sgd = SgdOptions { lr, momentum, weight_decay, nesterov };
                let _ = sgd_step(cx, &sgd, &mut parameters, gradient, &mut first);
                for betas in [[beta1, beta2], [0.9, 0.999]] {
                    let adam = AdamOptions { lr, betas, eps, weight_decay };
                    let state = adam_state(&mut parameters, gradient, [&mut first, &mut second]);
                    let _ = adam_step(cx, &adam, step, state);
                    let adam = AdamWOptions { lr, betas, eps, weight_decay };
                    let state = adam_state(&mut parameters, gradient, [&mut first, &mut second]);
                    let _ = adamw_step(cx, &adam, step, state);
                }
                let norm = gradient_norm(cx, [gradient, Gradient::dense(&[])]);
                let _ = clip_factor(norm, lr);
                let _ = clip_factor(scale, eps);
            }
        }
    });
}

#[test]
fn memory() {
    assert!(Buffer::zeros(0).is_empty());
    assert_eq!(with_scratch(0, |scratch| scratch.len()), 0);
    assert!(Buffer::try_zeros("memory", usize::MAX).is_err());
    assert!(Buffer::try_zeros("memory", usize::MAX / 4).is_err());
    // Where the system would refuse memory, Miri ends.
    assert!(cfg!(miri) || Buffer::try_zeros("memory", 1 << 58).is_err());
    assert_eq!(Buffer::try_zeros("memory", 33).unwrap().len(), 33);
}

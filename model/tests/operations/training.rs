//! Losses, optimisers and clipping with their options: the cases of `training.safetensors.gz`.
//!
//! | operation | largest distance of PyTorch's f32 from f64 | tolerance |
//! |---|---|---|
//! | `bce`, `bce_with_logits`, `mse`, `l1` | 1.2e-7 of the largest | 5e-7 of the largest |
//! | `cross_entropy_*` | 3.0e-7 of the largest | 1.2e-6 of the largest |
//! | `sgd`, `adam`, `adamw` | 2.2e-7 of the largest | 1e-6 of the largest value that the parameter has had |
//! | `clip_grad_norm` | 9.4e-8 of the largest | 4e-7 of the largest |

use crate::case::{Case, Operation, check_file, poison};
use crate::optim::check_optimizer;
use loupe_engine::loss::{self, CrossEntropyOptions, Reduction};
use loupe_engine::optim::{
    AdamOptions, AdamState, AdamWOptions, Gradient, SgdOptions, adam_step, adamw_step, clip_factor,
    gradient_norm, sgd_step,
};

const OPERATIONS: [Operation; 10] = [
    ("adam", 1, check_adam),
    ("adamw", 2, check_adam),
    ("bce", 2, check_pointwise),
    ("bce_with_logits", 2, check_pointwise),
    ("clip_grad_norm", 2, check_clip),
    ("cross_entropy_classes", 12, check_cross_entropy),
    ("cross_entropy_probabilities", 12, check_cross_entropy),
    ("l1", 2, check_pointwise),
    ("mse", 2, check_pointwise),
    ("sgd", 3, check_sgd),
];

#[test]
fn options_of_training_agree_with_pytorch() {
    check_file("training.safetensors.gz", &OPERATIONS);
}

fn reduction(case: &Case<'_>) -> Reduction {
    match case.case.split('_').next() {
        Some("mean") => Reduction::Mean,
        Some("sum") => Reduction::Sum,
        _ => panic!("{}: unknown reduction", case.case),
    }
}

fn check_pointwise(case: &Case<'_>) {
    let loss = match case.operation {
        "bce" => loss::bce,
        "bce_with_logits" => loss::bce_with_logits,
        "l1" => loss::l1,
        "mse" => loss::mse,
        other => panic!("{other} is no loss"),
    };
    let (input, target) = (case.f32("input"), case.f32("target"));
    let mut dinput = poison(input.len());
    let value = loss(&case.cx, reduction(case), &input, &target, Some(&mut dinput));
    case.near("loss", &[value.unwrap()], 5e-7);
    case.near("dinput", &dinput, 5e-7);
}

fn check_cross_entropy(case: &Case<'_>) {
    let weight = case.optional("weight");
    let options = CrossEntropyOptions {
        label_smoothing: case.scalar("label_smoothing"),
        weight: weight.as_deref(),
        reduction: reduction(case),
    };
    let (cx, input) = (&case.cx, case.f32("input"));
    let mut dinput = poison(input.len());
    let gradient = Some(&mut dinput[..]);
    let value = if case.operation == "cross_entropy_classes" {
        let classes = case.fixture.i64(&case.name("target"));
        let classes: Vec<usize> = classes.into_iter().map(|class| class as usize).collect();
        loss::cross_entropy(cx, &options, &input, &classes, gradient)
    } else {
        let [_, classes] = case.shape("input");
        let target = case.f32("target");
        loss::cross_entropy_probabilities(cx, &options, classes, &input, &target, gradient)
    };
    case.near("loss", &[value.unwrap()], 1.2e-6);
    case.near("dinput", &dinput, 1.2e-6);
}

fn check_sgd(case: &Case<'_>) {
    let plain = SgdOptions { lr: 0.1, ..SgdOptions::default() };
    let options = match case.case {
        "weight_decay" => SgdOptions { weight_decay: 0.05, ..plain },
        "nesterov" => SgdOptions { momentum: 0.9, nesterov: true, ..plain },
        "all" => SgdOptions { momentum: 0.9, nesterov: true, weight_decay: 0.05, ..plain },
        other => panic!("sgd/{other}: unknown options"),
    };
    let mut velocity = Vec::new();
    check_optimizer(case, 1e-6, |_, parameters, gradient| {
        velocity.resize(gradient.len(), 0.0);
        sgd_step(&case.cx, &options, parameters, Gradient::dense(gradient), &mut velocity).unwrap();
    });
}

fn check_adam(case: &Case<'_>) {
    let decaying = AdamOptions { weight_decay: 0.05, ..AdamOptions::default() };
    let (mut first, mut second) = (Vec::new(), Vec::new());
    check_optimizer(case, 1e-6, |step, parameters, gradient| {
        first.resize(gradient.len(), 0.0);
        second.resize(gradient.len(), 0.0);
        let (first_moment, second_moment) = (&mut first[..], &mut second[..]);
        let gradient = Gradient::dense(gradient);
        let state = AdamState { parameters, gradient, first_moment, second_moment };
        let adamw = AdamWOptions::default();
        let taken = match (case.operation, case.case) {
            ("adam", "weight_decay") => adam_step(&case.cx, &decaying, step, state),
            ("adamw", "default") => adamw_step(&case.cx, &adamw, step, state),
            ("adamw", "weight_decay") => {
                let options = AdamWOptions { lr: 0.01, weight_decay: 0.2, ..adamw };
                adamw_step(&case.cx, &options, step, state)
            }
            other => panic!("{other:?}: unknown options"),
        };
        taken.unwrap();
    });
}

/// Steps of length 1 from 0 show the clipped gradients.
fn check_clip(case: &Case<'_>) {
    let [dense, dy, x] = ["dense", "dy", "x"].map(|name| case.f32(name));
    let [dense, outer] = [Gradient::dense(&dense), Gradient::outer(&dy, &x)];
    let norm = gradient_norm(&case.cx, [dense, outer]);
    case.near("norm", &[norm], 4e-7);
    let factor = clip_factor(norm, case.scalar("max_norm")).unwrap();
    let options = SgdOptions { lr: 1.0, ..SgdOptions::default() };
    let outer_len = dy.len() * x.len();
    for (tensor, gradient, len) in [("clipped", dense, 29), ("clipped_outer", outer, outer_len)] {
        let [mut parameters, mut velocity] = [vec![0.0; len], vec![0.0; len]];
        let gradient = gradient.scaled(factor);
        sgd_step(&case.cx, &options, &mut parameters, gradient, &mut velocity).unwrap();
        let moved: Vec<f32> = parameters.iter().map(|p| -p).collect();
        case.near(tensor, &moved, 4e-7);
    }
}

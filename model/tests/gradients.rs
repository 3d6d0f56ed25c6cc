//! Gradients of networks against central differences that the f64 oracle computes.
//!
//! The oracle's network has the same parameters; its loss is evaluated at both sides of a parameter,
//! and the difference is compared with the gradient of the f32 kernels, on every tier. Random
//! targets make the upstream gradient random.

mod support;

use loupe_engine::reference::loss as oracle;
use loupe_engine::reference::random::Random;
use loupe_engine::{Context, Isa, Threads};
use loupe_model::{Loss, NetworkSpec, SgdOptions, Trainer, nets};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngSeed, TestRunner};
use std::collections::HashSet;
use support::keys::keys;
use support::mixture::{every_layer, mixtures, names};
use support::oracle::oracle_with_keys;
use support::problem::{Problem, problems};

/// An f32 gradient may be off by this share of the largest element of its tensor: rounding of a few
/// hundred sums, twice through the network. A wrong sign is off by 2.
const TOLERANCE: f64 = 2e-4;

/// And by this share of the largest element of all tensors: in front of a normalisation, large terms
/// cancel to a small gradient, or to none.
const CANCELLATION: f64 = 1e-5;

/// Distance of the points of a central difference: so small that hardly a kink lies between them.
const STEP: f64 = 1e-6;

/// Coordinates of each tensor that are checked.
const COORDINATES: usize = 6;

fn check(problem: &Problem) {
    let outputs = problem.spec.output_len().unwrap();
    let (network, x, targets) = problem.values();
    let mut random = Random::new(problem.seed.wrapping_add(1));
    let (wide_x, wide_targets) = [&x, &targets].map(|v| wide(v)).into();

    let classes: Vec<usize> = targets
        .chunks(outputs)
        .map(|row| row.iter().position(|&t| t == 1.0).unwrap_or(0))
        .collect();
    let judge = match problem.loss {
        Loss::Bce => oracle::Loss::Bce(&wide_targets),
        Loss::BceWithLogits => oracle::Loss::BceWithLogits(&wide_targets),
        Loss::Mse => oracle::Loss::Mse(&wide_targets),
        Loss::L1 => oracle::Loss::L1(&wide_targets),
        Loss::CrossEntropy => oracle::Loss::CrossEntropy(&classes),
        _ => unreachable!(),
    };
    let keys = keys(&network, &x, &targets);
    for isa in Isa::available() {
        let cx = Context::new(isa, Threads::serial());
        // A step of length 0 leaves the parameters and shows the gradients.
        let still = SgdOptions { lr: 0.0, ..SgdOptions::default() };
        let mut trainer = Trainer::new(cx, network.clone(), problem.loss, still);
        let loss = trainer.step(&x, &targets).unwrap();
        let mut judged = oracle_with_keys(trainer.network(), &keys);
        let expected = judge.of(&judged.forward(problem.batch, &wide_x)).value;
        assert!((f64::from(loss) - expected).abs() <= 1e-5 * expected.abs().max(1.0));

        let largest = |gradient: &[f32]| {
            gradient.iter().fold(0.0_f64, |largest, g| largest.max(f64::from(g.abs())))
        };
        let gradients: Vec<_> = trainer.gradients().collect();
        let floor = CANCELLATION * gradients.iter().map(|(_, g)| largest(g)).fold(0.0, f64::max);
        for (tensor, (info, gradient)) in gradients.into_iter().enumerate() {
            let start = judged.parameters_mut()[tensor].clone();
            let allowed = TOLERANCE * largest(gradient) + floor;
            let (len, checked) = (gradient.len(), COORDINATES.min(gradient.len()));
            // Each coordinate at most once, from a random one on.
            let first = random.below(len);
            let mut kinks = 0;
            for n in 0..checked {
                let index = (first + n * (len / COORDINATES).max(1)) % len;
                let mut at = |step: f64| {
                    let point = &mut judged.parameters_mut()[tensor];
                    point[index] = start[index] + step;
                    let loss = judge.of(&judged.forward(problem.batch, &wide_x)).value;
                    judged.parameters_mut()[tensor][index] = start[index];
                    loss
                };
                let [below, here, above] = [-STEP, 0.0, STEP].map(&mut at);
                // Where the slopes at both sides differ, an activation has a kink in between,
                // and neither they nor their mean is the gradient.
                let slopes = [(here - below) / STEP, (above - here) / STEP];
                if (slopes[0] - slopes[1]).abs() > allowed {
                    kinks += 1;
                    continue;
                }
                let (analytic, numeric) =
                    (f64::from(gradient[index]), (above - below) / (2.0 * STEP));
                assert!(
                    (analytic - numeric).abs() <= allowed,
                    "{} element {index}: gradient {analytic:e}, central difference {numeric:e}; \
                     {isa:?} {problem:?}",
                    info.name,
                );
            }
            assert!(kinks <= 1 + checked / 2, "too many kinks: {kinks} of {checked}; {problem:?}");
        }
    }
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 120,
        // Kinks and rounding make one problem in some thousands differ: the gate tries the same ones.
        rng_seed: RngSeed::Fixed(1),
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_small_network(problem in problems()) {
        check(&problem);
    }

    #[test]
    fn any_mixture_of_layers(problem in mixtures()) {
        check(&problem);
    }
}

#[test]
fn a_network_of_every_layer() {
    for (batch, seed) in [(1, 1), (3, 2), (16, 3)] {
        check(&Problem { spec: every_layer(), batch, loss: Loss::Bce, seed });
    }
}

/// Types of layers, as files name them.
fn types(spec: &NetworkSpec) -> HashSet<String> {
    let layers = spec.flatten().unwrap();
    let name = |layer| serde_json::to_value(layer).unwrap()["type"].as_str().unwrap().to_owned();
    layers.into_iter().map(|flat| name(flat.layer)).collect()
}

#[test]
fn the_networks_meet_every_layer() {
    let names: HashSet<String> = names().into_iter().collect();
    assert!(names.contains("Conv2d") && names.contains("View"), "{names:?}");
    assert_eq!(types(&every_layer()), names);
    let mut runner = TestRunner::deterministic();
    let trees = (0..100).map(|_| mixtures().new_tree(&mut runner).unwrap().current());
    let met: HashSet<String> = trees.flat_map(|problem| types(&problem.spec)).collect();
    assert_eq!(met, names);
}

#[test]
fn the_tutorials_cnn() {
    for (batch, seed) in [(1, 1), (3, 2), (16, 3), (21, 4)] {
        check(&Problem { spec: nets::mnist_cnn(), batch, loss: Loss::Bce, seed });
    }
}

#[test]
fn the_tutorials_mlp() {
    for (batch, seed) in [(1, 1), (3, 2), (16, 3)] {
        check(&Problem { spec: nets::mnist_mlp(), batch, loss: Loss::Bce, seed });
    }
}

//! Gradients of networks against central differences that the f64 oracle computes.
//!
//! The oracle's network has the same parameters; its loss is evaluated at both sides of a parameter,
//! and the difference is compared with the gradient of the f32 kernels, on every tier. Random
//! targets make the upstream gradient random.

mod support;

use loupe_engine::reference::loss as oracle;
use loupe_engine::reference::network::Network;
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
    let mut judged = oracle_with_keys(&network, &keys(&network, &x, &targets));
    let expected = judge.of(&judged.forward(problem.batch, &wide_x)).value;
    let losses = losses_beside(&mut judged, problem.batch, &wide_x, &judge, &mut random);
    for isa in Isa::available() {
        let cx = Context::new(isa, Threads::serial());
        // A step of length 0 leaves the parameters and shows the gradients.
        let still = SgdOptions { lr: 0.0, ..SgdOptions::default() };
        let mut trainer = Trainer::new(cx, network.clone(), problem.loss, still);
        let loss = trainer.step(&x, &targets).unwrap();
        assert!((f64::from(loss) - expected).abs() <= 1e-5 * expected.abs().max(1.0));

        let largest = |gradient: &[f32]| {
            gradient.iter().fold(0.0_f64, |largest, g| largest.max(f64::from(g.abs())))
        };
        let gradients: Vec<_> = trainer.gradients().collect();
        assert_eq!(gradients.len(), losses.len());
        let floor = CANCELLATION * gradients.iter().map(|(_, g)| largest(g)).fold(0.0, f64::max);
        for ((info, gradient), losses) in gradients.into_iter().zip(&losses) {
            let allowed = TOLERANCE * largest(gradient) + floor;
            let mut kinks = 0;
            for &(index, [below, here, above]) in losses {
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
            let checked = losses.len();
            assert!(kinks <= 1 + checked / 2, "too many kinks: {kinks} of {checked}; {problem:?}");
        }
    }
}

/// For each tensor some elements, from a random one on, with the losses below, at and above their values.
fn losses_beside(
    judged: &mut Network,
    batch: usize,
    x: &[f64],
    judge: &oracle::Loss<'_>,
    random: &mut Random,
) -> Vec<Vec<(usize, [f64; 3])>> {
    let values = judged.values(batch, vec![x.to_vec()]);
    let tensors: Vec<_> =
        judged.parameters().into_iter().map(|(name, values)| (name, values.to_vec())).collect();
    let mut losses = Vec::new();
    for (tensor, (name, start)) in tensors.into_iter().enumerate() {
        // What lies before the tensor's step does not change.
        let step: usize = name.split('.').next().unwrap().parse().unwrap();
        let (len, checked) = (start.len(), COORDINATES.min(start.len()));
        let first = random.below(len);
        let mut of_tensor = Vec::new();
        for n in 0..checked {
            // Each at most once.
            let index = (first + n * (len / COORDINATES).max(1)) % len;
            let at = [-STEP, 0.0, STEP].map(|distance| {
                judged.parameters_mut()[tensor][index] = start[index] + distance;
                let values = judged.values(batch, values[..=step].to_vec());
                judge.of(values.last().unwrap()).value
            });
            judged.parameters_mut()[tensor][index] = start[index];
            of_tensor.push((index, at));
        }
        losses.push(of_tensor);
    }
    losses
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

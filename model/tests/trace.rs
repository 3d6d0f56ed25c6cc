//! Traces against plans and trainers, which do the same by other ways, and against the oracle.

mod support;

use loupe_engine::optim::{AdamOptions, SgdOptions};
use loupe_engine::reference::compare::{Tolerance, assert_close};
use loupe_engine::reference::random::Random;
use loupe_engine::{Context, Isa, Threads};
use loupe_model::layers::{BatchNorm2d, Dropout, Sigmoid};
use loupe_model::trace::{Place, find_non_finite, trace};
use loupe_model::{
    Error, Loss, LossOptions, Network, NetworkSpec, Normalization, OptimizerOptions, Plan, Trainer,
    nets,
};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use support::keys::replace_dropout;
use support::mixture::{every_layer, mixtures};
use support::oracle::oracle_network;
use support::problem::{Problem, problems};

/// Two f32 programs that add in another order.
const OUTPUTS: f64 = 1e-5;

/// The same twice through the network, as a share of the largest element of all gradients: in front of a
/// normalisation large terms cancel.
const GRADIENTS: f64 = 2e-5;

const MODES: [Normalization; 2] =
    [Normalization::BatchStatistics, Normalization::RunningStatistics];

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}

fn largest(values: &[f32]) -> f64 {
    values.iter().fold(0.0, |largest, value| largest.max(f64::from(value.abs())))
}

/// Everything: all layers, groups, padding, dilation, no bias, a negative slope.
fn mixture() -> NetworkSpec {
    let text = r#"{ "input": [4, 9, 7], "layers": [
        { "type": "Conv2d", "in_channels": 4, "out_channels": 6, "kernel_size": [3, 2],
          "stride": [2, 1], "padding": [1, 2], "dilation": [1, 2], "groups": 2, "bias": false },
        { "type": "ReLU" },
        { "type": "BatchNorm2d", "num_features": 6 },
        { "type": "LeakyReLU", "negative_slope": -0.1 },
        { "type": "Conv2d", "in_channels": 6, "out_channels": 3, "kernel_size": 2 },
        { "type": "LayerNorm", "normalized_shape": [4, 8] },
        { "type": "View", "shape": [96] },
        { "type": "LayerNorm", "normalized_shape": 96 },
        { "type": "Linear", "in_features": 96, "out_features": 5, "bias": false },
        { "type": "Sigmoid" }
    ] }"#;
    serde_json::from_str(text).unwrap()
}

/// Outputs by both statistics against a plan's, and gradients against a trainer's, whose step of length 0
/// leaves the parameters.
fn check(problem: &Problem) {
    let (mut network, inputs, targets) = problem.values();
    let mut random = Random::new(problem.seed.wrapping_add(2));
    let running: Vec<_> = network.statistics().map(|(info, _)| info.name.clone()).collect();
    for name in &running {
        let values = network.tensor_mut(name).unwrap();
        values.iter_mut().for_each(|value| *value += random.uniform(0.0, 0.5) as f32);
    }
    for isa in Isa::available() {
        let cx = Context::new(isa, Threads::serial());
        for mode in MODES {
            let traced = trace(&cx, &network, &inputs, mode).unwrap();
            let mut plan = Plan::new(&network, problem.batch).unwrap();
            plan.input_mut().copy_from_slice(&inputs);
            let expected = plan.infer(&cx, &network, mode).unwrap();
            let tolerance = Tolerance::abs_rel(OUTPUTS * largest(expected).max(0.1), 0.0);
            let what = format!("{mode} on {isa:?}, {problem:?}");
            assert_close(&what, traced.output(), &wide(expected), &tolerance);
        }
        let still = OptimizerOptions::Sgd(SgdOptions { lr: 0.0, ..SgdOptions::default() });
        let mut trainer = Trainer::new(cx.clone(), network.clone(), problem.loss, still);
        trainer.step(&inputs, &targets).unwrap();
        let traced = trace(&cx, &network, &inputs, Normalization::BatchStatistics).unwrap();
        let mut gradient = vec![0.0; targets.len()];
        let outputs = targets.len() / problem.batch;
        LossOptions::from(problem.loss)
            .evaluate(&cx, outputs, traced.output(), &targets, Some(&mut gradient))
            .unwrap();
        let gradients = traced.backward(&cx, &network, &gradient).unwrap();
        let expected: Vec<_> =
            trainer.gradients().map(|(info, gradient)| (info.clone(), gradient.to_vec())).collect();
        let floor = expected.iter().map(|(_, gradient)| largest(gradient)).fold(0.0, f64::max);
        let tolerance = Tolerance::abs_rel(GRADIENTS * floor, 0.0);
        assert_eq!(gradients.parameters().count(), expected.len());
        for ((info, found), (expected_info, expected)) in gradients.parameters().zip(&expected) {
            assert_eq!(info, expected_info);
            let what = format!("gradient by {} on {isa:?}, {problem:?}", info.name);
            assert_close(&what, found, &wide(expected), &tolerance);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 60,
        // Kinks make one problem in some thousands differ: the gate tries the same ones.
        rng_seed: RngSeed::Fixed(2),
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_small_network(problem in problems()) {
        check(&problem);
    }

    #[test]
    fn any_mixture_of_layers(problem in mixtures()) {
        check(&still(&problem));
    }
}

/// The same with layers that drop nothing: a trace makes no random choices, as trainers do.
fn still(problem: &Problem) -> Problem {
    let layers = replace_dropout(&problem.spec.layers, &|| Dropout::new(0.0).into());
    let spec = NetworkSpec { layers, ..problem.spec.clone() };
    Problem { spec, ..problem.clone() }
}

#[test]
fn the_tutorials_networks_a_mixture_and_every_layer() {
    for (batch, seed) in [(1, 1), (3, 2), (16, 3)] {
        for spec in [nets::mnist_cnn(), nets::mnist_mlp(), mixture()] {
            check(&Problem { spec, batch, loss: Loss::Bce, seed });
        }
        check(&still(&Problem { spec: every_layer(), batch, loss: Loss::Bce, seed }));
    }
}

/// The gradient of a random sum of outputs by each input, against central differences of the oracle.
#[test]
fn gradients_by_inputs() {
    let mut smooth = mixture();
    // Without kinks.
    for layer in [1, 3] {
        smooth.layers[layer] = Sigmoid.into();
    }
    for (spec, batch) in [(nets::mnist_mlp(), 2), (smooth, 3), (nets::mnist_cnn(), 1)] {
        let problem = Problem { spec, batch, loss: Loss::Mse, seed: 5 };
        let (network, inputs, weights) = problem.values();
        let cx = Context::serial();
        let traced = trace(&cx, &network, &inputs, Normalization::BatchStatistics).unwrap();
        let gradients = traced.backward(&cx, &network, &weights).unwrap();
        let found = &gradients.values[0];
        let oracle = oracle_network(&network);
        let sum = |inputs: &[f64]| -> f64 {
            let outputs = oracle.forward(batch, inputs);
            outputs.iter().zip(&weights).map(|(y, &w)| y * f64::from(w)).sum()
        };
        let allowed = 1e-4 * largest(found);
        let (mut point, step) = (wide(&inputs), 1e-6);
        let mut kinks = 0;
        for index in (0..inputs.len()).step_by(inputs.len() / 40) {
            let start = point[index];
            let [below, here, above] = [-step, 0.0, step].map(|step| {
                point[index] = start + step;
                sum(&point)
            });
            point[index] = start;
            if ((above - here) - (here - below)).abs() / step > allowed {
                kinks += 1;
                continue;
            }
            let (numeric, found) = ((above - below) / (2.0 * step), f64::from(found[index]));
            assert!((found - numeric).abs() <= allowed, "{index}: {found:e}, {numeric:e}");
        }
        assert!(kinks < 5, "{kinks}");
    }
}

/// By running statistics the network is another one: that whose normalisations scale and shift.
#[test]
fn gradients_by_running_statistics_take_them_as_constants() {
    let spec = NetworkSpec::new([2, 3, 1]).add(BatchNorm2d::new(2));
    let mut network = Network::new(spec, 0).unwrap();
    for (name, values) in [
        ("0.weight", [3.0, -1.0]),
        ("0.bias", [0.5, 0.25]),
        ("0.running_mean", [1.0, 2.0]),
        ("0.running_var", [4.0 - 1e-5, 0.25 - 1e-5]),
    ] {
        network.tensor_mut(name).unwrap().copy_from_slice(&values);
    }
    let cx = Context::serial();
    let inputs = [1.0, 3.0, 5.0, 2.0, 2.5, 3.0];
    let traced = trace(&cx, &network, &inputs, Normalization::RunningStatistics).unwrap();
    let near = |found: &[f32], expected: &[f64]| {
        assert_close("value", found, expected, &Tolerance::abs_rel(1e-5, 0.0));
    };
    near(traced.output(), &[0.5, 3.5, 6.5, 0.25, -0.75, -1.75]);
    let statistics = traced.layers[0].statistics.as_ref().unwrap();
    assert_eq!(statistics.mean, [1.0, 2.0]);
    let gradients = traced.backward(&cx, &network, &[1.0, 2.0, 3.0, 1.0, 0.0, 0.0]).unwrap();
    near(&gradients.values[0], &[1.5, 3.0, 4.5, -2.0, 0.0, 0.0]);
    let by: Vec<_> = gradients.parameters().map(|(_, values)| values.to_vec()).collect();
    near(&by[0], &[8.0, 0.0]);
    near(&by[1], &[6.0, 1.0]);
}

#[test]
fn statistics_are_those_of_the_values() {
    let network = Network::new(mixture(), 3).unwrap();
    let inputs = Random::new(7).uniform_f32(2 * 252, -1.0, 1.0);
    let cx = Context::serial();
    let traced = trace(&cx, &network, &inputs, Normalization::BatchStatistics).unwrap();
    let before = |layer: usize| &traced.layers[layer - 1].output[..];
    let moments = |values: &[f32]| {
        let mean = wide(values).iter().sum::<f64>() / values.len() as f64;
        let squares = wide(values).iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        (mean, squares / values.len() as f64)
    };
    // [2, 6, 5, 9]: a channel of both images.
    let channel = [&before(2)[45 * 4..][..45], &before(2)[45 * 10..][..45]].concat();
    // [2, 3, 4, 8]: an image of one channel.
    let run = before(5)[32 * 4..][..32].to_vec();
    for (layer, index, values) in [(2, 4, channel), (5, 4, run)] {
        let statistics = traced.layers[layer].statistics.as_ref().unwrap();
        let found = [statistics.mean[index], statistics.variance[index]];
        let (mean, variance) = moments(&values);
        assert_close("statistics", &found, &[mean, variance], &Tolerance::abs_rel(1e-6, 1e-5));
    }
    assert_eq!(traced.layers[5].statistics.as_ref().unwrap().mean.len(), 6);
    assert!(traced.layers[0].statistics.is_none());
}

#[test]
fn a_pass_may_begin_behind_any_layer() {
    let network = Network::new(nets::mnist_cnn(), 1).unwrap();
    let cx = Context::serial();
    let inputs = Random::new(1).uniform_f32(784, 0.0, 1.0);
    let traced = trace(&cx, &network, &inputs, Normalization::BatchStatistics).unwrap();
    let mut class = vec![0.0; 10];
    class[3] = 1.0;
    let whole = traced.backward(&cx, &network, &class).unwrap();
    let part = traced.backward_through(&cx, &network, 8, &whole.values[8]).unwrap();
    assert_eq!(part.values[..], whole.values[..9]);
    assert!(part.parameters().zip(whole.parameters()).all(|(a, b)| a == b));
    let none = traced.backward_through(&cx, &network, 0, &inputs).unwrap();
    assert_eq!(none.values, [inputs]);
    assert!(none.parameters().all(|(_, gradient)| gradient.iter().all(|&g| g == 0.0)));
}

#[test]
fn threads_do_not_change_a_bit() {
    let network = Network::new(nets::mnist_cnn(), 1).unwrap();
    let inputs = Random::new(1).uniform_f32(40 * 784, 0.0, 1.0);
    let on = |threads| {
        let cx = Context::new(Isa::best(), Threads::new(threads).unwrap());
        let traced = trace(&cx, &network, &inputs, Normalization::BatchStatistics).unwrap();
        let gradients = traced.backward(&cx, &network, &[0.01; 400]).unwrap();
        (traced.layers, gradients.values)
    };
    assert!(on(1) == on(3));
}

#[test]
fn what_does_not_fit_is_an_error() {
    let network = Network::new(nets::mnist_cnn(), 1).unwrap();
    let cx = Context::serial();
    let batch = Normalization::BatchStatistics;
    for (len, part) in [
        (0, "the inputs must have 784 elements, found 0"),
        (783, "must have 784 elements, found 783"),
        (1569, "must have 1568 elements, found 1569"),
    ] {
        let error = trace(&cx, &network, &vec![0.0; len], batch).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    let traced = trace(&cx, &network, &[0.5; 784], batch).unwrap();
    let error = traced.backward(&cx, &network, &[0.0; 9]).unwrap_err().to_string();
    assert_eq!(error, "trace: the gradient must have 10 elements, found 9");
    let error = traced.backward_through(&cx, &network, 10, &[]).unwrap_err().to_string();
    assert!(error.contains("the number of layers must be at most"), "{error}");
    let other = Network::new(nets::mnist_mlp(), 1).unwrap();
    let error = traced.backward(&cx, &other, &[0.0; 10]).unwrap_err();
    assert!(matches!(error, Error::OtherNetwork));

    let spec = NetworkSpec::new([2, 1, 1]).add(BatchNorm2d::new(2));
    let network = Network::new(spec, 0).unwrap();
    assert!(matches!(trace(&cx, &network, &[0.0; 2], batch), Err(Error::Spec(_))));
    trace(&cx, &network, &[0.0; 2], Normalization::RunningStatistics).unwrap();
    trace(&cx, &network, &[0.0; 4], batch).unwrap();
}

/// Where a network that `change` was done to first leaves the numbers.
fn found(
    spec: NetworkSpec,
    loss: Loss,
    change: impl FnOnce(&mut Network, &mut [f32], &mut [f32]),
) -> Option<String> {
    let problem = Problem { spec, batch: 2, loss, seed: 9 };
    let (mut network, mut inputs, mut targets) = problem.values();
    change(&mut network, &mut inputs, &mut targets);
    let found = find_non_finite(&Context::serial(), &network, loss, &inputs, &targets).unwrap()?;
    let (last, before) = found.ranges.split_last().unwrap();
    assert!(!last.1.is_finite() && before.iter().all(|(_, range)| range.is_finite()));
    assert_eq!(&last.0, found.place());
    Some(found.to_string().lines().next().unwrap().to_owned())
}

#[test]
fn the_first_place_that_is_not_finite_is_found() {
    let cnn = |change: fn(&mut Network, &mut [f32], &mut [f32])| {
        found(nets::mnist_cnn(), Loss::Bce, change)
    };
    assert_eq!(cnn(|_, _, _| {}), None);
    let first = cnn(|_, inputs, _| inputs[800] = f32::NAN).unwrap();
    assert_eq!(first, "1 of 1568 values are not finite: inputs");
    let first = cnn(|network, _, _| {
        network.tensor_mut("0.bias").unwrap()[1] = f32::INFINITY;
        network.tensor_mut("7.weight").unwrap()[1] = f32::NAN;
    });
    let layer = "layer 0, Conv2d(1, 10, kernel_size=5, stride=2)";
    assert_eq!(first.unwrap(), format!("1 of 10 values are not finite: 0.bias of {layer}"));
    let first = cnn(|network, _, _| network.tensor_mut("5.weight").unwrap().fill(f32::NAN));
    let expected = "10 of 10 values are not finite: 5.weight of layer 5, BatchNorm2d(10)";
    assert_eq!(first.unwrap(), expected);
    let first = cnn(|network, _, _| network.tensor_mut("0.weight").unwrap().fill(3e38));
    assert!(first.unwrap().ends_with(&format!("output of {layer}")));
    // Squares are too large before the values are.
    let first = cnn(|network, _, _| network.tensor_mut("0.bias").unwrap()[2] = 1e30);
    let expected = "1 of 20 values are not finite: mean and variance of layer 2, BatchNorm2d(10)";
    assert_eq!(first.unwrap(), expected);
    let first = cnn(|_, _, targets| targets[7] = f32::NEG_INFINITY);
    assert_eq!(first.unwrap(), "1 of 20 values are not finite: targets");
}

#[test]
fn losses_and_gradients_that_are_not_finite_are_found() {
    let text = r#"{ "input": [2], "layers": [
        { "type": "Linear", "in_features": 2, "out_features": 2, "bias": false },
        { "type": "Linear", "in_features": 2, "out_features": 1 } ] }"#;
    let spec: NetworkSpec = serde_json::from_str(text).unwrap();
    let of = |weights: [[f32; 2]; 2], inputs: [f32; 2], target: f32| {
        found(spec.clone(), Loss::Mse, |network, x, targets| {
            network.tensor_mut("0.weight").unwrap()[..2].copy_from_slice(&weights[0]);
            network.tensor_mut("0.weight").unwrap()[2..].fill(0.0);
            network.tensor_mut("1.weight").unwrap().copy_from_slice(&weights[1]);
            network.tensor_mut("1.bias").unwrap().fill(0.0);
            x.fill(0.0);
            x[..2].copy_from_slice(&inputs);
            targets.fill(0.0);
            targets[0] = target;
        })
    };
    let first = of([[1.0, 0.0], [1.0, 0.0]], [0.0, 0.0], 1e25).unwrap();
    assert_eq!(first, "1 of 1 values are not finite: loss");
    let first = of([[1.0, 0.0], [1.0, 1e25]], [1.0, 0.0], 1e15).unwrap();
    let expected = "gradient by output of layer 0, Linear(2, 2, bias=False)";
    assert_eq!(first, format!("1 of 4 values are not finite: {expected}"));
    let first = of([[1.0, 0.0], [1e-30, 0.0]], [1e30, 0.0], 1e15).unwrap();
    let expected = "gradient by 1.weight of layer 1, Linear(2, 1)";
    assert_eq!(first, format!("1 of 2 values are not finite: {expected}"));
    assert_eq!(of([[1.0, 0.0], [1.0, 0.0]], [1.0, 0.0], 1.0), None);
}

#[test]
fn a_learning_rate_that_is_too_high_is_found_out() {
    let text = r#"{ "input": [3], "layers": [
        { "type": "Linear", "in_features": 3, "out_features": 4 },
        { "type": "ReLU" },
        { "type": "Linear", "in_features": 4, "out_features": 2 } ] }"#;
    let network = Network::new(serde_json::from_str(text).unwrap(), 1).unwrap();
    let adam = OptimizerOptions::Adam(AdamOptions { lr: 1e30, ..AdamOptions::default() });
    let cx = Context::serial();
    let mut trainer = Trainer::new(cx.clone(), network, Loss::Mse, adam);
    let (inputs, targets) = ([0.5, 0.25, 1.0], [1.0, 0.0]);
    for step in 0.. {
        let found = find_non_finite(&cx, trainer.network(), Loss::Mse, &inputs, &targets).unwrap();
        if let Some(found) = found {
            assert!(step > 0);
            assert_eq!(found.place(), &Place::Loss);
            let text = found.to_string();
            let names = [
                "1 of 1 values are not finite: loss",
                "    ",
                "  inputs",
                "  layer 0, Linear(3, 4)",
                "    0.weight",
                "    0.bias",
                "    output",
                "  layer 1, ReLU()",
                "    output",
                "  layer 2, Linear(4, 2)",
                "    2.weight",
                "    2.bias",
                "    output",
                "  targets",
                "  loss",
            ];
            assert_eq!(text.lines().count(), names.len(), "{text}");
            assert!(text.lines().zip(names).all(|(line, name)| line.starts_with(name)), "{text}");
            break;
        }
        trainer.step(&inputs, &targets).unwrap();
    }
}

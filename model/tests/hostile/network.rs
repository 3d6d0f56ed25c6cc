//! Networks and what is made of them.

use crate::{EXTREME, float, size, spec, survive};
use loupe_engine::Context;
use loupe_engine::optim::{AdamOptions, SgdOptions};
use loupe_engine::reference::random::Random;
use loupe_model::layers::{
    Backward, Conv2d, Flatten, Forward, Init, LayerError, Linear, Module, Operation, PaddingMode,
    Parameter, Residual, Tanh, Values,
};
use loupe_model::trace::trace;
use loupe_model::*;
use std::time::Duration;

const LOSSES: [Loss; 5] = [Loss::Bce, Loss::BceWithLogits, Loss::Mse, Loss::L1, Loss::CrossEntropy];

fn double(random: &mut Random) -> f64 {
    const ODD: [f64; 6] = [0.0, -1.0, f64::NAN, f64::INFINITY, 1e300, 1e-320];
    match random.below(6) {
        0 => ODD[random.below(ODD.len())],
        _ => random.uniform(0.0, 1.0),
    }
}

fn optimizer(random: &mut Random) -> OptimizerOptions {
    let [lr, a, b, weight_decay] = [(); 4].map(|()| double(random));
    match random.below(2) {
        0 => OptimizerOptions::Adam(AdamOptions { lr, betas: [a, b], eps: 1e-8, weight_decay }),
        _ => OptimizerOptions::Sgd(SgdOptions { lr, momentum: a, weight_decay, nesterov: b < 0.5 }),
    }
}

/// The network, if its numbers are few enough to be computed with.
fn few(spec: &NetworkSpec) -> Option<Network> {
    let summary = Summary::new(spec, 1).ok()?;
    let small = summary.parameters() < 1 << 18
        && summary.multiply_adds() < 1 << 24
        && summary.output_bytes().saturating_add(summary.input_bytes()) < 1 << 22;
    small.then(|| Network::new(spec.clone(), 3).unwrap())
}

/// N inputs, or an odd number of floats.
fn floats(random: &mut Random, len: usize) -> Vec<f32> {
    let len = if random.below(5) == 0 { random.below(2 * len + 2) } else { len };
    (0..len).map(|_| float(random)).collect()
}

#[test]
fn networks_in_numbers() {
    survive(3000, |_, random| {
        let spec = spec(random);
        let _ = (spec.shapes(), spec.flatten(), spec.input_len(), spec.output_len());
        let _ = (spec.forward_flops(), spec.training_flops());
        for batch in EXTREME {
            if let Ok(summary) = Summary::new(&spec, batch) {
                let _ = (summary.parameters(), summary.statistics(), summary.multiply_adds());
                let _ = (summary.input_bytes(), summary.output_bytes());
            }
        }
    });
}

#[test]
fn networks_are_made_and_run() {
    survive(700, |cx, random| {
        let Some(network) = few(&spec(random)) else { return };
        let other = few(&spec(random));
        for batch in [0, 1, 3, size(random), 1 << 40, usize::MAX / 4, usize::MAX] {
            let Ok(mut plan) = Plan::new(&network, batch) else { continue };
            let _ = plan.memory().total();
            if batch > 4 {
                continue;
            }
            plan.input_mut().fill(0.5);
            for normalization in [Normalization::BatchStatistics, Normalization::RunningStatistics]
            {
                let _ = plan.infer(cx, &network, normalization);
                if let Some(other) = &other {
                    let _ = plan.infer(cx, other, normalization);
                }
            }
        }
        train(cx, random, &network);
        look(cx, random, &network);
    });
}

fn train(cx: &Context, random: &mut Random, network: &Network) {
    let input = network.spec().input_len().unwrap();
    let output = network.spec().output_len().unwrap();
    let loss = LossOptions {
        function: LOSSES[random.below(5)],
        reduction: if random.below(2) == 0 { Reduction::Mean } else { Reduction::Sum },
        label_smoothing: if random.below(2) == 0 { 0.0 } else { double(random) },
        weight: (random.below(4) == 0).then(|| floats(random, output)),
    };
    let mut trainer = Trainer::new(cx.clone(), network.clone(), loss, optimizer(random));
    if random.below(3) == 0 {
        trainer.set_clip_grad_norm(Some(double(random)));
    }
    for batch in [0, 1, 2] {
        let (x, targets) = (floats(random, batch * input), floats(random, batch * output));
        let _ = trainer.step(&x, &targets);
        let _ = (trainer.output().len(), trainer.gradients().count());
        trainer.set_learning_rate(double(random));
    }
    for batch in [0, 1 << 40, usize::MAX] {
        assert!(trainer.step_with(batch, |_, _| Ok(())).is_err());
        assert!(Memory::of(&mut trainer, batch).is_err());
    }
}

fn look(cx: &Context, random: &mut Random, network: &Network) {
    let input = network.spec().input_len().unwrap();
    let output = network.spec().output_len().unwrap();
    let batch = random.below(3);
    let x = floats(random, batch * input);
    for normalization in [Normalization::BatchStatistics, Normalization::RunningStatistics] {
        let Ok(trace) = trace(cx, network, &x, normalization) else { continue };
        let dy = floats(random, trace.output().len());
        let _ = trace.backward(cx, network, &dy);
        let layers = random.below(network.layers().len() + 2);
        let _ = trace.backward_through(cx, network, layers, &dy);
        let _ = trace.backward_through(cx, network, usize::MAX, &dy);
    }
    let predictor = Predictor::new(cx.clone(), network).unwrap();
    let mut y = floats(random, batch * output);
    let _ = predictor.predict(&x, &mut y);
    let _ = predictor.predict(&x, &mut []);
    let mut row = floats(random, output);
    probabilities(network.spec(), &mut row);
    if random.below(10) == 0 {
        for batch in [0, 1, 2, 1 << 40, usize::MAX] {
            let options = ExplainOptions {
                batch,
                loss: Loss::Mse,
                optimizer: OptimizerOptions::default(),
                time: Duration::ZERO,
            };
            let _ = explain(cx, network.clone(), &options);
        }
    }
    // Files that are of another network, or of none.
    let bytes = network.weights();
    let cut = random.below(bytes.len() + 1);
    let _ = network.clone().load_weights(&bytes[..cut]);
    let _ = Predictor::from_bytes(cx.clone(), &bytes[..cut]);
    let _ = Predictor::from_weights(cx.clone(), spec(random), &bytes);
}

#[test]
fn sizes_beyond_memory_are_errors() {
    let batch = |spec: NetworkSpec, batch| {
        let network = Network::new(spec, 0).unwrap();
        let plan = Plan::new(&network, batch).map(drop).unwrap_err().to_string();
        let mut trainer =
            Trainer::new(Context::serial(), network, Loss::Mse, OptimizerOptions::default());
        assert_eq!(Memory::of(&mut trainer, batch).unwrap_err().to_string(), plan);
        plan
    };
    let spec = || NetworkSpec::new([4]).add(Linear::new(4, 4));
    let expected = "batch size 1099511627776: must be at least 1, and its tensors must fit memory";
    assert_eq!(batch(spec(), 1 << 40), expected);
    assert!(batch(nets::mnist_cnn(), 1 << 40).starts_with("batch size"));
    assert!(batch(nets::mnist_cnn(), usize::MAX).starts_with("batch size"));
    assert!(batch(nets::mnist_mlp(), 0).starts_with("batch size 0"));
    // Layer by layer each is small.
    let mut deep = NetworkSpec::new([1 << 20]);
    for _ in 0..3000 {
        deep = deep.add(Tanh);
    }
    assert!(batch(deep, 1 << 7).starts_with("batch size 128"));
    // The parameters of all layers together.
    let wide = || Linear::new(1 << 15, 1 << 15).bias(false);
    assert!(NetworkSpec::new([1 << 15]).add(wide()).add(wide()).shapes().is_ok());
    let error = NetworkSpec::new([1 << 15]).add(wide()).add(wide()).add(wide()).shapes();
    let error = error.unwrap_err().to_string();
    assert!(error.starts_with("layer 2, Linear(32768, 32768, bias=False): "), "{error}");
    assert!(error.contains("more than 2147483648 numbers"), "{error}");
    // An image that padding makes enormous.
    let conv = Conv2d::new(1, 1, 1).stride(1 << 18).padding(1 << 17);
    let padded = conv.padding_mode(PaddingMode::Replicate);
    assert!(NetworkSpec::new([1, 9, 9]).add(padded).shapes().is_err());
}

/// A layer of someone else that takes the numbers for something else.
#[derive(Debug)]
struct Odd {
    output: Vec<usize>,
    parameters: Vec<Vec<usize>>,
    fails: Fails,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fails {
    InThePlan,
    Forward,
    Backward,
}

impl std::fmt::Display for Odd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Odd()")
    }
}

impl Module for Odd {
    fn output_shape(&self, _: &[usize]) -> Result<Vec<usize>, LayerError> {
        Ok(self.output.clone())
    }

    fn parameters(&self) -> Vec<Parameter> {
        let tensor = |shape: &Vec<usize>| {
            Parameter::new("weight", shape, Init::Uniform { bound: f32::INFINITY })
        };
        self.parameters.iter().map(tensor).collect()
    }

    fn multiply_adds(&self, _: &[usize], _: &[usize]) -> u64 {
        u64::MAX
    }

    fn operation(&self, _: usize, _: &[usize]) -> Result<Box<dyn Operation>, Error> {
        match self.fails {
            Fails::InThePlan => Err(overflow()),
            fails => Ok(Box::new(OddOperation(fails))),
        }
    }
}

fn overflow() -> Error {
    loupe_engine::Error::Overflow { op: "odd", what: "everything" }.into()
}

#[derive(Debug)]
struct OddOperation(Fails);

impl Operation for OddOperation {
    fn forward(&mut self, _: &mut Forward<'_>, _: &[f32], y: &mut [f32]) -> Result<(), Error> {
        y.fill(0.5);
        if self.0 == Fails::Forward { Err(overflow()) } else { Ok(()) }
    }

    fn backward(
        &mut self,
        _: &mut Backward<'_>,
        _: Values<'_>,
        _: Option<&mut [f32]>,
    ) -> Result<(), Error> {
        Err(overflow())
    }
}

#[test]
fn layers_of_others() {
    survive(1, |cx, random| {
        let shapes = [vec![], vec![0], vec![usize::MAX], vec![1 << 40, 1 << 40], vec![3, 2]];
        for output in &shapes {
            for parameter in &shapes {
                let parameters = vec![parameter.clone(), parameter.clone()];
                let odd = Odd { output: output.clone(), parameters, fails: Fails::InThePlan };
                let spec = NetworkSpec::new([4]).add(Layer::custom(odd)).add(Flatten).add(Tanh);
                let _ = Summary::new(&spec, usize::MAX);
                let _ = (spec.forward_flops(), spec.training_flops());
                let Ok(network) = Network::new(spec, 0) else { continue };
                assert!(Plan::new(&network, 2).is_err());
                assert!(trace(cx, &network, &[0.0; 4], Normalization::RunningStatistics).is_err());
                train(cx, random, &network);
            }
        }
    });
}

/// Whatever it is, the error says which layer it is of.
#[test]
fn a_layer_that_fails_is_named() {
    for fails in [Fails::InThePlan, Fails::Forward, Fails::Backward] {
        let odd = Odd { output: vec![4], parameters: Vec::new(), fails };
        let block = Residual::new().add(Tanh).add(Layer::custom(odd));
        let spec = NetworkSpec::new([4]).add(Linear::new(4, 4)).add(block);
        let network = Network::new(spec, 0).unwrap();
        let named = |error: Error| {
            let text = error.to_string();
            assert!(text.starts_with("layer 1.layers.1, Odd(): odd: everything"), "{text}");
        };
        let cx = Context::serial();
        let traced = trace(&cx, &network, &[0.0; 4], Normalization::BatchStatistics);
        let traced = traced.and_then(|trace| trace.backward(&cx, &network, &[1.0; 4]));
        named(traced.unwrap_err());
        let mut trainer = Trainer::new(cx, network.clone(), Loss::Mse, OptimizerOptions::default());
        named(trainer.step(&[0.0; 4], &[1.0; 4]).unwrap_err());
        let predictor = Predictor::new(Context::serial(), &network).unwrap();
        match predictor.predict(&[0.0; 4], &mut [0.0; 4]) {
            Ok(()) => assert_eq!(fails, Fails::Backward),
            Err(error) => named(error),
        }
    }
}

#[test]
fn blocks_within_blocks() {
    let mut nested = Residual::new();
    for _ in 0..1000 {
        nested = Residual::new().add(nested);
    }
    let spec = NetworkSpec::new([4]).add(nested);
    assert!(spec.shapes().unwrap_err().to_string().contains("at most 32 deep"));
    assert!(Network::new(spec.clone(), 0).is_err());
    assert!(Summary::new(&spec, 1).is_err());
    let text = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let text = format!(r#"{{"input": [4], "layers": {text}}}"#);
    assert!(serde_json::from_str::<NetworkSpec>(&text).is_err());
    let (open, close) = (r#"{"type": "Residual", "layers": ["#, "]}");
    let text = format!("{}{}", open.repeat(10_000), close.repeat(10_000));
    let text = format!(r#"{{"input": [4], "layers": [{text}]}}"#);
    assert!(serde_json::from_str::<NetworkSpec>(&text).is_err());
}

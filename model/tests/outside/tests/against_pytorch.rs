//! The three networks against PyTorch: the same initial weights and inputs, then some steps.
//!
//! `README.md` says what the files hold and how far PyTorch's f32 is from f64 in the same runs. Another f32 program
//! that adds in another order errs by as much, in another direction.

use loupe_engine::{Context, Isa, Threads};
use loupe_model::{
    AdamOptions, AdamWOptions, Loss, LossOptions, Network, NetworkSpec, OptimizerOptions,
    Predictor, SgdOptions, Trainer,
};
use loupe_outside::{NOISE, dcgan_generator, lenet5, resnet};
use std::path::{Path, PathBuf};

/// A run that PyTorch has done too.
struct Run {
    /// Of its files.
    name: &'static str,
    spec: NetworkSpec,
    loss: LossOptions,
    optimizer: OptimizerOptions,
    /// Inputs and targets of a step, counted from 0.
    batch: fn(usize) -> (Vec<f32>, Vec<f32>),
}

/// How far from PyTorch's numbers ours are.
struct Distances {
    /// Share of the loss of a step.
    losses: f64,
    /// Largest distance of any parameter.
    parameters: f64,
    /// Share of the largest running mean or variance of a layer.
    statistics: f64,
    /// Largest distance of any output by running statistics.
    outputs: f64,
}

/// About four times the largest distances of the table in README.md.
const ALLOWED: Distances =
    Distances { losses: 1e-6, parameters: 2e-6, statistics: 2e-6, outputs: 2e-6 };

const STEPS: usize = 10;
const BATCH: usize = 16;
const CLASSES: usize = 10;

/// A number in [−1, 1), a multiple of 2⁻²³.
fn number(index: usize) -> f32 {
    let mut bits = (index as u32).wrapping_mul(0x9E37_79B1);
    bits = (bits ^ (bits >> 15)).wrapping_mul(0x85EB_CA77);
    bits = (bits ^ (bits >> 13)).wrapping_mul(0xC2B2_AE3D);
    bits ^= bits >> 16;
    (bits >> 8) as f32 / 8_388_608.0 - 1.0
}

/// Items of ten classes, each a pattern of its class under noise, and one-hot targets.
fn classified(step: usize, len: usize) -> (Vec<f32>, Vec<f32>) {
    let items = step * BATCH..(step + 1) * BATCH;
    let value = |item: usize, i: usize| {
        let pattern = number((1 << 24) + item % CLASSES * len + i);
        0.75 * pattern + 0.25 * number(item * len + i)
    };
    let inputs = items.clone().flat_map(|item| (0..len).map(move |i| value(item, i))).collect();
    let one_hot =
        |item| (0..CLASSES).map(move |class| f32::from(u8::from(class == item % CLASSES)));
    (inputs, items.flat_map(one_hot).collect())
}

fn grey(step: usize) -> (Vec<f32>, Vec<f32>) {
    classified(step, 28 * 28)
}

fn coloured(step: usize) -> (Vec<f32>, Vec<f32>) {
    classified(step, 3 * 32 * 32)
}

/// Noise, the same in each step, and images to be made of it.
fn generated(_: usize) -> (Vec<f32>, Vec<f32>) {
    let noise = (0..BATCH * NOISE).map(number).collect();
    (noise, (0..BATCH * 3 * 32 * 32).map(|i| 0.75 * number((1 << 24) + i)).collect())
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

/// The network with the weights of a file of PyTorch's.
fn read(run: &Run, what: &str) -> Network {
    let mut network = Network::new(run.spec.clone(), 0).unwrap();
    network.read_weights(&file(&format!("{}-{what}.safetensors", run.name))).unwrap();
    network
}

/// The numbers of the line that begins with this word.
fn numbers(run: &Run, word: &str) -> Vec<f64> {
    let text = std::fs::read_to_string(file(&format!("{}.txt", run.name))).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(word)).expect("a line of this word");
    line.split_whitespace().map(|number| number.parse().unwrap()).collect()
}

/// What a run leaves.
struct Trained {
    losses: Vec<f32>,
    network: Network,
    outputs: Vec<f32>,
}

impl Trained {
    fn bits(&self) -> Vec<u32> {
        let tensors = self.network.tensors().chain(self.network.statistics());
        let values = tensors.flat_map(|(_, values)| values);
        self.losses.iter().chain(values).chain(&self.outputs).map(|x| x.to_bits()).collect()
    }
}

fn train(run: &Run, cx: &Context) -> Trained {
    let initial = read(run, "initial");
    let mut trainer = Trainer::new(cx.clone(), initial, run.loss.clone(), run.optimizer);
    let step = |step| {
        let (inputs, targets) = (run.batch)(step);
        trainer.step(&inputs, &targets).unwrap()
    };
    let losses = (0..STEPS).map(step).collect();
    let network = trainer.into_network();

    let predictor = Predictor::new(cx.clone(), &network).unwrap();
    let (inputs, targets) = (run.batch)(STEPS);
    let mut outputs = vec![0.0; targets.len()];
    predictor.predict(&inputs, &mut outputs).unwrap();
    Trained { losses, network, outputs }
}

fn distance(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let distances = a.iter().zip(b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).abs());
    distances.fold(0.0, larger)
}

/// The larger one, or NaN if one of them is.
fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || a > b { a } else { b }
}

fn largest(values: &[f32]) -> f64 {
    distance(values, &vec![0.0; values.len()])
}

fn distances(run: &Run, trained: &Trained) -> Distances {
    let losses = trained.losses.iter().zip(numbers(run, "losses"));
    let losses = losses.map(|(&a, b)| (f64::from(a) - b).abs() / b).fold(0.0, larger);
    let expected = read(run, "final");
    let parameters = trained.network.tensors().zip(expected.tensors());
    let parameters = parameters.map(|((_, a), (_, b))| distance(a, b)).fold(0.0, larger);
    let statistics = trained.network.statistics().zip(expected.statistics());
    let statistics = statistics.map(|((_, a), (_, b))| distance(a, b) / largest(b));
    let expected: Vec<f32> = numbers(run, "outputs").iter().map(|&y| y as f32).collect();
    let count = expected.len();
    let kept = (0..count).map(|i| trained.outputs[i * trained.outputs.len() / count]);
    let outputs = distance(&kept.collect::<Vec<_>>(), &expected);
    Distances { losses, parameters, statistics: statistics.fold(0.0, larger), outputs }
}

fn check(run: &Run) {
    for isa in Isa::available() {
        let trained = train(run, &Context::new(isa, Threads::serial()));
        let threads = Threads::new(2).unwrap();
        let threaded = train(run, &Context::new(isa, threads));
        assert!(trained.bits() == threaded.bits(), "{} on two threads, {isa:?}", run.name);

        let (losses, found) = (&trained.losses, distances(run, &trained));
        for (what, found, allowed) in [
            ("losses", found.losses, ALLOWED.losses),
            ("parameters", found.parameters, ALLOWED.parameters),
            ("statistics", found.statistics, ALLOWED.statistics),
            ("outputs", found.outputs, ALLOWED.outputs),
        ] {
            let name = run.name;
            assert!(
                found <= allowed,
                "{name} on {isa:?}: {what} {found:.1e}, allowed {allowed:.1e}"
            );
        }
        assert!(losses[STEPS - 1] < 0.95 * losses[0], "nothing was learned: {losses:?}");
    }
}

#[test]
fn lenet5_by_adam() {
    check(&Run {
        name: "lenet5",
        spec: lenet5(),
        loss: Loss::CrossEntropy.into(),
        optimizer: AdamOptions { lr: 0.01, eps: 1e-4, ..AdamOptions::default() }.into(),
        batch: grey,
    });
}

#[test]
fn resnet_by_sgd() {
    check(&Run {
        name: "resnet",
        spec: resnet(),
        loss: LossOptions { label_smoothing: 0.1, ..Loss::CrossEntropy.into() },
        optimizer: SgdOptions {
            lr: 0.02,
            momentum: 0.9,
            weight_decay: 0.05,
            ..SgdOptions::default()
        }
        .into(),
        batch: coloured,
    });
}

#[test]
fn generator_by_adamw() {
    check(&Run {
        name: "generator",
        spec: dcgan_generator(),
        loss: Loss::Mse.into(),
        optimizer: AdamWOptions {
            lr: 0.005,
            betas: [0.5, 0.999],
            eps: 1e-5,
            ..AdamWOptions::default()
        }
        .into(),
        batch: generated,
    });
}

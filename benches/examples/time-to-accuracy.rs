//! Trains on MNIST until the test digits are classified well, and prints a line of JSON for each setting and
//! seed:
//!
//! ```sh
//! cargo run --release -p loupe-benches --example time-to-accuracy -- 2 5 6 7 8 9
//! ```
//!
//! The first argument is the number of threads, the others are seeds. A seed decides on the initial weights
//! and on the order of the digits. `peers/compare.py --accuracy` makes a table of the lines.
//!
//! Only training is timed, from the making of the trainer to the last step, with shuffling and the conversion
//! of bytes. Reading the files (`load`) and scoring (`score`) are timed apart. The test digits are scored by
//! running statistics every [`SCORED`] digits and steer nothing: each training goes on to the end of its
//! setting. `LOUPE_ISA` chooses the instructions.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "a program that prints numbers")]

use loupe_benches::context;
use loupe_engine::optim::{AdamOptions, SgdOptions};
use loupe_model::data::{DataError, Dataset, Order, Split, open_mnist};
use loupe_model::layers::{BatchNorm1d, BatchNorm2d, Conv2d, Flatten, LeakyReLU, Linear, Sigmoid};
use loupe_model::{
    Error, Layer, Loss, Network, NetworkSpec, Normalization, OptimizerOptions, TrainOptions,
    Trainer, Training, evaluate, nets,
};
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::{Duration, Instant};

/// Digits trained on between two scores, about.
const SCORED: usize = 2000;
const BATCH: NonZeroUsize = NonZeroUsize::new(64).unwrap();
const ACCURACIES: [f64; 2] = [0.98, 0.99];

/// Steps of an epoch.
const EPOCH: usize = 60_000usize.div_ceil(BATCH.get());

/// A network, and for how many steps which optimisers train it. Each begins without memory of the one
/// before, in a random order of its own.
struct Setting {
    name: &'static str,
    spec: NetworkSpec,
    recipe: &'static str,
    phases: Vec<(usize, OptimizerOptions)>,
}

fn settings() -> [Setting; 3] {
    let adam = OptimizerOptions::Adam(AdamOptions { lr: 0.005, ..AdamOptions::default() });
    let sgd = |lr| OptimizerOptions::Sgd(SgdOptions { lr, momentum: 0.9, ..SgdOptions::default() });
    [
        Setting {
            name: "tutorial's CNN",
            spec: nets::mnist_cnn(),
            recipe: "Adam 0.005, 2 epochs",
            phases: vec![(2 * EPOCH, adam)],
        },
        Setting {
            name: "10 and 10 channels, 64 features",
            spec: network([10, 10], 64),
            recipe: "SGD with momentum 0.9, 500 steps at 0.5 and 200 at 0.1",
            phases: vec![(500, sgd(0.5)), (200, sgd(0.1))],
        },
        Setting {
            name: "16 and 32 channels, 64 features",
            spec: network([16, 32], 64),
            recipe: "SGD with momentum 0.9, an epoch at 0.5 and one at 0.1",
            phases: vec![(EPOCH, sgd(0.5)), (EPOCH, sgd(0.1))],
        },
    ]
}

/// The tutorial's network with so many channels, and with another linear layer.
fn network(channels: [usize; 2], features: usize) -> NetworkSpec {
    NetworkSpec::new([1, 28, 28])
        .add(Conv2d::new(1, channels[0], 5).stride(2)) // [channels[0], 12, 12]
        .add(LeakyReLU::new(0.02))
        .add(BatchNorm2d::new(channels[0]))
        .add(Conv2d::new(channels[0], channels[1], 3).stride(2)) // [channels[1], 5, 5]
        .add(LeakyReLU::new(0.02))
        .add(BatchNorm2d::new(channels[1]))
        .add(Flatten)
        .add(Linear::new(channels[1] * 25, features))
        .add(LeakyReLU::new(0.02))
        .add(BatchNorm1d::new(features))
        .add(Linear::new(features, 10))
        .add(Sigmoid)
}

/// What becomes of a training.
#[derive(Default)]
struct Progress {
    training: Duration,
    scoring: Duration,
    digits: usize,
    /// The last score.
    accuracy: f64,
    /// For each of [`ACCURACIES`] the time of training and the digits after which it was first reached.
    reached: [Option<(Duration, usize)>; ACCURACIES.len()],
}

impl Progress {
    fn score(&mut self, trainer: &Trainer, test: &Dataset) -> Result<(), Error> {
        let started = Instant::now();
        let running = Normalization::RunningStatistics;
        self.accuracy = evaluate(trainer.context(), trainer.network(), test, running)?.ratio();
        self.scoring += started.elapsed();
        for (reached, accuracy) in self.reached.iter_mut().zip(ACCURACIES) {
            if reached.is_none() && self.accuracy >= accuracy {
                *reached = Some((self.training, self.digits));
            }
        }
        Ok(())
    }
}

fn run(
    setting: &Setting,
    seed: u64,
    threads: usize,
    [digits, test]: [&Dataset; 2],
) -> Result<Progress, Error> {
    let cx = context(threads);
    let mut network = Network::new(setting.spec.clone(), seed)?;
    let mut progress = Progress::default();
    let every = SCORED.div_ceil(BATCH.get());
    for (phase, (steps, optimizer)) in setting.phases.iter().enumerate() {
        let mut clock = Instant::now();
        let trainer = Trainer::new(cx.clone(), network, Loss::Bce, *optimizer);
        let order = Order::Shuffled { seed: seed + ((phase as u64) << 32) };
        let epochs = steps.div_ceil(EPOCH);
        let options = TrainOptions { epochs, batch_size: BATCH, order, ..TrainOptions::default() };
        let mut training = Training::new(trainer, digits, None, options)?;
        for taken in 1..=*steps {
            let step = training.step()?.expect("the epochs have so many steps");
            progress.digits += step.items;
            if taken % every == 0 || taken == *steps {
                progress.training += clock.elapsed();
                progress.score(training.trainer(), test)?;
                clock = Instant::now();
            }
        }
        network = training.into_network();
    }
    Ok(progress)
}

fn print(setting: &Setting, seed: u64, load: Duration, progress: &Progress) {
    let layers: Vec<String> = setting.spec.layers.iter().map(Layer::to_string).collect();
    let reached =
        ACCURACIES.iter().zip(&progress.reached).map(|(accuracy, reached)| match reached {
            Some((time, digits)) => {
                format!(
                    "\"{accuracy}\": {{\"seconds\": {}, \"digits\": {digits}}}",
                    time.as_secs_f64()
                )
            }
            None => format!("\"{accuracy}\": null"),
        });
    println!(
        "{{\"setting\": \"{}\", \"recipe\": \"binary cross-entropy, batches of {BATCH}, {}\", \
         \"layers\": \"{}\", \"seed\": {seed}, \"load\": {}, \"score\": {}, \"reached\": {{{}}}, \
         \"digits\": {}, \"seconds\": {}, \"accuracy\": {}}}",
        setting.name,
        setting.recipe,
        layers.join(", "),
        load.as_secs_f64(),
        progress.scoring.as_secs_f64(),
        reached.collect::<Vec<_>>().join(", "),
        progress.digits,
        progress.training.as_secs_f64(),
        progress.accuracy,
    );
}

fn open(split: Split) -> Result<Dataset, DataError> {
    open_mnist(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/mnist"), split, None)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Result<Vec<u64>, _> = std::env::args().skip(1).map(|a| a.parse()).collect();
    let Some((&threads, seeds)) = arguments.as_ref().ok().and_then(|a| a.split_first()) else {
        return Err("usage: time-to-accuracy THREADS SEED …".into());
    };
    let started = Instant::now();
    let (digits, test) = (open(Split::Train)?, open(Split::Test)?);
    let load = started.elapsed();
    for setting in settings() {
        for &seed in seeds {
            let progress = run(&setting, seed, threads as usize, [&digits, &test])?;
            print(&setting, seed, load, &progress);
        }
    }
    Ok(())
}

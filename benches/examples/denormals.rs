//! What denormal numbers cost: times of training steps on ordinary digits, on digits whose dark pixels are denormal
//! instead of 0, so that four of five products of the first layer are, and on digits of denormal pixels only.
//!
//! ```sh
//! cargo run --release -p loupe-benches --example denormals
//! ```
//!
//! The three take turns; the numbers are the medians of the ratios to the first. More than that is not met in
//! training: moments of optimisers are never denormal.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "a program that prints numbers")]

use loupe_engine::{Context, Isa, Threads};
use loupe_model::data::{Split, open_mnist};
use loupe_model::{Error, Loss, Network, OptimizerOptions, Trainer, nets};
use std::path::Path;
use std::time::Instant;

const ROUNDS: usize = 101;
/// Digits of a turn, at least.
const DIGITS: usize = 256;

/// Takes a step for each batch; seconds.
fn turn(
    trainer: &mut Trainer,
    inputs: &[f32],
    targets: &[f32],
    batch: usize,
) -> Result<f64, Error> {
    let (x, t) = (batch * 784, batch * 10);
    let start = Instant::now();
    for (inputs, targets) in inputs.chunks_exact(x).zip(targets.chunks_exact(t)) {
        trainer.step(inputs, targets)?;
    }
    Ok(start.elapsed().as_secs_f64())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() -> Result<(), Error> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/mnist");
    let digits = open_mnist(&folder, Split::Train, None)?;
    println!("| network | batch | tier | µs a step | dark pixels denormal | all pixels denormal |");
    println!("|---|---|---|---|---|---|");
    for (name, spec) in [("cnn", nets::mnist_cnn()), ("mlp", nets::mnist_mlp())] {
        for batch in [1, 64] {
            for isa in Isa::available() {
                let count = DIGITS.max(4 * batch);
                let pixels = |of: fn(f32) -> f32| -> Vec<f32> {
                    let pixels = &digits.images()[..count * 784];
                    pixels.iter().map(|&p| of(f32::from(p) / 255.0)).collect()
                };
                let targets: Vec<f32> = (0..count * 10)
                    .map(|i| f32::from(u8::from(usize::from(digits.labels()[i / 10]) == i % 10)))
                    .collect();
                let trainer = || {
                    let network = Network::new(spec.clone(), 0)?;
                    let cx = Context::new(isa, Threads::serial());
                    Ok::<_, Error>(Trainer::new(
                        cx,
                        network,
                        Loss::Bce,
                        OptimizerOptions::default(),
                    ))
                };
                let mut turns = [
                    (trainer()?, pixels(|p| p)),
                    (trainer()?, pixels(|p| if p == 0.0 { 1e-40 } else { p })),
                    (trainer()?, pixels(|p| (p + 1.0) * 1e-40)),
                ];
                let mut seconds = [(); 3].map(|()| Vec::new());
                for _ in 0..ROUNDS {
                    for ((trainer, inputs), seconds) in turns.iter_mut().zip(&mut seconds) {
                        seconds.push(turn(trainer, inputs, &targets, batch)?);
                    }
                }
                let ratio = |i: usize| {
                    median(seconds[i].iter().zip(&seconds[0]).map(|(a, b)| a / b).collect())
                };
                let step = median(seconds[0].clone()) / (count / batch) as f64 * 1e6;
                println!(
                    "| {name} | {batch} | {} | {step:.1} | {:.2} | {:.2} |",
                    isa.tier().name(),
                    ratio(1),
                    ratio(2)
                );
            }
        }
    }
    Ok(())
}

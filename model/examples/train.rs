//! Trains a network of its own on MNIST's digits for some hundred steps, and writes it to a file if one is named.
//!
//! ```text
//! cargo run --release -p loupe-model --example train -- digits.safetensors
//! ```

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "it shows how far it is")]

use loupe_engine::{Context, Threads};
use loupe_model::data::{Order, Split, open_mnist};
use loupe_model::layers::{
    BatchNorm2d, Conv2d, Dropout, Flatten, Linear, MaxPool2d, ReLU, Residual,
};
use loupe_model::{
    Loss, Network, NetworkSpec, Normalization, OptimizerOptions, TrainOptions, Trainer, Training,
    evaluate, write_atomically,
};
use std::error::Error;
use std::num::NonZeroUsize;
use std::path::Path;

const STEPS: usize = 300;

/// `[1, 28, 28]` → scores of the ten digits.
fn network() -> NetworkSpec {
    // y = x + layers(x). A bias in front of a normalisation would have no effect.
    let block = Residual::new()
        .add(Conv2d::new(16, 16, 3).padding(1).bias(false))
        .add(BatchNorm2d::new(16))
        .add(ReLU)
        .add(Conv2d::new(16, 16, 3).padding(1).bias(false))
        .add(BatchNorm2d::new(16));
    NetworkSpec::new([1, 28, 28])
        .add(Conv2d::new(1, 16, 5).stride(2)) // [16, 12, 12]
        .add(ReLU)
        .add(MaxPool2d::new(2)) // [16, 6, 6]
        .add(block)
        .add(ReLU)
        .add(Flatten) // [576]
        .add(Dropout::new(0.25))
        .add(Linear::new(576, 10))
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new("data/mnist");
    let digits = open_mnist(folder, Split::Train, None)?;
    let test = open_mnist(folder, Split::Test, None)?;

    // The result has the same bits on any number of threads.
    let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let cx = Context::from_env(Threads::new(threads)?)?;

    // Cross-entropy takes the scores as they are; the loss contains the softmax.
    let adam = OptimizerOptions::default().with_lr(0.002);
    let trainer = Trainer::new(cx.clone(), Network::new(network(), 0)?, Loss::CrossEntropy, adam);
    let options = TrainOptions {
        epochs: 1,
        batch_size: NonZeroUsize::new(64).expect("not 0"),
        order: Order::Shuffled { seed: 0 },
        ..TrainOptions::default()
    };
    let mut training = Training::new(trainer, &digits, None, options)?;
    while let Some(step) = training.step()? {
        if step.step % 50 == 0 {
            let right = 100.0 * step.so_far.ratio();
            println!("step {:3}  loss {:.4}  accuracy so far {right:.1} %", step.step, step.loss);
        }
        if step.step == STEPS {
            break;
        }
    }

    let network = training.into_network();
    let score = evaluate(&cx, &network, &test, Normalization::RunningStatistics)?;
    println!("{} of {} test digits are right", score.correct, score.items);
    if let Some(file) = std::env::args_os().nth(1) {
        // The file says of which network and of which classes it is; PyTorch can load it too.
        let bytes = network.described_weights(Some(digits.class_names()));
        write_atomically(Path::new(&file), &bytes)?;
    }
    Ok(())
}

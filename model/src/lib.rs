//! Networks, training, data sets and weight files on top of [`loupe_engine`].
//!
//! A network goes through three forms. A [`NetworkSpec`] is a plain list of layers, as it stands in a
//! file; its shapes are checked before anything is computed. A [`Network`] gives it values. A [`Plan`]
//! is a network made ready for one batch size: buffers placed, neighbouring layers fused. A
//! [`Trainer`] runs a plan forward and backward and moves the parameters; a [`Training`] does so for whole
//! epochs of a [`Dataset`](data::Dataset), and can be saved and resumed at any step; [`evaluate()`] counts what the network gets right.
//!
//! Training on MNIST, as the tutorial does it (batch size 1, 3 epochs, file order):
//!
//! ```no_run
//! use loupe_engine::{Context, Threads};
//! use loupe_model::data::{Split, open_mnist};
//! use loupe_model::{Loss, Network, Normalization, OptimizerOptions, TrainOptions, Trainer};
//! use loupe_model::{Training, evaluate, nets};
//! use std::path::Path;
//!
//! let folder = Path::new("data/mnist");
//! let digits = open_mnist(folder, Split::Train, None)?;
//!
//! let cx = Context::from_env(Threads::new(2)?)?;
//! let network = Network::new(nets::mnist_cnn(), 0)?;
//! let trainer = Trainer::new(cx.clone(), network, Loss::Bce, OptimizerOptions::default());
//! let mut training = Training::new(trainer, &digits, None, TrainOptions::default())?;
//! while training.step()?.is_some() {}
//!
//! let network = training.into_network();
//! let test = open_mnist(folder, Split::Test, None)?;
//! let score = evaluate(&cx, &network, &test, Normalization::BatchStatistics)?;
//! println!("{} of {}", score.correct, score.items);
//! network.save_weights(Path::new("cnn.safetensors"))?;
//! # Ok::<(), loupe_model::Error>(())
//! ```
//!
//! Layers, options, defaults, initial values and tensor names are PyTorch's. A seed means the same
//! numbers on every machine, and a run gives the same bits on any number of threads.

#![deny(unsafe_code)]

pub mod data;
mod described;
mod error;
mod evaluate;
mod explain;
mod files;
pub mod layers;
mod loss;
mod memory;
pub mod nets;
mod network;
mod normalization;
mod normalization_doctor;
mod optim;
mod parameters;
mod plan;
mod predictor;
mod random;
mod spec;
mod summary;
pub mod trace;
mod trainer;
mod training;
mod weights;

pub use described::Description;
pub use error::Error;
pub use evaluate::{
    Averages, Classification, ConfusionMatrix, Mistake, Score, classify, evaluate, probabilities,
};
pub use explain::{ExplainOptions, Explanation, Operation, explain};
pub use files::write_atomically;
pub use layers::Layer;
pub use loss::{Loss, LossOptions};
pub use loupe_engine::loss::Reduction;
pub use loupe_engine::optim::{AdamOptions, AdamWOptions, SgdOptions};
pub use memory::Memory;
pub use network::Network;
pub use normalization::Normalization;
pub use normalization_doctor::{
    NormalizationReport, NormalizedLayer, Reestimate, ReestimateOptions, Spread,
    compare_normalization, reestimate_running_statistics,
};
pub use optim::{Optimizer, OptimizerOptions};
pub use parameters::TensorInfo;
pub use plan::{Plan, PlanMemory};
pub use predictor::Predictor;
pub use spec::{FlatLayer, NetworkSpec, SpecError};
pub use summary::{LayerSummary, Summary};
pub use trainer::Trainer;
pub use training::{
    Augmentation, CheckpointError, Diagnosis, End, EpochRecord, History, Schedule, Scored, Step,
    TrainOptions, Training,
};
pub use weights::WeightsError;

/// Compiles the Rust examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

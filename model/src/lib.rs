//! Networks, training, data sets and weight files on top of [`loupe_engine`].
//!
//! It is for programs that train small convolutional networks on a CPU, or answer by them: without Python, with
//! the same bits on any number of threads, and with PyTorch's layers, names and files. A PyTorch model is brought here
//! as the page [`porting`] says, which also lists all that is different.
//!
//! # A network
//!
//! A network goes through three forms. A [`NetworkSpec`] is a list of [`layers`], as it stands in a
//! file; its shapes are checked before anything is computed. A [`Network`] gives it values. A [`Plan`]
//! is a network made ready for one batch size: buffers placed, neighbouring layers fused.
//!
//! ```
//! use loupe_model::layers::{BatchNorm2d, Conv2d, Dropout, Flatten, Linear, MaxPool2d, ReLU, Residual};
//! use loupe_model::{Network, NetworkSpec};
//!
//! let spec = NetworkSpec::new([1, 28, 28])
//!     .add(Conv2d::new(1, 8, 5).stride(2))
//!     .add(BatchNorm2d::new(8))
//!     .add(ReLU)
//!     .add(MaxPool2d::new(2))
//!     .add(Residual::new().add(Conv2d::new(8, 8, 3).padding(1)).add(ReLU))
//!     .add(Flatten)
//!     .add(Dropout::new(0.2))
//!     .add(Linear::new(288, 10));
//! let network = Network::new(spec.clone(), 0)?;
//! assert_eq!(network.layers()[3].output_shape, [8, 6, 6]);
//!
//! let wrong = spec.add(Linear::new(11, 5));
//! let error = Network::new(wrong, 0).unwrap_err();
//! assert_eq!(
//!     error.to_string(),
//!     "layer 8, Linear(11, 5): expected an input of shape [11], found [10] from layer 7, Linear(288, 10)"
//! );
//! # Ok::<(), loupe_model::Error>(())
//! ```
//!
//! A layer that is not there is a [`Module`](layers::Module) of your own: its shapes, parameters and operation. It is
//! trained, traced, saved and summed up like the others.
//!
//! # Training
//!
//! A [`Trainer`] takes one step on inputs and targets of yours, of any batch size; all steps but the first of a
//! batch size allocate nothing. A [`Training`] does so for whole epochs of a [`Dataset`](data::Dataset), with
//! schedules, scores and patience, and can be saved and resumed at any step; it stops whenever you stop calling it.
//!
//! ```
//! use loupe_engine::Context;
//! use loupe_model::layers::{Linear, Tanh};
//! use loupe_model::{Loss, Network, NetworkSpec, OptimizerOptions, Trainer};
//!
//! // Exclusive or.
//! let spec = NetworkSpec::new([2]).add(Linear::new(2, 8)).add(Tanh).add(Linear::new(8, 1));
//! let network = Network::new(spec, 0)?;
//! let adam = OptimizerOptions::default().with_lr(0.05);
//! let mut trainer = Trainer::new(Context::serial(), network, Loss::BceWithLogits, adam);
//! let inputs = [0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0];
//! let mut loss = 1.0;
//! for _ in 0..200 {
//!     loss = trainer.step(&inputs, &[0.0, 1.0, 1.0, 0.0])?;
//! }
//! assert!(loss < 0.05, "{loss}");
//! # Ok::<(), loupe_model::Error>(())
//! ```
//!
//! MNIST, as the tutorial does it (batch size 1, 3 epochs, file order):
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
//! # Answers
//!
//! A [`Predictor`] is made of a network or of a file, and answers from any thread, many at a time: put it into an
//! `Arc`. All calls but the first of a batch size allocate nothing. To serve many small requests, hand it
//! [`Context::serial`](loupe_engine::Context::serial) and call it from your own threads; a context with
//! [`Threads`](loupe_engine::Threads) makes a single call of a large batch shorter. A [`Plan`] gives the same for one
//! batch size and one thread at a time, by either [`Normalization`].
//!
//! ```
//! use loupe_engine::Context;
//! use loupe_model::{Network, Predictor, nets};
//!
//! let network = Network::new(nets::mnist_cnn(), 0)?;
//! let file = network.described_weights(None);
//!
//! let predictor = Predictor::from_bytes(Context::serial(), &file)?;
//! std::thread::scope(|scope| {
//!     let ask = |pixel| {
//!         let mut scores = [0.0; 10];
//!         predictor.predict(&[pixel; 784], &mut scores).map(|()| scores)
//!     };
//!     let answers = [0.25, 0.5].map(|pixel| scope.spawn(move || ask(pixel)));
//!     answers.map(|answer| answer.join().unwrap().unwrap());
//! });
//! # Ok::<(), loupe_model::Error>(())
//! ```
//!
//! [`Network::weights`] is a safetensors file that PyTorch loads; [`Network::described_weights`] also says of which
//! network and classes it is, so that [`Predictor::open`] needs nothing else.
//!
//! # Looking inside
//!
//! [`Summary`] has shapes, parameters and arithmetic, layer by layer; [`trace`](mod@trace) every value and gradient of a
//! pass; [`explain`](explain()) where the time of a step goes; [`Memory`] what training holds in memory;
//! [`classify`] what a network gets right and wrong.
//!
//! # Instructions, threads, the same bits
//!
//! Everything that computes takes a [`Context`](loupe_engine::Context), as the [engine](loupe_engine) says. A seed means
//! the same numbers on every machine, and a run gives the same bits on any number of threads, interrupted or not.
//! Between the tiers `avx2` and `avx512` no bit differs either.
//!
//! # Errors
//!
//! Networks, files and numbers from outside are checked: what does not fit is an [`Error`] that names the layer, the
//! tensor or the file. Of a failed step or a file that does not fit, parameters stay as they were.
//!
//! # Features
//!
//! `pictures`, off by default: PNG, JPEG and PNM files as data sets.

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
mod onnx;
mod optim;
mod parameters;
mod plan;
pub mod porting;
mod predictor;
mod random;
mod spec;
mod summary;
mod tensors_file;
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
pub use files::{create_atomically, remove_leftovers, write_atomically};
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
pub use onnx::OnnxError;
pub use optim::{Optimizer, OptimizerOptions};
pub use parameters::TensorInfo;
pub use plan::{Plan, PlanMemory};
pub use predictor::Predictor;
pub use spec::{FlatLayer, NetworkSpec, SpecError};
pub use summary::{LayerSummary, Summary};
pub use tensors_file::read_safetensors;
pub use trainer::Trainer;
pub use training::{
    Augmentation, CheckpointError, Diagnosis, End, EpochRecord, History, Schedule, Scored, Step,
    TrainOptions, Training,
};
pub use weights::WeightsError;

/// Compiles and runs the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

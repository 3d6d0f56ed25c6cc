//! Networks, training, data sets and weight files on top of [`loupe_engine`].

#![deny(unsafe_code)]

pub mod data;
mod error;
mod evaluate;
mod loss;
pub mod nets;
mod network;
mod optim;
mod parameters;
mod plan;
mod spec;
mod train;
mod trainer;
mod weights;

pub use error::Error;
pub use evaluate::{Normalization, Score, evaluate};
pub use loss::Loss;
pub use network::Network;
pub use optim::{Optimizer, OptimizerOptions};
pub use parameters::TensorInfo;
pub use plan::Plan;
pub use spec::{Layer, NetworkSpec, SpecError};
pub use train::{Event, TrainOptions, train};
pub use trainer::Trainer;
pub use weights::WeightsError;

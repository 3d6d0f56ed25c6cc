//! What can go wrong in this crate.

use crate::data::DataError;
use crate::onnx::OnnxError;
use crate::spec::SpecError;
use crate::training::CheckpointError;
use crate::weights::WeightsError;
use std::path::Path;

/// Any error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The network cannot be what its spec says.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// Numbers that an operation cannot work with.
    #[error(transparent)]
    Engine(#[from] loupe_engine::Error),
    /// A layer that cannot be made ready, or cannot compute.
    #[error("layer {layer}: {error}")]
    Layer {
        /// Its place and itself, as PyTorch prints it: `3.layers.0, ReLU()`.
        layer: String,
        /// What is wrong.
        error: Box<Error>,
    },
    /// A data set that cannot be read or used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A weights file that cannot be read, used or written.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A network that cannot be written as ONNX.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    /// A checkpoint that cannot be resumed.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A plan or a trace was used with a network that it was not made for.
    #[error("the plan or trace was made for a network of other layers")]
    OtherNetwork,
    /// A data set that does not fit the network.
    #[error("the network {what} {network}, but the data set has {data}")]
    Mismatch {
        /// `takes inputs of` or `gives`.
        what: &'static str,
        /// What the network takes or gives.
        network: String,
        /// What the data set has.
        data: String,
    },
    /// Training left the range of numbers.
    #[error(
        "the loss of step {step} of epoch {epoch} is {loss}, not a finite number; a lower learning rate may help"
    )]
    NonFiniteLoss {
        /// Counted from 1.
        epoch: usize,
        /// Within the epoch, counted from 1.
        step: usize,
        /// The loss.
        loss: f32,
    },
    /// The gradients of a step are not all finite, so they cannot be clipped.
    #[error(
        "the norm of the gradients, which are to be clipped, is {norm}, not a finite number; a lower learning rate may help"
    )]
    NonFiniteGradient {
        /// Their norm.
        norm: f32,
    },
}

impl Error {
    /// The same, with the name of the file if it is an error of weights.
    pub(crate) fn in_file(self, path: &Path) -> Error {
        match self {
            Error::Weights(problem) => problem.in_file(path).into(),
            other => other,
        }
    }

    /// The same, with the name of the layer where it was found.
    pub(crate) fn of_layer(self, layer: String) -> Error {
        Error::Layer { layer, error: Box::new(self) }
    }
}

//! The ways in which a batch normalisation can work outside training.

use serde::{Deserialize, Serialize};
use std::fmt;

/// By which statistics batch normalisation works outside training.
///
/// The two differ: at batch size 1, batch statistics are those of a single image (instance
/// normalisation), running statistics an average over what training has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Normalization {
    /// Those of the batch at hand, as in training: what PyTorch does unless `eval()` is called.
    #[serde(rename = "batch")]
    BatchStatistics,
    /// The averages that training has kept: what PyTorch does after `eval()`.
    #[serde(rename = "running")]
    RunningStatistics,
}

impl fmt::Display for Normalization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Normalization::BatchStatistics => "batch statistics",
            Normalization::RunningStatistics => "running statistics",
        })
    }
}

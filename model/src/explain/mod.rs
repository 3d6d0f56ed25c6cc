//! Where the time of a training step goes, and its memory.
//!
//! `measure` runs steps with clocks around their operations; `describe` says of an operation what it
//! is, how it is computed and how much there is to compute and to move.

mod describe;
mod measure;

pub use measure::{ExplainOptions, explain};

use crate::memory::Memory;
use serde::Serialize;

/// A training step in numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// How the plan works through the batch, in words.
    pub plan: String,
    /// Tasks that the batch is cut into, in a plan of units.
    pub tasks: Option<usize>,
    /// Why the plan is no plan of units, if it is none.
    pub why_layers: Option<String>,
    /// Steps that were timed, as many with clocks around the operations as without.
    pub steps: usize,
    /// Median time of a step without clocks.
    pub step_seconds: f64,
    /// Median time of a step with clocks, less what the clocks cost. The operations and
    /// [`other_seconds`](Explanation::other_seconds) add up to it.
    pub timed_step_seconds: f64,
    /// What is left of it besides the operations.
    pub other_seconds: f64,
    /// Floating-point operations of the step; see
    /// [`NetworkSpec::training_flops`](crate::NetworkSpec::training_flops).
    pub flops: u64,
    /// Layer by layer; then what concerns the whole batch or all parameters.
    pub operations: Vec<Operation>,
    /// What is held in memory.
    pub memory: Memory,
}

/// A part of a step.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Operation {
    /// Places of the layers ([`FlatLayer::path`](crate::FlatLayer::path)), of which there are several where they
    /// are computed together; none if this is done to the whole batch or all parameters.
    pub layers: Vec<String>,
    /// These layers as PyTorch prints them.
    pub names: Vec<String>,
    /// What is done.
    pub what: &'static str,
    /// Shape of one input of the layers.
    pub input: Vec<usize>,
    /// Shape of one output of the layers.
    pub output: Vec<usize>,
    /// How it is computed.
    pub path: &'static str,
    /// Two for each multiply-add of convolutions and linear layers; 0 for all else.
    pub flops: u64,
    /// Operands and results, each counted once.
    pub bytes: u64,
    /// Median time of a step.
    pub seconds: f64,
    /// Calls in a step: one for each unit where the plan works unit by unit.
    pub calls: u64,
    /// Threads that had a part in it.
    pub threads: usize,
    /// Why these are fewer than allowed, if they are.
    pub why_fewer: Option<String>,
}

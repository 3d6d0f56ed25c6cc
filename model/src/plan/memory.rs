//! How much memory a plan holds.

use super::{Body, Plan};
use serde::Serialize;

/// Bytes of a [`Plan`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PlanMemory {
    /// Inputs, outputs, what is between them, and statistics of batches.
    pub values: usize,
    /// Gradients by values; 0 in plans for inference.
    pub gradients: usize,
    /// Weights in the order in which kernels read them.
    pub packed: usize,
    /// Gradients by parameters before they are added up over the tasks.
    pub sums: usize,
}

impl PlanMemory {
    /// All of it.
    pub fn total(&self) -> usize {
        self.values + self.gradients + self.packed + self.sums
    }
}

impl Plan {
    /// Bytes of what the plan holds. The memory that operations take for themselves while they run
    /// ([`scratch_bytes`](loupe_engine::measure::scratch_bytes)) belongs to the threads, not to the plan.
    pub fn memory(&self) -> PlanMemory {
        let mut memory = match &self.body {
            Body::Layers(plan) => plan.memory(),
            Body::Units(plan) => plan.memory(),
        };
        memory.gradients += bytes(&self.output_gradient);
        memory
    }
}

pub(super) fn bytes(floats: &[f32]) -> usize {
    size_of_val(floats)
}

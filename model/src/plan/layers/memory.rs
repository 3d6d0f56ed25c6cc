//! What a layer plan holds.

use super::{Kind, LayerPlan};
use crate::layers::Operation;
use crate::plan::memory::{PlanMemory, bytes};

impl LayerPlan {
    pub(in crate::plan) fn memory(&self) -> PlanMemory {
        let mut memory = PlanMemory::default();
        memory.values += self.values.bytes();
        memory.gradients += self.gradients.bytes();
        for node in &self.nodes {
            match &node.kind {
                Kind::Block(block) => {
                    memory.gradients += bytes(&block.dz);
                    if let Some(norm) = &block.norm {
                        memory.values += bytes(&norm.activated) + norm.norm.norm.bytes();
                        memory.gradients += bytes(&norm.dz_sums);
                    }
                }
                Kind::BatchNorm(node) => memory.values += node.norm.bytes(),
                Kind::Layer(node) => memory.values += node.operation.bytes(),
                Kind::Linear(node) => memory.gradients += node.bytes(),
                Kind::Sum { .. } => {}
            }
        }
        memory
    }
}

//! What a layer plan holds.

use super::{LayerPlan, Node};
use crate::plan::memory::{PlanMemory, bytes};

impl LayerPlan {
    pub(in crate::plan) fn memory(&self) -> PlanMemory {
        let mut memory = PlanMemory::default();
        memory.values += self.values.iter().map(|value| bytes(value)).sum::<usize>();
        memory.gradients += bytes(&self.gradients.upstream) + bytes(&self.gradients.downstream);
        for node in &self.nodes {
            match node {
                Node::Block(block) => {
                    memory.gradients += bytes(&block.dz);
                    if let Some(norm) = &block.norm {
                        memory.values += bytes(&norm.activated) + norm.norm.bytes();
                        memory.gradients += bytes(&norm.dz_sums);
                    }
                }
                Node::BatchNorm(node) => memory.values += node.norm.bytes(),
                Node::LayerNorm(node) => memory.values += node.bytes(),
                Node::Linear(node) => memory.gradients += node.bytes(),
                Node::Activation(_) => {}
            }
        }
        memory
    }
}

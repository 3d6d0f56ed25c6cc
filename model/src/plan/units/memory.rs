//! What a unit plan holds.

use super::{Node, UnitPlan};
use crate::plan::memory::{PlanMemory, bytes};

impl UnitPlan {
    pub(in crate::plan) fn memory(&self) -> PlanMemory {
        let gradients = self.sizes.units * self.sizes.gradient_len * size_of::<f32>();
        let edges = bytes(&self.input) + bytes(&self.output);
        let mut memory = PlanMemory {
            values: edges + bytes(&self.units) - gradients,
            gradients,
            packed: 0,
            sums: bytes(&self.sums),
        };
        for node in &self.nodes {
            match node {
                Node::Conv(node) => {
                    memory.packed += bytes(&node.packed_forward);
                    if let Some(gradients) = &node.gradients {
                        memory.packed += bytes(&gradients.packed);
                        memory.sums += bytes(&gradients.total);
                    }
                }
                Node::Norm(node) => memory.values += node.constants.bytes(),
                Node::Linear(_) | Node::Activation(_) | Node::Unblock(_) => {}
            }
        }
        memory
    }
}

//! Plans in which every operation runs over the whole batch, `[N, …]`.
//!
//! A plan is a chain of *nodes*. Each is one layer, or several that have a common kernel: `Conv2d`,
//! `LeakyReLU` (or `ReLU`) and `BatchNorm2d` become one node whose activation and batch statistics
//! are by-products of the convolution. `View`s disappear. Value 0 is the input, value `i + 1` what
//! node `i` makes of value `i`.

mod block;
mod build;
mod linear;
mod norm;

use super::activation::Activation;
use super::{Backward, Forward, Purpose, Statistics};
use crate::Error;
use crate::network::Network;
use block::Block;
use linear::LinearNode;
use loupe_engine::Buffer;
use norm::{BatchNormNode, LayerNormNode};

#[derive(Debug)]
pub(super) struct LayerPlan {
    nodes: Vec<Node>,
    values: Vec<Buffer>,
    gradients: GradientBuffers,
}

/// One step of the chain.
#[derive(Debug)]
enum Node {
    Block(Box<Block>),
    Linear(LinearNode),
    BatchNorm(BatchNormNode),
    LayerNorm(LayerNormNode),
    Activation(Activation),
}

/// The gradient by one value and room for the next.
#[derive(Debug)]
struct GradientBuffers {
    upstream: Buffer,
    downstream: Buffer,
}

impl LayerPlan {
    /// # Errors
    /// As those of the operations' sizes.
    pub(super) fn new(
        network: &Network,
        shapes: Vec<Vec<usize>>,
        batch: usize,
        purpose: Purpose,
    ) -> Result<LayerPlan, Error> {
        let (nodes, values) = build::build(network, shapes, batch)?;
        let longest = match purpose {
            Purpose::Training => values.iter().map(|value| value.len()).max().unwrap_or(0),
            Purpose::Inference => 0,
        };
        let (upstream, downstream) = (Buffer::zeros(longest), Buffer::zeros(longest));
        Ok(LayerPlan { nodes, values, gradients: GradientBuffers { upstream, downstream } })
    }

    pub(super) fn input_mut(&mut self) -> &mut [f32] {
        &mut self.values[0]
    }

    pub(super) fn output(&self) -> &[f32] {
        self.values.last().expect("value 0 is the input")
    }

    pub(super) fn forward(&mut self, mut pass: Forward<'_>) -> Result<(), Error> {
        for (i, node) in self.nodes.iter_mut().enumerate() {
            let (before, after) = self.values.split_at_mut(i + 1);
            let (x, y) = (&before[i], &mut after[0]);
            match node {
                Node::Block(node) => node.forward(&mut pass, x, y),
                Node::Linear(node) => node.forward(&pass, x, y),
                Node::BatchNorm(node) => node.forward(&mut pass, x, y),
                Node::LayerNorm(node) => node.forward(&pass, x, y),
                Node::Activation(node) => node.forward(pass.cx, x, y),
            }?;
        }
        Ok(())
    }

    pub(super) fn backward(
        &mut self,
        mut pass: Backward<'_>,
        output_gradient: &[f32],
    ) -> Result<(), Error> {
        let GradientBuffers { upstream, downstream } = &mut self.gradients;
        upstream[..output_gradient.len()].copy_from_slice(output_gradient);
        for (i, node) in self.nodes.iter_mut().enumerate().rev() {
            let (x, y) = (&self.values[i], &self.values[i + 1]);
            let dy = &upstream[..y.len()];
            let dx = &mut downstream[..x.len()];
            // Where it is costly, the gradient by the network's input is left out.
            match node {
                Node::Block(node) => node.backward(&mut pass, x, y, dy, (i > 0).then_some(dx)),
                Node::Linear(node) => node.backward(&mut pass, x, dy, (i > 0).then_some(dx)),
                Node::BatchNorm(node) => node.backward(&mut pass, x, dy, dx),
                Node::LayerNorm(node) => node.backward(&mut pass, x, dy, dx),
                Node::Activation(node) => node.backward(pass.cx, x, y, dy, dx),
            }?;
            std::mem::swap(upstream, downstream);
        }
        Ok(())
    }
}

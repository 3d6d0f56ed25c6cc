//! Plans in which every operation runs over the whole batch, `[N, …]`.
//!
//! A plan is a chain of *nodes*. Each is one layer, or several that have a common kernel: `Conv2d`,
//! `LeakyReLU` (or `ReLU`) and `BatchNorm2d` become one node whose activation and batch statistics
//! are by-products of the convolution. `View`s disappear. Value 0 is the input, value `i + 1` what
//! node `i` makes of value `i`.

mod block;
mod build;
mod linear;
mod memory;
mod norm;

use super::activation::Activation;
use super::probe::What;
use super::{Backward, Factors, Forward, Measured, Purpose, Statistics};
use crate::Error;
use crate::network::Network;
use block::Block;
use linear::LinearNode;
use loupe_engine::Buffer;
use norm::{BatchNormNode, LayerNormNode};
use std::ops::Range;

#[derive(Debug)]
pub(super) struct LayerPlan {
    nodes: Vec<Node>,
    /// Of each node.
    layers: Vec<Range<usize>>,
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
        let (nodes, layers, values) = build::build(network, shapes, batch, purpose)?;
        let longest = match purpose {
            Purpose::Training => values.iter().map(|value| value.len()).max().unwrap_or(0),
            Purpose::Inference => 0,
        };
        let (upstream, downstream) = (Buffer::zeros(longest), Buffer::zeros(longest));
        Ok(LayerPlan { nodes, layers, values, gradients: GradientBuffers { upstream, downstream } })
    }

    pub(super) fn input_mut(&mut self) -> &mut [f32] {
        &mut self.values[0]
    }

    pub(super) fn output(&self) -> &[f32] {
        self.values.last().expect("value 0 is the input")
    }

    pub(super) fn layers(&self) -> &[Range<usize>] {
        &self.layers
    }

    /// The gradients that the backward pass leaves as factors.
    pub(super) fn factors(&self) -> impl Iterator<Item = Factors<'_>> {
        self.nodes.iter().enumerate().filter_map(|(i, node)| match node {
            Node::Linear(node) => node.factors(i),
            _ => None,
        })
    }

    /// What the batch normalisations found in the last batch.
    pub(super) fn measured(&self) -> impl Iterator<Item = Measured<'_>> {
        self.nodes.iter().filter_map(|node| match node {
            Node::Block(block) => block.norm.as_ref().map(|norm| norm.norm.measured()),
            Node::BatchNorm(node) => Some(node.norm.measured()),
            _ => None,
        })
    }

    pub(super) fn forward(&mut self, mut pass: Forward<'_>) -> Result<(), Error> {
        let probe = pass.probe;
        for (i, node) in self.nodes.iter_mut().enumerate() {
            let forward = What::Forward.of(i);
            let (before, after) = self.values.split_at_mut(i + 1);
            let x: &[f32] = pass.inputs.filter(|_| i == 0).unwrap_or(&before[i]);
            let y = &mut after[0];
            match node {
                Node::Block(node) => node.forward(&mut pass, i, x, y),
                Node::Linear(node) => probe.time(forward, || node.forward(&pass, x, y)),
                Node::BatchNorm(node) => node.forward(&mut pass, i, x, y),
                Node::LayerNorm(node) => probe.time(forward, || node.forward(&pass, x, y)),
                Node::Activation(node) => probe.time(forward, || node.forward(pass.cx, x, y)),
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
        let probe = pass.probe;
        probe.time(What::LoadGradient.of_all(), || {
            upstream[..output_gradient.len()].copy_from_slice(output_gradient);
        });
        for (i, node) in self.nodes.iter_mut().enumerate().rev() {
            let y = &self.values[i + 1];
            let x: &[f32] = pass.inputs.filter(|_| i == 0).unwrap_or(&self.values[i]);
            let dy = &upstream[..y.len()];
            let dx = &mut downstream[..x.len()];
            let norm = What::NormGradient.of(i);
            let activation = What::ActivationGradient.of(i);
            // Where it is costly, the gradient by the network's input is left out.
            match node {
                Node::Block(node) => node.backward(&mut pass, i, [x, y, dy], (i > 0).then_some(dx)),
                Node::Linear(node) => node.backward(&mut pass, i, [x, dy], (i > 0).then_some(dx)),
                Node::BatchNorm(node) => probe.time(norm, || node.backward(&mut pass, x, dy, dx)),
                Node::LayerNorm(node) => probe.time(norm, || node.backward(&mut pass, x, dy, dx)),
                Node::Activation(node) => {
                    probe.time(activation, || node.backward(pass.cx, x, y, dy, dx))
                }
            }?;
            std::mem::swap(upstream, downstream);
        }
        Ok(())
    }
}

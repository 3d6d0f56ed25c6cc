//! Plans in which every operation runs over the whole batch, `[N, …]`.
//!
//! A plan is a list of *nodes* in an order in which each can run. A node is one layer, or several that have a
//! common kernel: `Conv2d`, `LeakyReLU` (or `ReLU`) and a batch normalisation become one node whose activation
//! and batch statistics are by-products of the convolution. Each node reads one value, a sum two, and makes
//! one; a `View` only renames one. Values, and gradients by them, lie in [`slots`].

mod block;
mod build;
mod linear;
mod memory;
mod slots;

use super::probe::What;
use super::{Backward, Factors, Forward, Purpose};
use crate::Error;
use crate::layers::{Measured, Operation, Values};
use crate::network::Network;
use crate::parameters::LayerTensors;
use block::BlockNode;
use linear::LinearNode;
use loupe_engine::elementwise::add;
use slots::{Slot, Slots};
use std::ops::Range;

#[derive(Debug)]
pub(super) struct LayerPlan {
    nodes: Vec<Node>,
    /// Layers of each node.
    layers: Vec<Range<usize>>,
    values: Slots,
    input: Slot,
    output: Slot,
    gradients: Slots,
    /// Of the gradient by the output, if there are nodes that need it.
    output_gradient: Option<Slot>,
}

#[derive(Debug)]
struct Node {
    kind: Kind,
    x: Slot,
    y: Slot,
    backward: Option<BackwardSlots>,
}

/// What a node does.
#[derive(Debug)]
enum Kind {
    Block(Box<BlockNode>),
    Linear(LinearNode),
    BatchNorm(Box<block::NormNode>),
    /// y = x + the other value.
    Sum {
        other: Slot,
    },
    Layer(Box<LayerNode>),
}

/// A layer that is computed as it says itself.
#[derive(Debug)]
struct LayerNode {
    operation: Box<dyn Operation>,
    tensors: LayerTensors,
    /// Its number in the network.
    index: usize,
    /// Its place and itself, for messages.
    name: String,
    is_activation: bool,
}

/// Where a node finds and leaves gradients.
#[derive(Debug)]
struct BackwardSlots {
    dy: Slot,
    /// By the value x, and by the other one of a sum; none if nobody needs it.
    dx: [Option<Target>; 2],
}

/// Where a gradient by a value goes.
#[derive(Clone, Copy, Debug)]
enum Target {
    /// To its place, which it is the first for.
    Write(Slot),
    /// To the first slot by way of the second: another node has written there.
    Add(Slot, Slot),
}

impl Target {
    /// What the node itself writes to.
    fn written(self) -> Slot {
        match self {
            Target::Write(slot) | Target::Add(_, slot) => slot,
        }
    }
}

impl LayerPlan {
    /// # Errors
    /// As those of the operations' sizes.
    pub(super) fn new(
        network: &Network,
        batch: usize,
        purpose: Purpose,
    ) -> Result<LayerPlan, Error> {
        build::build(network, batch, purpose)
    }

    pub(super) fn input_mut(&mut self) -> &mut [f32] {
        self.values.get_mut(self.input)
    }

    pub(super) fn output(&self) -> &[f32] {
        self.values.get(self.output)
    }

    pub(super) fn layers(&self) -> &[Range<usize>] {
        &self.layers
    }

    /// The gradients that the backward pass leaves as factors.
    pub(super) fn factors(&self) -> impl Iterator<Item = Factors<'_>> {
        self.nodes.iter().enumerate().filter_map(|(i, node)| match &node.kind {
            Kind::Linear(node) => node.factors(i),
            _ => None,
        })
    }

    /// What the batch normalisations found in the last batch.
    pub(super) fn measured(&self) -> impl Iterator<Item = Measured<'_>> {
        self.nodes.iter().filter_map(|node| match &node.kind {
            Kind::Block(block) => block.measured(),
            Kind::BatchNorm(node) => Some(node.norm.measured()),
            _ => None,
        })
    }

    pub(super) fn forward(&mut self, mut pass: Forward<'_>) -> Result<(), Error> {
        let probe = pass.probe;
        for (i, Node { kind, x, y, .. }) in self.nodes.iter_mut().enumerate() {
            let is_input = *x == self.input;
            let mut target = self.values.take(*y);
            let result = {
                let x = pass.inputs.filter(|_| is_input).unwrap_or(self.values.get(*x));
                let y = &mut target[..y.len];
                let forward = What::Forward.of(i);
                match kind {
                    Kind::Block(node) => node.forward(&mut pass, i, x, y),
                    Kind::Linear(node) => probe.time(forward, || node.forward(&pass, x, y)),
                    Kind::BatchNorm(node) => node.forward(&mut pass, i, x, y),
                    Kind::Sum { other } => {
                        let is_input = *other == self.input;
                        let other =
                            pass.inputs.filter(|_| is_input).unwrap_or(self.values.get(*other));
                        probe.time(forward, || add(pass.cx, x, other, y).map_err(Error::from))
                    }
                    Kind::Layer(node) => probe.time(forward, || {
                        let mut pass = pass.of_layer(&node.tensors, node.index);
                        let result = node.operation.forward(&mut pass, x, y);
                        result.map_err(|error| error.of_layer(node.name.clone()))
                    }),
                }
            };
            self.values.put_back(*y, target);
            result?;
        }
        Ok(())
    }

    pub(super) fn backward(
        &mut self,
        mut pass: Backward<'_>,
        output_gradient: &[f32],
    ) -> Result<(), Error> {
        let Some(slot) = self.output_gradient else { return Ok(()) };
        let probe = pass.probe;
        probe.time(What::LoadGradient.of_all(), || {
            self.gradients.get_mut(slot).copy_from_slice(output_gradient);
        });
        for (i, Node { kind, x, y, backward }) in self.nodes.iter_mut().enumerate().rev() {
            let Some(BackwardSlots { dy, dx }) = backward else { continue };
            let is_input = *x == self.input;
            let x = pass.inputs.filter(|_| is_input).unwrap_or(self.values.get(*x));
            let y = self.values.get(*y);
            if let Kind::Sum { .. } = kind {
                probe.time(What::LayerGradient.of(i), || {
                    let mut targets = dx.iter().flatten();
                    targets.try_for_each(|target| self.gradients.pass_on(pass.cx, *dy, *target))
                })?;
                continue;
            }
            let mut written = dx[0].map(|target| {
                let slot = target.written();
                (slot.len, self.gradients.take(slot))
            });
            let result = {
                let dx = written.as_mut().map(|(len, dx)| &mut dx[..*len]);
                let values = Values { x, y, dy: self.gradients.get(*dy) };
                match kind {
                    Kind::Block(node) => node.backward(&mut pass, i, values, dx),
                    Kind::Linear(node) => node.backward(&mut pass, i, values, dx),
                    Kind::BatchNorm(node) => probe
                        .time(What::NormGradient.of(i), || node.backward(&mut pass, values, dx)),
                    Kind::Sum { .. } => unreachable!("passed on above"),
                    Kind::Layer(node) => {
                        let what = match node.is_activation {
                            true => What::ActivationGradient,
                            false => What::LayerGradient,
                        };
                        probe.time(what.of(i), || {
                            let mut pass = pass.of_layer(&node.tensors, node.index);
                            let result = node.operation.backward(&mut pass, values, dx);
                            result.map_err(|error| error.of_layer(node.name.clone()))
                        })
                    }
                }
            };
            if let (Some(target), Some((_, buffer))) = (dx[0], written) {
                self.gradients.put_back(target.written(), buffer);
                if let Target::Add(place, term) = target {
                    probe.time(What::LayerGradient.of(i), || {
                        self.gradients.add(pass.cx, place, term)
                    })?;
                }
            }
            result?;
        }
        Ok(())
    }
}

//! Plans that work through the batch unit by unit.
//!
//! A *unit* is 16 interleaved images, or in small batches one image whose channels are innermost: so full
//! vectors are worked on either way. Its [values], from input to output and back, are no more than
//! a core's own cache holds. A pass is a few *rounds*: in a round every unit is taken through as many
//! nodes as possible, and one round ends where the next node has to know all units: a batch normalisation
//! needs the statistics of the batch, and its gradient two sums over it.
//!
//! Large batches do not fit the caches from round to round, so a backward pass makes again what costs less
//! to make than to fetch: the interleaved inputs, and the outputs of normalisations.
//!
//! Some units form a *run*, which is one task of a round. A run sums up its units' gradients by the
//! weights; the runs' sums are added in order. Runs depend on the problem only, never on the threads.

mod backward;
mod build;
mod choose;
mod conv;
mod lanes;
mod linear;
mod memory;
mod norm;
mod rounds;
mod values;

use super::probe::{Op, Probe, What};
use super::{Forward, Purpose, Units};
use crate::Error;
use crate::layers::{Activation, Measured, Statistics};
use crate::network::Network;
pub(super) use choose::why_not;
use conv::{Behind, ConvNode};
use lanes::Form;
use linear::LinearNode;
use loupe_engine::conv::unblock;
use loupe_engine::norm::batch::UnitConstants;
use loupe_engine::{Buffer, Context, Threads, Tier};
use norm::NormNode;
use rounds::{Sizes, next_round};
use std::ops::Range;
use values::Place;

#[derive(Debug)]
pub(super) struct UnitPlan {
    /// `[N, …]`
    input: Buffer,
    /// `[N, …]`
    output: Buffer,
    sizes: Sizes,
    /// What units keep from round to round, `[units, kept_len]`.
    units: Buffer,
    /// `[runs, sums_len]`
    sums: Buffer,
    nodes: Vec<Node>,
    /// Of each node.
    layers: Vec<Range<usize>>,
    forward: Vec<Step>,
    backward: Vec<Step>,
    /// Within a unit: the first value, the last one, and the gradient by that.
    edges: [Place; 3],
    /// The first value is made again for the backward pass of the first node.
    reloads: bool,
    /// How the first value and the last one lie.
    forms: [Form; 2],
    /// Weights are packed again only if they have changed.
    prepared: Option<Prepared>,
}

/// What the packed weights and the constants of normalisations were made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Prepared {
    version: u64,
    tier: Tier,
    by_batch: bool,
}

#[derive(Debug)]
enum Node {
    Conv(Box<ConvNode>),
    Norm(Box<NormNode>),
    Linear(LinearNode),
    Activation(ActivationNode),
    /// From a blocked image to a plain one.
    Unblock(UnblockNode),
}

/// A node's work on a unit, before or after it has to know all units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step {
    node: usize,
    part: Part,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    First,
    /// Only of a batch normalisation.
    Second,
    /// In a backward pass: what the forward pass did in its last part, since that was not kept.
    Again,
}

/// A blocked image x of so many channels, which y is the plain form of.
#[derive(Debug)]
struct UnblockNode {
    channels: usize,
    x: Place,
    y: Place,
    dx: Place,
    dy: Place,
}

#[derive(Debug)]
struct ActivationNode {
    activation: Activation,
    x: Place,
    y: Place,
    dx: Place,
    dy: Place,
}

impl UnitPlan {
    /// A plan, if the network and the batch are of the kind for which this is the fastest.
    ///
    /// # Errors
    /// As those of the operations' sizes.
    pub(super) fn new(
        network: &Network,
        batch: usize,
        purpose: Purpose,
    ) -> Result<Option<UnitPlan>, Error> {
        build::build(network, batch, purpose)
    }

    pub(super) fn input_mut(&mut self) -> &mut [f32] {
        &mut self.input
    }

    pub(super) fn output(&self) -> &[f32] {
        &self.output
    }

    pub(super) fn layers(&self) -> &[Range<usize>] {
        &self.layers
    }

    pub(super) fn units(&self) -> Units {
        let Sizes { images, units, .. } = self.sizes;
        Units { images, units, runs: self.sizes.runs() }
    }

    /// What the batch normalisations found in the last batch.
    pub(super) fn measured(&self) -> impl Iterator<Item = Measured<'_>> {
        self.nodes.iter().filter_map(|node| match node {
            Node::Norm(node) => Some(node.measured()),
            _ => None,
        })
    }

    pub(super) fn forward(&mut self, mut pass: Forward<'_>) -> Result<(), Error> {
        let (cx, probe) = (pass.cx, pass.probe);
        let by_batch = !matches!(pass.statistics, Statistics::Running(_));
        let prepared = Prepared { version: pass.version, tier: cx.isa().tier(), by_batch };
        if self.prepared != Some(prepared) {
            self.prepared = None;
            for i in 0..self.nodes.len() {
                match &mut self.nodes[i] {
                    // Its constants are not known yet.
                    Node::Conv(node) if node.normalizes && by_batch => {}
                    Node::Conv(_) => self.prepare_conv(&pass, i)?,
                    Node::Norm(node) => node.prepare_forward(&pass)?,
                    Node::Linear(_) | Node::Activation(_) | Node::Unblock(_) => {}
                }
            }
            self.prepared = Some(prepared);
        }
        let mut first = 0;
        loop {
            let steps = next_round(&self.forward, first, by_batch);
            let is_last = steps.end == self.forward.len();
            probe.round(|| self.forward_round(&pass, steps.clone(), by_batch))?;
            if is_last {
                return Ok(());
            }
            let next = self.forward[steps.end].node;
            if let Node::Norm(node) = &mut self.nodes[next] {
                probe.time(What::MergeStatistics.of(next), || {
                    node.merge_moments(&mut pass, self.sizes, &self.units)
                })?;
                if node.y.is_none() {
                    self.prepare_conv(&pass, next + 1)?;
                }
            }
            first = steps.end;
        }
    }

    /// Packs the weights of a convolution.
    fn prepare_conv(&mut self, pass: &Forward<'_>, index: usize) -> Result<(), Error> {
        let (before, nodes) = self.nodes.split_at_mut(index);
        let Node::Conv(node) = &mut nodes[0] else { unreachable!("a convolution") };
        let input = node.normalizes.then(|| constants(before.last()));
        pass.probe.time(What::Pack.of(index), || {
            node.prepare_forward(pass.cx.isa(), pass.parameters, input)
        })
    }

    fn forward_round(
        &mut self,
        pass: &Forward<'_>,
        steps: Range<usize>,
        by_batch: bool,
    ) -> Result<(), Error> {
        let &Forward { cx, parameters, probe, .. } = pass;
        let serial = Context::new(cx.isa(), Threads::serial());
        let UnitPlan { input, output, sizes, units, sums, nodes, forward, edges, forms, .. } = self;
        let input = pass.inputs.unwrap_or(input);
        let steps_of = (&forward[steps.clone()], steps.start == 0, steps.end == forward.len());
        let (steps, is_first, is_last) = steps_of;
        let input_len = sizes.image[0];
        // By running statistics there is one round, and nothing is to be kept for others.
        let kept = by_batch.then_some(&mut **units);
        sizes.for_each_unit(cx, kept, [sums, output], |mut task| {
            let unit = &mut task.unit;
            if is_first {
                let images = &input[task.images.start * input_len..task.images.end * input_len];
                let [x] = unit.at([&edges[0]]);
                probe.time_part(What::Load.of_all(), || forms[0].load(cx.isa(), images, x))?;
            }
            for step in steps {
                let node = &nodes[step.node];
                if matches!(node, Node::Norm(norm) if norm.is_needless(step.part, by_batch)) {
                    continue;
                }
                probe.time_part(forward_op(step, node), || match node {
                    Node::Conv(node) => {
                        let behind = match nodes.get(step.node + 1) {
                            _ if by_batch && !task.is_partial => Behind::Measure,
                            Some(Node::Norm(norm)) if by_batch && norm.follows_conv => {
                                node.forward(cx.isa(), Behind::Nothing, unit)?;
                                return norm.measure(cx.isa(), task.images.len(), unit);
                            }
                            Some(Node::Norm(norm)) if norm.follows_conv => {
                                let normalize = |y| Behind::Normalize(y, norm.constants());
                                norm.y.as_ref().map_or(Behind::Nothing, normalize)
                            }
                            _ => Behind::Nothing,
                        };
                        node.forward(cx.isa(), behind, unit)
                    }
                    Node::Norm(node) if step.part == Part::First => {
                        node.measure(cx.isa(), task.images.len(), unit)
                    }
                    Node::Norm(node) => node.normalize(cx.isa(), unit),
                    Node::Linear(node) => node.forward(&serial, parameters, unit),
                    Node::Activation(node) => {
                        let [x, y] = unit.at([&node.x, &node.y]);
                        node.activation.forward(&serial, x, y)
                    }
                    Node::Unblock(node) => {
                        let [x, y] = unit.at([&node.x, &node.y]);
                        Ok(unblock(cx.isa(), node.channels, x, y)?)
                    }
                })?;
            }
            if is_last {
                let [y] = unit.at([&edges[1]]);
                probe
                    .time_part(What::Store.of_all(), || forms[1].store(cx.isa(), y, task.output))?;
            }
            Ok(())
        })
    }
}

/// What the normalisation in front of a convolution that normalises does.
fn constants(before: Option<&Node>) -> UnitConstants<'_> {
    let Some(Node::Norm(norm)) = before else { unreachable!("a normalisation is in front") };
    norm.constants()
}

/// What a step of the forward pass is to a probe.
fn forward_op(step: &Step, node: &Node) -> Op {
    let what = match (node, step.part) {
        (Node::Norm(_), Part::First) => What::Statistics,
        (Node::Norm(_), Part::Second) => What::Normalize,
        (Node::Unblock(_), _) => What::Layout,
        _ => What::Forward,
    };
    what.of(step.node)
}

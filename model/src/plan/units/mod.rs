//! Plans that work through the batch unit by unit.
//!
//! A *unit* is 16 interleaved images, or in small batches one image whose channels are innermost: so full
//! vectors are worked on either way. All its values, from input to output and back, lie together in one
//! piece of memory, about as large as a core's own cache. A pass is a few *rounds*: in a round every unit
//! is taken through as many nodes as possible, and one round ends where the next node has to know all
//! units: a batch normalisation needs the statistics of the batch, and its gradient two sums over it.
//!
//! Some units form a *run*, which is one task of a round. A run sums up its units' gradients by the
//! weights; the runs' sums are added in order. Runs depend on the problem only, never on the threads.

mod build;
mod conv;
mod lanes;
mod linear;
mod memory;
mod norm;

use super::activation::Activation;
use super::probe::{Op, Probe, What};
use super::{Backward, Forward, Purpose, Statistics, Units};
use crate::Error;
use crate::network::Network;
pub(super) use build::why_not;
use conv::ConvNode;
use lanes::Form;
use linear::LinearNode;
use loupe_engine::conv::{block, unblock};
use loupe_engine::{Buffer, Context, Threads, Tier};
use norm::NormNode;
use std::ops::Range;

#[derive(Debug)]
pub(super) struct UnitPlan {
    /// `[N, …]`
    input: Buffer,
    /// `[N, …]`
    output: Buffer,
    sizes: Sizes,
    /// `[units, unit_len]`
    units: Buffer,
    /// `[runs, sums_len]`
    sums: Buffer,
    nodes: Vec<Node>,
    /// Of each node.
    layers: Vec<Range<usize>>,
    forward: Vec<Step>,
    backward: Vec<Step>,
    /// Within a unit: the first value, the last one, and the gradient by that.
    edges: [Range<usize>; 3],
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

/// How a batch is cut.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    /// Operations of a forward pass.
    work: usize,
    /// Images of a unit.
    images: usize,
    units: usize,
    /// Units of a run; the last run may have fewer.
    run: usize,
    unit_len: usize,
    /// Floats of a unit that are gradients.
    gradient_len: usize,
    /// Sums of a run.
    sums_len: usize,
    /// Elements of one input and of one output.
    image: [usize; 2],
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
}

/// A blocked image x of so many channels, which y is the plain form of.
#[derive(Debug)]
struct UnblockNode {
    channels: usize,
    x: Range<usize>,
    y: Range<usize>,
    dx: Range<usize>,
    dy: Range<usize>,
}

#[derive(Debug)]
struct ActivationNode {
    activation: Activation,
    x: Range<usize>,
    y: Range<usize>,
    dx: Range<usize>,
    dy: Range<usize>,
}

/// What a task of a round works on.
struct Task<'a> {
    unit: &'a mut [f32],
    /// The unit's part of the outputs.
    output: &'a mut [f32],
    /// The run's sums.
    sums: &'a mut [f32],
    /// The unit's number, and whether it is the first of its run.
    index: usize,
    is_first: bool,
}

impl UnitPlan {
    /// A plan, if the network and the batch are of the kind for which this is the fastest.
    ///
    /// # Errors
    /// As those of the operations' sizes.
    pub(super) fn new(
        network: &Network,
        shapes: &[Vec<usize>],
        batch: usize,
        purpose: Purpose,
    ) -> Result<Option<UnitPlan>, Error> {
        build::build(network, shapes, batch, purpose)
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

    pub(super) fn forward(&mut self, mut pass: Forward<'_>) -> Result<(), Error> {
        let (cx, probe) = (pass.cx, pass.probe);
        let by_batch = !matches!(pass.statistics, Statistics::Running(_));
        let prepared = Prepared { version: pass.version, tier: cx.isa().tier(), by_batch };
        if self.prepared != Some(prepared) {
            self.prepared = None;
            for (i, node) in self.nodes.iter_mut().enumerate() {
                match node {
                    Node::Conv(node) => probe.time(What::Pack.of(i), || {
                        node.prepare_forward(cx.isa(), pass.parameters)
                    })?,
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
            }
            first = steps.end;
        }
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
        let steps_of = (&forward[steps.clone()], steps.start == 0, steps.end == forward.len());
        let (steps, is_first, is_last) = steps_of;
        let input_len = sizes.image[0] * sizes.images;
        sizes.for_each_unit(cx, [units, sums, output], |task| {
            if is_first {
                let images = &input[task.index * input_len..][..input_len];
                let x = &mut task.unit[edges[0].clone()];
                probe.time_part(What::Load.of_all(), || forms[0].load(cx.isa(), images, x))?;
            }
            for step in steps {
                let node = &nodes[step.node];
                probe.time_part(forward_op(step, node), || match node {
                    Node::Conv(node) => node.forward(cx.isa(), by_batch, task.unit),
                    // Running statistics need not be measured.
                    Node::Norm(_) if step.part == Part::First && !by_batch => Ok(()),
                    Node::Norm(node) => node.forward(cx.isa(), step.part, task.unit),
                    Node::Linear(node) => node.forward(&serial, parameters, task.unit),
                    Node::Activation(node) => {
                        let [x, y] = parts(task.unit, [&node.x, &node.y]);
                        node.activation.forward(&serial, x, y)
                    }
                    Node::Unblock(node) => {
                        let [x, y] = parts(task.unit, [&node.x, &node.y]);
                        Ok(unblock(cx.isa(), node.channels, x, y)?)
                    }
                })?;
            }
            if is_last {
                let y = &task.unit[edges[1].clone()];
                probe
                    .time_part(What::Store.of_all(), || forms[1].store(cx.isa(), y, task.output))?;
            }
            Ok(())
        })
    }

    pub(super) fn backward(
        &mut self,
        mut pass: Backward<'_>,
        output_gradient: &[f32],
    ) -> Result<(), Error> {
        let probe = pass.probe;
        for (i, node) in self.nodes.iter_mut().enumerate() {
            if let Node::Conv(node) = node {
                node.prepare_backward(pass.cx.isa(), pass.parameters, (probe, i))?;
            }
        }
        let mut first = 0;
        while first < self.backward.len() {
            let steps = next_round(&self.backward, first, true);
            probe.round(|| self.backward_round(&pass, steps.clone(), output_gradient))?;
            first = steps.end;
            let Some(step) = self.backward.get(first) else { break };
            if let Node::Norm(node) = &mut self.nodes[step.node] {
                probe.time(What::MergeNormSums.of(step.node), || {
                    node.merge_sums(&mut pass, self.sizes, &self.units)
                })?;
            }
        }
        for (i, node) in self.nodes.iter_mut().enumerate() {
            let (sizes, units, sums) = (self.sizes, &self.units, &self.sums);
            match node {
                Node::Conv(node) => probe
                    .time(What::AddRuns.of(i), || node.finish_backward(&mut pass, sizes, sums))?,
                Node::Norm(node) => probe
                    .time(What::AddRuns.of(i), || node.finish_backward(&mut pass, sizes, units))?,
                Node::Linear(node) => probe.time(What::WeightGradient.of(i), || {
                    node.finish_backward(&mut pass, sizes, units)
                })?,
                Node::Activation(_) | Node::Unblock(_) => {}
            }
        }
        Ok(())
    }

    fn backward_round(
        &mut self,
        pass: &Backward<'_>,
        steps: Range<usize>,
        output_gradient: &[f32],
    ) -> Result<(), Error> {
        let &Backward { cx, parameters, probe, .. } = pass;
        let serial = Context::new(cx.isa(), Threads::serial());
        let UnitPlan { output, sizes, units, sums, nodes, backward, edges, forms, .. } = self;
        let (steps, is_first) = (&backward[steps.clone()], steps.start == 0);
        let output_len = sizes.image[1] * sizes.images;
        sizes.for_each_unit(cx, [units, sums, output], |task| {
            if is_first {
                let gradient = &output_gradient[task.index * output_len..][..output_len];
                let dy = &mut task.unit[edges[2].clone()];
                probe.time_part(What::LoadGradient.of_all(), || {
                    forms[1].load(cx.isa(), gradient, dy)
                })?;
                if task.is_first {
                    task.sums.fill(0.0);
                }
            }
            for step in steps {
                let node = &nodes[step.node];
                // A convolution times its operations itself.
                if let Node::Conv(node) = node {
                    node.backward(&serial, (probe, step.node), task.unit, task.sums)?;
                    continue;
                }
                probe.time_part(backward_op(step, node), || match node {
                    Node::Conv(_) => unreachable!("seen to"),
                    Node::Norm(node) => node.backward(cx.isa(), step.part, task.unit),
                    Node::Linear(node) => node.backward(&serial, parameters, task.unit),
                    Node::Unblock(node) => {
                        let [dy, dx] = parts(task.unit, [&node.dy, &node.dx]);
                        Ok(block(cx.isa(), node.channels, dy, dx)?)
                    }
                    Node::Activation(node) => {
                        let ranges = [&node.x, &node.y, &node.dy, &node.dx];
                        let [x, y, dy, dx] = parts(task.unit, ranges);
                        node.activation.backward(&serial, x, y, dy, dx)
                    }
                })?;
            }
            Ok(())
        })
    }
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

/// What a step of the backward pass is to a probe.
fn backward_op(step: &Step, node: &Node) -> Op {
    let what = match (node, step.part) {
        (Node::Norm(_), Part::First) => What::NormSums,
        (Node::Norm(_), Part::Second) => What::NormGradient,
        (Node::Unblock(_), _) => What::LayoutGradient,
        (Node::Activation(_), _) => What::ActivationGradient,
        _ => What::InputGradient,
    };
    what.of(step.node)
}

/// The steps from `first` on that can be taken before all units must be known.
fn next_round(steps: &[Step], first: usize, by_batch: bool) -> Range<usize> {
    let waits = |step: &Step| by_batch && step.part == Part::Second;
    let more = steps[first..].iter().skip(1).take_while(|step| !waits(step)).count();
    first..(first + 1 + more).min(steps.len())
}

impl Sizes {
    fn runs(&self) -> usize {
        self.units.div_ceil(self.run)
    }

    /// Calls `f` for every unit, and returns an error if one of the calls did.
    fn for_each_unit(
        &self,
        cx: &Context,
        [units, sums, output]: [&mut [f32]; 3],
        f: impl Fn(Task<'_>) -> Result<(), Error> + Sync,
    ) -> Result<(), Error> {
        let output_len = self.image[1] * self.images;
        let failure = std::sync::Mutex::new(None);
        let chunks = [
            (units, self.run * self.unit_len),
            (sums, self.sums_len),
            (output, self.run * output_len),
        ];
        cx.threads().for_each_chunk(
            self.runs(),
            self.work,
            chunks,
            |run, [units, sums, output]| {
                let units = units.chunks_exact_mut(self.unit_len);
                for (n, (unit, output)) in
                    units.zip(output.chunks_exact_mut(output_len)).enumerate()
                {
                    let index = run * self.run + n;
                    let task = Task { unit, output, sums: &mut *sums, index, is_first: n == 0 };
                    if let Err(error) = f(task) {
                        failure.lock().expect("no panic in between").get_or_insert(error);
                    }
                }
            },
        );
        failure.into_inner().expect("no panic in between").map_or(Ok(()), Err)
    }
}

/// Parts of a unit.
///
/// # Panics
/// If they overlap or do not lie within it.
fn parts<'a, const N: usize>(
    unit: &'a mut [f32],
    ranges: [&Range<usize>; N],
) -> [&'a mut [f32]; N] {
    unit.get_disjoint_mut(ranges.map(Range::clone)).expect("parts of a unit are disjoint")
}

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

mod build;
mod conv;
mod lanes;
mod linear;
mod memory;
mod norm;
mod values;

use super::activation::Activation;
use super::probe::{Op, Probe, What};
use super::{Backward, Forward, Purpose, Statistics, Units};
use crate::Error;
use crate::network::Network;
pub(super) use build::why_not;
use conv::{Behind, ConvNode};
use lanes::Form;
use linear::LinearNode;
use loupe_engine::conv::{block, unblock};
use loupe_engine::norm::batch::UnitConstants;
use loupe_engine::{Buffer, Context, Threads, Tier, with_scratch};
use norm::NormNode;
use std::ops::Range;
use values::{Place, Values};

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

/// How a batch is cut.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    /// Operations of a forward pass.
    work: usize,
    /// N.
    batch: usize,
    /// Images of a unit; the last unit may have fewer.
    images: usize,
    units: usize,
    /// Units of a run; the last run may have fewer.
    run: usize,
    /// Floats of a unit that are kept from round to round.
    kept_len: usize,
    /// Floats of a unit that are not.
    passing_len: usize,
    /// Kept floats of a unit that are gradients.
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

/// What a task of a round works on.
struct Task<'a> {
    unit: Values<'a>,
    /// The unit's part of the outputs.
    output: &'a mut [f32],
    /// The run's sums.
    sums: &'a mut [f32],
    /// The unit's images, of those of the batch.
    images: Range<usize>,
    /// Whether images are missing: their lanes hold something, but no gradients.
    is_partial: bool,
    /// Whether the unit is the first of its run.
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
        for i in 0..self.nodes.len() {
            let (sizes, units, sums) = (self.sizes, &self.units, &self.sums);
            let (before, nodes) = self.nodes.split_at_mut(i);
            match &mut nodes[0] {
                Node::Conv(node) => {
                    let input = node.normalizes.then(|| constants(before.last()));
                    probe.time(What::AddRuns.of(i), || {
                        node.finish_backward(&mut pass, input, sizes, sums)
                    })?;
                }
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
        let UnitPlan { input, output, sizes, units, sums, nodes, backward, .. } = self;
        let UnitPlan { edges, forms, reloads, .. } = self;
        let input = pass.inputs.unwrap_or(input);
        let input_len = sizes.image[0];
        let (steps, is_first) = (&backward[steps.clone()], steps.start == 0);
        let output_len = sizes.image[1];
        sizes.for_each_unit(cx, Some(units), [sums, output], |mut task| {
            let unit = &mut task.unit;
            if is_first {
                let (start, end) = (task.images.start * output_len, task.images.end * output_len);
                let gradient = &output_gradient[start..end];
                let [dy] = unit.at([&edges[2]]);
                probe.time_part(What::LoadGradient.of_all(), || {
                    forms[1].load(cx.isa(), gradient, dy)
                })?;
                if task.is_first {
                    task.sums.fill(0.0);
                }
            }
            for step in steps {
                let node = &nodes[step.node];
                if step.node == 0 && *reloads {
                    let images = &input[task.images.start * input_len..task.images.end * input_len];
                    let [x] = unit.at([&edges[0]]);
                    probe.time_part(What::LoadAgain.of_all(), || {
                        forms[0].load(cx.isa(), images, x)
                    })?;
                }
                // A convolution times its operations itself.
                if let Node::Conv(node) = node {
                    let before = &nodes[..step.node];
                    let input = node.normalizes.then(|| constants(before.last()));
                    node.backward(&serial, (probe, step.node), input, unit, task.sums)?;
                    continue;
                }
                probe.time_part(backward_op(step, node), || match node {
                    Node::Conv(_) => unreachable!("seen to"),
                    Node::Norm(node) => match step.part {
                        Part::First => node.add_up(cx.isa(), unit),
                        Part::Second => node.backward(cx.isa(), task.images.len(), unit),
                        Part::Again => node.normalize(cx.isa(), unit),
                    },
                    Node::Linear(node) => node.backward(&serial, parameters, unit),
                    Node::Unblock(node) => {
                        let [dy, dx] = unit.at([&node.dy, &node.dx]);
                        Ok(block(cx.isa(), node.channels, dy, dx)?)
                    }
                    Node::Activation(node) => {
                        let places = [&node.x, &node.y, &node.dy, &node.dx];
                        let [x, y, dy, dx] = unit.at(places);
                        node.activation.backward(&serial, x, y, dy, dx)
                    }
                })?;
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

/// What a step of the backward pass is to a probe.
fn backward_op(step: &Step, node: &Node) -> Op {
    let what = match (node, step.part) {
        (Node::Norm(_), Part::First) => What::NormSums,
        (Node::Norm(_), Part::Second) => What::NormGradient,
        (Node::Norm(_), Part::Again) => What::NormalizeAgain,
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

    /// Calls `f` for every unit, and returns an error if one of the calls did. Without `units` nothing is
    /// kept: all values of a unit are such as pass.
    fn for_each_unit(
        &self,
        cx: &Context,
        units: Option<&mut [f32]>,
        [sums, output]: [&mut [f32]; 2],
        f: impl Fn(Task<'_>) -> Result<(), Error> + Sync,
    ) -> Result<(), Error> {
        let output_len = self.image[1] * self.images;
        let failure = std::sync::Mutex::new(None);
        let visit =
            |run: usize, mut kept: Option<&mut [f32]>, sums: &mut [f32], output: &mut [f32]| {
                let own_len = if kept.is_some() { 0 } else { self.kept_len };
                with_scratch(self.passing_len + own_len, |scratch| {
                    let (passing, own) = scratch.split_at_mut(self.passing_len);
                    for (n, output) in output.chunks_mut(output_len).enumerate() {
                        let kept = match &mut kept {
                            Some(kept) => &mut kept[n * self.kept_len..][..self.kept_len],
                            None => &mut *own,
                        };
                        let unit = Values { kept, passing: &mut *passing };
                        let first = (run * self.run + n) * self.images;
                        let images = first..self.batch.min(first + self.images);
                        let is_partial = images.len() < self.images;
                        let sums = &mut *sums;
                        let task =
                            Task { unit, output, sums, images, is_partial, is_first: n == 0 };
                        if let Err(error) = f(task) {
                            failure.lock().expect("no panic in between").get_or_insert(error);
                        }
                    }
                });
            };
        let (runs, sums) = (self.runs(), (sums, self.sums_len));
        let output = (output, self.run * output_len);
        match units {
            Some(units) => {
                let units = (units, self.run * self.kept_len);
                let chunks = [units, sums, output];
                cx.threads().for_each_chunk(
                    runs,
                    self.work,
                    chunks,
                    |run, [kept, sums, output]| {
                        visit(run, Some(kept), sums, output);
                    },
                );
            }
            None => cx.threads().for_each_chunk(
                runs,
                self.work,
                [sums, output],
                |run, [sums, output]| visit(run, None, sums, output),
            ),
        }
        failure.into_inner().expect("no panic in between").map_or(Ok(()), Err)
    }
}

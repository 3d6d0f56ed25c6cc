//! The backward pass, round by round.

use super::rounds::next_round;
use super::{Node, Part, Step, UnitPlan, constants};
use crate::Error;
use crate::layers::Values;
use crate::plan::Backward;
use crate::plan::probe::{Op, What};
use loupe_engine::conv::block;
use loupe_engine::{Context, Threads};
use std::ops::Range;

impl UnitPlan {
    pub(in crate::plan) fn backward(
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
                        node.activation.backward(&serial, Values { x, y, dy }, dx)
                    }
                })?;
            }
            Ok(())
        })
    }
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

//! Normalisations.

use super::graph::{Node, Part, int};
use super::shape::reshape;
use crate::layers::{GroupNorm, LayerNorm};

/// By the running statistics.
pub(super) fn batch(part: &mut Part<'_>, x: &str, eps: f32) -> Node {
    let mut inputs = part.with_parameters(x);
    inputs.extend(part.statistics());
    Node::new("BatchNormalization", &inputs).float("epsilon", eps)
}

pub(super) fn layer(part: &mut Part<'_>, x: &str, norm: &LayerNorm) -> Node {
    Node::new("LayerNormalization", &part.with_parameters(x))
        .int("axis", -int(norm.normalized_shape.len()))
        .float("epsilon", norm.eps)
}

/// An instance normalisation whose channels are the groups, then weight and bias of each channel. (The operator
/// `GroupNormalization` has a weight for each group in opset 18, and one for each channel only from 21 on.)
pub(super) fn group(part: &mut Part<'_>, x: &str, norm: &GroupNorm) -> Node {
    let shape = &part.layer().input_shape;
    let groups = norm.num_groups;
    let values = shape.iter().product::<usize>() / groups;
    let node = reshape(part, x, "groups.shape", &[groups, values]);
    let x = part.value("groups", node);
    let ones = part.floats("ones", &[groups], &vec![1.0; groups]);
    let zeros = part.floats("zeros", &[groups], &vec![0.0; groups]);
    let node = Node::new("InstanceNormalization", &[x, ones, zeros]).float("epsilon", norm.eps);
    let x = part.value("groups.normalized", node);
    let node = reshape(part, &x, "shape", shape);
    let x = part.value("normalized", node);
    let mut per_channel = vec![1; shape.len()];
    per_channel[0] = norm.num_channels;
    let weight = part.parameter_as(0, &per_channel);
    let x = part.value("scaled", Node::new("Mul", &[x, weight]));
    let bias = part.parameter_as(1, &per_channel);
    Node::new("Add", &[x, bias])
}

//! Functions of single elements that are no operators, and softmax.

use super::graph::{Node, Part};
use crate::layers::{GeluApproximation, Softmax};
use std::f32::consts::SQRT_2;

/// x · sigmoid(x)
pub(super) fn silu(part: &mut Part<'_>, x: &str) -> Node {
    let sigmoid = part.value("sigmoid", Node::new("Sigmoid", &[x]));
    Node::new("Mul", &[x, &sigmoid])
}

/// x · (1 + erf(x / √2)) · ½, or x · ½ · (1 + tanh(√(2 / π) · (x + 0.044715 x³))): in this order, in which runtimes
/// know GELU again and compute it at once.
pub(super) fn gelu(part: &mut Part<'_>, x: &str, approximate: GeluApproximation) -> Node {
    let half = part.number("half", 0.5);
    let one = part.number("one", 1.0);
    match approximate {
        GeluApproximation::None => {
            let root = part.number("root", SQRT_2);
            let scaled = part.value("scaled", Node::new("Div", &[x, &root]));
            let erf = part.value("erf", Node::new("Erf", &[scaled]));
            let sum = part.value("sum", Node::new("Add", &[erf, one]));
            let product = part.value("product", Node::new("Mul", &[x, &sum]));
            Node::new("Mul", &[product, half])
        }
        GeluApproximation::Tanh => {
            let three = part.number("three", 3.0);
            let factor = part.number("factor", 0.044_715);
            let scale = part.number("scale", 0.797_884_6);
            let cube = part.value("cube", Node::new("Pow", &[x, &three]));
            let term = part.value("term", Node::new("Mul", &[factor, cube]));
            let inner = part.value("inner", Node::new("Add", &[x, &term]));
            let scaled = part.value("scaled", Node::new("Mul", &[scale, inner]));
            let tanh = part.value("tanh", Node::new("Tanh", &[scaled]));
            let sum = part.value("sum", Node::new("Add", &[one, tanh]));
            let product = part.value("product", Node::new("Mul", &[x, &half]));
            Node::new("Mul", &[product, sum])
        }
    }
}

pub(super) fn softmax(x: &str, softmax: &Softmax) -> Node {
    Node::new("Softmax", &[x]).int("axis", softmax.dim as i64)
}

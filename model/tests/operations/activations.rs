//! SiLU, tanh, GELU and softmax.

use crate::case::{Case, Operation, check_file, poison};
use loupe_engine::activation::*;
use loupe_engine::reference::compare::Tolerance;

const OPERATIONS: [Operation; 5] = [
    ("gelu", 2, check_elementwise),
    ("log_softmax", 6, check_softmax),
    ("silu", 1, check_elementwise),
    ("softmax", 6, check_softmax),
    ("tanh", 1, check_elementwise),
];

#[test]
fn activations_agree_with_pytorch() {
    check_file("activations.safetensors.gz", &OPERATIONS);
}

fn check_elementwise(case: &Case<'_>) {
    let (cx, x, dy) = (&case.cx, case.f32("x"), case.f32("dy"));
    let (mut y, mut dx) = (poison(x.len()), poison(x.len()));
    // What PyTorch's own rounding loses where y is small.
    let mut lost = 1e-36;
    match case.operation {
        "silu" => {
            silu(cx, &x, &mut y).unwrap();
            silu_backward(cx, &x, &dy, &mut dx).unwrap();
        }
        "tanh" => {
            tanh(cx, &x, &mut y).unwrap();
            tanh_backward(cx, &y, &dy, &mut dx).unwrap();
        }
        "gelu" => {
            let approximation = match case.case {
                "none" => GeluApproximation::None,
                "tanh" => GeluApproximation::Tanh,
                other => panic!("{other} is no approximation"),
            };
            gelu(cx, approximation, &x, &mut y).unwrap();
            gelu_backward(cx, approximation, &x, &dy, &mut dx).unwrap();
            lost = 8e-7;
        }
        other => panic!("{other} is no activation"),
    }
    case.close("y", &y, &Tolerance::abs_rel(lost, 1e-6));
    case.near("dx", &dx, 1e-6);
}

fn check_softmax(case: &Case<'_>) {
    let (cx, x, dy) = (&case.cx, case.f32("x"), case.f32("dy"));
    let (mut y, mut dx) = (poison(x.len()), poison(x.len()));
    let dim = case.fixture.i64(&case.name("dim"))[0] as usize;
    let shape = case.fixture.shape(&case.name("x"));
    let (outer, inner) = (shape[..dim].iter().product(), shape[dim + 1..].iter().product());
    let dims = Softmax { outer, classes: shape[dim], inner };
    // A gradient is a difference of numbers of the size of dy, which is below 4.
    let gradient = Tolerance::abs_rel(1e-6, 1e-6);
    if case.operation == "softmax" {
        softmax(cx, &dims, &x, &mut y).unwrap();
        softmax_backward(cx, &dims, &y, &dy, &mut dx).unwrap();
        case.close("y", &y, &Tolerance::abs_rel(1e-37, 2e-6));
        // Those of one class are exact zeros in PyTorch, too.
        case.close("dx", &dx, &gradient);
    } else {
        log_softmax(cx, &dims, &x, &mut y).unwrap();
        log_softmax_backward(cx, &dims, &y, &dy, &mut dx).unwrap();
        case.close("y", &y, &Tolerance::abs_rel(1e-6, 1e-6));
        case.close("dx", &dx, &Tolerance::abs_rel(4e-6, 1e-6));
    }
}

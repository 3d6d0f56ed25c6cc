//! Activations.

use crate::case::{Case, poison};
use loupe_engine::activation::{
    leaky_relu, leaky_relu_backward, relu, relu_backward, sigmoid, sigmoid_backward,
};
use loupe_engine::reference::compare::Tolerance;

pub(crate) fn check_activation(case: &Case<'_>) {
    let (cx, x, dy) = (&case.cx, case.f32("x"), case.f32("dy"));
    let (mut y, mut dx) = (poison(x.len()), poison(x.len()));
    match case.operation {
        "relu" => {
            relu(cx, &x, &mut y).unwrap();
            relu_backward(cx, &x, &dy, &mut dx).unwrap();
        }
        "leaky_relu" => {
            let slope = case.scalar("slope") as f32;
            leaky_relu(cx, slope, &x, &mut y).unwrap();
            leaky_relu_backward(cx, slope, &x, &dy, &mut dx).unwrap();
        }
        "sigmoid" => {
            sigmoid(cx, &x, &mut y).unwrap();
            sigmoid_backward(cx, &y, &dy, &mut dx).unwrap();
            case.close("y", &y, &Tolerance::abs_rel(0.0, 5e-7));
            return case.near("dx", &dx, 5e-7);
        }
        other => panic!("{other} is no activation"),
    }
    case.close("y", &y, &Tolerance::exact());
    case.close("dx", &dx, &Tolerance::exact());
}

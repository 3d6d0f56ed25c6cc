//! Fully connected layers.

use crate::case::{Case, poison};
use loupe_engine::linear::{Linear, linear, linear_backward_input, linear_backward_weight};

pub(crate) fn check_linear(case: &Case<'_>) {
    let ([batch, in_features], [out_features, _]) = (case.shape("x"), case.shape("weight"));
    let layer = Linear { batch, in_features, out_features };
    let (cx, x, weight, dy) = (&case.cx, case.f32("x"), case.f32("weight"), case.f32("dy"));
    let bias = case.optional("bias");

    let mut y = poison(dy.len());
    linear(cx, &layer, &x, &weight, bias.as_deref(), &mut y).unwrap();
    case.near("y", &y, 6e-7);

    let mut dx = poison(x.len());
    linear_backward_input(cx, &layer, &weight, &dy, &mut dx).unwrap();
    case.near("dx", &dx, 6e-7);

    let mut dweight = poison(weight.len());
    let mut dbias = bias.map(|bias| poison(bias.len()));
    linear_backward_weight(cx, &layer, &x, &dy, &mut dweight, dbias.as_deref_mut()).unwrap();
    case.near("dweight", &dweight, 6e-7);
    if let Some(dbias) = dbias {
        case.near("dbias", &dbias, 6e-7);
    }
}

//! Optimisers.

use crate::case::Case;
use loupe_engine::optim::{AdamOptions, AdamState, Gradient, SgdOptions, adam_step, sgd_step};
use loupe_engine::reference::compare::Tolerance;

pub(crate) fn check_sgd(case: &Case<'_>) {
    let momentum = match case.case {
        "plain" => 0.0,
        "momentum" => 0.9,
        other => panic!("sgd/{other}: unknown options"),
    };
    let options = SgdOptions { lr: 0.1, momentum, ..SgdOptions::default() };
    let mut velocity = Vec::new();
    check_optimizer(case, 5e-7, |_, parameters, gradient| {
        velocity.resize(gradient.len(), 0.0);
        sgd_step(&case.cx, &options, parameters, Gradient::dense(gradient), &mut velocity).unwrap();
    });
}

pub(crate) fn check_adam(case: &Case<'_>) {
    assert_eq!(case.case, "default", "unknown options");
    let (mut first, mut second) = (Vec::new(), Vec::new());
    check_optimizer(case, 5e-7, |step, parameters, gradient| {
        first.resize(gradient.len(), 0.0);
        second.resize(gradient.len(), 0.0);
        let (first_moment, second_moment) = (&mut first[..], &mut second[..]);
        let gradient = Gradient::dense(gradient);
        let state = AdamState { parameters, gradient, first_moment, second_moment };
        adam_step(&case.cx, &AdamOptions::default(), step, state).unwrap();
    });
}

/// Compares the parameters after each `step(number, parameters, gradient)`: each may be off by `share` of the
/// largest value that it has had.
pub(crate) fn check_optimizer(
    case: &Case<'_>,
    share: f64,
    mut step: impl FnMut(u64, &mut [f32], &[f32]),
) {
    let [steps, len] = case.shape("gradients");
    let (gradients, expected) = (case.f32("gradients"), case.f32("parameters"));
    assert_eq!(expected.len(), (steps + 1) * len);
    let mut parameters = expected[..len].to_vec();
    let mut states = parameters.clone();
    // A sum that cancels keeps the rounding errors of its largest term.
    let mut largest: Vec<f64> = parameters.iter().map(|p| f64::from(p.abs())).collect();
    let mut bounds = vec![0.0; len];
    for (n, gradient) in gradients.chunks_exact(len).enumerate() {
        step(n as u64 + 1, &mut parameters, gradient);
        states.extend_from_slice(&parameters);
        for (largest, p) in largest.iter_mut().zip(&expected[(n + 1) * len..]) {
            *largest = largest.max(f64::from(p.abs()));
            bounds.push(share * *largest);
        }
    }
    case.close("parameters", &states, &Tolerance::bound(bounds));
}

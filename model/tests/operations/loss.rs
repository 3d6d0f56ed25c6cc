//! Losses.

use crate::case::{Case, poison};
use loupe_engine::loss::{self, CrossEntropyOptions, Reduction};
use loupe_engine::reference::compare::Tolerance;

pub(crate) fn check_loss(case: &Case<'_>) {
    let (cx, input) = (&case.cx, case.f32("input"));
    let mut dinput = poison(input.len());
    let gradient = Some(&mut dinput[..]);
    let options = CrossEntropyOptions::default();
    let value = if (case.operation, case.case) == ("cross_entropy", "classes") {
        let classes = case.fixture.i64(&case.name("target"));
        let classes: Vec<usize> = classes.into_iter().map(|class| class as usize).collect();
        loss::cross_entropy(cx, &options, &input, &classes, gradient)
    } else {
        let target = case.f32("target");
        match case.operation {
            "bce" => loss::bce(cx, Reduction::Mean, &input, &target, gradient),
            "bce_with_logits" => {
                loss::bce_with_logits(cx, Reduction::Mean, &input, &target, gradient)
            }
            "mse" => loss::mse(cx, Reduction::Mean, &input, &target, gradient),
            "cross_entropy" => {
                let [_, classes] = case.shape("input");
                loss::cross_entropy_probabilities(cx, &options, classes, &input, &target, gradient)
            }
            other => panic!("{other} is no loss"),
        }
    };
    let value = [value.unwrap()];
    if case.operation == "bce" {
        let tolerance = Tolerance::abs_rel(0.0, 5e-7);
        case.close("loss", &value, &tolerance);
        case.close("dinput", &dinput, &tolerance);
    } else {
        case.near("loss", &value, 6e-7);
        case.near("dinput", &dinput, 6e-7);
    }
}

//! Steps of Adam and SGD.

use crate::{Call, Case, Rule, signed};
use loupe_engine::Context;
use loupe_engine::optim::{AdamOptions, AdamState, Gradient, SgdOptions, adam_step, sgd_step};

pub(super) fn prepare(cx: Context, rule: Rule, len: usize) -> Call {
    let (mut parameters, gradient) = (signed(1, len), signed(2, len));
    let (mut first, mut second) = (vec![0.0; len], vec![0.0; len]);
    let mut steps = 0;
    let mut step = move |parameters: &mut [f32]| match rule {
        Rule::Adam => {
            steps += 1;
            let state = AdamState {
                parameters,
                gradient: Gradient::dense(&gradient),
                first_moment: &mut first,
                second_moment: &mut second,
            };
            adam_step(&cx, &AdamOptions::default(), steps, state).expect("lengths fit");
        }
        Rule::Sgd => {
            let options = SgdOptions { momentum: 0.9, ..SgdOptions::default() };
            sgd_step(&cx, &options, parameters, Gradient::dense(&gradient), &mut first)
                .expect("lengths fit");
        }
    };
    (0..Case::OPTIM_STEPS).for_each(|_| step(&mut parameters));
    Call::new(parameters.clone(), move || step(&mut parameters))
}

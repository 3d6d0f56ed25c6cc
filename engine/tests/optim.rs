//! Optimisers on every tier and on one and three threads, against the f64 oracle.

use loupe_engine::linear::{Linear, linear_backward_weight};
use loupe_engine::optim::{AdamOptions, AdamState, Gradient, SgdOptions, adam_step, sgd_step};
use loupe_engine::reference::compare::{Tolerance, assert_bits, assert_close, widen};
use loupe_engine::reference::optim as oracle;
use loupe_engine::reference::random::Random;
use loupe_engine::{Context, Error, Isa, Threads};
use proptest::prelude::*;

fn contexts() -> impl Iterator<Item = Context> {
    Isa::available().flat_map(|isa| {
        [Threads::serial(), Threads::new(3).unwrap()].map(|threads| Context::new(isa, threads))
    })
}

/// Parameters with the two slices that an optimiser keeps for them.
#[derive(Clone)]
struct State {
    parameters: Vec<f32>,
    first: Vec<f32>,
    second: Vec<f32>,
}

impl State {
    fn new(parameters: Vec<f32>) -> State {
        let zeros = vec![0.0; parameters.len()];
        State { parameters, first: zeros.clone(), second: zeros }
    }

    fn adam(
        &mut self,
        cx: &Context,
        options: &AdamOptions,
        step: u64,
        gradient: &[f32],
    ) -> Result<(), Error> {
        self.adam_by(cx, options, step, Gradient::Dense(gradient))
    }

    fn adam_by(
        &mut self,
        cx: &Context,
        options: &AdamOptions,
        step: u64,
        gradient: Gradient<'_>,
    ) -> Result<(), Error> {
        let State { parameters, first, second } = self;
        let (first_moment, second_moment) = (first, second);
        adam_step(
            cx,
            options,
            step,
            AdamState { parameters, gradient, first_moment, second_moment },
        )
    }

    fn sgd(&mut self, cx: &Context, options: &SgdOptions, gradient: &[f32]) -> Result<(), Error> {
        self.sgd_by(cx, options, Gradient::Dense(gradient))
    }

    fn sgd_by(
        &mut self,
        cx: &Context,
        options: &SgdOptions,
        gradient: Gradient<'_>,
    ) -> Result<(), Error> {
        sgd_step(cx, options, &mut self.parameters, gradient, &mut self.first)
    }
}

/// Parameters that start at 0, so that a comparison sees the updates and nothing else, and random
/// gradients of several magnitudes for each of `steps` steps.
fn problem(len: usize, steps: usize, seed: u64) -> (State, Vec<Vec<f32>>) {
    let mut random = Random::new(seed);
    let gradients = (0..steps)
        .map(|_| {
            (0..len)
                .map(|i| (random.uniform(-1.0, 1.0) * 10.0_f64.powi(-(i as i32 % 5))) as f32)
                .collect()
        })
        .collect();
    (State::new(vec![0.0; len]), gradients)
}

fn check_adam(len: usize, options: &AdamOptions, seed: u64) {
    let (start, gradients) = problem(len, 5, seed);
    let mut expected = oracle::Adam {
        lr: options.lr,
        betas: options.betas,
        eps: options.eps,
        ..oracle::Adam::new(len)
    };
    let mut parameters = widen(&start.parameters);
    for gradient in &gradients {
        expected.step(&mut parameters, &widen(gradient));
    }
    for cx in contexts() {
        let mut state = start.clone();
        for (gradient, step) in gradients.iter().zip(1..) {
            state.adam(&cx, options, step, gradient).unwrap();
        }
        let what = |name| format!("{name} {:?} {len}", cx.isa());
        // Gradients of both signs may cancel in the first moment, not in the second.
        let moment = Tolerance::abs_rel(3e-7, 1e-6);
        assert_close(&what("first moment"), &state.first, &expected.first_moment, &moment);
        let moment = Tolerance::abs_rel(0.0, 1e-6);
        assert_close(&what("second moment"), &state.second, &expected.second_moment, &moment);
        let update = Tolerance::abs_rel(1e-5 * options.lr, 1e-5);
        assert_close(&what("parameters"), &state.parameters, &parameters, &update);
    }
}

fn check_sgd(len: usize, options: &SgdOptions, seed: u64) {
    let (start, gradients) = problem(len, 5, seed);
    let mut expected = oracle::Sgd::new(options.lr, options.momentum);
    let mut parameters = widen(&start.parameters);
    for gradient in &gradients {
        expected.step(&mut parameters, &widen(gradient));
    }
    for cx in contexts() {
        let mut state = start.clone();
        for gradient in &gradients {
            state.sgd(&cx, options, gradient).unwrap();
        }
        let what = |name| format!("{name} {:?} {len}", cx.isa());
        let tolerance = Tolerance::abs_rel(1e-6, 1e-6);
        assert_close(
            &what("velocity"),
            &state.first,
            &expected.velocity.clone().unwrap(),
            &tolerance,
        );
        let update = Tolerance::abs_rel(1e-6 * options.lr, 1e-6);
        assert_close(&what("parameters"), &state.parameters, &parameters, &update);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_length_agrees_with_the_oracle(
        len in 1_usize..100,
        lr in 1e-4_f64..1.0,
        beta in 0.0_f64..0.999,
        seed in any::<u64>(),
    ) {
        check_adam(len, &AdamOptions { lr, betas: [beta, 0.99], eps: 1e-6 }, seed);
        check_sgd(len, &SgdOptions { lr, momentum: beta }, seed);
    }
}

#[test]
fn lengths_around_vectors_and_tasks_agree_with_the_oracle() {
    for len in [1, 15, 16, 17, 31, 32, 33, (1 << 13) - 1, 1 << 13, (1 << 13) + 1] {
        check_adam(len, &AdamOptions::default(), len as u64);
        check_sgd(len, &SgdOptions { lr: 0.1, momentum: 0.9 }, len as u64);
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    let (start, gradients) = problem((1 << 17) + 17, 2, 8);
    for isa in Isa::available() {
        let [one, three] = [Threads::serial(), Threads::new(3).unwrap()].map(|threads| {
            let cx = Context::new(isa, threads);
            let mut adam = start.clone();
            let mut sgd = start.clone();
            for (gradient, step) in gradients.iter().zip(1..) {
                adam.adam(&cx, &AdamOptions::default(), step, gradient).unwrap();
                sgd.sgd(&cx, &SgdOptions { lr: 0.1, momentum: 0.9 }, gradient).unwrap();
            }
            [adam.parameters, adam.first, adam.second, sgd.parameters, sgd.first]
        });
        for (one, three) in one.iter().zip(&three) {
            assert_bits("state", three, one);
        }
    }
}

/// Rows and columns of a weight: around vectors, rows cut by the end of a task, rows longer than a task.
const OUTER: [[usize; 2]; 8] =
    [[1, 1], [3, 5], [7, 16], [5, 33], [200, 784], [31, 1001], [1, 20_000], [20_000, 1]];

#[test]
fn a_gradient_that_is_an_outer_product_gives_the_bits_of_the_one_in_memory() {
    for [rows, columns] in OUTER {
        let (start, gradients) = problem(rows * columns, 1, 11);
        let mut random = Random::new(12);
        let mut x = random.uniform_f32(columns, -1.0, 1.0);
        let mut dy = random.uniform_f32(rows, -1.0, 1.0);
        // Products that are -0, infinite and NaN.
        (x[columns / 2], dy[rows / 2]) = (0.0, f32::INFINITY);
        (x[columns / 3], dy[rows / 3]) = (-0.0, -1.0);
        for cx in contexts() {
            let layer = Linear { batch: 1, in_features: columns, out_features: rows };
            let mut dense = vec![f32::NAN; rows * columns];
            linear_backward_weight(&cx, &layer, &x, &dy, &mut dense, None).unwrap();
            let [mut adam, mut sgd] = [start.clone(), start.clone()];
            let warm = AdamOptions::default();
            adam.adam(&cx, &warm, 1, &gradients[0]).unwrap();
            sgd.sgd(&cx, &SgdOptions { lr: 0.1, momentum: 0.9 }, &gradients[0]).unwrap();
            let [mut outer_adam, mut outer_sgd] = [adam.clone(), sgd.clone()];
            let outer = Gradient::Outer { dy: &dy, x: &x };
            adam.adam(&cx, &warm, 2, &dense).unwrap();
            outer_adam.adam_by(&cx, &warm, 2, outer).unwrap();
            sgd.sgd(&cx, &SgdOptions { lr: 0.1, momentum: 0.9 }, &dense).unwrap();
            outer_sgd.sgd_by(&cx, &SgdOptions { lr: 0.1, momentum: 0.9 }, outer).unwrap();
            for (expected, found) in [(adam, outer_adam), (sgd, outer_sgd)] {
                let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                let what = format!("{:?} {rows} x {columns}", cx.isa());
                assert!(bits(&found.parameters) == bits(&expected.parameters), "{what}");
                assert!(bits(&found.first) == bits(&expected.first), "{what}");
                assert!(bits(&found.second) == bits(&expected.second), "{what}");
            }
        }
    }
}

#[test]
fn the_first_step_of_adam_moves_by_the_learning_rate_against_the_gradient() {
    // m / (1 − β₁) = g and v / (1 − β₂) = g², so the direction is the sign of g.
    for cx in contexts() {
        let mut state = State::new(vec![1.0, 1.0, 1.0]);
        state.adam(&cx, &AdamOptions::default(), 1, &[0.5, -4.0, 0.0]).unwrap();
        let expected = [0.999, 1.001, 1.0];
        assert_close("parameters", &state.parameters, &expected, &Tolerance::abs_rel(2e-7, 0.0));
        assert_close("m", &state.first, &[0.05, -0.4, 0.0], &Tolerance::abs_rel(0.0, 2e-7));
        assert_close("v", &state.second, &[2.5e-4, 1.6e-2, 0.0], &Tolerance::abs_rel(0.0, 2e-7));
    }
}

#[test]
fn late_steps_are_not_corrected() {
    let cx = Context::serial();
    for step in [1_000_000, u64::MAX] {
        let mut state = State { parameters: vec![0.0], first: vec![1.0], second: vec![4.0] };
        state.adam(&cx, &AdamOptions::default(), step, &[1.0]).unwrap();
        let v = 0.999 * 4.0 + 0.001;
        let expected = -1e-3 / (f64::sqrt(v) + 1e-8);
        assert_close("late", &state.parameters, &[expected], &Tolerance::abs_rel(0.0, 1e-6));
    }
}

#[test]
fn moments_decay_to_zero_and_not_into_denormals() {
    let tiny = 1.01 * f32::MIN_POSITIVE;
    for cx in contexts() {
        let decayed =
            State { parameters: vec![1.0; 2], first: vec![tiny, -tiny], second: vec![tiny; 2] };
        let mut adam = decayed.clone();
        let options = AdamOptions { betas: [0.9, 0.9], ..AdamOptions::default() };
        adam.adam(&cx, &options, 1000, &[0.0, 0.0]).unwrap();
        assert_eq!((adam.first, adam.second), (vec![0.0; 2], vec![0.0; 2]));
        assert_eq!(adam.parameters, [1.0; 2]);
        let mut sgd = decayed;
        sgd.sgd(&cx, &SgdOptions { lr: 0.1, momentum: 0.9 }, &[0.0, 0.0]).unwrap();
        assert_eq!(sgd.first, [0.0; 2]);

        // The smallest normal number stays.
        let mut kept = State::new(vec![0.0; 2]);
        let gradient = [f32::MIN_POSITIVE, -f32::MIN_POSITIVE];
        kept.sgd(&cx, &SgdOptions { lr: 0.1, momentum: 0.9 }, &gradient).unwrap();
        assert_eq!(kept.first, gradient);
    }
}

#[test]
fn nan_gradients_are_not_hidden() {
    for cx in contexts() {
        let mut state = State::new(vec![0.0; 17]);
        state.adam(&cx, &AdamOptions::default(), 1, &[f32::NAN; 17]).unwrap();
        let State { parameters, first, second } = state;
        assert!([parameters, first, second].iter().flatten().all(|x| x.is_nan()));
        let mut state = State::new(vec![0.0; 17]);
        state.sgd(&cx, &SgdOptions { lr: 0.1, momentum: 0.9 }, &[f32::NAN; 17]).unwrap();
        assert!([state.parameters, state.first].iter().flatten().all(|x| x.is_nan()));
    }
}

#[test]
fn options_without_meaning_are_errors_and_change_nothing() {
    let cx = Context::serial();
    let good = AdamOptions::default();
    let mut state = State::new(vec![1.0; 3]);
    let mut refused = |options: AdamOptions, step, name| {
        let error = state.adam(&cx, &options, step, &[1.0; 3]);
        assert!(
            matches!(error, Err(Error::Invalid { op: "adam_step", what, .. }) if what == name),
            "{error:?}"
        );
        assert_eq!(state.parameters, [1.0; 3]);
    };
    for bad in [f64::NAN, -1e-9, f64::INFINITY, 1e39, 1e-50] {
        refused(AdamOptions { lr: bad, ..good }, 1, "lr");
        refused(AdamOptions { eps: bad, ..good }, 1, "eps");
    }
    for bad in [f64::NAN, -1e-9, 1.0] {
        refused(AdamOptions { betas: [bad, 0.9], ..good }, 1, "betas");
        refused(AdamOptions { betas: [0.9, bad], ..good }, 1, "betas");
    }
    refused(good, 0, "step");
    for (options, name) in [
        (SgdOptions { lr: f64::NAN, momentum: 0.0 }, "lr"),
        (SgdOptions { lr: -0.1, momentum: 0.0 }, "lr"),
        (SgdOptions { lr: 0.1, momentum: f64::NAN }, "momentum"),
        (SgdOptions { lr: 0.1, momentum: -0.5 }, "momentum"),
    ] {
        let error = state.sgd(&cx, &options, &[1.0; 3]);
        assert!(
            matches!(error, Err(Error::Invalid { op: "sgd_step", what, .. }) if what == name),
            "{error:?}"
        );
        assert_eq!(state.parameters, [1.0; 3]);
    }
}

#[test]
fn lengths_that_differ_are_errors() {
    let cx = Context::serial();
    let short = |op, what| Err(Error::Length { op, what, expected: 3, found: 2 });
    let good = State::new(vec![1.0; 3]);
    let adam = AdamOptions::default();
    assert_eq!(good.clone().adam(&cx, &adam, 1, &[1.0; 2]), short("adam_step", "gradient"));
    let outer = Gradient::Outer { dy: &[1.0], x: &[1.0; 2] };
    assert_eq!(good.clone().adam_by(&cx, &adam, 1, outer), short("adam_step", "gradient"));
    let mut state = State { first: vec![0.0; 2], ..good.clone() };
    assert_eq!(state.adam(&cx, &adam, 1, &[1.0; 3]), short("adam_step", "first_moment"));
    let mut state = State { second: vec![0.0; 2], ..good.clone() };
    assert_eq!(state.adam(&cx, &adam, 1, &[1.0; 3]), short("adam_step", "second_moment"));
    let sgd = SgdOptions { lr: 0.1, momentum: 0.9 };
    assert_eq!(good.clone().sgd(&cx, &sgd, &[1.0; 2]), short("sgd_step", "gradient"));
    let mut state = State { first: vec![0.0; 2], ..good };
    assert_eq!(state.sgd(&cx, &sgd, &[1.0; 3]), short("sgd_step", "velocity"));
    assert_eq!(State::new(vec![]).adam(&cx, &adam, 1, &[]), Ok(()));
    let empty = Gradient::Outer { dy: &[1.0; 3], x: &[] };
    assert_eq!(State::new(vec![]).adam_by(&cx, &adam, 1, empty), Ok(()));
}

//! Optimisers on every tier and on one and three threads, against the f64 oracle.

mod refused;

use loupe_engine::linear::{Linear, linear_backward_weight};
use loupe_engine::optim::{
    AdamOptions, AdamState, AdamWOptions, Gradient, SgdOptions, adam_step, adamw_step, sgd_step,
};
use loupe_engine::reference::compare::{Tolerance, assert_bits, assert_close, widen};
use loupe_engine::reference::optim as oracle;
use loupe_engine::reference::random::Random;
use loupe_engine::{Context, Error, Isa, Threads};
use proptest::prelude::*;

const SGD: SgdOptions = SgdOptions { lr: 0.1, momentum: 0.9, weight_decay: 0.0, nesterov: false };

const LOOKING_AHEAD: SgdOptions =
    SgdOptions { lr: 0.1, momentum: 0.9, weight_decay: 0.01, nesterov: true };

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
        self.adam_by(cx, options, step, Gradient::dense(gradient))
    }

    fn adam_by(
        &mut self,
        cx: &Context,
        options: &AdamOptions,
        step: u64,
        gradient: Gradient<'_>,
    ) -> Result<(), Error> {
        adam_step(cx, options, step, self.adam_state(gradient))
    }

    fn adamw(
        &mut self,
        cx: &Context,
        options: &AdamWOptions,
        step: u64,
        gradient: Gradient<'_>,
    ) -> Result<(), Error> {
        adamw_step(cx, options, step, self.adam_state(gradient))
    }

    fn adam_state<'a>(&'a mut self, gradient: Gradient<'a>) -> AdamState<'a> {
        let State { parameters, first, second } = self;
        AdamState { parameters, gradient, first_moment: first, second_moment: second }
    }

    fn sgd(&mut self, cx: &Context, options: &SgdOptions, gradient: &[f32]) -> Result<(), Error> {
        self.sgd_by(cx, options, Gradient::dense(gradient))
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
    let AdamOptions { lr, betas, eps, .. } = *options;
    let expected = oracle::Adam { lr, betas, eps, ..oracle::Adam::new(len) };
    check_moments("adam", expected, seed, |state, cx, step, gradient| {
        state.adam(cx, options, step, gradient).unwrap();
    });
}

/// One step from moments in the midst of a training: over several, rounding errors of the parameters would be
/// errors of small gradients, by which Adam divides.
fn check_adam_with_weight_decay(len: usize, options: &AdamOptions, seed: u64) {
    let mut random = Random::new(seed);
    let [parameters, first, gradient] = [(); 3].map(|()| random.uniform_f32(len, -1.0, 1.0));
    let second = random.uniform_f32(len, 0.1, 1.0);
    let AdamOptions { lr, betas, eps, weight_decay } = *options;
    let (first_moment, second_moment) = (widen(&first), widen(&second));
    let mut expected = oracle::Adam {
        lr,
        betas,
        eps,
        weight_decay,
        decoupled: false,
        steps: 6,
        first_moment,
        second_moment,
    };
    let mut moved = widen(&parameters);
    expected.step(&mut moved, &widen(&gradient));
    for cx in contexts() {
        let mut state =
            State { parameters: parameters.clone(), first: first.clone(), second: second.clone() };
        state.adam(&cx, options, 7, &gradient).unwrap();
        let what = |slice| format!("adam with decay: {slice} {:?} {len}", cx.isa());
        let moment = Tolerance::abs_rel(3e-7, 1e-6);
        assert_close(&what("first moment"), &state.first, &expected.first_moment, &moment);
        let moment = Tolerance::abs_rel(0.0, 1e-6);
        assert_close(&what("second moment"), &state.second, &expected.second_moment, &moment);
        let update = Tolerance::abs_rel(3e-7 + 1e-5 * lr, 1e-6);
        assert_close(&what("parameters"), &state.parameters, &moved, &update);
    }
}

fn check_adamw(len: usize, options: &AdamWOptions, seed: u64) {
    let AdamWOptions { lr, betas, eps, weight_decay } = *options;
    let adam = oracle::Adam::new(len);
    let expected = oracle::Adam { lr, betas, eps, weight_decay, decoupled: true, ..adam };
    check_moments("adamw", expected, seed, |state, cx, step, gradient| {
        state.adamw(cx, options, step, Gradient::dense(gradient)).unwrap();
    });
}

fn check_moments(
    name: &str,
    mut expected: oracle::Adam,
    seed: u64,
    take: impl Fn(&mut State, &Context, u64, &[f32]),
) {
    let len = expected.first_moment.len();
    let (start, gradients) = problem(len, 5, seed);
    let mut parameters = widen(&start.parameters);
    for gradient in &gradients {
        expected.step(&mut parameters, &widen(gradient));
    }
    for cx in contexts() {
        let mut state = start.clone();
        for (gradient, step) in gradients.iter().zip(1..) {
            take(&mut state, &cx, step, gradient);
        }
        let what = |slice| format!("{name}: {slice} {:?} {len}", cx.isa());
        // Gradients of both signs may cancel in the first moment, not in the second.
        let moment = Tolerance::abs_rel(3e-7, 1e-6);
        assert_close(&what("first moment"), &state.first, &expected.first_moment, &moment);
        let moment = Tolerance::abs_rel(0.0, 1e-6);
        assert_close(&what("second moment"), &state.second, &expected.second_moment, &moment);
        let update = Tolerance::abs_rel(1e-5 * expected.lr, 1e-5);
        assert_close(&what("parameters"), &state.parameters, &parameters, &update);
    }
}

fn check_sgd(len: usize, options: &SgdOptions, seed: u64) {
    let (start, gradients) = problem(len, 5, seed);
    let SgdOptions { lr, momentum, weight_decay, nesterov } = *options;
    let mut expected = oracle::Sgd { weight_decay, nesterov, ..oracle::Sgd::new(lr, momentum) };
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
        decay in -0.5_f64..0.5,
        nesterov in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let betas = [beta, 0.99];
        let weight_decay = decay.max(0.0);
        let adam = AdamOptions { lr, betas, eps: 1e-6, weight_decay };
        check_adam(len, &AdamOptions { weight_decay: 0.0, ..adam }, seed);
        check_adam_with_weight_decay(len, &adam, seed);
        check_adamw(len, &AdamWOptions { lr, betas, eps: 1e-6, weight_decay }, seed);
        let nesterov = nesterov && beta > 0.0;
        check_sgd(len, &SgdOptions { lr, momentum: beta, weight_decay, nesterov }, seed);
    }
}

#[test]
fn lengths_around_vectors_and_tasks_agree_with_the_oracle() {
    for len in [1, 15, 16, 17, 31, 32, 33, (1 << 13) - 1, 1 << 13, (1 << 13) + 1] {
        check_adam(len, &AdamOptions::default(), len as u64);
        let decaying = AdamOptions { weight_decay: 0.3, ..AdamOptions::default() };
        check_adam_with_weight_decay(len, &decaying, len as u64);
        check_adamw(len, &AdamWOptions::default(), len as u64);
        for nesterov in [false, true] {
            check_sgd(len, &SgdOptions { nesterov, ..SGD }, len as u64);
        }
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    let (start, gradients) = problem((1 << 17) + 17, 2, 8);
    for isa in Isa::available() {
        let [one, three] = [Threads::serial(), Threads::new(3).unwrap()].map(|threads| {
            let cx = Context::new(isa, threads);
            let [mut adam, mut adamw, mut sgd] = [(); 3].map(|()| start.clone());
            for (gradient, step) in gradients.iter().zip(1..) {
                adam.adam(&cx, &AdamOptions::default(), step, gradient).unwrap();
                let gradient = Gradient::dense(gradient).scaled(0.3);
                adamw.adamw(&cx, &AdamWOptions::default(), step, gradient).unwrap();
                sgd.sgd_by(&cx, &LOOKING_AHEAD, gradient).unwrap();
            }
            [
                [adam.parameters, adam.first, adam.second],
                [adamw.parameters, adamw.first, adamw.second],
                [sgd.parameters, sgd.first, sgd.second],
            ]
            .concat()
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
            let mut warm = start.clone();
            warm.adam(&cx, &AdamOptions::default(), 1, &gradients[0]).unwrap();
            let [dense, outer] = [Gradient::dense(&dense), Gradient::outer(&dy, &x)];
            for factor in [1.0, 0.3] {
                let step = |gradient: Gradient<'_>| {
                    let gradient = gradient.scaled(factor);
                    let [mut adam, mut adamw, mut sgd, mut ahead] = [(); 4].map(|()| warm.clone());
                    adam.adam_by(&cx, &AdamOptions::default(), 2, gradient).unwrap();
                    adamw.adamw(&cx, &AdamWOptions::default(), 2, gradient).unwrap();
                    sgd.sgd_by(&cx, &SGD, gradient).unwrap();
                    ahead.sgd_by(&cx, &LOOKING_AHEAD, gradient).unwrap();
                    [adam, adamw, sgd, ahead]
                };
                for (expected, found) in step(dense).into_iter().zip(step(outer)) {
                    let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                    let what = format!("{:?} {rows} x {columns}", cx.isa());
                    assert!(bits(&found.parameters) == bits(&expected.parameters), "{what}");
                    assert!(bits(&found.first) == bits(&expected.first), "{what}");
                    assert!(bits(&found.second) == bits(&expected.second), "{what}");
                }
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
        sgd.sgd(&cx, &SGD, &[0.0, 0.0]).unwrap();
        assert_eq!(sgd.first, [0.0; 2]);

        // The smallest normal number stays.
        let mut kept = State::new(vec![0.0; 2]);
        let gradient = [f32::MIN_POSITIVE, -f32::MIN_POSITIVE];
        kept.sgd(&cx, &SGD, &gradient).unwrap();
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
        state.sgd(&cx, &SGD, &[f32::NAN; 17]).unwrap();
        assert!([state.parameters, state.first].iter().flatten().all(|x| x.is_nan()));
    }
}

/// An infinite parameter is no reason to lose the gradient.
#[test]
fn without_weight_decay_the_parameters_do_not_reach_the_gradient() {
    for cx in contexts() {
        for value in [f32::INFINITY, f32::NAN] {
            let mut sgd = State::new(vec![value; 17]);
            sgd.sgd(&cx, &SGD, &[-0.5; 17]).unwrap();
            assert_eq!(sgd.first, [-0.5; 17]);
            let mut adamw = State::new(vec![value; 17]);
            adamw.adamw(&cx, &AdamWOptions::default(), 1, Gradient::dense(&[0.5; 17])).unwrap();
            assert!(adamw.first.iter().chain(&adamw.second).all(|m| m.is_finite()));
        }
    }
}

#[test]
fn a_scaled_gradient_is_the_one_that_was_multiplied_before() {
    let (start, gradients) = problem(100, 1, 14);
    let multiplied: Vec<f32> = gradients[0].iter().map(|g| g * 0.1).collect();
    for cx in contexts() {
        let [mut one, mut other] = [start.clone(), start.clone()];
        one.sgd(&cx, &LOOKING_AHEAD, &multiplied).unwrap();
        let gradient = Gradient::dense(&gradients[0]).scaled(0.4).scaled(0.25);
        other.sgd_by(&cx, &LOOKING_AHEAD, gradient).unwrap();
        assert_bits("parameters", &other.parameters, &one.parameters);
    }
}

//! Losses on every tier and on one and three threads, against the f64 oracle.

use loupe_engine::loss::{bce, bce_with_logits, cross_entropy, cross_entropy_probabilities, mse};
use loupe_engine::reference::compare::{Tolerance, assert_bits, assert_close, widen};
use loupe_engine::reference::finite;
use loupe_engine::reference::loss::{self as oracle, LossGradient};
use loupe_engine::reference::random::Random;
use loupe_engine::{Context, Error, Isa, Threads};
use proptest::prelude::*;

/// A loss with one target per element.
type Pointwise = fn(&Context, &[f32], &[f32], Option<&mut [f32]>) -> Result<f32, Error>;

fn contexts() -> impl Iterator<Item = Context> {
    Isa::available().flat_map(|isa| {
        [Threads::serial(), Threads::new(3).unwrap()].map(|threads| Context::new(isa, threads))
    })
}

/// The value of `loss` and the gradient that it writes over NaN. Without a gradient, the value must
/// be the same to the bit.
fn evaluate(
    len: usize,
    loss: impl Fn(Option<&mut [f32]>) -> Result<f32, Error>,
) -> (f32, Vec<f32>) {
    let mut gradient = vec![f32::NAN; len];
    let value = loss(Some(&mut gradient)).unwrap();
    assert_bits("value without gradient", &[loss(None).unwrap()], &[value]);
    (value, gradient)
}

/// `gradient` is the tolerance of a gradient that has not been divided by `count`.
fn check(
    what: &str,
    (value, gradient): (f32, Vec<f32>),
    expected: &LossGradient,
    count: usize,
    [abs, rel]: [f64; 2],
) {
    assert_close(what, &[value], &[expected.value], &Tolerance::abs_rel(1e-6, 1e-5));
    let tolerance = Tolerance::abs_rel(abs / count as f64, rel);
    assert_close(&format!("{what}: gradient"), &gradient, &expected.gradient, &tolerance);
}

/// `len` probabilities, every seventh of them 0 or 1, and as many targets in [0, 1], half of them 0
/// or 1.
fn probabilities(len: usize, seed: u64) -> [Vec<f32>; 2] {
    let mut random = Random::new(seed);
    let mut draw = |rare: usize| -> Vec<f32> {
        (0..len)
            .map(|_| match random.below(rare) {
                0 => random.below(2) as f32,
                _ => random.uniform(0.0, 1.0) as f32,
            })
            .collect()
    };
    [draw(7), draw(2)]
}

fn check_pointwise(len: usize, seed: u64) {
    let [p, t] = probabilities(len, seed);
    // A sigmoid beyond ±16 is so close to 0 or 1 that the gradient may round to 0.
    let x = Random::new(!seed).uniform_f32(len, -15.0, 15.0);
    let (wide_p, wide_x, wide_t) = (widen(&p), widen(&x), widen(&t));
    for cx in contexts() {
        let what = |name| format!("{name} {:?} {len}", cx.isa());
        let actual = evaluate(len, |gradient| bce(&cx, &p, &t, gradient));
        check(&what("bce"), actual, &oracle::bce(&wide_p, &wide_t), len, [0.0, 1e-6]);
        let actual = evaluate(len, |gradient| bce_with_logits(&cx, &x, &t, gradient));
        let expected = oracle::bce_with_logits(&wide_x, &wide_t);
        check(&what("bce_with_logits"), actual, &expected, len, [3e-7, 1e-6]);
        let actual = evaluate(len, |gradient| mse(&cx, &x, &t, gradient));
        check(&what("mse"), actual, &oracle::mse(&wide_x, &wide_t), len, [0.0, 1e-6]);
    }
}

/// The cross-entropy of probabilities in the oracle's manner.
fn oracle_probabilities(classes: usize, logits: &[f64], target: &[f64]) -> LossGradient {
    let rows = (logits.len() / classes) as f64;
    let mut loss = LossGradient { value: 0.0, gradient: Vec::new() };
    for (x, t) in logits.chunks(classes).zip(target.chunks(classes)) {
        let largest = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = x.iter().map(|x| (x - largest).exp()).sum();
        let weight: f64 = t.iter().sum();
        for (x, t) in x.iter().zip(t) {
            loss.value += t * (sum.ln() + largest - x) / rows;
            loss.gradient.push(((x - largest).exp() / sum * weight - t) / rows);
        }
    }
    loss
}

fn check_rows(rows: usize, classes: usize, offset: f32, seed: u64) {
    let mut random = Random::new(seed);
    let len = rows * classes;
    let logits = random.uniform_f32(len, offset - 8.0, offset + 8.0);
    let class: Vec<usize> = (0..rows).map(|_| random.below(classes)).collect();
    // The rows do not sum to 1.
    let target = random.uniform_f32(len, 0.0, 1.0);
    let (wide, wide_target) = (widen(&logits), widen(&target));
    for cx in contexts() {
        let what = |name| format!("{name} {:?} {rows} × {classes}", cx.isa());
        let actual = evaluate(len, |gradient| cross_entropy(&cx, &logits, &class, gradient));
        let expected = oracle::cross_entropy(&wide, &class);
        check(&what("classes"), actual, &expected, rows, [1e-6, 1e-5]);
        let actual = evaluate(len, |gradient| {
            cross_entropy_probabilities(&cx, classes, &logits, &target, gradient)
        });
        let expected = oracle_probabilities(classes, &wide, &wide_target);
        let abs = 1e-6 * classes as f64;
        check(&what("probabilities"), actual, &expected, rows, [abs, 1e-5]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_length_agrees_with_the_oracle(len in 1_usize..100, seed in any::<u64>()) {
        check_pointwise(len, seed);
    }

    #[test]
    fn any_rows_agree_with_the_oracle(
        rows in 1_usize..20,
        classes in 2_usize..40,
        offset in prop_oneof![Just(0.0_f32), -1e4_f32..1e4],
        seed in any::<u64>(),
    ) {
        check_rows(rows, classes, offset, seed);
    }
}

#[test]
fn sizes_around_vectors_and_blocks_agree_with_the_oracle() {
    for len in [1, 15, 16, 17, 31, 32, 33, 4095, 4096, 4097, 10_000] {
        check_pointwise(len, len as u64);
    }
    for [rows, classes] in [[1, 4096], [2, 5000], [409, 10], [410, 10], [4097, 2]] {
        check_rows(rows, classes, 0.0, rows as u64);
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    const LEN: usize = (1 << 17) + 10;
    let [p, t] = probabilities(LEN, 9);
    let class: Vec<usize> = (0..LEN / 10).map(|row| row % 10).collect();
    let pointwise: [Pointwise; 3] = [bce, bce_with_logits, mse];
    for isa in Isa::available() {
        let [one, three] = [Threads::serial(), Threads::new(3).unwrap()].map(|threads| {
            let cx = Context::new(isa, threads);
            let mut results = pointwise.map(|f| evaluate(LEN, |g| f(&cx, &p, &t, g))).to_vec();
            let rows = LEN / 10 * 10;
            let (p, t) = (&p[..rows], &t[..rows]);
            results.push(evaluate(rows, |g| cross_entropy(&cx, p, &class, g)));
            results.push(evaluate(rows, |g| cross_entropy_probabilities(&cx, 10, p, t, g)));
            results
        });
        for ((one, one_gradient), (three, three_gradient)) in one.iter().zip(&three) {
            assert_bits("value", &[*three], &[*one]);
            assert_bits("gradient", three_gradient, one_gradient);
        }
    }
}

#[test]
fn bce_clamps_the_logarithm_and_the_denominator() {
    for cx in contexts() {
        let (p, t) = ([0.0, 1.0, 0.0, 1.0, -0.0], [1.0, 0.0, 0.0, 1.0, 0.0]);
        let (value, gradient) = evaluate(5, |gradient| bce(&cx, &p, &t, gradient));
        assert_eq!(value, 40.0);
        assert_close(
            "gradient",
            &gradient,
            &[-0.2e12, 0.2e12, 0.0, 0.0, 0.0],
            &Tolerance::abs_rel(0.0, 1e-6),
        );
    }
}

#[test]
fn bce_keeps_the_digits_of_small_probabilities() {
    // −ln(1 − p) of a p below the last bit of 1.
    for cx in contexts() {
        for p in [1e-9_f32, 1e-30, f32::from_bits(1)] {
            let value = bce(&cx, &[p], &[0.0], None).unwrap();
            let tolerance = Tolerance::abs_rel(0.0, 1e-6);
            assert_close("−ln(1 − p)", &[value], &[f64::from(p)], &tolerance);
        }
    }
}

#[test]
fn bce_of_a_prediction_outside_the_unit_interval_is_an_error() {
    for cx in contexts() {
        let below = [-1.0, -f32::from_bits(1), -f32::INFINITY];
        let above = [1.0_f32.next_up(), 7.0, f32::INFINITY];
        for bad in below.into_iter().chain(above) {
            for index in [0, 15, 16, 32, 5000] {
                // Whatever the target is, and with a NaN elsewhere.
                for target in [0.0, 1.0] {
                    let mut p = vec![0.5; 5001];
                    p[5000 - index] = f32::NAN;
                    p[index] = bad;
                    let error = bce(&cx, &p, &[target; 5001], Some(&mut [0.0; 5001]));
                    assert_eq!(
                        error,
                        Err(Error::Invalid {
                            op: "bce",
                            what: "prediction",
                            expected: "from 0 to 1",
                            found: format!("{bad} at index {index}"),
                        })
                    );
                }
            }
        }
    }
}

#[test]
fn nan_makes_the_loss_nan() {
    let pointwise: [Pointwise; 3] = [bce, bce_with_logits, mse];
    for cx in contexts() {
        for index in [0, 16, 39] {
            let mut x = [0.5; 40];
            x[index] = f32::NAN;
            for loss in pointwise {
                for (x, t) in [(x, [0.5; 40]), ([0.5; 40], x)] {
                    assert!(loss(&cx, &x, &t, None).unwrap().is_nan());
                    assert!(loss(&cx, &x, &t, Some(&mut [0.0; 40])).unwrap().is_nan());
                }
            }
            assert!(cross_entropy(&cx, &x, &[3, 7], None).unwrap().is_nan());
            let loss = cross_entropy_probabilities(&cx, 20, &x, &[0.5; 40], None);
            assert!(loss.unwrap().is_nan());
        }
    }
}

#[test]
fn large_logits_neither_overflow_nor_lose_digits() {
    for cx in contexts() {
        let (x, t) = ([1000.0, -1000.0, 1000.0], [0.0, 1.0, 1.0]);
        let (value, gradient) = evaluate(3, |gradient| bce_with_logits(&cx, &x, &t, gradient));
        assert_close("logits", &[value], &[2000.0 / 3.0], &Tolerance::abs_rel(0.0, 1e-6));
        let third = 1.0 / 3.0;
        let tolerance = Tolerance::abs_rel(0.0, 1e-6);
        assert_close("logits", &gradient, &[third, -third, 0.0], &tolerance);
        for offset in [-1e6, 1e6] {
            let logits = [offset, offset + 1.0];
            let (value, gradient) =
                evaluate(2, |gradient| cross_entropy(&cx, &logits, &[1], gradient));
            let (nearer, share) = ((-1.0_f64).exp().ln_1p(), 1.0 / (1.0 + 1.0_f64.exp()));
            assert_close("offset", &[value], &[nearer], &Tolerance::abs_rel(0.0, 1e-6));
            assert_close("offset", &gradient, &[share, -share], &Tolerance::abs_rel(0.0, 1e-6));
        }
        let impossible = [-f32::INFINITY, 0.0, 0.0];
        let value = cross_entropy(&cx, &impossible, &[1], None).unwrap();
        assert_close("−∞", &[value], &[2.0_f64.ln()], &Tolerance::abs_rel(0.0, 1e-6));
        assert_eq!(cross_entropy(&cx, &impossible, &[0], None), Ok(f32::INFINITY));
    }
}

#[test]
fn one_hot_probabilities_are_classes() {
    let logits = Random::new(10).uniform_f32(30, -3.0, 3.0);
    let class = [4, 0, 9];
    let mut target = [0.0; 30];
    for (row, class) in class.into_iter().enumerate() {
        target[row * 10 + class] = 1.0;
    }
    for cx in contexts() {
        let classes = evaluate(30, |g| cross_entropy(&cx, &logits, &class, g));
        let expected = LossGradient { value: classes.0.into(), gradient: widen(&classes.1) };
        let actual = evaluate(30, |g| cross_entropy_probabilities(&cx, 10, &logits, &target, g));
        check("one-hot", actual, &expected, 3, [1e-7, 1e-6]);
    }
}

#[test]
fn the_gradient_by_probabilities_agrees_with_central_differences() {
    let mut random = Random::new(11);
    let (logits, target) = (random.uniform_f64(12, -3.0, 3.0), random.uniform_f64(12, 0.0, 1.0));
    let numeric = finite::gradient(|x| oracle_probabilities(4, x, &target).value, &logits, 1e-5);
    let analytic = oracle_probabilities(4, &logits, &target).gradient;
    finite::assert_gradient("probabilities", &analytic, &numeric, 1e-7);
}

#[test]
fn lengths_that_differ_and_empty_inputs_are_errors() {
    let cx = Context::serial();
    let length = |op, what, found| Err(Error::Length { op, what, expected: 4, found });
    let pointwise: [(&'static str, Pointwise); 3] =
        [("bce", bce), ("bce_with_logits", bce_with_logits), ("mse", mse)];
    let x = [0.5; 4];
    for (op, loss) in pointwise {
        assert_eq!(loss(&cx, &x, &[0.5; 3], None), length(op, "target", 3));
        assert_eq!(loss(&cx, &x, &x, Some(&mut [0.0; 5])), length(op, "gradient", 5));
        let error = loss(&cx, &[], &[], Some(&mut []));
        assert!(matches!(error, Err(Error::Invalid { what: "prediction", .. })), "{error:?}");
    }
    let op = "cross_entropy";
    let gradient = Some(&mut [0.0; 3][..]);
    assert_eq!(cross_entropy(&cx, &x, &[0, 1], gradient), length(op, "gradient", 3));
    let classes = |classes, x: &[f32], t: &[f32], gradient: &mut [f32]| {
        cross_entropy_probabilities(&cx, classes, x, t, Some(gradient))
    };
    let (op, dx) = ("cross_entropy_probabilities", &mut [0.0; 4]);
    assert_eq!(classes(2, &x, &[0.5; 6], dx), length(op, "target", 6));
    assert_eq!(classes(2, &x, &x, &mut dx[..2]), length(op, "gradient", 2));
    for (error, name) in [
        (cross_entropy(&cx, &x, &[], None), "target"),
        (cross_entropy(&cx, &[], &[0], None), "logits"),
        (cross_entropy(&cx, &x, &[0, 0, 0], None), "logits"),
        (classes(0, &x, &x, dx), "classes"),
        (classes(3, &x, &x, dx), "logits"),
        (classes(usize::MAX, &x, &x, dx), "logits"),
        (classes(3, &[], &[], dx), "logits"),
    ] {
        assert!(matches!(&error, Err(Error::Invalid { what, .. }) if *what == name), "{error:?}");
    }
}

#[test]
fn a_class_that_does_not_exist_is_an_error_that_names_its_row() {
    let error = cross_entropy(&Context::serial(), &[0.0; 6], &[1, 3], None).unwrap_err();
    let message = "cross_entropy: target must be below the number of classes, \
                   found class 3 of 3 in row 1";
    assert_eq!(error.to_string(), message);
}

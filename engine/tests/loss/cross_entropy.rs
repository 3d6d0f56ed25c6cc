//! Cross-entropies of classes and of probabilities.

use crate::{Expected, REDUCTIONS, contexts, evaluate};
use loupe_engine::loss::{
    CrossEntropyOptions, Reduction, cross_entropy, cross_entropy_probabilities,
};
use loupe_engine::reference::compare::{Tolerance, assert_bits, assert_close, widen};
use loupe_engine::reference::loss::{CrossEntropy, LossGradient};
use loupe_engine::reference::random::Random;
use loupe_engine::{Context, Error, Isa, Threads};
use proptest::prelude::*;

const PLAIN: CrossEntropyOptions<'static> =
    CrossEntropyOptions { label_smoothing: 0.0, weight: None, reduction: Reduction::Mean };

/// Everything that can be asked for, with these weights.
fn options(weight: &[f32]) -> impl Iterator<Item = CrossEntropyOptions<'_>> {
    REDUCTIONS.into_iter().flat_map(move |reduction| {
        [None, Some(weight)].into_iter().flat_map(move |weight| {
            [0.0, 0.1, 1.0].map(|label_smoothing| CrossEntropyOptions {
                label_smoothing,
                weight,
                reduction,
            })
        })
    })
}

fn check_rows(rows: usize, classes: usize, offset: f32, seed: u64) {
    let mut random = Random::new(seed);
    let len = rows * classes;
    let logits = random.uniform_f32(len, offset - 8.0, offset + 8.0);
    let class: Vec<usize> = (0..rows).map(|_| random.below(classes)).collect();
    // The rows do not sum to 1.
    let target = random.uniform_f32(len, 0.0, 1.0);
    let weight = random.uniform_f32(classes, 0.1, 3.0);
    let mut one_hot = vec![0.0; len];
    class.iter().enumerate().for_each(|(row, class)| one_hot[row * classes + class] = 1.0);
    let (wide, wide_target) = (widen(&logits), widen(&target));
    for options in options(&weight) {
        let weight = options.weight.map_or(vec![1.0; classes], widen);
        let smoothing = options.label_smoothing;
        let sum = |target: &[f64]| CrossEntropy { target, smoothing, weight: &weight }.of(&wide);
        let (of_classes, of_probabilities) = (sum(&one_hot), sum(&wide_target));
        let [of_targets, of_rows] = match options.reduction {
            Reduction::Mean => [class.iter().map(|&y| weight[y]).sum(), rows as f64],
            Reduction::Sum => [1.0, 1.0],
        };
        // A gradient is a difference of two parts of the target's sum.
        let largest = weight.iter().copied().fold(0.0, f64::max);
        let abs = 1e-6 * largest;
        let of_classes =
            Expected { sum: &of_classes, count: rows, divisor: of_targets, gradient: [abs, 1e-5] };
        let of_probabilities = Expected {
            sum: &of_probabilities,
            count: rows,
            divisor: of_rows,
            gradient: [abs * classes as f64, 1e-5],
        };
        for cx in contexts() {
            let what = |name| format!("{name} {:?} {rows} × {classes} {options:?}", cx.isa());
            let actual = evaluate(len, |g| cross_entropy(&cx, &options, &logits, &class, g));
            of_classes.check(&what("classes"), actual);
            let actual = evaluate(len, |g| {
                cross_entropy_probabilities(&cx, &options, classes, &logits, &target, g)
            });
            of_probabilities.check(&what("probabilities"), actual);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

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
    for [rows, classes] in [[1, 4096], [2, 5000], [409, 10], [410, 10], [4097, 2]] {
        check_rows(rows, classes, 0.0, rows as u64);
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    const ROWS: usize = 1 << 13;
    let mut random = Random::new(9);
    let logits = random.uniform_f32(ROWS * 10, -4.0, 4.0);
    let target = random.uniform_f32(ROWS * 10, 0.0, 1.0);
    let weight = random.uniform_f32(10, 0.0, 2.0);
    let class: Vec<usize> = (0..ROWS).map(|row| row % 10).collect();
    for isa in Isa::available() {
        for options in options(&weight) {
            let [one, three] = [Threads::serial(), Threads::new(3).unwrap()].map(|threads| {
                let cx = Context::new(isa, threads);
                let len = ROWS * 10;
                [
                    evaluate(len, |g| cross_entropy(&cx, &options, &logits, &class, g)),
                    evaluate(len, |g| {
                        cross_entropy_probabilities(&cx, &options, 10, &logits, &target, g)
                    }),
                ]
            });
            for ((one, one_gradient), (three, three_gradient)) in one.iter().zip(&three) {
                assert_bits("value", &[*three], &[*one]);
                assert_bits("gradient", three_gradient, one_gradient);
            }
        }
    }
}

/// So that nobody pays for options that are not used, and a weight of 1 means nothing.
#[test]
fn weights_of_1_change_no_bit_of_a_sum() {
    let logits = Random::new(13).uniform_f32(330, -3.0, 3.0);
    let class: Vec<usize> = (0..10).map(|row| row * 3).collect();
    let plain = CrossEntropyOptions { reduction: Reduction::Sum, ..PLAIN };
    let ones = CrossEntropyOptions { weight: Some(&[1.0; 33]), ..plain };
    for cx in contexts() {
        let [a, b] = [plain, ones]
            .map(|options| evaluate(330, |g| cross_entropy(&cx, &options, &logits, &class, g)));
        assert_bits("value", &[b.0], &[a.0]);
        assert_bits("gradient", &b.1, &a.1);
    }
}

#[test]
fn nan_makes_the_loss_nan() {
    for cx in contexts() {
        for index in [0, 16, 39] {
            let mut x = [0.5; 40];
            x[index] = f32::NAN;
            for options in options(&[0.0; 20]) {
                // Also where the weights of all classes are 0.
                assert!(cross_entropy(&cx, &options, &x, &[3, 7], None).unwrap().is_nan());
                let loss = cross_entropy_probabilities(&cx, &options, 20, &x, &[0.5; 40], None);
                assert!(loss.unwrap().is_nan());
            }
        }
        // Nothing to divide by.
        let options = CrossEntropyOptions { weight: Some(&[0.0, 1.0]), ..PLAIN };
        assert!(cross_entropy(&cx, &options, &[0.0, 0.0], &[0], None).unwrap().is_nan());
    }
}

#[test]
fn large_logits_neither_overflow_nor_lose_digits() {
    for cx in contexts() {
        for offset in [-1e6, 1e6] {
            let logits = [offset, offset + 1.0];
            let (value, gradient) = evaluate(2, |g| cross_entropy(&cx, &PLAIN, &logits, &[1], g));
            let (nearer, share) = ((-1.0_f64).exp().ln_1p(), 1.0 / (1.0 + 1.0_f64.exp()));
            assert_close("offset", &[value], &[nearer], &Tolerance::abs_rel(0.0, 1e-6));
            assert_close("offset", &gradient, &[share, -share], &Tolerance::abs_rel(0.0, 1e-6));
        }
        let impossible = [-f32::INFINITY, 0.0, 0.0];
        // Classes without a share do not count, even if they cost infinitely much.
        for weight in [None, Some(&[2.0; 3][..])] {
            let options = CrossEntropyOptions { weight, ..PLAIN };
            let value = cross_entropy(&cx, &options, &impossible, &[1], None).unwrap();
            assert_close("−∞", &[value], &[2.0_f64.ln()], &Tolerance::abs_rel(0.0, 1e-6));
            let value = cross_entropy(&cx, &options, &impossible, &[0], None);
            assert_eq!(value, Ok(f32::INFINITY));
        }
        let options = CrossEntropyOptions { label_smoothing: 0.5, ..PLAIN };
        let value = cross_entropy(&cx, &options, &impossible, &[1], None);
        assert_eq!(value, Ok(f32::INFINITY));
    }
}

/// Weights so small or large that neither they nor their sum may be divided by in `f32`.
#[test]
fn a_mean_does_not_see_the_size_of_the_weights() {
    for size in [1e-42_f32, 1e38] {
        let options = CrossEntropyOptions { weight: Some(&[size; 4]), ..PLAIN };
        let (logits, class) = ([0.0, 1.0, 2.0, 3.0, 3.0, 2.0, 1.0, 0.0], [2, 1]);
        for cx in contexts() {
            let plain = evaluate(8, |g| cross_entropy(&cx, &PLAIN, &logits, &class, g));
            let (value, gradient) =
                evaluate(8, |g| cross_entropy(&cx, &options, &logits, &class, g));
            let tolerance = Tolerance::abs_rel(1e-7, 1e-6);
            assert_close("value", &[value], &[plain.0.into()], &tolerance);
            assert_close("gradient", &gradient, &widen(&plain.1), &tolerance);
        }
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
        let classes = evaluate(30, |g| cross_entropy(&cx, &PLAIN, &logits, &class, g));
        let expected = LossGradient { value: classes.0.into(), gradient: widen(&classes.1) };
        let actual =
            evaluate(30, |g| cross_entropy_probabilities(&cx, &PLAIN, 10, &logits, &target, g));
        let expected = expected.times(3.0);
        Expected { sum: &expected, count: 3, divisor: 3.0, gradient: [1e-7, 1e-6] }
            .check("one-hot", actual);
    }
}

#[test]
fn lengths_that_differ_and_empty_inputs_are_errors() {
    let cx = Context::serial();
    let length = |op, what, found| Err(Error::Length { op, what, expected: 4, found });
    let x = [0.5; 4];
    let op = "cross_entropy";
    let gradient = Some(&mut [0.0; 3][..]);
    assert_eq!(cross_entropy(&cx, &PLAIN, &x, &[0, 1], gradient), length(op, "gradient", 3));
    let classes = |classes, x: &[f32], t: &[f32], gradient: &mut [f32]| {
        cross_entropy_probabilities(&cx, &PLAIN, classes, x, t, Some(gradient))
    };
    let (op, dx) = ("cross_entropy_probabilities", &mut [0.0; 4]);
    assert_eq!(classes(2, &x, &[0.5; 6], dx), length(op, "target", 6));
    assert_eq!(classes(2, &x, &x, &mut dx[..2]), length(op, "gradient", 2));
    for (error, name) in [
        (cross_entropy(&cx, &PLAIN, &x, &[], None), "target"),
        (cross_entropy(&cx, &PLAIN, &[], &[0], None), "logits"),
        (cross_entropy(&cx, &PLAIN, &x, &[0, 0, 0], None), "logits"),
        (classes(0, &x, &x, dx), "classes"),
        (classes(3, &x, &x, dx), "logits"),
        (classes(usize::MAX, &x, &x, dx), "logits"),
        (classes(3, &[], &[], dx), "logits"),
    ] {
        assert!(matches!(&error, Err(Error::Invalid { what, .. }) if *what == name), "{error:?}");
    }
}

#[test]
fn options_without_meaning_are_errors() {
    let cx = Context::serial();
    let both = |options: CrossEntropyOptions<'_>| {
        [
            cross_entropy(&cx, &options, &[0.5; 6], &[1, 2], Some(&mut [0.0; 6])),
            cross_entropy_probabilities(&cx, &options, 3, &[0.5; 6], &[0.5; 6], None),
        ]
    };
    for label_smoothing in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        for error in both(CrossEntropyOptions { label_smoothing, ..PLAIN }) {
            let named = matches!(error, Err(Error::Invalid { what: "label_smoothing", .. }));
            assert!(named, "{error:?}");
        }
    }
    for weight in [&[1.0; 2][..], &[1.0; 4], &[]] {
        for error in both(CrossEntropyOptions { weight: Some(weight), ..PLAIN }) {
            let named = matches!(error, Err(Error::Length { what: "weight", expected: 3, .. }));
            assert!(named, "{error:?}");
        }
    }
    for bad in [-1.0, f32::NAN, f32::INFINITY] {
        for error in both(CrossEntropyOptions { weight: Some(&[1.0, bad, 1.0]), ..PLAIN }) {
            let named = matches!(error, Err(Error::Invalid { what: "weight", .. }));
            assert!(named, "{error:?}");
        }
    }
}

#[test]
fn a_class_that_does_not_exist_is_an_error_that_names_its_row() {
    let error = cross_entropy(&Context::serial(), &PLAIN, &[0.0; 6], &[1, 3], None).unwrap_err();
    let message = "cross_entropy: target must be below the number of classes, \
                   found class 3 of 3 in row 1";
    assert_eq!(error.to_string(), message);
}

//! Dropout on every tier and on one and three threads, against the oracle's random numbers.

use loupe_engine::dropout::{Dropout, dropout, dropout_backward};
use loupe_engine::reference::compare::{Tolerance, assert_bits, assert_close, widen};
use loupe_engine::reference::dropout as oracle;
use loupe_engine::reference::random::Random;
use loupe_engine::{Context, Error, Isa, Threads};
use proptest::prelude::*;

fn contexts() -> impl Iterator<Item = Context> {
    Isa::available().flat_map(|isa| {
        [Threads::serial(), Threads::new(3).unwrap()].map(|threads| Context::new(isa, threads))
    })
}

fn run(cx: &Context, p: f32, key: u64, x: &[f32]) -> Vec<f32> {
    let mut y = vec![f32::NAN; x.len()];
    dropout(cx, &Dropout { p, key }, x, &mut y).unwrap();
    y
}

/// 1 where an element is dropped.
fn mask(key: u64, p: f32, len: usize) -> Vec<f64> {
    let y = run(&Context::serial(), p, key, &vec![1.0; len]);
    y.into_iter().map(|y| if y == 0.0 { 1.0 } else { 0.0 }).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn any_length_agrees_with_the_oracle(
        len in 40_usize..300,
        p in 0.0_f32..0.9,
        key in any::<u64>(),
    ) {
        let x = Random::new(key).uniform_f32(len, 1.0, 2.0);
        let expected = oracle::dropout(p.into(), key, &widen(&x));
        for cx in contexts() {
            // The factor and the product are rounded.
            assert_close("y", &run(&cx, p, key, &x), &expected, &Tolerance::abs_rel(0.0, 2e-7));
        }
    }
}

#[test]
fn short_inputs_and_many_tasks_agree_with_the_oracle() {
    let long = (1 << 17) + 77;
    for len in [1, 2, 15, 16, 17, 33, 63, 64, 65, (1 << 14) - 1, 1 << 14, (1 << 14) + 1, long] {
        let x = Random::new(len as u64).uniform_f32(len, 1.0, 2.0);
        let expected = oracle::dropout(0.25, 9, &widen(&x));
        for cx in contexts() {
            // Not by the comparator, which refuses an output of nothing but zeros.
            for (y, expected) in run(&cx, 0.25, 9, &x).into_iter().zip(&expected) {
                let error = (f64::from(y) - expected).abs();
                assert!(error <= 2e-7 * expected, "{len}: {y}, not {expected}");
            }
        }
    }
}

#[test]
fn tiers_and_threads_do_not_change_a_bit() {
    let x = Random::new(1).uniform_f32((1 << 17) + 5, -1.0, 1.0);
    let first = run(&Context::serial(), 0.4, 1 << 40, &x);
    for cx in contexts() {
        assert_bits("y", &run(&cx, 0.4, 1 << 40, &x), &first);
    }
}

#[test]
fn the_gradient_is_the_same_function_of_dy() {
    let dy = Random::new(2).uniform_f32(1000, -1.0, 1.0);
    for cx in contexts() {
        let mut dx = vec![f32::NAN; 1000];
        dropout_backward(&cx, &Dropout { p: 0.3, key: 4 }, &dy, &mut dx).unwrap();
        assert_bits("dx", &dx, &run(&cx, 0.3, 4, &dy));
    }
}

#[test]
fn probabilities_of_zero_and_one() {
    let x = [1.5, -2.0, f32::INFINITY, f32::MIN_POSITIVE, -0.0];
    for cx in contexts() {
        assert_bits("copy", &run(&cx, 0.0, 7, &x), &x);
        assert_bits("copy", &run(&cx, -0.0, 7, &x), &x);
        assert!(run(&cx, 0.0, 7, &[f32::NAN])[0].is_nan());
        assert_eq!(run(&cx, 1.0, 7, &[1.5; 100]), [0.0; 100]);
        // As in PyTorch, what is dropped is multiplied by 0.
        assert!(run(&cx, 1.0, 7, &[f32::NAN, f32::INFINITY]).iter().all(|y| y.is_nan()));
        // The largest below 1 keeps few elements, each multiplied by 2²⁴.
        let p = 1.0_f32.next_down();
        assert!(run(&cx, p, 7, &[1.0; 1000]).iter().all(|&y| y == 0.0 || y == 16_777_216.0));
    }
}

#[test]
fn the_share_of_zeros_is_p() {
    let len = 1 << 20;
    for p in [0.01, 0.1, 0.5, 0.9] {
        for key in [0, 1, u64::MAX] {
            let share = mask(key, p, len).iter().sum::<f64>() / len as f64;
            let p = f64::from(p);
            let deviation = (p * (1.0 - p) / len as f64).sqrt();
            assert!((share - p).abs() < 4.0 * deviation, "{share}, not {p}");
        }
    }
}

#[test]
fn neighbouring_keys_and_elements_are_independent() {
    let len = 1 << 18;
    let p = 0.5;
    // The correlation of two independent masks has this deviation.
    let deviation = 1.0 / (len as f64).sqrt();
    let correlation = |a: &[f64], b: &[f64]| {
        let products = a.iter().zip(b).map(|(a, b)| (a - 0.5) * (b - 0.5));
        products.sum::<f64>() / (0.25 * a.len() as f64)
    };
    let masks: Vec<Vec<f64>> = [0, 1, 2, 3, 1 << 32, 2 << 32].map(|key| mask(key, p, len)).to_vec();
    for (i, a) in masks.iter().enumerate() {
        for (j, b) in masks[..i].iter().enumerate() {
            let correlation = correlation(a, b);
            assert!(correlation.abs() < 4.5 * deviation, "masks {i} and {j}: {correlation}");
        }
        // Lanes, words and blocks of the generator lie 1, 16 and 64 elements apart, tasks 2¹⁴.
        for distance in [1, 2, 8, 16, 32, 48, 64, 128, 1 << 14] {
            let correlation = correlation(&a[distance..], &a[..len - distance]);
            assert!(correlation.abs() < 4.5 * deviation, "mask {i}, {distance}: {correlation}");
        }
    }
}

#[test]
fn nothing_is_a_valid_input() {
    assert_eq!(run(&Context::serial(), 0.5, 1, &[]), []);
}

#[test]
fn what_does_not_fit_is_an_error() {
    let cx = Context::serial();
    for p in [-0.1, 1.0_f32.next_up(), f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
        for (op, f) in [
            ("dropout", dropout as fn(&_, &_, &_, &mut _) -> _),
            ("dropout_backward", dropout_backward),
        ] {
            let found = p.to_string();
            let error = Error::Invalid { op, what: "p", expected: "from 0 to 1", found };
            assert_eq!(f(&cx, &Dropout { p, key: 0 }, &[1.0], &mut [0.0]), Err(error));
        }
    }
    let half = Dropout { p: 0.5, key: 0 };
    let error = |op, what| Err(Error::Length { op, what, expected: 3, found: 2 });
    assert_eq!(dropout(&cx, &half, &[1.0; 3], &mut [0.0; 2]), error("dropout", "y"));
    let actual = dropout_backward(&cx, &half, &[1.0; 3], &mut [0.0; 2]);
    assert_eq!(actual, error("dropout_backward", "dx"));
}

//! Losses that compare element with element.

use crate::{Expected, REDUCTIONS, contexts, evaluate};
use loupe_engine::loss::{Reduction, bce, bce_with_logits, l1, mse};
use loupe_engine::reference::compare::{Tolerance, assert_bits, assert_close, widen};
use loupe_engine::reference::loss as oracle;
use loupe_engine::reference::random::Random;
use loupe_engine::{Context, Error, Isa, Threads};
use proptest::prelude::*;

type Pointwise = fn(&Context, Reduction, &[f32], &[f32], Option<&mut [f32]>) -> Result<f32, Error>;

const LOSSES: [(&str, Pointwise); 4] =
    [("bce", bce), ("bce_with_logits", bce_with_logits), ("mse", mse), ("l1", l1)];

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
    let expected = [
        (&p, oracle::bce(&wide_p, &wide_t), [0.0, 1e-6]),
        (&x, oracle::bce_with_logits(&wide_x, &wide_t), [3e-7, 1e-6]),
        (&x, oracle::mse(&wide_x, &wide_t), [0.0, 1e-6]),
        (&x, oracle::l1(&wide_x, &wide_t), [0.0, 1e-6]),
    ];
    for ((name, loss), (input, mean, gradient)) in LOSSES.into_iter().zip(expected) {
        let sum = &mean.times(len as f64);
        for cx in contexts() {
            for (reduction, divisor) in [(Reduction::Mean, len as f64), (Reduction::Sum, 1.0)] {
                let actual = evaluate(len, |gradient| loss(&cx, reduction, input, &t, gradient));
                let what = format!("{name} {reduction:?} {:?} {len}", cx.isa());
                Expected { sum, count: len, divisor, gradient }.check(&what, actual);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_length_agrees_with_the_oracle(len in 1_usize..100, seed in any::<u64>()) {
        check_pointwise(len, seed);
    }
}

#[test]
fn sizes_around_vectors_and_blocks_agree_with_the_oracle() {
    for len in [1, 15, 16, 17, 31, 32, 33, 4095, 4096, 4097, 10_000] {
        check_pointwise(len, len as u64);
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    const LEN: usize = (1 << 17) + 10;
    let [p, t] = probabilities(LEN, 9);
    for isa in Isa::available() {
        let [one, three] = [Threads::serial(), Threads::new(3).unwrap()].map(|threads| {
            let cx = Context::new(isa, threads);
            let all = LOSSES.map(|(_, loss)| {
                REDUCTIONS.map(|reduction| evaluate(LEN, |g| loss(&cx, reduction, &p, &t, g)))
            });
            all.concat()
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
        let (value, gradient) = evaluate(5, |gradient| bce(&cx, Reduction::Mean, &p, &t, gradient));
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
            let value = bce(&cx, Reduction::Mean, &[p], &[0.0], None).unwrap();
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
                    let gradient = &mut [0.0; 5001];
                    let error = bce(&cx, Reduction::Sum, &p, &[target; 5001], Some(gradient));
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
    for cx in contexts() {
        for index in [0, 16, 39] {
            let mut x = [0.5; 40];
            x[index] = f32::NAN;
            for (name, loss) in LOSSES {
                for (x, t) in [(x, [0.5; 40]), ([0.5; 40], x)] {
                    for reduction in REDUCTIONS {
                        assert!(loss(&cx, reduction, &x, &t, None).unwrap().is_nan(), "{name}");
                        let mut gradient = [0.0; 40];
                        let value = loss(&cx, reduction, &x, &t, Some(&mut gradient)).unwrap();
                        assert!(value.is_nan(), "{name}");
                        assert!(gradient[index].is_nan() || name == "l1" && gradient == [0.0; 40]);
                    }
                }
            }
        }
    }
}

#[test]
fn the_gradient_of_l1_is_a_sign() {
    let infinity = f32::INFINITY;
    let (x, t) = ([1.0, 2.0, 3.0, 0.0, -infinity, 1e-45], [2.0, 2.0, 2.0, -0.0, 1.0, 0.0]);
    for cx in contexts() {
        let (value, gradient) = evaluate(6, |gradient| l1(&cx, Reduction::Sum, &x, &t, gradient));
        assert_eq!((value, &gradient[..]), (infinity, &[-1.0, 0.0, 1.0, 0.0, -1.0, 1.0][..]));
    }
}

#[test]
fn large_logits_neither_overflow_nor_lose_digits() {
    for cx in contexts() {
        let (x, t) = ([1000.0, -1000.0, 1000.0], [0.0, 1.0, 1.0]);
        let (value, gradient) =
            evaluate(3, |gradient| bce_with_logits(&cx, Reduction::Mean, &x, &t, gradient));
        assert_close("logits", &[value], &[2000.0 / 3.0], &Tolerance::abs_rel(0.0, 1e-6));
        let third = 1.0 / 3.0;
        let tolerance = Tolerance::abs_rel(0.0, 1e-6);
        assert_close("logits", &gradient, &[third, -third, 0.0], &tolerance);
    }
}

#[test]
fn lengths_that_differ_and_empty_inputs_are_errors() {
    let cx = Context::serial();
    let length = |op, what, found| Err(Error::Length { op, what, expected: 4, found });
    let x = [0.5; 4];
    for (op, loss) in LOSSES {
        for reduction in REDUCTIONS {
            assert_eq!(loss(&cx, reduction, &x, &[0.5; 3], None), length(op, "target", 3));
            let gradient = Some(&mut [0.0; 5][..]);
            assert_eq!(loss(&cx, reduction, &x, &x, gradient), length(op, "gradient", 5));
            let error = loss(&cx, reduction, &[], &[], Some(&mut []));
            assert!(matches!(error, Err(Error::Invalid { what: "prediction", .. })), "{error:?}");
        }
    }
}

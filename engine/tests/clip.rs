//! The norm of gradients and the factor that clips them, on every tier and on one and three threads.

use loupe_engine::optim::{Gradient, SgdOptions, clip_factor, gradient_norm, sgd_step};
use loupe_engine::reference::compare::{Tolerance, assert_bits, assert_close, widen};
use loupe_engine::reference::optim::clip_gradient_norm;
use loupe_engine::reference::random::Random;
use loupe_engine::{Context, Error, Isa, Threads};
use proptest::prelude::*;

fn contexts() -> impl Iterator<Item = Context> {
    Isa::available().flat_map(|isa| {
        [Threads::serial(), Threads::new(3).unwrap()].map(|threads| Context::new(isa, threads))
    })
}

/// Clips gradients of these lengths, of which the last is dy · xᵀ, in a step of length 1 from 0.
fn check(lengths: &[usize], [rows, columns]: [usize; 2], max_norm: f64, seed: u64) {
    let mut random = Random::new(seed);
    let dense: Vec<Vec<f32>> =
        lengths.iter().map(|&len| random.uniform_f32(len, -1.0, 1.0)).collect();
    let dy = random.uniform_f32(rows, -1.0, 1.0);
    let x = random.uniform_f32(columns, -1.0, 1.0);
    let mut expected: Vec<Vec<f64>> = dense.iter().map(|part| widen(part)).collect();
    let outer = dy.iter().flat_map(|&dy| x.iter().map(move |&x| f64::from(dy) * f64::from(x)));
    expected.push(outer.collect());
    let norm = clip_gradient_norm(&mut expected, max_norm);
    for cx in contexts() {
        let parts = || {
            let dense = dense.iter().map(|part| Gradient::dense(part));
            dense.chain([Gradient::outer(&dy, &x)])
        };
        let what = format!("{:?} {lengths:?} {rows} × {columns}", cx.isa());
        let found = gradient_norm(&cx, parts());
        assert_close(&what, &[found], &[norm], &Tolerance::abs_rel(0.0, 1e-6));
        let factor = clip_factor(found, max_norm).unwrap();
        let options = SgdOptions { lr: 1.0, ..SgdOptions::default() };
        for (gradient, expected) in parts().zip(&expected) {
            let mut parameters = vec![0.0; expected.len()];
            let mut velocity = parameters.clone();
            let gradient = gradient.scaled(factor);
            sgd_step(&cx, &options, &mut parameters, gradient, &mut velocity).unwrap();
            let expected: Vec<f64> = expected.iter().map(|g| -g).collect();
            assert_close(&what, &parameters, &expected, &Tolerance::abs_rel(0.0, 1e-6));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_parts_agree_with_the_oracle(
        lengths in prop::collection::vec(1_usize..40, 0..4),
        outer in [1_usize..20, 1_usize..20],
        max_norm in 0.01_f64..10.0,
        seed in any::<u64>(),
    ) {
        check(&lengths, outer, max_norm, seed);
    }
}

#[test]
fn lengths_around_vectors_and_blocks_agree_with_the_oracle() {
    for len in [15, 16, 17, 4095, 4096, 4097, 100_000] {
        check(&[len, 3], [len.min(5000), 1], 0.5, len as u64);
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    let gradient = Random::new(3).uniform_f32((1 << 17) + 17, -1.0, 1.0);
    for isa in Isa::available() {
        let [one, three] = [Threads::serial(), Threads::new(3).unwrap()].map(|threads| {
            gradient_norm(&Context::new(isa, threads), [Gradient::dense(&gradient)])
        });
        assert_bits("norm", &[three], &[one]);
    }
}

#[test]
fn large_gradients_do_not_overflow() {
    let largest = Tolerance::abs_rel(0.0, 1e-6);
    for cx in contexts() {
        // The squares are beyond f32, their sum is not beyond f64.
        let gradient = vec![-1e30; 10_000];
        let norm = gradient_norm(&cx, [Gradient::dense(&gradient), Gradient::dense(&[1.0])]);
        assert_close("norm", &[norm], &[1e32], &largest);
        let factor = clip_factor(norm, 2.0).unwrap();
        assert_close("factor", &[factor], &[2e-32], &largest);
        let [dy, x] = [vec![1e25; 100], vec![-1e10; 4]];
        let norm = gradient_norm(&cx, [Gradient::outer(&dy, &x)]);
        assert_close("norm", &[norm], &[2e36], &largest);
        assert_eq!(gradient_norm(&cx, [Gradient::dense(&[f32::MAX; 3])]), f32::INFINITY);
        // The elements of this product are infinite, its factors are not.
        assert_eq!(gradient_norm(&cx, [Gradient::outer(&[1e30; 3], &[1e30])]), f32::INFINITY);
    }
}

#[test]
fn what_is_not_finite_makes_no_factor() {
    let cx = Context::serial();
    for (value, shown) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (-f32::INFINITY, "inf")] {
        for place in [0, 16, 4999] {
            let mut gradient = vec![0.5; 5000];
            gradient[place] = value;
            let parts = [Gradient::dense(&gradient), Gradient::outer(&[0.5], &gradient)];
            for part in parts {
                let norm = gradient_norm(&cx, [Gradient::dense(&[1.0]), part]);
                let error = clip_factor(norm, 1.0).unwrap_err();
                let message = format!("clip_factor: norm must be finite, found {shown}");
                assert_eq!(error.to_string(), message);
            }
        }
    }
    for max_norm in [-1.0, f64::NAN, -f64::INFINITY] {
        let error = clip_factor(1.0, max_norm);
        assert!(matches!(error, Err(Error::Invalid { what: "max_norm", .. })), "{error:?}");
    }
}

#[test]
fn factors_by_hand() {
    assert_eq!(clip_factor(0.5, 1.0), Ok(1.0));
    assert_eq!(clip_factor(0.0, 1.0), Ok(1.0));
    assert_eq!(clip_factor(7.0, f64::INFINITY), Ok(1.0));
    assert_eq!(clip_factor(7.0, 0.0), Ok(0.0));
    // (1 + 1e-6) in the denominator: a norm of just max_norm is scaled too, as in PyTorch.
    assert!(clip_factor(1.0, 1.0).unwrap() < 1.0);
    let cx = Context::serial();
    assert_eq!(gradient_norm(&cx, []), 0.0);
    assert_eq!(gradient_norm(&cx, [Gradient::dense(&[]), Gradient::outer(&[1.0], &[])]), 0.0);
    assert_eq!(gradient_norm(&cx, [Gradient::dense(&[3.0, -4.0]).scaled(-2.0)]), 10.0);
}

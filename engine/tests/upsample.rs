//! Upsampling on every tier and on one and three threads, against the f64 oracle.

use loupe_engine::reference::compare::{Tolerance, assert_bits, assert_close, magnitudes, widen};
use loupe_engine::reference::pool as oracle;
use loupe_engine::reference::random::Random;
use loupe_engine::upsample::*;
use loupe_engine::{Context, Error, Isa, Threads, Tier};
use proptest::prelude::*;

/// y and dx, written over NaN.
fn run(cx: &Context, up: &UpsampleNearest2d, x: &[f32], dy: &[f32]) -> [Vec<f32>; 2] {
    let (mut y, mut dx) = (vec![f32::NAN; dy.len()], vec![f32::NAN; x.len()]);
    upsample_nearest2d(cx, up, x, &mut y).unwrap();
    upsample_nearest2d_backward(cx, up, dy, &mut dx).unwrap();
    [y, dx]
}

fn check(planes: usize, size: [usize; 2], scale: [usize; 2]) {
    let up = UpsampleNearest2d::new(scale, size).unwrap();
    let judge = oracle::Resize2d { planes, size, output_size: up.output_size() };
    let mut random = Random::new(3);
    let x = random.uniform_f32(planes * up.input_len(), -1.0, 1.0);
    let dy = random.uniform_f32(planes * up.output_len(), -1.0, 1.0);
    let y = oracle::upsample_nearest2d(&judge, &widen(&x));
    let backward = |dy: &[f64]| oracle::upsample_nearest2d_backward(&judge, dy);
    let dx = backward(&widen(&dy));
    let sums = backward(&magnitudes(&widen(&dy)));
    let mut fused: Option<[Vec<f32>; 2]> = None;
    for isa in Isa::available() {
        let what = format!("{isa:?} {judge:?}");
        let results = run(&Context::new(isa, Threads::serial()), &up, &x, &dy);
        let threaded = run(&Context::new(isa, Threads::new(3).unwrap()), &up, &x, &dy);
        assert_close(&what, &results[0], &y, &Tolerance::exact());
        assert_close(&what, &results[1], &dx, &Tolerance::rounding(scale[0] * scale[1], &sums));
        let others = fused.iter().flatten().zip(&results);
        for (other, result) in threaded.iter().zip(&results).chain(others) {
            assert_bits(&what, other, result);
        }
        fused = (isa.tier() != Tier::Portable).then_some(results);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn any_size_and_factor(
        planes in 1..5_usize,
        height in 1..9_usize, width in 1..20_usize,
        rows in 1..7_usize, columns in 1..7_usize,
    ) {
        check(planes, [height, width], [rows, columns]);
    }
}

#[test]
fn many_planes_on_three_threads() {
    for scale in [[2, 2], [1, 3], [3, 1], [4, 5]] {
        check(70, [33, 31], scale);
        check(3, [130, 127], scale);
    }
}

#[test]
fn values_by_hand() {
    let up = UpsampleNearest2d::new([2, 3], [1, 2]).unwrap();
    assert_eq!((up.output_size(), up.input_len(), up.output_len()), ([2, 6], 2, 12));
    let dy = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0];
    let [y, dx] = run(&Context::serial(), &up, &[7.0, 8.0], &dy);
    assert_eq!(y, [7.0, 7.0, 7.0, 8.0, 8.0, 8.0, 7.0, 7.0, 7.0, 8.0, 8.0, 8.0]);
    assert_eq!(dx, [66.0, 165.0]);
}

#[test]
fn wrong_lengths_and_numbers_are_errors() {
    let cx = Context::serial();
    let up = UpsampleNearest2d::new([2, 2], [2, 2]).unwrap();
    assert_eq!(run(&cx, &up, &[], &[]), [[], []]);
    let (x, y) = ([0.0; 8], [0.0; 32]);
    let (dx, out) = (&mut x.clone(), &mut y.clone());
    assert_eq!(
        upsample_nearest2d(&cx, &up, &x[1..], out).unwrap_err().to_string(),
        "upsample_nearest2d: x must be a whole number of planes, found 7 elements for planes of 2 by 2"
    );
    let length = |op, what, expected, found| Err(Error::Length { op, what, expected, found });
    let op = "upsample_nearest2d";
    assert_eq!(upsample_nearest2d(&cx, &up, &x, &mut out[1..]), length(op, "y", 32, 31));
    let op = "upsample_nearest2d_backward";
    assert!(upsample_nearest2d_backward(&cx, &up, &y[1..], dx).is_err());
    let found = upsample_nearest2d_backward(&cx, &up, &y, &mut dx[1..]);
    assert_eq!(found, length(op, "dx", 8, 7));

    let numbers = [0, 1, 3, 1 << 20, (1 << 20) + 1, 1 << 32, usize::MAX];
    for a in numbers {
        for b in numbers {
            let allowed = |n| (1..=1 << 20).contains(&n);
            for (scale, size) in [([a, 1], [b, 2]), ([1, a], [2, b]), ([a, b], [2, 3])] {
                assert_eq!(UpsampleNearest2d::new(scale, size).is_ok(), allowed(a) && allowed(b));
            }
        }
    }
    let error = UpsampleNearest2d::new([1 << 20; 2], [1 << 20; 2]).unwrap_err();
    assert_eq!(error, Error::Overflow { op: "upsample_nearest2d", what: "the output" });
    // No planes of an enormous size.
    let up = UpsampleNearest2d::new([1 << 10; 2], [1 << 20; 2]).unwrap();
    assert_eq!(run(&cx, &up, &[], &[]), [[], []]);
}

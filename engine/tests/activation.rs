//! Activations on every tier and on one and three threads, against the f64 oracle.

use loupe_engine::activation::*;
use loupe_engine::reference::activation as oracle;
use loupe_engine::reference::compare::{Tolerance, assert_bits, assert_close, widen};
use loupe_engine::reference::random::Random;
use loupe_engine::{Context, Error, Isa, Threads};
use proptest::prelude::*;

const SLOPE: f32 = 0.02;

fn contexts() -> impl Iterator<Item = Context> {
    Isa::available().flat_map(|isa| {
        [Threads::serial(), Threads::new(3).unwrap()].map(|threads| Context::new(isa, threads))
    })
}

/// What `f` writes over NaN.
fn output(len: usize, f: impl FnOnce(&mut [f32]) -> Result<(), Error>) -> Vec<f32> {
    let mut output = vec![f32::NAN; len];
    f(&mut output).unwrap();
    output
}

/// `len` numbers on both sides of zero, with zeros and a few that saturate a sigmoid among them.
fn inputs(len: usize, seed: u64) -> [Vec<f32>; 2] {
    let mut random = Random::new(seed);
    let mut x = random.uniform_f32(len, -6.0, 6.0);
    for (i, x) in x.iter_mut().enumerate() {
        match i % 11 {
            3 => *x = 0.0,
            5 => *x = -0.0,
            7 => *x *= 30.0,
            _ => {}
        }
    }
    [x, random.uniform_f32(len, -1.0, 1.0)]
}

type Outcome = Result<(), Error>;

fn gelu_exact(cx: &Context, x: &[f32], y: &mut [f32]) -> Outcome {
    gelu(cx, GeluApproximation::None, x, y)
}

fn gelu_tanh(cx: &Context, x: &[f32], y: &mut [f32]) -> Outcome {
    gelu(cx, GeluApproximation::Tanh, x, y)
}

fn gelu_exact_backward(cx: &Context, x: &[f32], dy: &[f32], dx: &mut [f32]) -> Outcome {
    gelu_backward(cx, GeluApproximation::None, x, dy, dx)
}

fn gelu_tanh_backward(cx: &Context, x: &[f32], dy: &[f32], dx: &mut [f32]) -> Outcome {
    gelu_backward(cx, GeluApproximation::Tanh, x, dy, dx)
}

/// Every elementwise function of this module, with its result.
fn results(cx: &Context, x: &[f32], dy: &[f32]) -> [(&'static str, Vec<f32>); 14] {
    let len = x.len();
    let (s, t) = (output(len, |y| sigmoid(cx, x, y)), output(len, |y| tanh(cx, x, y)));
    [
        ("relu", output(len, |y| relu(cx, x, y))),
        ("relu_backward", output(len, |dx| relu_backward(cx, x, dy, dx))),
        ("leaky_relu", output(len, |y| leaky_relu(cx, SLOPE, x, y))),
        ("leaky_relu_backward", output(len, |dx| leaky_relu_backward(cx, SLOPE, x, dy, dx))),
        ("sigmoid_backward", output(len, |dx| sigmoid_backward(cx, &s, dy, dx))),
        ("sigmoid", s),
        ("tanh_backward", output(len, |dx| tanh_backward(cx, &t, dy, dx))),
        ("tanh", t),
        ("silu", output(len, |y| silu(cx, x, y))),
        ("silu_backward", output(len, |dx| silu_backward(cx, x, dy, dx))),
        ("gelu", output(len, |y| gelu_exact(cx, x, y))),
        ("gelu_backward", output(len, |dx| gelu_exact_backward(cx, x, dy, dx))),
        ("gelu by tanh", output(len, |y| gelu_tanh(cx, x, y))),
        ("gelu_backward by tanh", output(len, |dx| gelu_tanh_backward(cx, x, dy, dx))),
    ]
}

fn check(len: usize, seed: u64) {
    let [x, dy] = inputs(len, seed);
    let (wide_x, wide_dy) = (widen(&x), widen(&dy));
    let slope = f64::from(SLOPE);
    // A product with the slope is rounded once. The factor y (1 − y) of the sigmoid's gradient
    // comes from a rounded y, which near 1 loses all digits of 1 − y, but not more than 1 ULP of 1; so
    // does 1 − y² of that of tanh, with an error of y of up to 7 ULP. The other gradients are sums of two
    // terms of the size of 1, which may cancel.
    let (exact, product) = (Tolerance::exact(), Tolerance::abs_rel(0.0, 1e-7));
    let sums = Tolerance::abs_rel(1e-6, 1e-6);
    // In the left tail of GELU each rounding of an exponent counts: x² / 2 of Φ(x), and 2 u of its
    // approximation, which is below 4 + x².
    let tail = |values: &[f64]| {
        let bound =
            |(x, y): (&f64, &f64)| (8.0 + 2.0 * x * x) * f64::from(f32::EPSILON) * y.abs() + 1e-36;
        Tolerance::bound(wide_x.iter().zip(values).map(bound).collect())
    };
    let (gelu, gelu_tanh) = (oracle::gelu(&wide_x), oracle::gelu_tanh(&wide_x));
    let (gelu_tail, gelu_tanh_tail) = (tail(&gelu), tail(&gelu_tanh));
    let expected = [
        (oracle::relu(&wide_x), &exact),
        (oracle::relu_backward(&wide_x, &wide_dy), &exact),
        (oracle::leaky_relu(slope, &wide_x), &product),
        (oracle::leaky_relu_backward(slope, &wide_x, &wide_dy), &product),
        (oracle::sigmoid_backward(&wide_x, &wide_dy), &Tolerance::abs_rel(2e-7, 1e-6)),
        (oracle::sigmoid(&wide_x), &Tolerance::abs_rel(1e-38, 5e-7)),
        (oracle::tanh_backward(&wide_x, &wide_dy), &sums),
        (oracle::tanh(&wide_x), &Tolerance::abs_rel(0.0, 8.5e-7)),
        (oracle::silu(&wide_x), &Tolerance::abs_rel(1e-36, 5e-7)),
        (oracle::silu_backward(&wide_x, &wide_dy), &sums),
        (gelu, &gelu_tail),
        (oracle::gelu_backward(&wide_x, &wide_dy), &sums),
        (gelu_tanh, &gelu_tanh_tail),
        (oracle::gelu_tanh_backward(&wide_x, &wide_dy), &sums),
    ];
    for cx in contexts() {
        for ((what, actual), (expected, tolerance)) in results(&cx, &x, &dy).iter().zip(&expected) {
            assert_close(&format!("{what} {:?} {len}", cx.isa()), actual, expected, tolerance);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_length_agrees_with_the_oracle(len in 2_usize..100, seed in any::<u64>()) {
        check(len, seed);
    }
}

#[test]
fn lengths_around_vectors_and_tasks_agree_with_the_oracle() {
    for len in [2, 15, 16, 17, 31, 32, 33, (1 << 14) - 1, 1 << 14, (1 << 14) + 1] {
        check(len, len as u64);
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    let [x, dy] = inputs((1 << 19) + 17, 5);
    for isa in Isa::available() {
        let one = results(&Context::new(isa, Threads::serial()), &x, &dy);
        let three = results(&Context::new(isa, Threads::new(3).unwrap()), &x, &dy);
        for ((what, one), (_, three)) in one.iter().zip(&three) {
            assert_bits(what, three, one);
        }
    }
}

#[test]
fn tiers_with_fma_agree_to_the_bit() {
    let [x, dy] = inputs(1000, 6);
    let fused = Isa::available().filter(|isa| isa.tier() != loupe_engine::Tier::Portable);
    let all: Vec<_> =
        fused.map(|isa| results(&Context::new(isa, Threads::serial()), &x, &dy)).collect();
    for pair in all.windows(2) {
        for ((what, a), (_, b)) in pair[0].iter().zip(&pair[1]) {
            assert_bits(what, a, b);
        }
    }
}

#[test]
fn slopes_at_zero_are_the_left_ones() {
    let (x, dy) = ([0.0, -0.0, 1.0], [5.0, 7.0, 9.0]);
    for cx in contexts() {
        assert_eq!(output(3, |dx| relu_backward(&cx, &x, &dy, dx)), [0.0, 0.0, 9.0]);
        assert_eq!(output(3, |dx| leaky_relu_backward(&cx, 0.5, &x, &dy, dx)), [2.5, 3.5, 9.0]);
    }
}

#[test]
fn the_output_serves_the_backward_pass_as_well_as_the_input() {
    let [x, dy] = inputs(100, 7);
    for cx in contexts() {
        let y = output(100, |y| relu(&cx, &x, y));
        let by_input = output(100, |dx| relu_backward(&cx, &x, &dy, dx));
        assert_bits("relu", &output(100, |dx| relu_backward(&cx, &y, &dy, dx)), &by_input);
        let y = output(100, |y| leaky_relu(&cx, SLOPE, &x, y));
        let by_input = output(100, |dx| leaky_relu_backward(&cx, SLOPE, &x, &dy, dx));
        let by_output = output(100, |dx| leaky_relu_backward(&cx, SLOPE, &y, &dy, dx));
        assert_bits("leaky_relu", &by_output, &by_input);
    }
}

#[test]
fn sigmoid_saturates_and_nan_passes_through() {
    let x = [-f32::INFINITY, -1e30, -200.0, 200.0, 1e30, f32::INFINITY, f32::NAN];
    let nan = [f32::NAN; 17];
    for cx in contexts() {
        let y = output(7, |y| sigmoid(&cx, &x, y));
        assert_eq!(y[..6], [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
        assert!(y[6].is_nan());
        let dx = output(7, |dx| sigmoid_backward(&cx, &y, &[1.0; 7], dx));
        assert_eq!(dx[..6], [0.0; 6]);
        assert!(output(17, |y| relu(&cx, &nan, y)).iter().all(|y| y.is_nan()));
        assert!(output(17, |y| leaky_relu(&cx, SLOPE, &nan, y)).iter().all(|y| y.is_nan()));
    }
}

#[test]
fn the_left_tail_of_gelu_keeps_its_digits() {
    let x: Vec<f32> = (0..120).map(|i| -(i as f32) / 10.0 - 1.0).collect();
    let x: Vec<f32> = x.into_iter().filter(|&x| x > -10.0).collect();
    for isa in Isa::available() {
        let cx = Context::new(isa, Threads::serial());
        for (approximation, oracle) in [
            (GeluApproximation::None, oracle::gelu as fn(&[f64]) -> Vec<f64>),
            (GeluApproximation::Tanh, oracle::gelu_tanh),
        ] {
            let y = output(x.len(), |y| gelu(&cx, approximation, &x, y));
            // 2 u of the approximation reaches 87 in what remains of f32's range, of which 1 ULP is 1e-7.
            let tolerance = Tolerance::abs_rel(1e-37, 1.2e-5);
            assert_close(
                &format!("{approximation:?} {isa:?}"),
                &y,
                &oracle(&widen(&x)),
                &tolerance,
            );
        }
    }
}

#[test]
fn the_smallest_numbers_pass_through_tanh() {
    let x = [1e-45, -1e-45, 1e-38, 1e-20, -1e-10, -0.0];
    for cx in contexts() {
        assert_bits("tanh", &output(6, |y| tanh(&cx, &x, y)), &x);
    }
}

#[test]
fn numbers_at_the_ends_of_the_range_have_limits() {
    let big = [f32::MAX, f32::MIN, 1e20, -1e20, 200.0, -200.0];
    let infinite = [f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
    for cx in contexts() {
        let forward = |f: fn(&Context, &[f32], &mut [f32]) -> Outcome| {
            let y = output(6, |y| f(&cx, &big, y));
            let ends = output(3, |y| f(&cx, &infinite, y));
            (y, ends)
        };
        let (y, ends) = forward(tanh);
        assert_eq!(y, [1.0, -1.0, 1.0, -1.0, 1.0, -1.0]);
        assert!(ends[..2] == [1.0, -1.0] && ends[2].is_nan());
        for f in [silu, gelu_exact, gelu_tanh] {
            let (y, ends) = forward(f);
            assert_eq!(y, [f32::MAX, 0.0, 1e20, 0.0, 200.0, 0.0]);
            // As in PyTorch, −∞ · 0 is NaN.
            assert!(ends[0] == f32::INFINITY && ends[1].is_nan() && ends[2].is_nan());
        }
        for f in [silu_backward, gelu_exact_backward, gelu_tanh_backward] {
            let dx = output(6, |dx| f(&cx, &big, &[2.0; 6], dx));
            assert_eq!(dx, [2.0, 0.0, 2.0, 0.0, 2.0, 0.0]);
            let ends = output(3, |dx| f(&cx, &infinite, &[1.0; 3], dx));
            assert!(ends.iter().all(|dx| dx.is_nan()), "{ends:?}");
        }
    }
}

#[test]
fn nothing_is_a_valid_input() {
    let cx = Context::serial();
    assert_eq!(relu(&cx, &[], &mut []), Ok(()));
    assert_eq!(sigmoid_backward(&cx, &[], &[], &mut []), Ok(()));
    assert_eq!(gelu_backward(&cx, GeluApproximation::None, &[], &[], &mut []), Ok(()));
}

#[test]
fn lengths_that_differ_are_errors() {
    let cx = Context::serial();
    let (x, short) = ([1.0; 3], [1.0; 2]);
    let (out, few) = (&mut [0.0; 3], &mut [0.0; 2]);
    let error = |op, what, found| Err(Error::Length { op, what, expected: 3, found });
    assert_eq!(relu(&cx, &x, few), error("relu", "y", 2));
    assert_eq!(relu_backward(&cx, &x, &short, out), error("relu_backward", "dy", 2));
    assert_eq!(relu_backward(&cx, &x, &x, few), error("relu_backward", "dx", 2));
    assert_eq!(leaky_relu(&cx, 0.1, &x, few), error("leaky_relu", "y", 2));
    let op = "leaky_relu_backward";
    assert_eq!(leaky_relu_backward(&cx, 0.1, &x, &short, out), error(op, "dy", 2));
    assert_eq!(leaky_relu_backward(&cx, 0.1, &x, &x, few), error(op, "dx", 2));
    assert_eq!(sigmoid(&cx, &x, few), error("sigmoid", "y", 2));
    assert_eq!(sigmoid_backward(&cx, &x, &short, out), error("sigmoid_backward", "dy", 2));
    assert_eq!(sigmoid_backward(&cx, &x, &x, few), error("sigmoid_backward", "dx", 2));
    assert_eq!(tanh(&cx, &x, few), error("tanh", "y", 2));
    assert_eq!(tanh_backward(&cx, &x, &short, out), error("tanh_backward", "dy", 2));
    assert_eq!(tanh_backward(&cx, &x, &x, few), error("tanh_backward", "dx", 2));
    assert_eq!(silu(&cx, &x, few), error("silu", "y", 2));
    assert_eq!(silu_backward(&cx, &x, &short, out), error("silu_backward", "dy", 2));
    assert_eq!(silu_backward(&cx, &x, &x, few), error("silu_backward", "dx", 2));
    for approximation in [GeluApproximation::None, GeluApproximation::Tanh] {
        assert_eq!(gelu(&cx, approximation, &x, few), error("gelu", "y", 2));
        let op = "gelu_backward";
        assert_eq!(gelu_backward(&cx, approximation, &x, &short, out), error(op, "dy", 2));
        assert_eq!(gelu_backward(&cx, approximation, &x, &x, few), error(op, "dx", 2));
    }
}

//! Pooling on every tier and on one and three threads, against the f64 oracle.

use loupe_engine::pool::*;
use loupe_engine::reference::compare::{Tolerance, assert_bits, assert_close, magnitudes, widen};
use loupe_engine::reference::pool as oracle;
use loupe_engine::reference::random::Random;
use loupe_engine::{Context, Error, Isa, Threads, Tier};
use proptest::prelude::*;

/// What `f` writes over NaN.
fn output(len: usize, f: impl FnOnce(&mut [f32]) -> Result<(), Error>) -> Vec<f32> {
    let mut output = vec![f32::NAN; len];
    f(&mut output).unwrap();
    output
}

/// Calls `f` on every tier, and checks that three threads and the tiers with one rounding give the bits of
/// its results. Returns those of each tier.
fn on_all(three: &Threads, f: impl Fn(&Context) -> [Vec<f32>; 2]) -> Vec<[Vec<f32>; 2]> {
    let mut all: Vec<(Tier, [Vec<f32>; 2])> = Vec::new();
    for isa in Isa::available() {
        let results = f(&Context::new(isa, Threads::serial()));
        let threaded = f(&Context::new(isa, three.clone()));
        for (threaded, serial) in threaded.iter().zip(&results) {
            assert_bits("three threads", threaded, serial);
        }
        for (tier, others) in &all {
            if *tier != Tier::Portable {
                for (other, result) in others.iter().zip(&results) {
                    assert_bits("tiers", result, other);
                }
            }
        }
        all.push((isa.tier(), results));
    }
    all.into_iter().map(|(_, results)| results).collect()
}

/// Windows on so many planes.
#[derive(Clone, Debug)]
struct Problem {
    planes: usize,
    size: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    dilation: [usize; 2],
    seed: u64,
}

impl Problem {
    fn oracle(&self) -> oracle::Pool2d {
        oracle::Pool2d {
            planes: self.planes,
            size: self.size,
            kernel: self.kernel,
            stride: self.stride,
            padding: self.padding,
            dilation: self.dilation,
        }
    }

    fn max_options(&self) -> MaxPool2dOptions {
        MaxPool2dOptions {
            kernel_size: self.kernel,
            stride: self.stride,
            padding: self.padding,
            dilation: self.dilation,
        }
    }

    /// x of few different values, so that windows have several largest ones, and dy.
    fn check_max(&self, three: &Threads) {
        let pool = MaxPool2d::new(self.max_options(), self.size).unwrap();
        let judge = self.oracle();
        assert_eq!(pool.output_size(), judge.output_size());
        let mut random = Random::new(self.seed);
        let mut x = random.whole_f32(self.planes * pool.input_len(), 3);
        for x in &mut x {
            match random.below(12) {
                0 => *x = f32::NEG_INFINITY,
                1 => *x = f32::INFINITY,
                2 => *x = -0.0,
                _ => {}
            }
        }
        // Whole numbers: their sums are exact.
        let dy = random.whole_f32(self.planes * pool.output_len(), 100);
        let y = oracle::max_pool2d(&judge, &widen(&x));
        let dx = oracle::max_pool2d_backward(&judge, &widen(&x), &widen(&dy));
        for results in on_all(three, |cx| {
            [
                output(dy.len(), |y| max_pool2d(cx, &pool, &x, y)),
                output(x.len(), |dx| max_pool2d_backward(cx, &pool, &x, &dy, dx)),
            ]
        }) {
            assert_close(&format!("y {self:?}"), &results[0], &y, &Tolerance::exact());
            assert_close(&format!("dx {self:?}"), &results[1], &dx, &Tolerance::exact());
        }
    }

    /// A sum of as many terms as a window has pixels, and a division; in the gradient as many as there are
    /// windows over a pixel, each divided.
    fn check_average(&self, count_include_pad: bool, three: &Threads) {
        let Problem { kernel: kernel_size, stride, padding, .. } = *self;
        let options = AvgPool2dOptions { kernel_size, stride, padding, count_include_pad };
        let pool = AvgPool2d::new(options, self.size).unwrap();
        let judge = oracle::Pool2d { dilation: [1, 1], ..self.oracle() };
        assert_eq!(pool.output_size(), judge.output_size());
        let mut random = Random::new(self.seed);
        let x = random.uniform_f32(self.planes * pool.input_len(), -1.0, 1.0);
        let dy = random.uniform_f32(self.planes * pool.output_len(), -1.0, 1.0);
        let forward = |x: &[f64]| oracle::avg_pool2d(&judge, count_include_pad, x);
        let backward = |dy: &[f64]| oracle::avg_pool2d_backward(&judge, count_include_pad, dy);
        let terms = kernel_size[0] * kernel_size[1] + 1;
        check_linear([&x, &dy], [&forward, &backward], terms, &format!("{self:?}"), || {
            on_all(three, |cx| {
                [
                    output(dy.len(), |y| avg_pool2d(cx, &pool, &x, y)),
                    output(x.len(), |dx| avg_pool2d_backward(cx, &pool, &dy, dx)),
                ]
            })
        });
    }
}

/// What the oracle makes of a tensor.
type Function<'a> = &'a dyn Fn(&[f64]) -> Vec<f64>;

/// Compares the results for each tier, of x and of dy, with what the functions make of them.
fn check_linear(
    inputs: [&[f32]; 2],
    functions: [Function<'_>; 2],
    terms: usize,
    what: &str,
    results: impl FnOnce() -> Vec<[Vec<f32>; 2]>,
) {
    let expected = [0, 1].map(|i| {
        let wide = widen(inputs[i]);
        let bound = functions[i](&magnitudes(&wide));
        (functions[i](&wide), Tolerance::rounding(terms, &bound))
    });
    for results in results() {
        for (result, (expected, tolerance)) in results.iter().zip(&expected) {
            assert_close(what, result, expected, tolerance);
        }
    }
}

fn check_adaptive(planes: usize, size: [usize; 2], output_size: [usize; 2], three: &Threads) {
    let pool = AdaptiveAvgPool2d::new(size, output_size).unwrap();
    assert_eq!((pool.input_size(), pool.output_size()), (size, output_size));
    let judge = oracle::Resize2d { planes, size, output_size };
    let mut random = Random::new(7);
    let x = random.uniform_f32(planes * pool.input_len(), -1.0, 1.0);
    let dy = random.uniform_f32(planes * pool.output_len(), -1.0, 1.0);
    // Pixels under a window, or windows over a pixel.
    let most = |from: usize, to: usize| from.div_ceil(to) + 1;
    let terms = |from: [usize; 2], to: [usize; 2]| most(from[0], to[0]) * most(from[1], to[1]);
    let terms = terms(size, output_size).max(terms(output_size, size)) + 1;
    let forward = |x: &[f64]| oracle::adaptive_avg_pool2d(&judge, x);
    let backward = |dy: &[f64]| oracle::adaptive_avg_pool2d_backward(&judge, dy);
    check_linear([&x, &dy], [&forward, &backward], terms, &format!("{judge:?}"), || {
        on_all(three, |cx| {
            [
                output(dy.len(), |y| adaptive_avg_pool2d(cx, &pool, &x, y)),
                output(x.len(), |dx| adaptive_avg_pool2d_backward(cx, &pool, &dy, dx)),
            ]
        })
    });
}

/// Any windows that fit, with padding of at most half the kernel.
fn problems() -> impl Strategy<Value = Problem> {
    let pair = |range: std::ops::Range<usize>| [range.clone(), range];
    let planes = prop_oneof![1..4_usize, 15..18_usize, 31..34_usize];
    (planes, pair(1..20), pair(1..6), pair(1..4), pair(1..4), pair(0..3), any::<u64>()).prop_map(
        |(planes, size, kernel, stride, dilation, padding, seed)| {
            let mut problem = Problem { planes, size, kernel, stride, padding, dilation, seed };
            for axis in [0, 1] {
                let extent =
                    |problem: &Problem| (problem.kernel[axis] - 1) * problem.dilation[axis] + 1;
                problem.padding[axis] = problem.padding[axis].min(problem.kernel[axis] / 2);
                problem.size[axis] = problem.size[axis]
                    .max(extent(&problem).saturating_sub(2 * problem.padding[axis]));
            }
            problem
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn any_windows(problem in problems(), count_include_pad in any::<bool>()) {
        let three = Threads::new(3).unwrap();
        problem.check_max(&three);
        problem.check_average(count_include_pad, &three);
    }

    #[test]
    fn any_adaptive_sizes(
        planes in prop_oneof![1..4_usize, 15..18_usize],
        height in 1..20_usize, width in 1..20_usize,
        out_height in 1..12_usize, out_width in 1..24_usize,
    ) {
        let three = Threads::new(3).unwrap();
        check_adaptive(planes, [height, width], [out_height, out_width], &three);
        check_adaptive(planes, [height, width], [1, 1], &three);
    }
}

/// Planes of several bands, units and tasks.
#[test]
fn large_problems_on_three_threads() {
    let three = Threads::new(3).unwrap();
    let plain = |planes, size, kernel, stride, padding| Problem {
        planes,
        size: [size, size],
        kernel: [kernel, kernel],
        stride: [stride, stride],
        padding: [padding, padding],
        dilation: [1, 1],
        seed: 11,
    };
    for problem in [
        plain(40, 112, 3, 2, 1),
        plain(333, 24, 2, 2, 0),
        plain(100, 65, 5, 1, 2),
        plain(33, 70, 2, 3, 0),
        plain(17, 90, 40, 7, 20),
        Problem { dilation: [9, 3], ..plain(35, 66, 3, 1, 1) },
        // Pixels before the plane, of which the next lies far within.
        Problem { dilation: [4, 6], padding: [2, 1], ..plain(20, 50, 4, 1, 0) },
        Problem { size: [3, 1100], ..plain(20, 0, 2, 2, 1) },
    ] {
        problem.check_max(&three);
        problem.check_average(false, &three);
    }
    for (planes, size, output) in [
        (700, [8, 8], [1, 1]),
        (40, [112, 100], [1, 1]),
        (40, [112, 100], [7, 5]),
        (40, [90, 60], [89, 61]),
        (20, [3, 2], [150, 90]),
    ] {
        check_adaptive(planes, size, output, &three);
    }
}

/// A dilated window may meet nothing but padding.
#[test]
fn windows_of_padding_alone_are_minus_infinity_and_give_nothing() {
    let options =
        MaxPool2dOptions { padding: [1, 0], dilation: [4, 1], ..MaxPool2dOptions::new([2, 1]) };
    let pool = MaxPool2d::new(options, [3, 1]).unwrap();
    assert_eq!(pool.output_size(), [1, 1]);
    for isa in Isa::available() {
        let cx = Context::new(isa, Threads::serial());
        assert_eq!(output(1, |y| max_pool2d(&cx, &pool, &[3.0; 3], y)), [f32::NEG_INFINITY]);
        let dx = output(3, |dx| max_pool2d_backward(&cx, &pool, &[3.0; 3], &[5.0], dx));
        assert_eq!(dx, [0.0; 3]);
    }
}

#[test]
fn nan_wins_and_the_last_one_gets_the_gradient() {
    let nan = f32::NAN;
    let pool = MaxPool2d::new(MaxPool2dOptions::new([2, 2]), [2, 6]).unwrap();
    let x = [1.0, nan, nan, nan, f32::INFINITY, 2.0, 3.0, nan, 2.0, 3.0, nan, 4.0];
    for isa in Isa::available() {
        let cx = Context::new(isa, Threads::serial());
        let y = output(3, |y| max_pool2d(&cx, &pool, &x, y));
        assert!(y.iter().all(|y| y.is_nan()), "{isa:?} {y:?}");
        let dx = output(12, |dx| max_pool2d_backward(&cx, &pool, &x, &[1.0, 2.0, 3.0], dx));
        let expected = [0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 3.0, 0.0];
        assert_eq!(dx, expected, "{isa:?}");
        let pool = AvgPool2d::new(AvgPool2dOptions::new([2, 3]), [2, 6]).unwrap();
        assert!(output(2, |y| avg_pool2d(&cx, &pool, &x, y)).iter().all(|y| y.is_nan()));
    }
}

/// A window of all pixels takes another way, which knows the divisor too.
#[test]
fn padding_counts_in_a_window_of_all_pixels() {
    let options = AvgPool2dOptions { padding: [1, 1], ..AvgPool2dOptions::new([4, 4]) };
    let cx = Context::serial();
    let pool = AvgPool2d::new(options, [2, 2]).unwrap();
    assert_eq!(output(1, |y| avg_pool2d(&cx, &pool, &[4.0; 4], y)), [1.0]);
    assert_eq!(output(4, |dx| avg_pool2d_backward(&cx, &pool, &[4.0], dx)), [0.25; 4]);
    let pool =
        AvgPool2d::new(AvgPool2dOptions { count_include_pad: false, ..options }, [2, 2]).unwrap();
    assert_eq!(output(1, |y| avg_pool2d(&cx, &pool, &[4.0; 4], y)), [4.0]);
    assert_eq!(output(4, |dx| avg_pool2d_backward(&cx, &pool, &[4.0], dx)), [1.0; 4]);
}

#[test]
fn no_planes_are_a_valid_input() {
    let cx = Context::serial();
    let max = MaxPool2d::new(MaxPool2dOptions::new([2, 2]), [4, 4]).unwrap();
    assert_eq!(max_pool2d(&cx, &max, &[], &mut []), Ok(()));
    assert_eq!(max_pool2d_backward(&cx, &max, &[], &[], &mut []), Ok(()));
    for output in [[1, 1], [2, 2]] {
        let pool = AdaptiveAvgPool2d::new([4, 4], output).unwrap();
        assert_eq!(adaptive_avg_pool2d(&cx, &pool, &[], &mut []), Ok(()));
        assert_eq!(adaptive_avg_pool2d_backward(&cx, &pool, &[], &mut []), Ok(()));
    }
}

#[test]
fn wrong_lengths_are_errors() {
    let cx = Context::serial();
    let (x, y) = ([0.0; 32], [0.0; 8]);
    let (dx, out) = (&mut x.clone(), &mut y.clone());
    let length = |op, what, expected, found| Err(Error::Length { op, what, expected, found });
    let is_invalid = |result: Result<(), Error>, expected: &str| {
        assert_eq!(result.unwrap_err().to_string(), expected);
    };

    let max = MaxPool2d::new(MaxPool2dOptions::new([2, 2]), [4, 4]).unwrap();
    is_invalid(
        max_pool2d(&cx, &max, &x[1..], out),
        "max_pool2d: x must be a whole number of planes, found 31 elements for planes of 4 by 4",
    );
    assert_eq!(max_pool2d(&cx, &max, &x, &mut out[1..]), length("max_pool2d", "y", 8, 7));
    let op = "max_pool2d_backward";
    assert!(max_pool2d_backward(&cx, &max, &x[1..], &y, dx).is_err());
    assert_eq!(max_pool2d_backward(&cx, &max, &x, &y[1..], dx), length(op, "dy", 8, 7));
    assert_eq!(max_pool2d_backward(&cx, &max, &x, &y, &mut dx[1..]), length(op, "dx", 32, 31));

    let avg = AvgPool2d::new(AvgPool2dOptions::new([2, 2]), [4, 4]).unwrap();
    assert!(avg_pool2d(&cx, &avg, &x[1..], out).is_err());
    assert_eq!(avg_pool2d(&cx, &avg, &x, &mut out[1..]), length("avg_pool2d", "y", 8, 7));
    let op = "avg_pool2d_backward";
    assert!(avg_pool2d_backward(&cx, &avg, &y[1..], dx).is_err());
    assert_eq!(avg_pool2d_backward(&cx, &avg, &y, &mut dx[1..]), length(op, "dx", 32, 31));

    for (size, len) in [([2, 2], 8), ([1, 1], 2)] {
        let pool = AdaptiveAvgPool2d::new([4, 4], size).unwrap();
        let out = &mut out[..len];
        assert!(adaptive_avg_pool2d(&cx, &pool, &x[1..], out).is_err());
        let op = "adaptive_avg_pool2d";
        let found = adaptive_avg_pool2d(&cx, &pool, &x, &mut out[1..]);
        assert_eq!(found, length(op, "y", len, len - 1));
        let op = "adaptive_avg_pool2d_backward";
        let found = adaptive_avg_pool2d_backward(&cx, &pool, &y[..len], &mut dx[1..]);
        assert_eq!(found, length(op, "dx", 32, 31));
    }
}

/// Numbers that no plane has are errors: no panic, no huge allocation.
#[test]
fn hostile_numbers_are_errors() {
    let numbers = [0, 1, 3, 1 << 20, (1 << 20) + 1, 1 << 32, usize::MAX / 2, usize::MAX];
    for a in numbers {
        for b in numbers {
            let ok = MaxPool2dOptions::new([3, 3]);
            for options in [
                MaxPool2dOptions { kernel_size: [a, b], ..ok },
                MaxPool2dOptions { stride: [a, b], ..ok },
                MaxPool2dOptions { padding: [a, b], ..ok },
                MaxPool2dOptions { dilation: [a, b], ..ok },
                MaxPool2dOptions { kernel_size: [a, a], padding: [b, b], ..ok },
                MaxPool2dOptions { kernel_size: [a, a], dilation: [b, b], padding: [a, b], ..ok },
            ] {
                for size in [[5, 5], [a, b]] {
                    let _ = MaxPool2d::new(options, size);
                    let MaxPool2dOptions { kernel_size, stride, padding, .. } = options;
                    let count_include_pad = false;
                    let options =
                        AvgPool2dOptions { kernel_size, stride, padding, count_include_pad };
                    let _ = AvgPool2d::new(options, size);
                }
            }
            for (size, output) in [([a, b], [5, 5]), ([5, 5], [a, b]), ([a, 1], [1, b])] {
                let _ = AdaptiveAvgPool2d::new(size, output);
            }
        }
    }
    let text = |result: Result<MaxPool2d, Error>| result.unwrap_err().to_string();
    let options = MaxPool2dOptions::new([1 << 10, 1]);
    assert_eq!(
        text(MaxPool2d::new(options, [1 << 11, 1 << 10])),
        "max_pool2d: a row of windows must be at most 2^20 pixels, found 1049600"
    );
    let options = MaxPool2dOptions::new([3, 3]);
    assert!(text(MaxPool2d::new(options, [2, 5])).contains("no larger than the padded image"));
    assert!(text(MaxPool2d::new(options, [0, 5])).contains("an image size must be at least 1"));
    // The mean of everything has no such limit.
    let pool = AdaptiveAvgPool2d::new([1 << 20, 1 << 20], [1, 1]).unwrap();
    assert_eq!(pool.input_len(), 1 << 40);
}

//! Softmax and its logarithm on every tier and on one and three threads, against the f64 oracle.

use loupe_engine::activation::*;
use loupe_engine::reference::compare::{Tolerance, assert_bits, assert_close, widen};
use loupe_engine::reference::random::Random;
use loupe_engine::reference::softmax as oracle;
use loupe_engine::{Context, Error, Isa, Threads, Tier};
use proptest::prelude::*;

type Dims = [usize; 3];
type Forward = fn(&Context, &Softmax, &[f32], &mut [f32]) -> Result<(), Error>;
type Backward = fn(&Context, &Softmax, &[f32], &[f32], &mut [f32]) -> Result<(), Error>;

fn contexts() -> impl Iterator<Item = Context> {
    Isa::available().flat_map(|isa| {
        [Threads::serial(), Threads::new(3).unwrap()].map(|threads| Context::new(isa, threads))
    })
}

fn sizes([outer, classes, inner]: Dims) -> Softmax {
    Softmax { outer, classes, inner }
}

fn forward(f: Forward, cx: &Context, dims: Dims, x: &[f32]) -> Vec<f32> {
    let mut y = vec![f32::NAN; x.len()];
    f(cx, &sizes(dims), x, &mut y).unwrap();
    y
}

fn backward(f: Backward, cx: &Context, dims: Dims, y: &[f32], dy: &[f32]) -> Vec<f32> {
    let mut dx = vec![f32::NAN; y.len()];
    f(cx, &sizes(dims), y, dy, &mut dx).unwrap();
    dx
}

/// y and dx of softmax and of its logarithm. The gradients are computed from the given outputs.
fn results(cx: &Context, dims: Dims, x: &[f32], [y, log_y, dy]: [&[f32]; 3]) -> [Vec<f32>; 4] {
    [
        forward(softmax, cx, dims, x),
        backward(softmax_backward, cx, dims, y, dy),
        forward(log_softmax, cx, dims, x),
        backward(log_softmax_backward, cx, dims, log_y, dy),
    ]
}

fn inputs(dims: Dims, seed: u64) -> [Vec<f32>; 4] {
    let mut random = Random::new(seed);
    let len = dims.iter().product();
    let x = random.uniform_f32(len, -9.0, 9.0);
    let narrow = |values: Vec<f64>| values.into_iter().map(|v| v as f32).collect::<Vec<f32>>();
    let y = narrow(oracle::softmax(dims, &widen(&x)));
    let log_y = narrow(oracle::log_softmax(dims, &widen(&x)));
    [x, y, log_y, random.uniform_f32(len, -1.0, 1.0)]
}

fn check(dims: Dims, seed: u64) {
    let [x, y, log_y, dy] = inputs(dims, seed);
    let [wide_x, wide_y, wide_log_y, wide_dy] = [&x, &y, &log_y, &dy].map(|t| widen(t));
    // A sum of `classes` terms is rounded as often, and exponentials of differences up to 18 are 2 ULP
    // and the rounding of the difference off, which is 1e-6 of the result. Where the gradient's two terms
    // cancel, the sum's rounding is left: at most classes · ε · max dy · y.
    let ulps = (8 + dims[1]) as f64 * f64::from(f32::EPSILON);
    let forward = Tolerance::abs_rel(0.0, 1e-6 + ulps);
    let logs = Tolerance::abs_rel(1e-6 + ulps, 1e-6);
    let gradient =
        |scale: &[f64]| Tolerance::bound(scale.iter().map(|scale| ulps * scale + 1e-36).collect());
    let by_y = gradient(&wide_y);
    // Here the sum is at most `classes`, and is rounded as often before eʸ multiplies it.
    let classes = dims[1] as f64;
    let by_log: Vec<f64> = wide_log_y.iter().map(|y| 0.25 + classes * y.exp()).collect();
    let by_log = gradient(&by_log);
    let expected = [
        ("y", oracle::softmax(dims, &wide_x), &forward),
        ("dx", oracle::softmax_backward(dims, &wide_y, &wide_dy), &by_y),
        ("log y", oracle::log_softmax(dims, &wide_x), &logs),
        ("log dx", oracle::log_softmax_backward(dims, &wide_log_y, &wide_dy), &by_log),
    ];
    for cx in contexts() {
        let all = results(&cx, dims, &x, [&y, &log_y, &dy]);
        for (actual, (what, expected, tolerance)) in all.iter().zip(&expected) {
            assert_close(&format!("{what} {:?} {dims:?}", cx.isa()), actual, expected, tolerance);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn any_size_agrees_with_the_oracle(
        outer in 1_usize..40,
        classes in 2_usize..70,
        inner in prop_oneof![Just(1), 1_usize..20],
        seed in any::<u64>(),
    ) {
        check([outer, classes, inner], seed);
    }
}

#[test]
fn every_way_agrees_with_the_oracle() {
    // Turned rows with and without a rest, of which fewer than four are not turned; long rows; items;
    // columns of large items, with a rest, and items of one row of columns.
    for dims in [
        [1, 10, 1],
        [3, 10, 1],
        [4, 10, 1],
        [16, 10, 1],
        [18, 10, 1],
        [37, 64, 1],
        [5000, 3, 1],
        [1, 65, 1],
        [20, 1000, 1],
        [2, 20_000, 1],
        [9, 7, 15],
        [5, 10, 129],
        [40, 21, 100],
        [2, 21, 1000],
        [1, 2, 9000],
        [3, 130, 130],
        [1, 17_000, 2],
    ] {
        check(dims, dims.iter().sum::<usize>() as u64);
    }
}

#[test]
fn one_class_is_certain() {
    for cx in contexts() {
        for dims in [[20, 1, 1], [2, 1, 20], [1, 1, 20_000]] {
            let x = Random::new(3).uniform_f32(dims.iter().product(), -9.0, 9.0);
            assert!(forward(softmax, &cx, dims, &x).iter().all(|&y| y == 1.0));
            assert!(forward(log_softmax, &cx, dims, &x).iter().all(|&y| y == 0.0));
            let ones = vec![1.0; x.len()];
            assert!(backward(softmax_backward, &cx, dims, &ones, &x).iter().all(|&dx| dx == 0.0));
        }
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    for dims in [[9000, 10, 1], [700, 100, 1], [100, 10, 49], [1, 21, 9000], [3, 40, 1000]] {
        let [x, y, log_y, dy] = inputs(dims, 11);
        for isa in Isa::available() {
            let [one, three] = [Threads::serial(), Threads::new(3).unwrap()]
                .map(|threads| results(&Context::new(isa, threads), dims, &x, [&y, &log_y, &dy]));
            for (one, three) in one.iter().zip(&three) {
                assert_bits(&format!("{dims:?}"), three, one);
            }
        }
    }
}

#[test]
fn tiers_with_fma_agree_to_the_bit() {
    for dims in [[35, 10, 1], [7, 100, 1], [4, 10, 21]] {
        let [x, y, log_y, dy] = inputs(dims, 12);
        let fused = Isa::available().filter(|isa| isa.tier() != Tier::Portable);
        let all: Vec<_> = fused
            .map(|isa| results(&Context::new(isa, Threads::serial()), dims, &x, [&y, &log_y, &dy]))
            .collect();
        for pair in all.windows(2) {
            for (a, b) in pair[0].iter().zip(&pair[1]) {
                assert_bits(&format!("{dims:?}"), a, b);
            }
        }
    }
}

/// Lines of `classes`, one for each of the given ones, in every layout: of few and of many classes, turned
/// or not, and beside each other.
fn layouts(lines: &[Vec<f32>], mut f: impl FnMut(Dims, &[f32], &dyn Fn(usize, usize) -> usize)) {
    let classes = lines[0].len();
    for copies in [1, 20] {
        let all: Vec<&Vec<f32>> = lines.iter().cycle().take(lines.len() * copies).collect();
        let count = all.len();
        let rows: Vec<f32> = all.iter().flat_map(|line| line.iter().copied()).collect();
        f([count, classes, 1], &rows, &|line, class| line * classes + class);
        let columns: Vec<f32> =
            (0..classes).flat_map(|class| all.iter().map(move |line| line[class])).collect();
        f([1, classes, count], &columns, &|line, class| class * count + line);
    }
}

#[test]
fn extreme_lines_are_those_of_pytorch() {
    let (infinity, nan) = (f32::INFINITY, f32::NAN);
    for classes in [3, 100] {
        let line = |first: [f32; 3], rest: f32| {
            let mut line = vec![rest; classes];
            line[..3].copy_from_slice(&first);
            line
        };
        // The first three of each are finite ones, the others give NaN.
        let lines = [
            line([3e38, -3e38, 0.0], -3e38),
            line([-infinity, 7.0, -infinity], -infinity),
            line([-1e4, -1e4, -1e4 - 200.0], -2e4),
            line([nan, 0.0, 1.0], 2.0),
            line([infinity, 0.0, 1.0], 2.0),
            line([-infinity, -infinity, -infinity], -infinity),
        ];
        let expected = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.5, 0.5, 0.0]];
        let log = -std::f32::consts::LN_2;
        let expected_log =
            [[0.0, -infinity, -3e38], [-infinity, 0.0, -infinity], [log, log, log - 200.0]];
        for cx in contexts() {
            layouts(&lines, |dims, x, at| {
                let (y, log_y) =
                    (forward(softmax, &cx, dims, x), forward(log_softmax, &cx, dims, x));
                for line in 0..lines.len() {
                    for class in 0..3 {
                        let (y, log_y) = (y[at(line, class)], log_y[at(line, class)]);
                        if line < 3 {
                            assert_eq!(y, expected[line][class], "{dims:?} {line} {class}");
                            assert_eq!(log_y, expected_log[line][class], "{dims:?} {line} {class}");
                        } else {
                            assert!(y.is_nan() && log_y.is_nan(), "{dims:?} {line} {class}");
                        }
                    }
                }
            });
        }
    }
}

#[test]
fn sizes_of_zero_are_empty_tensors() {
    let max = usize::MAX;
    for cx in contexts() {
        for dims in [[0, 10, 1], [5, 0, 1], [5, 10, 0], [0, max, max], [max, 0, max], [max, max, 0]]
        {
            let dims = sizes(dims);
            assert_eq!(softmax(&cx, &dims, &[], &mut []), Ok(()));
            assert_eq!(log_softmax_backward(&cx, &dims, &[], &[], &mut []), Ok(()));
        }
    }
}

#[test]
fn sizes_and_lengths_that_do_not_fit_are_errors() {
    let cx = Context::serial();
    let max = usize::MAX;
    for dims in [[max, 2, 1], [2, max, 1], [1, 2, max], [1 << 33, 1 << 33, 1], [max, max, max]] {
        let dims = sizes(dims);
        let error = |op| Err(Error::Overflow { op, what: "x" });
        assert_eq!(softmax(&cx, &dims, &[], &mut []), error("softmax"));
        assert_eq!(softmax_backward(&cx, &dims, &[], &[], &mut []), error("softmax_backward"));
        assert_eq!(log_softmax(&cx, &dims, &[], &mut []), error("log_softmax"));
        let op = "log_softmax_backward";
        assert_eq!(log_softmax_backward(&cx, &dims, &[], &[], &mut []), error(op));
    }
    for dims in [[2, 3, 1], [1, 3, 2], [1, 1, 6]] {
        let dims = sizes(dims);
        let (whole, short) = ([0.0; 6], [0.0; 5]);
        let (out, few) = (&mut [0.0; 6], &mut [0.0; 5]);
        let error = |op, what| Err(Error::Length { op, what, expected: 6, found: 5 });
        for (op, f) in [("softmax", softmax as Forward), ("log_softmax", log_softmax)] {
            assert_eq!(f(&cx, &dims, &short, out), error(op, "x"));
            assert_eq!(f(&cx, &dims, &whole, few), error(op, "y"));
        }
        for (op, f) in [
            ("softmax_backward", softmax_backward as Backward),
            ("log_softmax_backward", log_softmax_backward),
        ] {
            assert_eq!(f(&cx, &dims, &short, &whole, out), error(op, "y"));
            assert_eq!(f(&cx, &dims, &whole, &short, out), error(op, "dy"));
            assert_eq!(f(&cx, &dims, &whole, &whole, few), error(op, "dx"));
        }
    }
    let huge = Softmax { outer: 1 << 40, classes: 10, inner: 1 };
    let found = Err(Error::Length { op: "softmax", what: "x", expected: 10 << 40, found: 0 });
    assert_eq!(softmax(&cx, &huge, &[], &mut []), found);
}

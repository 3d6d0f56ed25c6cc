//! Any numbers as a pooling, an upsampling or a padding: refused, or, if planes are small, computed; and if the
//! windows are small too, as the oracle does.

use crate::Taken;
use crate::number::{Number, get, poison};
use arbitrary::Arbitrary;
use loupe_engine::pad::{Pad2d, PaddingMode, pad2d, pad2d_backward};
use loupe_engine::pool::*;
use loupe_engine::reference::compare::{Tolerance, assert_close, magnitudes, widen};
use loupe_engine::reference::pad as pad_oracle;
use loupe_engine::reference::pool as oracle;
use loupe_engine::reference::random::Random;
use loupe_engine::upsample::{UpsampleNearest2d, upsample_nearest2d, upsample_nearest2d_backward};
use loupe_engine::{Context, Error, Isa, Threads};

/// Planes of more pixels in all are not computed.
const MAX_LEN: usize = 40_000;
/// The oracle does not look at more.
const MAX_LOOKS: usize = 1_000_000;

/// Which operation.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Kind {
    /// Maximum pooling.
    Max,
    /// Average pooling.
    Average {
        /// Whether padding counts.
        count_include_pad: bool,
    },
    /// Adaptive average pooling, to the size `window`.
    Adaptive,
    /// Upsampling, by the factors `window`.
    Upsample,
    /// Padding by this mode of four.
    Pad(u8),
}

/// An operation on planes.
#[derive(Arbitrary, Debug)]
pub struct Problem {
    kind: Kind,
    planes: u8,
    size: [Number; 2],
    window: [Number; 2],
    stride: [Number; 2],
    padding: [Number; 4],
    dilation: [Number; 2],
    seed: u64,
}

enum Geometry {
    Max(MaxPool2d),
    Average(AvgPool2d),
    Adaptive(AdaptiveAvgPool2d),
    Upsample(UpsampleNearest2d),
    Pad(Pad2d, pad_oracle::Padding, [usize; 4]),
}

/// What the oracle finds: y, dx and how far they may be off.
type Expected = [(Vec<f64>, Tolerance); 2];

impl Geometry {
    fn new(problem: &Problem) -> Result<Geometry, Error> {
        let [size, kernel_size, stride, dilation] =
            [problem.size, problem.window, problem.stride, problem.dilation].map(|n| get(&n));
        let sides = get(&problem.padding);
        let padding = [sides[0], sides[2]];
        Ok(match problem.kind {
            Kind::Max => {
                let options = MaxPool2dOptions { kernel_size, stride, padding, dilation };
                Geometry::Max(MaxPool2d::new(options, size)?)
            }
            Kind::Average { count_include_pad } => {
                let options = AvgPool2dOptions { kernel_size, stride, padding, count_include_pad };
                Geometry::Average(AvgPool2d::new(options, size)?)
            }
            Kind::Adaptive => Geometry::Adaptive(AdaptiveAvgPool2d::new(size, kernel_size)?),
            Kind::Upsample => Geometry::Upsample(UpsampleNearest2d::new(kernel_size, size)?),
            Kind::Pad(mode) => {
                let (mode, judge) = [
                    (PaddingMode::Zeros, pad_oracle::Padding::Zeros),
                    (PaddingMode::Reflect, pad_oracle::Padding::Reflect),
                    (PaddingMode::Replicate, pad_oracle::Padding::Replicate),
                    (PaddingMode::Circular, pad_oracle::Padding::Circular),
                ][usize::from(mode % 4)];
                Geometry::Pad(Pad2d::new(mode, size, sides)?, judge, sides)
            }
        })
    }

    /// Pixels of a plane before and behind it.
    fn lens(&self) -> [usize; 2] {
        match self {
            Geometry::Max(pool) => [pool.input_len(), pool.output_len()],
            Geometry::Average(pool) => [pool.input_len(), pool.output_len()],
            Geometry::Adaptive(pool) => [pool.input_len(), pool.output_len()],
            Geometry::Upsample(up) => [up.input_len(), up.output_len()],
            Geometry::Pad(pad, ..) => {
                [pad.input_size(), pad.output_size()].map(|[height, width]| height * width)
            }
        }
    }

    fn run(&self, cx: &Context, x: &[f32], dy: &[f32]) -> Result<[Vec<f32>; 2], Error> {
        let (mut y, mut dx) = (poison(dy.len()), poison(x.len()));
        match self {
            Geometry::Max(pool) => {
                max_pool2d(cx, pool, x, &mut y)?;
                max_pool2d_backward(cx, pool, x, dy, &mut dx)?;
            }
            Geometry::Average(pool) => {
                avg_pool2d(cx, pool, x, &mut y)?;
                avg_pool2d_backward(cx, pool, dy, &mut dx)?;
            }
            Geometry::Adaptive(pool) => {
                adaptive_avg_pool2d(cx, pool, x, &mut y)?;
                adaptive_avg_pool2d_backward(cx, pool, dy, &mut dx)?;
            }
            Geometry::Upsample(up) => {
                upsample_nearest2d(cx, up, x, &mut y)?;
                upsample_nearest2d_backward(cx, up, dy, &mut dx)?;
            }
            Geometry::Pad(pad, ..) => {
                pad2d(cx, pad, x, &mut y)?;
                pad2d_backward(cx, pad, dy, &mut dx)?;
            }
        }
        Ok([y, dx])
    }

    /// Of whole numbers: but for means, every sum is exact.
    fn judge(&self, planes: usize, x: &[f64], dy: &[f64]) -> Option<Expected> {
        let exact = |y, dx| [(y, Tolerance::exact()), (dx, Tolerance::exact())];
        let looks = |each: usize| dy.len().saturating_mul(each) <= MAX_LOOKS;
        match self {
            Geometry::Max(pool) => {
                let o = pool.options();
                let judge = windows(planes, pool.input_size(), o.kernel_size, o.stride, o.padding);
                let judge = oracle::Pool2d { dilation: o.dilation, ..judge };
                looks(area(o.kernel_size)).then(|| {
                    assert_eq!(pool.output_size(), judge.output_size());
                    let dx = oracle::max_pool2d_backward(&judge, x, dy);
                    exact(oracle::max_pool2d(&judge, x), dx)
                })
            }
            Geometry::Average(pool) => {
                let o = pool.options();
                let judge = windows(planes, pool.input_size(), o.kernel_size, o.stride, o.padding);
                looks(area(o.kernel_size)).then(|| {
                    assert_eq!(pool.output_size(), judge.output_size());
                    let forward = |x: &[f64]| oracle::avg_pool2d(&judge, o.count_include_pad, x);
                    let backward =
                        |dy: &[f64]| oracle::avg_pool2d_backward(&judge, o.count_include_pad, dy);
                    rounded(area(o.kernel_size) + 1, (&forward, x), (&backward, dy))
                })
            }
            Geometry::Adaptive(pool) => {
                let (size, output_size) = (pool.input_size(), pool.output_size());
                let judge = oracle::Resize2d { planes, size, output_size };
                // Pixels of a window, and windows over a pixel.
                let most = |axis: usize| {
                    let [n, m] = [size[axis], output_size[axis]];
                    n.max(m) / n.min(m) + 2
                };
                let terms = most(0).saturating_mul(most(1)) + 1;
                looks(terms).then(|| {
                    let forward = |x: &[f64]| oracle::adaptive_avg_pool2d(&judge, x);
                    let backward = |dy: &[f64]| oracle::adaptive_avg_pool2d_backward(&judge, dy);
                    rounded(terms, (&forward, x), (&backward, dy))
                })
            }
            Geometry::Upsample(up) => {
                let (size, output_size) = (up.input_size(), up.output_size());
                let judge = oracle::Resize2d { planes, size, output_size };
                let dx = oracle::upsample_nearest2d_backward(&judge, dy);
                Some(exact(oracle::upsample_nearest2d(&judge, x), dx))
            }
            Geometry::Pad(pad, mode, padding) => {
                let (size, mode, padding) = (pad.input_size(), *mode, *padding);
                let judge = pad_oracle::PadDims { planes, size, padding, mode };
                assert_eq!(pad.output_size(), judge.out_size());
                let dx = pad_oracle::pad2d_backward(&judge, dy);
                Some(exact(pad_oracle::pad2d(&judge, x), dx))
            }
        }
    }
}

fn area([height, width]: [usize; 2]) -> usize {
    height.saturating_mul(width)
}

fn windows(
    planes: usize,
    size: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
) -> oracle::Pool2d {
    oracle::Pool2d { planes, size, kernel, stride, padding, dilation: [1, 1] }
}

type Linear<'a> = (&'a dyn Fn(&[f64]) -> Vec<f64>, &'a [f64]);

/// Sums of so many terms, each divided.
fn rounded(terms: usize, forward: Linear<'_>, backward: Linear<'_>) -> Expected {
    [forward, backward].map(|(of, values)| {
        let tolerance = Tolerance::rounding(terms, &of(&magnitudes(values)));
        (of(values), tolerance)
    })
}

/// Computes the operation and its gradient.
pub fn run(problem: &Problem) -> Taken {
    let geometry = Geometry::new(problem).ok()?;
    let planes = usize::from(problem.planes % 20);
    let lens = geometry.lens();
    if lens.iter().any(|len| len.saturating_mul(planes.max(1)) > MAX_LEN) {
        return None;
    }
    let mut random = Random::new(problem.seed);
    let [x, dy] = lens.map(|len| random.whole_f32(planes * len, 4));
    let expected = geometry.judge(planes, &widen(&x), &widen(&dy));
    for isa in Isa::available() {
        let cx = Context::new(isa, Threads::serial());
        let found = geometry.run(&cx, &x, &dy).expect("all lengths are right");
        for (found, (expected, tolerance)) in found.iter().zip(expected.iter().flatten()) {
            // The comparator refuses to call nothing equal.
            if !expected.is_empty() {
                assert_close(&format!("{:?} on {isa:?}", problem.kind), found, expected, tolerance);
            }
        }
    }
    Some(())
}

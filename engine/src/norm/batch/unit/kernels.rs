//! The loops over the values of a unit.

use super::{UnitConstants, UnitGradient, UnitLayout, UnitNorm};
use crate::moments::{lane_moments, moments};
use crate::norm::run::{Gradient, gradient_sums, normalise};
use crate::simd::{Kernel, LANES, Simd, fold, load, store, update_fold};

impl UnitNorm {
    /// The number of runs of values that have the same constants, and their length.
    #[inline(always)]
    fn runs(&self) -> (usize, usize) {
        match self.layout {
            UnitLayout::Rows => (self.channels, self.spatial),
            UnitLayout::Blocks => (self.channels / LANES, self.spatial.saturating_mul(LANES)),
        }
    }

    /// The constants of run `run`: those of one channel, or of 16.
    #[inline(always)]
    fn constant<S: Simd>(&self, simd: S, values: &[f32], run: usize) -> S::Vector {
        match self.layout {
            UnitLayout::Rows => simd.splat(values[run]),
            UnitLayout::Blocks => load(simd, &values[run * LANES..]),
        }
    }

    /// Writes the sums of a run's lanes: their sum, or those of 16 channels.
    #[inline(always)]
    fn put<S: Simd>(&self, simd: S, sums: S::Vector, run: usize, out: &mut [f32]) {
        match self.layout {
            UnitLayout::Rows => out[run] = simd.sum(sums),
            UnitLayout::Blocks => store(simd, sums, &mut out[run * LANES..]),
        }
    }
}

pub(super) struct Moments<'a> {
    pub(super) unit: &'a UnitNorm,
    pub(super) x: &'a [f32],
    pub(super) means: &'a mut [f32],
    pub(super) squares: &'a mut [f32],
}

impl Kernel for Moments<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Moments { unit, x, means, squares } = self;
        let (runs, len) = unit.runs();
        for run in 0..runs {
            let x = &x[run * len..][..len];
            match unit.layout {
                UnitLayout::Rows => (means[run], squares[run]) = moments(simd, x),
                UnitLayout::Blocks => {
                    let range = run * LANES..(run + 1) * LANES;
                    lane_moments(simd, x, &mut means[range.clone()], &mut squares[range]);
                }
            }
        }
    }
}

pub(super) struct AddSums<'a> {
    pub(super) unit: &'a UnitNorm,
    pub(super) x: &'a [f32],
    pub(super) sums: &'a mut [f32],
}

impl Kernel for AddSums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let AddSums { unit, x, sums } = self;
        let (runs, len) = unit.runs();
        for run in 0..runs {
            let [sum] = fold(
                simd,
                [&x[run * len..][..len]],
                #[inline(always)]
                |[sum], [x]| [simd.add(sum, x)],
            );
            match unit.layout {
                UnitLayout::Rows => sums[run] += simd.sum(sum),
                UnitLayout::Blocks => {
                    let sums = &mut sums[run * LANES..];
                    store(simd, simd.add(load(simd, sums), sum), sums);
                }
            }
        }
    }
}

pub(super) struct Normalize<'a> {
    pub(super) unit: &'a UnitNorm,
    pub(super) x: &'a [f32],
    pub(super) constants: UnitConstants<'a>,
    pub(super) y: &'a mut [f32],
}

impl Kernel for Normalize<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Normalize { unit, x, constants: UnitConstants { mean, scale, bias }, y } = self;
        let (runs, len) = unit.runs();
        for run in 0..runs {
            let constants = [mean, scale, bias].map(|values| unit.constant(simd, values, run));
            let y = &mut y[run * len..][..len];
            normalise(simd, &x[run * len..][..len], constants, y);
        }
    }
}

pub(super) struct Sums<'a> {
    pub(super) unit: &'a UnitNorm,
    pub(super) x: &'a [f32],
    pub(super) dy: &'a [f32],
    pub(super) mean: &'a [f32],
    pub(super) sums: &'a mut [f32],
    pub(super) products: &'a mut [f32],
}

impl Kernel for Sums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Sums { unit, x, dy, mean, sums, products } = self;
        let (runs, len) = unit.runs();
        for run in 0..runs {
            let mean = unit.constant(simd, mean, run);
            let [sum, product] =
                gradient_sums(simd, [x, dy].map(|values| &values[run * len..][..len]), mean);
            unit.put(simd, sum, run, sums);
            unit.put(simd, product, run, products);
        }
    }
}

pub(super) struct InputGradient<'a> {
    pub(super) unit: &'a UnitNorm,
    pub(super) x: &'a [f32],
    pub(super) gradient: UnitGradient<'a>,
    pub(super) negative_slope: f32,
    pub(super) dy: &'a mut [f32],
    pub(super) sums: &'a mut [f32],
}

impl Kernel for InputGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let InputGradient { unit, x, gradient, negative_slope, dy, sums } = self;
        let UnitGradient { mean, scale, average, steepness } = gradient;
        let of = Gradient { mean, scale, average, steepness };
        let slope = simd.splat(negative_slope);
        let (runs, len) = unit.runs();
        for run in 0..runs {
            let of = of.each(
                #[inline(always)]
                |values| unit.constant(simd, values, run),
            );
            let [sum] = update_fold(
                simd,
                [&x[run * len..][..len]],
                [&mut dy[run * len..][..len]],
                #[inline(always)]
                |[sum], [x], [dy]| {
                    let dx = of.input(simd, slope, [x, dy]);
                    ([simd.add(sum, dx)], [dx])
                },
            );
            unit.put(simd, sum, run, sums);
        }
    }
}

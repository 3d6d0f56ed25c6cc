//! Batch normalisation: each channel by its values over the batch and all positions.
//!
//! Source: S. Ioffe, C. Szegedy, "Batch Normalization: Accelerating Deep Network Training by
//! Reducing Internal Covariate Shift" (2015), in the form of PyTorch's page "BatchNorm2d":
//! normalisation by the *biased* variance (divisor: count), running statistics of the *unbiased*
//! one (divisor: count - 1).
//!
//! The kernels see x `[N, C, H·W]` as *runs* of contiguous values: the H·W values of one channel of
//! one image or, where H·W is less than a vector, the C·H·W values of one image, each of which is a
//! *column* with constants of its own.

mod backward;
mod statistics;
mod sums;
mod unit;

pub use backward::{
    BatchNormBackward, BatchNormGradients, batch_norm_backward, batch_norm_backward_running,
};
pub use statistics::{batch_statistics, update_running_statistics};
pub use unit::{
    UnitConstants, UnitGradient, UnitLayout, UnitNorm, gradient_constants, scales, sum_units,
};

use super::columns::{self, spread};
use super::run::{normalise, normalised};
use super::{Affine, TASK, check_eps};
use crate::buffer::with_scratch;
use crate::error::expect_len;
use crate::simd::{Kernel, Simd, map};
use crate::{Context, Error};

/// A batch normalisation of x `[N, C, spatial]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchNorm {
    /// N.
    pub batch: usize,
    /// C.
    pub channels: usize,
    /// H · W; 1 for plain rows of features.
    pub spatial: usize,
    /// Added to the variance.
    pub eps: f32,
}

/// What to normalise by: a batch's own mean and variance, or the running ones.
#[derive(Clone, Copy, Debug)]
pub struct Statistics<'a> {
    /// `[C]`
    pub mean: &'a [f32],
    /// `[C]`; biased where it describes a batch, unbiased where it is running.
    pub variance: &'a [f32],
}

impl BatchNorm {
    /// Values per channel and elements of x.
    fn sizes(&self, op: &'static str) -> Result<(usize, usize), Error> {
        let count = self.batch.checked_mul(self.spatial);
        count
            .and_then(|count| Some((count, count.checked_mul(self.channels)?)))
            .ok_or(Error::Overflow { op, what: "x" })
    }

    fn check_channels(
        &self,
        op: &'static str,
        tensors: &[(&'static str, usize)],
    ) -> Result<(), Error> {
        tensors.iter().try_for_each(|&(what, len)| expect_len(op, what, self.channels, len))
    }

    /// Whether a run is an image, and its values are columns.
    #[inline(always)]
    fn has_columns(&self) -> bool {
        columns::are_lanes(self.spatial)
    }

    /// The number of columns; only where x is not empty.
    fn columns(&self) -> usize {
        self.channels * self.spatial
    }

    /// The length of a run; not 0 unless x is empty.
    #[inline(always)]
    fn run(&self) -> usize {
        if self.has_columns() { self.columns() } else { self.spatial }
    }

    /// The number of runs of a task.
    fn runs_per_task(&self) -> usize {
        (TASK / self.run()).max(1)
    }

    /// The channels of run `first` and all that follow it, where there are no columns.
    #[inline(always)]
    fn channels_from(&self, first: usize) -> impl Iterator<Item = usize> + use<> {
        let channels = self.channels;
        (first % channels..channels).chain((0..channels).cycle())
    }
}

/// y `[N, C, spatial]` = (x - mean) / √(variance + eps) · weight + bias, per channel.
///
/// The caller chooses the mode by the statistics: the batch's own, from [`batch_statistics`], or the
/// running ones. x - mean is rounded before it is scaled, so an offset that x and the mean share
/// costs no digits.
///
/// # Errors
/// [`Error::Length`], [`Error::Overflow`], and [`Error::Invalid`] if eps is not a number of at least
/// 0.
pub fn batch_norm(
    cx: &Context,
    norm: &BatchNorm,
    x: &[f32],
    statistics: Statistics<'_>,
    affine: Affine<'_>,
    y: &mut [f32],
) -> Result<(), Error> {
    let op = "batch_norm";
    let (_, len) = norm.sizes(op)?;
    expect_len(op, "x", len, x.len())?;
    expect_len(op, "y", len, y.len())?;
    let Statistics { mean, variance } = statistics;
    let Affine { weight, bias } = affine;
    norm.check_channels(
        op,
        &[
            ("mean", mean.len()),
            ("variance", variance.len()),
            ("weight", weight.len()),
            ("bias", bias.len()),
        ],
    )?;
    check_eps(op, norm.eps)?;
    if len == 0 {
        return Ok(());
    }
    let runs = norm.runs_per_task();
    let chunk = runs * norm.run();
    let space = if norm.has_columns() { 3 * norm.columns() } else { 0 };
    with_scratch(norm.channels + space, |scratch| {
        let (scale, space) = scratch.split_at_mut(norm.channels);
        for c in 0..norm.channels {
            scale[c] = weight[c] / (variance[c] + norm.eps).sqrt();
        }
        let mut constants = [mean, scale, bias];
        if norm.has_columns() {
            let spaces = space.chunks_exact_mut(norm.columns());
            for (constant, space) in constants.iter_mut().zip(spaces) {
                *constant = spread(constant, norm.spatial, space);
            }
        }
        cx.threads().for_each_chunk(len.div_ceil(chunk), 2 * len, [(y, chunk)], |task, [y]| {
            let x = &x[task * chunk..][..y.len()];
            cx.isa().run(Normalise { norm, first: task * runs, x, constants, y });
        });
    });
    Ok(())
}

/// y = (x - mean) · scale + bias for whole runs from number `first` on.
struct Normalise<'a> {
    norm: &'a BatchNorm,
    first: usize,
    x: &'a [f32],
    /// Mean, scale, bias of each channel or column.
    constants: [&'a [f32]; 3],
    y: &'a mut [f32],
}

impl Kernel for Normalise<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Normalise { norm, first, x, constants, y } = self;
        let runs = x.chunks_exact(norm.run()).zip(y.chunks_exact_mut(norm.run()));
        if norm.has_columns() {
            let [mean, scale, bias] = constants;
            for (x, y) in runs {
                map(
                    simd,
                    [x, mean, scale, bias],
                    y,
                    #[inline(always)]
                    |v| normalised(simd, v),
                );
            }
        } else {
            for ((x, y), c) in runs.zip(norm.channels_from(first)) {
                normalise(simd, x, constants.map(|values| simd.splat(values[c])), y);
            }
        }
    }
}

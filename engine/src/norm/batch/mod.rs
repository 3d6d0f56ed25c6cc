//! Batch normalisation: each channel by its values over the batch and all positions.
//!
//! Source: S. Ioffe, C. Szegedy, "Batch Normalization: Accelerating Deep Network Training by
//! Reducing Internal Covariate Shift" (2015), in the form of PyTorch's page "BatchNorm2d":
//! normalisation by the *biased* variance (divisor: count), running statistics of the *unbiased*
//! one (divisor: count - 1).
//!
//! The kernels see x `[N, C, H·W]` as *runs* of contiguous values: the H·W values of one channel of
//! one image or, where H·W is 1, the C values of one image.

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

    /// The length of a run; not 0 unless x is empty.
    fn run(&self) -> usize {
        if self.spatial == 1 { self.channels } else { self.spatial }
    }

    /// The number of runs of a task.
    fn runs_per_task(&self) -> usize {
        (TASK / self.run()).max(1)
    }

    /// The channels of run `first` and all that follow it, where H·W is not 1.
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
    with_scratch(norm.channels, |scale| {
        for c in 0..norm.channels {
            scale[c] = weight[c] / (variance[c] + norm.eps).sqrt();
        }
        let scale = &*scale;
        cx.threads().for_each_chunk(len.div_ceil(chunk), 2 * len, [(y, chunk)], |task, [y]| {
            let x = &x[task * chunk..][..y.len()];
            let first = task * runs;
            cx.isa().run(Normalise { norm, first, x, mean, scale, bias, y });
        });
    });
    Ok(())
}

/// y = (x - mean) · scale + bias for whole runs from number `first` on.
struct Normalise<'a> {
    norm: &'a BatchNorm,
    first: usize,
    x: &'a [f32],
    mean: &'a [f32],
    scale: &'a [f32],
    bias: &'a [f32],
    y: &'a mut [f32],
}

impl Kernel for Normalise<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Normalise { norm, first, x, mean, scale, bias, y } = self;
        let runs = x.chunks_exact(norm.run()).zip(y.chunks_exact_mut(norm.run()));
        if norm.spatial == 1 {
            for (x, y) in runs {
                map(
                    simd,
                    [x, mean, scale, bias],
                    y,
                    #[inline(always)]
                    |[x, mean, scale, bias]| simd.mul_add(simd.sub(x, mean), scale, bias),
                );
            }
        } else {
            for ((x, y), c) in runs.zip(norm.channels_from(first)) {
                let [mean, scale, bias] = [mean[c], scale[c], bias[c]].map(|v| simd.splat(v));
                map(
                    simd,
                    [x],
                    y,
                    #[inline(always)]
                    |[x]| simd.mul_add(simd.sub(x, mean), scale, bias),
                );
            }
        }
    }
}

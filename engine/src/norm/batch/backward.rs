//! Gradients of batch normalisation.

use super::sums::channel_sums;
use super::{BatchNorm, Statistics};
use crate::buffer::with_scratch;
use crate::error::{expect_len, expect_values_per_channel};
use crate::norm::{check_eps, sum_rows};
use crate::simd::{Kernel, Simd, update, update_fold};
use crate::{Context, Error};

/// What the gradients are computed from.
#[derive(Clone, Copy, Debug)]
pub struct BatchNormBackward<'a> {
    /// The input of the normalisation, `[N, C, spatial]`.
    pub x: &'a [f32],
    /// The gradient by its output, `[N, C, spatial]`.
    pub dy: &'a [f32],
    /// What x was normalised by.
    pub statistics: Statistics<'a>,
    /// `[C]`
    pub weight: &'a [f32],
    /// The slope, at least 0, of the LeakyReLU whose output x is. Then dx is the gradient by the
    /// *input* of the LeakyReLU: the normalisation's own, times the slope where x ≤ 0. (As x > 0 where
    /// and only where that input is, the input itself is not needed.) 0 is a ReLU.
    pub negative_slope: Option<f32>,
}

/// Where the gradients go. All are overwritten.
#[derive(Debug)]
pub struct BatchNormGradients<'a> {
    /// `[N, C, spatial]`
    pub dx: &'a mut [f32],
    /// `[C]`
    pub dweight: &'a mut [f32],
    /// `[C]`
    pub dbias: &'a mut [f32],
    /// `[C]`: Σ dx of each channel, if wanted. It is the gradient by the bias of a convolution whose
    /// output, or whose LeakyReLU's output, x is.
    pub dx_sums: Option<&'a mut [f32]>,
}

/// Gradients of [`batch_norm`](super::batch_norm) by x's own statistics, mean and variance being
/// differentiated as functions of x. With z = (x - mean) / √(variance + eps), per channel:
/// dbias = Σ dy, dweight = Σ dy · z,
/// dx = weight / √(variance + eps) · (dy - dbias / count - z · dweight / count),
/// where count = N · spatial.
///
/// # Errors
/// [`Error::Invalid`] if there are fewer than two values per channel, the slope is negative or NaN,
/// or eps is not a number of at least 0; [`Error::Length`], [`Error::Overflow`].
pub fn batch_norm_backward(
    cx: &Context,
    norm: &BatchNorm,
    inputs: BatchNormBackward<'_>,
    gradients: BatchNormGradients<'_>,
) -> Result<(), Error> {
    let op = "batch_norm_backward";
    let count = check(op, norm, &inputs, &gradients)?;
    expect_values_per_channel(op, count)?;
    backward(cx, norm, inputs, gradients, 1.0 / count as f32);
    Ok(())
}

/// Gradients of [`batch_norm`](super::batch_norm) by statistics that do not depend on x. With
/// z = (x - mean) / √(variance + eps), per channel: dbias = Σ dy, dweight = Σ dy · z,
/// dx = dy · weight / √(variance + eps).
///
/// # Errors
/// As [`batch_norm_backward`], but any number of values per channel will do.
pub fn batch_norm_backward_running(
    cx: &Context,
    norm: &BatchNorm,
    inputs: BatchNormBackward<'_>,
    gradients: BatchNormGradients<'_>,
) -> Result<(), Error> {
    check("batch_norm_backward_running", norm, &inputs, &gradients)?;
    backward(cx, norm, inputs, gradients, 0.0);
    Ok(())
}

/// The number of values per channel.
fn check(
    op: &'static str,
    norm: &BatchNorm,
    inputs: &BatchNormBackward<'_>,
    gradients: &BatchNormGradients<'_>,
) -> Result<usize, Error> {
    let (count, len) = norm.sizes(op)?;
    expect_len(op, "x", len, inputs.x.len())?;
    expect_len(op, "dy", len, inputs.dy.len())?;
    expect_len(op, "dx", len, gradients.dx.len())?;
    norm.check_channels(
        op,
        &[
            ("mean", inputs.statistics.mean.len()),
            ("variance", inputs.statistics.variance.len()),
            ("weight", inputs.weight.len()),
            ("dweight", gradients.dweight.len()),
            ("dbias", gradients.dbias.len()),
            ("dx_sums", gradients.dx_sums.as_ref().map_or(norm.channels, |sums| sums.len())),
        ],
    )?;
    check_eps(op, norm.eps)?;
    match inputs.negative_slope {
        Some(slope) if slope.is_nan() || slope < 0.0 => Err(Error::Invalid {
            op,
            what: "negative_slope",
            expected: "at least 0",
            found: slope.to_string(),
        }),
        _ => Ok(count),
    }
}

/// `share` is what a value's weight in the mean is: 1 / count, or 0 for a mean that does not depend
/// on x.
fn backward(
    cx: &Context,
    norm: &BatchNorm,
    inputs: BatchNormBackward<'_>,
    gradients: BatchNormGradients<'_>,
    share: f32,
) {
    let BatchNormGradients { dx, dweight, dbias, dx_sums } = gradients;
    if dx.is_empty() {
        for gradient in [Some(dweight), Some(dbias), dx_sums].into_iter().flatten() {
            gradient.fill(0.0);
        }
        return;
    }
    let channels = norm.channels;
    // Runs that are summed by themselves first.
    let runs = if norm.spatial == 1 { 0 } else { norm.batch * channels };
    with_scratch(2 * runs + 3 * channels, |scratch| {
        let (parts, constants) = scratch.split_at_mut(2 * runs);
        channel_sums(cx, norm, &inputs, [dbias, dweight], parts);

        let (scale, rest) = constants.split_at_mut(channels);
        let (average, steepness) = rest.split_at_mut(channels);
        for c in 0..channels {
            let inv_std = 1.0 / (inputs.statistics.variance[c] + norm.eps).sqrt();
            dweight[c] *= inv_std;
            scale[c] = inputs.weight[c] * inv_std;
            average[c] = dbias[c] * share;
            steepness[c] = dweight[c] * inv_std * share;
        }
        let inputs = &inputs;
        InputGradient { norm, inputs, scale, average, steepness }.run(
            cx,
            dx,
            dx_sums,
            &mut parts[..runs],
        );
    });
}

/// dx = scale · (dy - average - (x - mean) · steepness), times the derivative of the LeakyReLU.
struct InputGradient<'a> {
    norm: &'a BatchNorm,
    inputs: &'a BatchNormBackward<'a>,
    scale: &'a [f32],
    average: &'a [f32],
    steepness: &'a [f32],
}

impl InputGradient<'_> {
    /// Writes dx and, if they are wanted, its sums. `parts` holds a float for each run of H·W values.
    fn run(&self, cx: &Context, dx: &mut [f32], dx_sums: Option<&mut [f32]>, parts: &mut [f32]) {
        let norm = self.norm;
        let runs = norm.runs_per_task();
        let chunk = runs * norm.run();
        let (tasks, work) = (dx.len().div_ceil(chunk), 6 * dx.len());
        match dx_sums {
            Some(sums) if norm.spatial > 1 => {
                let outputs = [(dx, chunk), (&mut *parts, runs)];
                cx.threads().for_each_chunk(tasks, work, outputs, |task, [dx, sums]| {
                    cx.isa().run(Task { of: self, first: task * runs, dx, sums });
                });
                sum_rows(cx, norm.batch, [parts], [sums]);
            }
            sums => {
                let outputs = [(&mut *dx, chunk)];
                cx.threads().for_each_chunk(tasks, work, outputs, |task, [dx]| {
                    cx.isa().run(Task { of: self, first: task * runs, dx, sums: &mut [] });
                });
                if let Some(sums) = sums {
                    sum_rows(cx, norm.batch, [dx], [sums]);
                }
            }
        }
    }
}

struct Task<'a> {
    of: &'a InputGradient<'a>,
    /// The number of the first run.
    first: usize,
    dx: &'a mut [f32],
    /// One for each run, or none.
    sums: &'a mut [f32],
}

impl Kernel for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Task { of, first, dx, sums } = self;
        let &InputGradient { norm, inputs, scale, average, steepness } = of;
        let mean = inputs.statistics.mean;
        let slope = simd.splat(inputs.negative_slope.unwrap_or(1.0));
        let run = norm.run();
        let start = first * run;
        let [x, dy] = [inputs.x, inputs.dy].map(|t| t[start..][..dx.len()].chunks_exact(run));
        let runs = x.zip(dy).zip(dx.chunks_exact_mut(run)).map(|((x, dy), dx)| (x, dy, dx));
        if norm.spatial == 1 {
            for (x, dy, dx) in runs {
                let inputs = [x, dy, mean, scale, average, steepness];
                update(
                    simd,
                    inputs,
                    [dx],
                    #[inline(always)]
                    |v, _| [gradient(simd, slope, v)],
                );
            }
        } else {
            for (i, ((x, dy, dx), c)) in runs.zip(norm.channels_from(first)).enumerate() {
                let [mean, scale, average, steepness] =
                    [mean[c], scale[c], average[c], steepness[c]].map(|v| simd.splat(v));
                let [sum] = update_fold(
                    simd,
                    [x, dy],
                    [dx],
                    #[inline(always)]
                    |[sum], [x, dy], _| {
                        let dx = gradient(simd, slope, [x, dy, mean, scale, average, steepness]);
                        ([simd.add(sum, dx)], [dx])
                    },
                );
                if let Some(total) = sums.get_mut(i) {
                    *total = simd.sum(sum);
                }
            }
        }
    }
}

/// The formula of [`InputGradient`].
#[inline(always)]
fn gradient<S: Simd>(
    simd: S,
    slope: S::Vector,
    [x, dy, mean, scale, average, steepness]: [S::Vector; 6],
) -> S::Vector {
    let scale = simd.select(simd.gt(x, simd.zero()), scale, simd.mul(scale, slope));
    let distance = simd.mul(simd.sub(x, mean), steepness);
    simd.mul(scale, simd.sub(simd.sub(dy, average), distance))
}

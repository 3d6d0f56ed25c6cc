//! Gradients of batch normalisation.

use super::sums::channel_sums;
use super::{BatchNorm, Statistics};
use crate::buffer::with_scratch;
use crate::error::{expect_len, expect_values_per_channel};
use crate::norm::columns::{spread, sum_positions};
use crate::norm::run::Gradient;
use crate::norm::{check_eps, sum_rows};
use crate::simd::{Kernel, Simd, map, update_fold};
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
    let (parts, repeats) = (norm.parts(), norm.repeats());
    let constants = norm.channels * repeats;
    with_scratch(2 * parts + 4 * constants, |scratch| {
        let (parts, scratch) = scratch.split_at_mut(2 * parts);
        let [means, scale, average, steepness] = quarters(scratch);
        let mean = spread(inputs.statistics.mean, repeats, means);
        channel_sums(cx, norm, &inputs, mean, [&mut *dbias, &mut *dweight], parts);

        for c in 0..norm.channels {
            let inv_std = 1.0 / (inputs.statistics.variance[c] + norm.eps).sqrt();
            dweight[c] *= inv_std;
            let places = c * repeats..(c + 1) * repeats;
            scale[places.clone()].fill(inputs.weight[c] * inv_std);
            average[places.clone()].fill(dbias[c] * share);
            steepness[places].fill(dweight[c] * inv_std * share);
        }
        let of = Gradient { mean, scale: &*scale, average: &*average, steepness: &*steepness };
        InputGradient { norm, inputs: &inputs, of }.run(cx, dx, dx_sums, parts);
    });
}

/// Four slices of one length.
fn quarters(values: &mut [f32]) -> [&mut [f32]; 4] {
    let (front, back) = values.split_at_mut(values.len() / 2);
    let (first, second) = front.split_at_mut(front.len() / 2);
    let (third, fourth) = back.split_at_mut(back.len() / 2);
    [first, second, third, fourth]
}

impl BatchNorm {
    /// The parts of the channels that are summed by themselves first: runs of H·W values or columns; none
    /// where the columns are the channels.
    fn parts(&self) -> usize {
        match (self.has_columns(), self.spatial) {
            (true, 1) => 0,
            (true, _) => self.columns(),
            (false, _) => self.batch * self.channels,
        }
    }

    /// How often a channel's constant stands in a row of them: once, or once for each of its columns.
    fn repeats(&self) -> usize {
        if self.has_columns() { self.spatial } else { 1 }
    }
}

/// The gradient by x from constants of each channel or column.
struct InputGradient<'a> {
    norm: &'a BatchNorm,
    inputs: &'a BatchNormBackward<'a>,
    of: Gradient<&'a [f32]>,
}

impl InputGradient<'_> {
    /// Writes dx and, if they are wanted, its sums. `parts` holds a float for each of the parts.
    fn run(&self, cx: &Context, dx: &mut [f32], dx_sums: Option<&mut [f32]>, parts: &mut [f32]) {
        let norm = self.norm;
        let runs = norm.runs_per_task();
        let chunk = runs * norm.run();
        let (tasks, work) = (dx.len().div_ceil(chunk), 6 * dx.len());
        match dx_sums {
            Some(sums) if !norm.has_columns() => {
                let parts = &mut parts[..norm.parts()];
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
                    sum_positions(norm.spatial, parts, [sums], |sums| {
                        sum_rows(cx, norm.batch, [dx], sums);
                    });
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
        let Task { of: &InputGradient { norm, inputs, of }, first, dx, sums } = self;
        let slope = simd.splat(inputs.negative_slope.unwrap_or(1.0));
        let run = norm.run();
        let start = first * run;
        let [x, dy] = [inputs.x, inputs.dy].map(|t| t[start..][..dx.len()].chunks_exact(run));
        let runs = x.zip(dy).zip(dx.chunks_exact_mut(run)).map(|((x, dy), dx)| (x, dy, dx));
        if norm.has_columns() {
            for (x, dy, dx) in runs {
                map(
                    simd,
                    [x, dy, of.mean, of.scale, of.average, of.steepness],
                    dx,
                    #[inline(always)]
                    |[x, dy, mean, scale, average, steepness]| {
                        let of = Gradient { mean, scale, average, steepness };
                        of.input(simd, slope, [x, dy])
                    },
                );
            }
        } else {
            for (i, ((x, dy, dx), c)) in runs.zip(norm.channels_from(first)).enumerate() {
                let of = of.each(
                    #[inline(always)]
                    |values| simd.splat(values[c]),
                );
                let [sum] = update_fold(
                    simd,
                    [x, dy],
                    [dx],
                    #[inline(always)]
                    |[sum], [x, dy], _| {
                        let dx = of.input(simd, slope, [x, dy]);
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

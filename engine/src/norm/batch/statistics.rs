//! Mean and variance of the channels.

use super::{BatchNorm, Statistics};
use crate::buffer::with_scratch;
use crate::error::{expect_len, expect_values_per_channel};
use crate::moments::{self, moments};
use crate::norm::TASK;
use crate::simd::{Kernel, Simd, transpose};
use crate::{Context, Error};

/// Mean and biased variance `[C]` of each channel of x `[N, C, spatial]`:
/// mean = Σ x / count, variance = Σ (x - mean)² / count, where count = N · spatial.
///
/// Parts of a channel are measured by themselves; then they are merged, as the module `moments` says,
/// without loss of digits where values are far from 0.
///
/// # Errors
/// [`Error::Invalid`] if there are fewer than two values per channel, [`Error::Length`],
/// [`Error::Overflow`].
pub fn batch_statistics(
    cx: &Context,
    norm: &BatchNorm,
    x: &[f32],
    mean: &mut [f32],
    variance: &mut [f32],
) -> Result<(), Error> {
    let op = "batch_statistics";
    let (count, len) = norm.sizes(op)?;
    expect_values_per_channel(op, count)?;
    expect_len(op, "x", len, x.len())?;
    norm.check_channels(op, &[("mean", mean.len()), ("variance", variance.len())])?;
    if len == 0 {
        return Ok(());
    }
    let outputs = [&mut *mean, &mut *variance];
    if norm.batch == 1 {
        measure_runs(cx, norm, x, outputs);
    } else if norm.has_columns() {
        measure_columns(cx, norm, x, outputs);
    } else {
        let (channels, runs) = (norm.channels, norm.batch * norm.channels);
        with_scratch(2 * runs + 2 * channels, |scratch| {
            let (means, rest) = scratch.split_at_mut(runs);
            let (squares, rest) = rest.split_at_mut(runs);
            measure_runs(cx, norm, x, [means, squares]);
            let (run_len, runs) = (norm.spatial, norm.batch);
            let runs = moments::Runs { run_len, runs, stride: channels, means, squares };
            runs.merge(cx, outputs, rest);
        });
    }
    for squares in variance {
        *squares /= count as f32;
    }
    Ok(())
}

/// Mean and squares about it of each channel, from those of its columns.
fn measure_columns(cx: &Context, norm: &BatchNorm, x: &[f32], outputs: [&mut [f32]; 2]) {
    let &BatchNorm { batch, channels, spatial, .. } = norm;
    let columns = norm.columns();
    let values = moments::Runs { run_len: 1, runs: batch, stride: columns, means: x, squares: &[] };
    if spatial == 1 {
        return with_scratch(2 * columns, |scratch| values.merge(cx, outputs, scratch));
    }
    with_scratch(4 * columns, |scratch| {
        let (of_columns, turned) = scratch.split_at_mut(2 * columns);
        let (means, squares) = of_columns.split_at_mut(columns);
        values.merge(cx, [means, squares], turned);
        // As runs of a channel: `[positions, channels]`.
        for (columns, turned) in
            of_columns.chunks_exact(columns).zip(turned.chunks_exact_mut(columns))
        {
            cx.isa().run(Turn { columns, channels, spatial, turned });
        }
        let (means, squares) = turned.split_at(columns);
        let runs =
            moments::Runs { run_len: batch, runs: spatial, stride: channels, means, squares };
        runs.merge(cx, outputs, of_columns);
    });
}

/// `[channels, spatial]` as `[spatial, channels]`.
struct Turn<'a> {
    columns: &'a [f32],
    channels: usize,
    spatial: usize,
    turned: &'a mut [f32],
}

impl Kernel for Turn<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Turn { columns, channels, spatial, turned } = self;
        transpose(simd, columns, spatial, [channels, spatial], turned, channels);
    }
}

/// Mean and squares about it of each channel of each image.
fn measure_runs(cx: &Context, norm: &BatchNorm, x: &[f32], [mean, squares]: [&mut [f32]; 2]) {
    let runs = (TASK / norm.spatial).max(1);
    let (tasks, chunk) = (mean.len().div_ceil(runs), runs * norm.spatial);
    let outputs = [(mean, runs), (squares, runs)];
    cx.threads().for_each_chunk(tasks, 4 * x.len(), outputs, |task, [mean, squares]| {
        let x = &x[task * chunk..][..mean.len() * norm.spatial];
        cx.isa().run(Measure { x, spatial: norm.spatial, mean, squares });
    });
}

struct Measure<'a> {
    x: &'a [f32],
    spatial: usize,
    mean: &'a mut [f32],
    squares: &'a mut [f32],
}

impl Kernel for Measure<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for (i, x) in self.x.chunks_exact(self.spatial).enumerate() {
            (self.mean[i], self.squares[i]) = moments(simd, x);
        }
    }
}

/// running ← (1 - momentum) · running + momentum · batch, for mean and variance `[C]`; the batch's
/// variance is made unbiased: multiplied by count / (count - 1), where count = N · spatial.
///
/// # Errors
/// [`Error::Invalid`] if there are fewer than two values per channel or the momentum does not lie in
/// 0..=1, [`Error::Length`], [`Error::Overflow`].
pub fn update_running_statistics(
    norm: &BatchNorm,
    momentum: f32,
    batch: Statistics<'_>,
    running_mean: &mut [f32],
    running_variance: &mut [f32],
) -> Result<(), Error> {
    let op = "update_running_statistics";
    let (count, _) = norm.sizes(op)?;
    expect_values_per_channel(op, count)?;
    norm.check_channels(
        op,
        &[
            ("mean", batch.mean.len()),
            ("variance", batch.variance.len()),
            ("running_mean", running_mean.len()),
            ("running_variance", running_variance.len()),
        ],
    )?;
    if !(0.0..=1.0).contains(&momentum) {
        return Err(Error::Invalid {
            op,
            what: "momentum",
            expected: "between 0 and 1",
            found: momentum.to_string(),
        });
    }
    let unbias = (count as f64 / (count - 1) as f64) as f32;
    for c in 0..norm.channels {
        let (mean, variance) = (batch.mean[c], batch.variance[c] * unbias);
        running_mean[c] = (1.0 - momentum) * running_mean[c] + momentum * mean;
        running_variance[c] = (1.0 - momentum) * running_variance[c] + momentum * variance;
    }
    Ok(())
}

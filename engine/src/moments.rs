//! Mean and variance of values that come in runs.
//!
//! A run is measured by itself, in two passes over values that are in the cache; then the runs are
//! merged: the squares about the common mean are the squares about each run's mean, plus the run's
//! length times the squares of the runs' means about the common one (T. Chan, G. Golub, R. LeVeque,
//! "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances", 1979). All sums are of
//! distances from a mean or from the first run's mean, so values far from 0 lose no digits but those
//! of the means themselves, which are rounded to `f32`.

use crate::Context;
use crate::simd::{Kernel, LANES, Simd, column_sums, fold, store};

/// Channels of a task.
const COLUMNS: usize = 64;

/// Mean of `x`, and the sum of the squares of its distances from the mean.
///
/// A first pass gives a rough mean, a second one the sums of distances and of their squares; the
/// first of them corrects the mean and the other (T. Chan, G. Golub, R. LeVeque, "Algorithms for
/// Computing the Sample Variance", 1983: the corrected two-pass algorithm).
#[inline(always)]
pub(crate) fn moments<S: Simd>(simd: S, x: &[f32]) -> (f32, f32) {
    let count = x.len() as f32;
    let [sum] = fold(
        simd,
        [x],
        #[inline(always)]
        |[sum], [x]| [simd.add(sum, x)],
    );
    let rough = simd.sum(sum) / count;
    let center = simd.splat(rough);
    let [sum, squares] = fold(
        simd,
        [x],
        #[inline(always)]
        |[sum, squares], [x]| {
            let d = simd.sub(x, center);
            [simd.add(sum, d), simd.mul_add(d, d, squares)]
        },
    );
    let sum = simd.sum(sum);
    (rough + sum / count, corrected(simd.sum(squares), sum, count))
}

/// [`moments`] of each of 16 lanes of x `[spatial, 16]`.
#[inline(always)]
pub(crate) fn lane_moments<S: Simd>(simd: S, x: &[f32], means: &mut [f32], squares: &mut [f32]) {
    let count = (x.len() / LANES) as f32;
    let [sum] = fold(
        simd,
        [x],
        #[inline(always)]
        |[sum], [x]| [simd.add(sum, x)],
    );
    let count_vector = simd.splat(count);
    let center = simd.div(sum, count_vector);
    let [sum, square] = fold(
        simd,
        [x],
        #[inline(always)]
        |[sum, squares], [x]| {
            let d = simd.sub(x, center);
            [simd.add(sum, d), simd.mul_add(d, d, squares)]
        },
    );
    store(simd, simd.add(center, simd.div(sum, count_vector)), means);
    let (sum, square) = (simd.to_array(sum), simd.to_array(square));
    for lane in 0..LANES {
        squares[lane] = corrected(square[lane], sum[lane], count);
    }
}

/// Σ (d - mean d)² for `squares` = Σ d², `sum` = Σ d. Not negative, whatever the rounding; NaN
/// stays NaN.
#[inline(always)]
pub(crate) fn corrected(squares: f32, sum: f32, count: f32) -> f32 {
    let corrected = squares - sum * (sum / count);
    if corrected < 0.0 { 0.0 } else { corrected }
}

/// Means and squares about them of runs of `run_len` values: those of the channels of a run one behind the
/// other, those of the next run `stride` floats behind.
#[derive(Clone, Copy)]
pub(crate) struct Runs<'a> {
    pub(crate) run_len: usize,
    pub(crate) runs: usize,
    pub(crate) stride: usize,
    pub(crate) means: &'a [f32],
    /// Empty where a run is a single value.
    pub(crate) squares: &'a [f32],
}

impl Runs<'_> {
    /// Mean `[channels]` of all runs and squares about it. `scratch` holds two floats for each
    /// channel.
    pub(crate) fn merge(
        &self,
        cx: &Context,
        [mean, squares]: [&mut [f32]; 2],
        scratch: &mut [f32],
    ) {
        let channels = mean.len();
        let (distance, within) = scratch[..2 * channels].split_at_mut(channels);
        let outputs = [mean, squares, distance, within].map(|output| (output, COLUMNS));
        let (tasks, work) = (channels.div_ceil(COLUMNS), 4 * self.means.len());
        cx.threads().for_each_chunk(tasks, work, outputs, |task, outputs| {
            let first = task * COLUMNS;
            let (means, squares) = (&self.means[first..], self.squares.get(first..));
            let runs = Runs { means, squares: squares.unwrap_or_default(), ..*self };
            cx.isa().run(Merge { runs, outputs });
        });
    }
}

/// [`Runs::merge`] of as many channels as the outputs have.
pub(crate) struct Merge<'a> {
    pub(crate) runs: Runs<'a>,
    /// Mean, squares, and space for two intermediate sums.
    pub(crate) outputs: [&'a mut [f32]; 4],
}

impl Kernel for Merge<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Merge { runs: Runs { run_len, runs, stride, means, squares }, outputs } = self;
        let [mean, total, distance, within] = outputs;
        let (count, width) = (runs as f32, mean.len());

        let pivot = &means[..width];
        column_sums(
            simd,
            runs,
            [(means, stride), (pivot, 0)],
            [mean],
            #[inline(always)]
            |[x, pivot]| [simd.sub(x, pivot)],
        );
        for c in 0..width {
            mean[c] = pivot[c] + mean[c] / count;
        }
        column_sums(
            simd,
            runs,
            [(means, stride), (mean, 0)],
            [distance, total],
            #[inline(always)]
            |[x, mean]| {
                let d = simd.sub(x, mean);
                [d, simd.mul(d, d)]
            },
        );
        for c in 0..width {
            mean[c] += distance[c] / count;
            total[c] = run_len as f32 * corrected(total[c], distance[c], count);
        }
        if !squares.is_empty() {
            column_sums(
                simd,
                runs,
                [(squares, stride)],
                [within],
                #[inline(always)]
                |x| x,
            );
            for c in 0..width {
                total[c] += within[c];
            }
        }
    }
}

/// Merges runs that come in parts, in place. `means` and `squares` hold those of the parts,
/// `[runs, parts, channels]`, and afterwards, in front, those of the runs, `[runs, channels]`. All
/// parts have `part_len` values but the last, which has what is left of `run_len`.
pub(crate) fn merge_parts(
    [means, squares]: [&mut [f32]; 2],
    channels: usize,
    part_len: usize,
    run_len: usize,
) {
    let parts = run_len.div_ceil(part_len);
    if parts == 1 {
        return;
    }
    for run in 0..means.len() / (parts * channels) {
        for channel in 0..channels {
            // Parts of a run are few, so pairs are merged one after the other.
            let (mut count, mut mean, mut total) = (0.0, 0.0, 0.0);
            for part in 0..parts {
                let at = (run * parts + part) * channels + channel;
                let part_count = part_len.min(run_len - part * part_len) as f32;
                let sum = count + part_count;
                let distance = means[at] - mean;
                total += squares[at] + distance * distance * (count * (part_count / sum));
                mean += distance * (part_count / sum);
                count = sum;
            }
            // The first run's parts lie at and behind its own place, later runs' behind theirs.
            (means[run * channels + channel], squares[run * channels + channel]) = (mean, total);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Isa;

    struct Moments<'a>(&'a [f32]);

    impl Kernel for Moments<'_> {
        type Output = (f32, f32);

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> (f32, f32) {
            moments(simd, self.0)
        }
    }

    #[test]
    fn moments_far_from_zero_are_exact() {
        for isa in Isa::available() {
            for len in [1, 2, 15, 16, 17, 100, 1000] {
                // Every second value is 1 larger; for an even count the mean is a whole and a half.
                let x: Vec<f32> = (0..len).map(|i| 1e6 + (i % 2) as f32).collect();
                let (count, larger) = (len as f64, (len / 2) as f64);
                let (mean, squares) = isa.run(Moments(&x));
                assert_eq!(mean, (1e6 + larger / count) as f32, "{isa:?} {len}");
                let expected = larger * (count - larger) / count;
                let error = (f64::from(squares) - expected).abs();
                assert!(error <= 1e-6 * expected, "{isa:?} {len}: {squares}, not {expected}");
            }
        }
    }

    #[test]
    fn parts_of_any_length_give_the_moments_of_the_runs() {
        // Two runs of 100 values and three channels; a channel's values are its number apart.
        let value = |run: usize, channel: usize, i: usize| (run * 7 + channel * (i % 5)) as f32;
        for part_len in [1, 16, 33, 64, 100, 200] {
            let parts = 100_usize.div_ceil(part_len);
            let (mut means, mut squares) = (Vec::new(), Vec::new());
            for run in 0..2 {
                for part in 0..parts {
                    for channel in 0..3 {
                        let range = part * part_len..(100).min((part + 1) * part_len);
                        let x: Vec<f32> = range.map(|i| value(run, channel, i)).collect();
                        let (mean, square) = Isa::best().run(Moments(&x));
                        means.push(mean);
                        squares.push(square);
                    }
                }
            }
            merge_parts([&mut means, &mut squares], 3, part_len, 100);
            for run in 0..2 {
                for channel in 0..3 {
                    let (mean, square) = (means[run * 3 + channel], squares[run * 3 + channel]);
                    let expected = (run * 7 + channel * 2) as f32;
                    assert!((mean - expected).abs() < 1e-5, "{part_len}: mean {mean}");
                    let expected = (channel * channel * 200) as f32;
                    assert!((square - expected).abs() <= 1e-5 * expected, "{part_len}: {square}");
                }
            }
        }
    }
}

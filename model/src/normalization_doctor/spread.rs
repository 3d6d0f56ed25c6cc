//! How far the statistics of batches lie from the running ones.

use crate::layers::Measured;
use serde::Serialize;

/// Mean and variance of batches of one size beside the running ones, over all channels of a normalisation.
///
/// For a batch of independent values of many inputs all are near: `mean_distance` 0, ratios of 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// Inputs of a batch.
    pub batch_size: usize,
    /// Batches that were measured.
    pub batches: usize,
    /// √(mean of ((m − M) / √V)²), where m is the mean of a channel in a batch, M and V the running mean and
    /// variance: how far batch means lie from the running mean, in running standard deviations.
    pub mean_distance: f64,
    /// 5 %, 50 % and 95 % of all v / V lie below these, where v is the unbiased variance of a channel in a batch.
    pub variance_ratio: [f64; 3],
    /// √(mean of ((M' − M) / √V)²) over the channels, where M' is the average of the batch means: how far off
    /// the running mean itself is. Reestimating removes it.
    pub average_mean_distance: f64,
    /// The geometric mean over the channels of V' / V, where V' is the average of the batches' unbiased
    /// variances. Reestimating makes it 1.
    pub average_variance_ratio: f64,
}

/// Adds the statistics of batches up.
pub(super) struct Accumulator<'a> {
    /// `[C]` each.
    running: [&'a [f32]; 2],
    /// Σ of the distances of means, and of their squares, `[C]`.
    distances: Vec<[f64; 2]>,
    /// Of every batch and channel.
    ratios: Vec<f64>,
    /// Σ of them, `[C]`.
    ratio_sums: Vec<f64>,
}

impl<'a> Accumulator<'a> {
    /// For a normalisation of this running mean and variance.
    pub(super) fn new(running: [&'a [f32]; 2]) -> Accumulator<'a> {
        let channels = running[0].len();
        let (distances, ratio_sums) = (vec![[0.0; 2]; channels], vec![0.0; channels]);
        Accumulator { running, distances, ratios: Vec::new(), ratio_sums }
    }

    pub(super) fn add(&mut self, measured: &Measured<'_>) {
        let unbias = measured.values as f64 / (measured.values - 1) as f64;
        let [means, variances] = self.running;
        for c in 0..means.len() {
            // A channel that never varies is compared as if it varied by the least.
            let variance = f64::from(variances[c]).max(f64::from(f32::MIN_POSITIVE));
            let distance = (f64::from(measured.mean[c]) - f64::from(means[c])) / variance.sqrt();
            let ratio = f64::from(measured.variance[c]) * unbias / variance;
            self.distances[c][0] += distance;
            self.distances[c][1] += distance * distance;
            self.ratio_sums[c] += ratio;
            self.ratios.push(ratio);
        }
    }

    /// The spread of so many batches, at least one.
    pub(super) fn finish(mut self, batch_size: usize, batches: usize) -> Spread {
        let (channels, of_batches) = (self.distances.len() as f64, batches as f64);
        self.ratios.sort_by(f64::total_cmp);
        let root_mean = |sum: f64| (sum / channels).sqrt();
        let squares = self.distances.iter().map(|[_, squares]| squares / of_batches);
        let averages = self.distances.iter().map(|[sum, _]| (sum / of_batches).powi(2));
        let logs = self.ratio_sums.iter().map(|sum| (sum / of_batches).ln());
        Spread {
            batch_size,
            batches,
            mean_distance: root_mean(squares.sum()),
            variance_ratio: [0.05, 0.5, 0.95].map(|share| quantile(&self.ratios, share)),
            average_mean_distance: root_mean(averages.sum()),
            average_variance_ratio: (logs.sum::<f64>() / channels).exp(),
        }
    }
}

/// The value below which this share of the sorted values lies, between its two neighbours in proportion.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_values() {
        let values = [1.0, 2.0, 3.0, 4.0, 5.0];
        assert_eq!([0.0, 0.5, 1.0].map(|share| quantile(&values, share)), [1.0, 3.0, 5.0]);
        assert_eq!(quantile(&values, 0.375), 2.5);
        assert_eq!(quantile(&[7.0], 0.95), 7.0);
    }

    #[test]
    fn numbers_of_two_batches() {
        let mut accumulator = Accumulator::new([&[1.0, 0.0], &[4.0, 1.0]]);
        // Unbiased variances 2, 1 and 8, 1.
        accumulator.add(&Measured { mean: &[3.0, 0.0], variance: &[1.0, 0.5], values: 2 });
        accumulator.add(&Measured { mean: &[-1.0, 0.0], variance: &[4.0, 0.5], values: 2 });
        let spread = accumulator.finish(1, 2);
        // Distances 1 and −1 of one channel, none of the other.
        assert!((spread.mean_distance - 0.5_f64.sqrt()).abs() < 1e-12);
        assert_eq!(spread.average_mean_distance, 0.0);
        // Ratios 0.5, 1, 1, 2.
        assert_eq!(spread.variance_ratio[1], 1.0);
        assert!((spread.average_variance_ratio - 1.25_f64.sqrt()).abs() < 1e-12);
        assert_eq!((spread.batch_size, spread.batches), (1, 2));
    }

    #[test]
    fn a_channel_without_variance_gives_numbers() {
        let mut accumulator = Accumulator::new([&[0.0], &[0.0]]);
        accumulator.add(&Measured { mean: &[0.0], variance: &[0.0], values: 9 });
        let spread = accumulator.finish(1, 1);
        assert_eq!((spread.mean_distance, spread.variance_ratio), (0.0, [0.0; 3]));
    }
}

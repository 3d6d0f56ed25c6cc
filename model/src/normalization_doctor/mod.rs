//! Why the two ways of normalising score differently, and running statistics made anew.
//!
//! A network has learnt with the statistics of its batches. Where it is used with others, what reaches the
//! next layer is shifted and scaled otherwise than in training, channel by channel. [`compare_normalization`]
//! measures by how much; [`reestimate_running_statistics`] averages the statistics again, over as many
//! batches of any size as wanted.

mod reestimate;
mod spread;

pub use reestimate::{Reestimate, ReestimateOptions, reestimate_running_statistics};
pub use spread::Spread;

use crate::Error;
use crate::data::Dataset;
use crate::evaluate::{Score, evaluate};
use crate::network::Network;
use crate::normalization::Normalization;
use crate::plan::Plan;
use crate::spec::SpecError;
use loupe_engine::Context;
use serde::Serialize;
use spread::Accumulator;

/// By so many points (hundredths of the accuracy) may the scores differ before one way is better than the other.
const SAME: f64 = 0.5;

/// Batches of one size that are measured at most.
const BATCHES: usize = 1000;

/// Statistics (batches × channels of all layers) that are kept at most, 8 bytes each.
const KEPT: usize = 1 << 23;

/// The scores of a network by both ways of normalising, and how far statistics of batches lie from the running
/// ones.
#[derive(Clone, Debug)]
pub struct NormalizationReport {
    /// By the statistics of each item by itself, or why these are not defined.
    pub batch: Result<Score, SpecError>,
    /// By the running statistics.
    pub running: Score,
    /// Each batch normalisation, in the order of the layers.
    pub layers: Vec<NormalizedLayer>,
}

/// How the statistics of batches spread at one batch normalisation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NormalizedLayer {
    /// Its number in the network, from 0, or `3.layers.0` within block 3.
    pub path: String,
    /// As PyTorch prints it.
    pub layer: String,
    /// Channels.
    pub channels: usize,
    /// For each batch size that was asked for and that there are items enough for; without those at which the
    /// network has a single value per channel.
    pub spreads: Vec<Spread>,
}

impl NormalizationReport {
    /// Points (hundredths of the accuracy) that running statistics lose; below 0 if they win. None if batch
    /// statistics are not defined.
    pub fn lost_points(&self) -> Option<f64> {
        let batch = self.batch.as_ref().ok()?;
        Some((batch.ratio() - self.running.ratio()) * 100.0)
    }

    /// Which way to use for single items: running statistics, unless they lose more than half a point.
    pub fn recommended(&self) -> Normalization {
        match self.lost_points() {
            Some(lost) if lost > SAME => Normalization::BatchStatistics,
            _ => Normalization::RunningStatistics,
        }
    }
}

/// Scores `network` on `data` by both ways of normalising, and measures at each batch normalisation the
/// statistics of batches of these sizes. Up to 1,000 batches of a size are measured, which are spread evenly over
/// `data`; their items follow each other at even distances too, so a set that is sorted by class gives batches of
/// all classes.
///
/// # Errors
/// [`Error::Mismatch`] if the data set does not fit the network; [`Error::Spec`] if a batch size is 0 or its
/// tensors do not fit memory.
pub fn compare_normalization(
    cx: &Context,
    network: &Network,
    data: &Dataset,
    batch_sizes: &[usize],
) -> Result<NormalizationReport, Error> {
    let batch = match network.check_single() {
        Ok(()) => Ok(evaluate(cx, network, data, Normalization::BatchStatistics)?),
        Err(reason @ SpecError::OneValuePerChannel { .. }) => Err(reason),
        Err(other) => return Err(other.into()),
    };
    let running = evaluate(cx, network, data, Normalization::RunningStatistics)?;
    let mut layers = normalizations(network);
    if !layers.is_empty() {
        for &size in batch_sizes {
            if let Some(spreads) = measure(cx, network, data, size)? {
                for (layer, spread) in layers.iter_mut().zip(spreads) {
                    layer.spreads.push(spread);
                }
            }
        }
    }
    Ok(NormalizationReport { batch, running, layers })
}

fn normalizations(network: &Network) -> Vec<NormalizedLayer> {
    let layers = network.layout.layers.iter().zip(network.layers());
    layers
        .filter_map(|(tensors, layer)| {
            let [mean, _] = tensors.running.as_ref()?;
            let (path, channels) = (layer.path.clone(), mean.len());
            let layer = layer.layer.to_string();
            Some(NormalizedLayer { path, layer, channels, spreads: Vec::new() })
        })
        .collect()
}

/// The spread of batches of `size` at each batch normalisation, if there are that many items and a batch has
/// more than one value per channel.
fn measure(
    cx: &Context,
    network: &Network,
    data: &Dataset,
    size: usize,
) -> Result<Option<Vec<Spread>>, Error> {
    if size > data.len() {
        return Ok(None);
    }
    let mut plan = Plan::new(network, size)?;
    let running: Vec<[&[f32]; 2]> = network
        .layout
        .layers
        .iter()
        .filter_map(|tensors| tensors.running.as_ref())
        .map(|running| running.each_ref().map(|place| &network.statistics[place.clone()]))
        .collect();
    let channels: usize = running.iter().map(|[mean, _]| mean.len()).sum();
    let batches = (data.len() / size).min(BATCHES).min((KEPT / channels).max(1));
    let mut accumulators: Vec<_> = running.into_iter().map(Accumulator::new).collect();
    for batch in 0..batches {
        data.write_images(&items(data.len(), batches, size, batch), plan.input_mut())?;
        match plan.infer(cx, network, Normalization::BatchStatistics) {
            Err(Error::Spec(SpecError::OneValuePerChannel { .. })) => return Ok(None),
            result => result?,
        };
        for (accumulator, measured) in accumulators.iter_mut().zip(plan.measured()) {
            accumulator.add(&measured);
        }
    }
    Ok(Some(
        accumulators.into_iter().map(|accumulator| accumulator.finish(size, batches)).collect(),
    ))
}

/// The items of one of so many batches of `size`: every `batches`-th of `batches · size` items that lie evenly
/// among all `count`.
fn items(count: usize, batches: usize, size: usize, batch: usize) -> Vec<usize> {
    let of_all = batches * size;
    let place =
        |i: usize| ((i * batches + batch) as u128 * count as u128 / of_all as u128) as usize;
    (0..size).map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn batches_have_no_item_twice(count in 1..500_usize, size in 1..40_usize, most in 1..30_usize) {
            prop_assume!(size <= count);
            let batches = (count / size).min(most);
            let mut all: Vec<usize> =
                (0..batches).flat_map(|batch| items(count, batches, size, batch)).collect();
            prop_assert!(all.iter().all(|&item| item < count));
            all.sort_unstable();
            all.dedup();
            prop_assert_eq!(all.len(), batches * size);
        }
    }

    #[test]
    fn the_better_way_is_recommended() {
        let score = |correct| Score { correct, items: 1000 };
        let report = |batch, running| NormalizationReport {
            batch,
            running: score(running),
            layers: Vec::new(),
        };
        let better = report(Ok(score(978)), 958);
        assert_eq!(better.recommended(), Normalization::BatchStatistics);
        assert!((better.lost_points().unwrap() - 2.0).abs() < 1e-9);
        for same in [report(Ok(score(962)), 958), report(Ok(score(900)), 958)] {
            assert_eq!(same.recommended(), Normalization::RunningStatistics);
        }
        let reason =
            SpecError::OneValuePerChannel { path: "1".into(), layer: "BatchNorm2d(4)".into() };
        let undefined = report(Err(reason), 10);
        assert_eq!(undefined.recommended(), Normalization::RunningStatistics);
        assert_eq!(undefined.lost_points(), None);
    }
}

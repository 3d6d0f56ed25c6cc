//! Running statistics averaged anew.

use crate::Error;
use crate::data::{Dataset, Epoch, Order};
use crate::evaluate::check_fit;
use crate::network::Network;
use crate::normalization::Normalization;
use crate::plan::Plan;
use crate::spec::SpecError;
use loupe_engine::Context;
use std::num::NonZeroUsize;

/// How [`reestimate_running_statistics`] goes through a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReestimateOptions {
    /// Inputs of a batch.
    pub batch_size: NonZeroUsize,
    /// Batches to average over; all of one pass if there are no more.
    pub batches: Option<NonZeroUsize>,
    /// In which order the items come. A set that is sorted by class should be shuffled.
    pub order: Order,
}

/// What running statistics were averaged over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reestimate {
    /// Batches, of which the last may have been shorter.
    pub batches: usize,
    /// Items of all batches.
    pub items: usize,
}

/// Sets the running statistics to averages over batches of `data`: the mean to the average of the batches' means,
/// the variance to that of their unbiased variances, and `num_batches_tracked` to the number of batches. Every
/// batch counts the same, also a shorter last one. All other values stay as they are.
///
/// This is what PyTorch's `torch.optim.swa_utils.update_bn` does (there in f32 by a cumulative average, here in
/// f64). A last batch with a single value per channel, which PyTorch refuses, is left out.
///
/// # Errors
/// [`Error::Mismatch`] if the data set does not fit the network; [`Error::Spec`] if a batch has a single value
/// per channel or its tensors do not fit memory. The network is then unchanged.
pub fn reestimate_running_statistics(
    cx: &Context,
    network: &mut Network,
    data: &Dataset,
    options: &ReestimateOptions,
) -> Result<Reestimate, Error> {
    check_fit(network, data)?;
    let epoch = Epoch::new(options.order, data.len(), 0);
    let size = options.batch_size.min(NonZeroUsize::new(data.len()).expect("a set has items"));
    let most = options.batches.map_or(usize::MAX, NonZeroUsize::get);
    let mut plan = Plan::new(network, size.get())?;
    let mut sums = vec![0.0; network.statistics.len()];
    let mut seen = Reestimate { batches: 0, items: 0 };
    for items in epoch.batches(size).take(most) {
        if items.len() < size.get() {
            plan = Plan::new(network, items.len())?;
        }
        data.write_images(items, plan.input_mut())?;
        match plan.infer(cx, network, Normalization::BatchStatistics) {
            Err(Error::Spec(SpecError::OneValuePerChannel { .. })) if seen.batches > 0 => break,
            result => result?,
        };
        let running = network.layout.layers.iter().filter_map(|t| t.running.as_ref());
        for ([mean, variance], measured) in running.zip(plan.measured()) {
            let unbias = measured.values as f64 / (measured.values - 1) as f64;
            for (sum, &value) in sums[mean.clone()].iter_mut().zip(measured.mean) {
                *sum += f64::from(value);
            }
            for (sum, &value) in sums[variance.clone()].iter_mut().zip(measured.variance) {
                *sum += f64::from(value) * unbias;
            }
        }
        seen = Reestimate { batches: seen.batches + 1, items: seen.items + items.len() };
    }
    for (value, sum) in network.statistics.iter_mut().zip(&sums) {
        *value = (sum / seen.batches as f64) as f32;
    }
    network.batches_tracked = seen.batches as u64;
    network.touch();
    Ok(seen)
}

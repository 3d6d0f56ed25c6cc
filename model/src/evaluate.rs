//! Scoring a network on a data set.

use crate::Error;
use crate::data::Dataset;
use crate::network::Network;
use crate::normalization::Normalization;
use crate::plan::Plan;
use loupe_engine::Context;

/// How many items a network put into the right class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Score {
    /// Items in the right class.
    pub correct: usize,
    /// Items scored.
    pub items: usize,
}

impl Score {
    /// `correct / items`; 0 for no items.
    pub fn ratio(self) -> f64 {
        if self.items == 0 { 0.0 } else { self.correct as f64 / self.items as f64 }
    }
}

/// Items of a batch when they are scored by running statistics, where they do not see each other.
const RUNNING_BATCH: usize = 64;

/// Scores `network` on `data`: an item is classified by its largest output, the first of equals.
///
/// By batch statistics every item is a batch of its own, as in the tutorial, so the result does not
/// depend on the order of the items.
///
/// # Errors
/// [`Error::Mismatch`] if the data set does not fit the network, and as [`Plan::infer`].
pub fn evaluate(
    cx: &Context,
    network: &Network,
    data: &Dataset,
    normalization: Normalization,
) -> Result<Score, Error> {
    check_fit(network, data)?;
    let batch = match normalization {
        Normalization::BatchStatistics if network.has_batch_norm() => 1,
        _ => RUNNING_BATCH.min(data.len()).max(1),
    };
    let mut plan = Plan::new(network, batch)?;
    let classes = plan.output().len() / batch;
    let mut score = Score { correct: 0, items: data.len() };
    let indices: Vec<usize> = (0..data.len()).collect();
    for items in indices.chunks(batch) {
        if items.len() < batch {
            plan = Plan::new(network, items.len())?;
        }
        data.write_images(items, plan.input_mut())?;
        let outputs = plan.infer(cx, network, normalization)?;
        for (&item, row) in items.iter().zip(outputs.chunks_exact(classes)) {
            score.correct += usize::from(largest(row) == usize::from(data.labels()[item]));
        }
    }
    Ok(score)
}

/// The index of the largest output, the first of equals. NaN is never the largest.
pub(crate) fn largest(row: &[f32]) -> usize {
    let mut best = 0;
    for (class, &value) in row.iter().enumerate() {
        if value > row[best] || row[best].is_nan() {
            best = class;
        }
    }
    best
}

/// Whether inputs and outputs of the network are the images and classes of the data set.
pub(crate) fn check_fit(network: &Network, data: &Dataset) -> Result<(), Error> {
    let spec = network.spec();
    let (input, outputs) = (spec.input_len()?, spec.output_len()?);
    if input != data.pixels() {
        return Err(Error::Mismatch {
            what: "takes inputs of",
            network: format!("{:?}, {input} values", spec.input),
            data: format!("images of {} × {} pixels", data.height(), data.width()),
        });
    }
    if outputs != data.classes() {
        return Err(Error::Mismatch {
            what: "gives",
            network: format!("{outputs} outputs"),
            data: format!("{} classes", data.classes()),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_output_is_the_class() {
        assert_eq!(largest(&[0.1, 0.9, 0.3]), 1);
        assert_eq!(largest(&[0.5, 0.5]), 0);
        assert_eq!(largest(&[-3.0, -1.0, -2.0]), 1);
        assert_eq!(largest(&[f32::NAN, -1.0, f32::NAN, 2.0]), 3);
    }

    #[test]
    fn ratios() {
        assert_eq!(Score { correct: 3, items: 4 }.ratio(), 0.75);
        assert_eq!(Score::default().ratio(), 0.0);
    }
}

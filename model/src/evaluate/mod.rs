//! Scoring a network on a data set.

mod classification;
mod confusion;
mod outputs;
mod probabilities;

pub use classification::{Classification, Mistake, classify};
pub use confusion::{Averages, ConfusionMatrix};
pub(crate) use outputs::check_fit;
pub use probabilities::probabilities;

use crate::Error;
use crate::data::Dataset;
use crate::network::Network;
use crate::normalization::Normalization;
use loupe_engine::Context;
use outputs::for_each_batch;

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

/// Scores `network` on `data`: an item is classified by its largest output, the first of equals.
///
/// By batch statistics every item is a batch of its own, as in the tutorial, so the result does not
/// depend on the order of the items. [`classify`] keeps the outputs too.
///
/// # Errors
/// [`Error::Mismatch`] if the data set does not fit the network, and as [`Plan::infer`](crate::Plan::infer):
/// [`Network::check_single`] tells beforehand whether single items have batch statistics.
pub fn evaluate(
    cx: &Context,
    network: &Network,
    data: &Dataset,
    normalization: Normalization,
) -> Result<Score, Error> {
    let correct = for_each_batch(cx, network, data, normalization, |items, outputs, correct| {
        let rows = outputs.chunks_exact(data.classes());
        let right =
            |(&item, row): (&usize, &[f32])| largest(row) == usize::from(data.labels()[item]);
        *correct += items.iter().zip(rows).filter(|&pair| right(pair)).count();
    })?;
    Ok(Score { correct: correct.iter().sum(), items: data.len() })
}

/// The index of the largest output, the first of equals. NaN is never the largest.
fn largest(row: &[f32]) -> usize {
    let mut best = 0;
    for (class, &value) in row.iter().enumerate() {
        if value > row[best] || row[best].is_nan() {
            best = class;
        }
    }
    best
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

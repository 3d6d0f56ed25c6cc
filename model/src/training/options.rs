//! How long, in which order and by which rates a network is trained.

use super::{Augmentation, Schedule};
use crate::data::{Dataset, Order};
use crate::normalization::Normalization;
use std::num::NonZeroUsize;

/// How a network is trained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrainOptions {
    /// Passes over the data.
    pub epochs: usize,
    /// Items of a step. The last step of an epoch takes what is left.
    pub batch_size: NonZeroUsize,
    /// The order of the items.
    pub order: Order,
    /// How the learning rate changes.
    pub schedule: Schedule,
    /// How the pictures are varied.
    pub augmentation: Augmentation,
    /// By which statistics the score is taken that says which epoch is the best. Where it is not defined, the
    /// other one counts.
    pub judged_by: Normalization,
    /// After so many epochs in a row without a better score the training ends, if scores
    /// [choose](Scored::selects).
    pub patience: Option<NonZeroUsize>,
}

impl Default for TrainOptions {
    /// The tutorial's: 3 epochs, batch size 1, file order, one learning rate, pictures as they are, judged by
    /// batch statistics.
    fn default() -> TrainOptions {
        TrainOptions {
            epochs: 3,
            batch_size: NonZeroUsize::MIN,
            order: Order::File,
            schedule: Schedule::default(),
            augmentation: Augmentation::default(),
            judged_by: Normalization::BatchStatistics,
            patience: None,
        }
    }
}

impl TrainOptions {
    /// Refuses numbers with which there is no training.
    pub(super) fn check(&self) -> Result<(), loupe_engine::Error> {
        let schedule = self.schedule.fault().map(|fault| ("schedule", fault));
        let augmentation = self.augmentation.fault().map(|fault| ("augmentation", fault));
        match schedule.or(augmentation) {
            None => Ok(()),
            Some((op, (what, expected, found))) => {
                let found = found.to_string();
                Err(loupe_engine::Error::Invalid { op, what, expected, found })
            }
        }
    }
}

/// The items that are scored after each epoch.
#[derive(Clone, Copy, Debug)]
pub struct Scored<'d> {
    /// The items.
    pub data: &'d Dataset,
    /// Whether the scores choose: which epoch's network is kept as the best, and when patience is at its end.
    /// Test items must not choose, or their score would promise too much.
    pub selects: bool,
}

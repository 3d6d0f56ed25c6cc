//! What a training has measured.

use crate::evaluate::Score;
use crate::normalization::Normalization;

/// Losses and scores of a training.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    pub(super) losses: Vec<f32>,
    pub(super) epochs: Vec<EpochRecord>,
}

/// An epoch that is over.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct EpochRecord {
    /// Counted from 1.
    pub epoch: usize,
    /// The mean over the epoch's items of the losses of their steps.
    pub mean_loss: f64,
    /// The items trained on, each judged by the step that it was part of, before its update.
    pub training: Score,
    /// The learning rate of the last step.
    pub lr: f64,
    /// The score by batch statistics, each item a batch of its own. None without batch normalisation, where
    /// it is not defined, or if nothing was scored.
    pub batch_statistics: Option<Score>,
    /// The score by running statistics, or of a network without batch normalisation. None if nothing was scored.
    pub running_statistics: Option<Score>,
    /// Whether the score was the best so far, and chose.
    pub best: bool,
}

impl EpochRecord {
    /// The score by these statistics, or by the others where that is not defined.
    pub fn score(&self, judged_by: Normalization) -> Option<Score> {
        match judged_by {
            Normalization::BatchStatistics => self.batch_statistics.or(self.running_statistics),
            Normalization::RunningStatistics => self.running_statistics,
        }
    }
}

impl History {
    /// The loss of each step.
    pub fn losses(&self) -> &[f32] {
        &self.losses
    }

    /// The epochs that are over.
    pub fn epochs(&self) -> &[EpochRecord] {
        &self.epochs
    }

    /// The best epoch so far.
    pub fn best(&self) -> Option<&EpochRecord> {
        self.epochs.iter().rev().find(|epoch| epoch.best)
    }

    /// How many epochs have passed since the best.
    pub(super) fn epochs_since_best(&self) -> usize {
        self.epochs.iter().rev().take_while(|epoch| !epoch.best).count()
    }
}

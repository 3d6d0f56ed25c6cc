//! The training loop: epochs of batches, told to an observer.

use crate::Error;
use crate::data::{Dataset, Epoch, Order};
use crate::evaluate::check_fit;
use crate::trainer::Trainer;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;

/// How long and in which order a network is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrainOptions {
    /// Passes over the data.
    pub epochs: usize,
    /// Items of a step. The last step of an epoch takes what is left.
    pub batch_size: NonZeroUsize,
    /// The order of the items.
    pub order: Order,
}

impl Default for TrainOptions {
    /// The tutorial's: 3 epochs, batch size 1, file order.
    fn default() -> TrainOptions {
        TrainOptions { epochs: 3, batch_size: NonZeroUsize::MIN, order: Order::File }
    }
}

/// What the observer of a training is told. Epochs and steps are counted from 1.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// An epoch begins.
    EpochStarted {
        /// Which.
        epoch: usize,
        /// The steps that it will take.
        steps: usize,
    },
    /// A step was taken.
    Step {
        /// The epoch.
        epoch: usize,
        /// Within the epoch.
        step: usize,
        /// Items of the batch.
        items: usize,
        /// The loss before the step's update.
        loss: f32,
    },
    /// An epoch is over.
    EpochFinished {
        /// Which.
        epoch: usize,
        /// The mean over the epoch's items of the losses of their steps.
        mean_loss: f64,
    },
}

/// Trains until the epochs are over or the observer breaks off; whether they are over.
///
/// # Errors
/// [`Error::Mismatch`] if the data set does not fit the network, [`Error::NonFiniteLoss`] if a loss is
/// NaN or infinite, and as [`Trainer::step`].
pub fn train(
    trainer: &mut Trainer,
    data: &Dataset,
    options: &TrainOptions,
    mut observer: impl FnMut(&Trainer, Event) -> ControlFlow<()>,
) -> Result<bool, Error> {
    check_fit(trainer.network(), data)?;
    for epoch in 1..=options.epochs {
        let items = Epoch::new(options.order, data.len(), epoch as u64 - 1);
        let batches = items.batches(options.batch_size);
        if observer(trainer, Event::EpochStarted { epoch, steps: batches.len() }).is_break() {
            return Ok(false);
        }
        let mut sum = 0.0;
        for (n, items) in batches.enumerate() {
            let loss = trainer.step_with(items.len(), |images, targets| {
                data.write_images(items, images)?;
                Ok(data.write_targets(items, targets)?)
            })?;
            let step = n + 1;
            if !loss.is_finite() {
                return Err(Error::NonFiniteLoss { epoch, step, loss });
            }
            sum += f64::from(loss) * items.len() as f64;
            let event = Event::Step { epoch, step, items: items.len(), loss };
            if observer(trainer, event).is_break() {
                return Ok(false);
            }
        }
        let mean_loss = sum / data.len() as f64;
        if observer(trainer, Event::EpochFinished { epoch, mean_loss }).is_break() {
            return Ok(false);
        }
    }
    Ok(true)
}

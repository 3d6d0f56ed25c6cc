//! A training: epochs of steps over a data set, scored after each epoch, to be interrupted and resumed
//! anywhere.

mod augment;
mod batches;
mod checkpoint;
mod diagnose;
mod history;
mod options;
mod schedule;
mod trigonometry;

pub use augment::Augmentation;
pub use checkpoint::CheckpointError;
pub use diagnose::Diagnosis;
pub use history::{EpochRecord, History};
pub use options::{Scored, TrainOptions};
pub use schedule::Schedule;

use crate::Error;
use crate::data::{Dataset, Epoch};
use crate::evaluate::{Score, check_fit, evaluate};
use crate::network::Network;
use crate::normalization::Normalization;
use crate::spec::SpecError;
use crate::trainer::Trainer;
use batches::Batches;
use diagnose::{RETAINED_EVERY, Retained};
use loupe_engine::Buffer;
use std::sync::OnceLock;

/// A training in progress. Each call of [`Training::step`] takes one step, so the caller decides when to look,
/// to save and to stop.
///
/// ```no_run
/// use loupe_engine::{Context, Threads};
/// use loupe_model::data::{Split, open_mnist};
/// use loupe_model::{Loss, Network, OptimizerOptions, TrainOptions, Trainer, Training, nets};
/// use std::path::Path;
///
/// let digits = open_mnist(Path::new("data/mnist"), Split::Train, None)?;
/// let cx = Context::from_env(Threads::new(2)?)?;
/// let network = Network::new(nets::mnist_cnn(), 0)?;
/// let trainer = Trainer::new(cx, network, Loss::Bce, OptimizerOptions::default());
/// let mut training = Training::new(trainer, &digits, None, TrainOptions::default())?;
/// while let Some(step) = training.step()? {
///     if let Some(epoch) = step.epoch_over {
///         println!("mean loss {}", epoch.mean_loss);
///     }
/// }
/// # Ok::<(), loupe_model::Error>(())
/// ```
///
/// The steps depend on network, options and data alone: not on threads, and not on how often the training was
/// [saved](Training::checkpoint) and [resumed](Training::resume).
#[derive(Debug)]
pub struct Training<'d> {
    trainer: Trainer,
    batches: Batches<'d>,
    scored: Option<Scored<'d>>,
    /// Of the epoch at hand.
    order: Epoch,
    position: Position,
    history: History,
    best: Option<Network>,
    /// The beginning of the steps that [`Training::diagnose`] takes again.
    retained: Retained,
    end: Option<End>,
    /// For checkpoints.
    description: OnceLock<checkpoint::Description>,
}

/// Where a training stands, and what it has summed up in the epoch at hand.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Position {
    /// Epochs that are over.
    epoch: usize,
    /// Steps taken in this epoch.
    step: usize,
    /// Of each item the loss of its step.
    loss_sum: f64,
    /// Items in the right class.
    correct: usize,
    /// Items of those steps.
    items: usize,
}

/// What a step has done. Epochs and steps are counted from 1.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Step {
    /// The epoch.
    pub epoch: usize,
    /// Within the epoch.
    pub step: usize,
    /// Steps of an epoch.
    pub steps: usize,
    /// Items of the batch.
    pub items: usize,
    /// Those of them whose largest output, before the step's update, was that of their class.
    pub correct: usize,
    /// The same of all items of the epoch so far.
    pub so_far: Score,
    /// The loss before the step's update.
    pub loss: f32,
    /// The learning rate of the update.
    pub lr: f64,
    /// The epoch as a whole, if this was its last step.
    pub epoch_over: Option<EpochRecord>,
}

/// Why a training has no further step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// All epochs are over.
    Epochs,
    /// The score has not risen for so many epochs.
    Patience,
}

impl<'d> Training<'d> {
    /// A training of `trainer`'s network on `data` from the beginning. After each epoch the items `scored` are
    /// scored.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if a data set does not fit the network, [`Error::Spec`] as
    /// [`NetworkSpec::shapes`](crate::NetworkSpec::shapes) or if a batch, such as the last of an epoch, has one
    /// value per channel to normalise, [`Error::Engine`] if a number of the options, or of the trainer's, has no
    /// meaning, or the system does not give the memory.
    pub fn new(
        mut trainer: Trainer,
        data: &'d Dataset,
        scored: Option<Scored<'d>>,
        options: TrainOptions,
    ) -> Result<Training<'d>, Error> {
        check_fit(trainer.network(), data)?;
        if let Some(scored) = &scored {
            check_fit(trainer.network(), scored.data)?;
        }
        options.check()?;
        trainer.check()?;
        let batches = Batches { data, options };
        for size in batches.sizes() {
            trainer.network().check_batch(size)?;
        }
        trainer.allocate()?;
        // Network and optimiser are kept a second time, in buffers that are not asked for one by one.
        let state: usize = trainer.optimizer().state().map(<[f32]>::len).sum();
        let kept = state.saturating_add(trainer.network().parameters.len());
        Buffer::try_zeros("a copy of the network and its optimiser", kept)?;
        let mut training = Training {
            retained: Retained::of(&trainer, [0, 0]),
            trainer,
            batches,
            scored,
            order: batches.order(0),
            position: Position::default(),
            history: History::default(),
            best: None,
            end: None,
            description: OnceLock::new(),
        };
        training.find_end();
        Ok(training)
    }

    /// The network as it is now, and what trains it.
    pub fn trainer(&self) -> &Trainer {
        &self.trainer
    }

    /// The items that are trained on.
    pub fn data(&self) -> &'d Dataset {
        self.batches.data
    }

    /// The network as it is now.
    pub fn network(&self) -> &Network {
        self.trainer.network()
    }

    /// The network after the epoch with the best score, if scores [choose](Scored::selects) and there was one.
    pub fn best(&self) -> Option<&Network> {
        self.best.as_ref()
    }

    /// The trained network.
    pub fn into_network(self) -> Network {
        self.trainer.into_network()
    }

    /// Epochs, batch size and the rest.
    pub fn options(&self) -> &TrainOptions {
        &self.batches.options
    }

    /// Losses and scores so far.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Steps of an epoch.
    pub fn steps_per_epoch(&self) -> usize {
        self.batches.steps()
    }

    /// Epochs that are over, and steps taken in the one at hand.
    pub fn position(&self) -> (usize, usize) {
        (self.position.epoch, self.position.step)
    }

    /// Why there is no further step, if there is none.
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// Takes the next step; none if the training is over. With the last step of an epoch come the scores.
    ///
    /// # Errors
    /// [`Error::NonFiniteLoss`] if the loss is NaN or infinite: the step is then not taken, only running
    /// statistics may have moved. As [`Trainer::step`], where [`Error::NonFiniteGradient`] also leaves the
    /// training as it is.
    pub fn step(&mut self) -> Result<Option<Step>, Error> {
        if self.end.is_some() {
            return Ok(None);
        }
        let steps = self.steps_per_epoch();
        let Position { epoch, step, .. } = self.position;
        if step % RETAINED_EVERY == 0 {
            self.retained = Retained::of(&self.trainer, [epoch, step]);
        }
        let Training { trainer, batches, order, .. } = self;
        let lr = batches.rate(trainer.optimizer_options().lr(), [epoch, step]);
        trainer.set_learning_rate(lr);
        let items = batches.items(order, step);
        let cx = trainer.context().clone();
        let loss = trainer.step_with(items.len(), |images, targets| {
            batches.write(&cx, items, epoch, images, targets)
        })?;
        if !loss.is_finite() {
            return Err(Error::NonFiniteLoss { epoch: epoch + 1, step: step + 1, loss });
        }
        let correct = trainer.correct(items.iter().map(|&item| batches.data.labels()[item]));
        let items = items.len();
        self.position.step += 1;
        self.position.loss_sum += f64::from(loss) * items as f64;
        self.position.correct += correct;
        self.position.items += items;
        let so_far = Score { correct: self.position.correct, items: self.position.items };
        self.history.losses.push(loss);
        let epoch_over = match self.position.step == steps {
            true => Some(self.end_epoch(lr)?),
            false => None,
        };
        let (epoch, step) = (epoch + 1, step + 1);
        Ok(Some(Step { epoch, step, steps, items, correct, so_far, loss, lr, epoch_over }))
    }

    /// Scores, and turns to the next epoch.
    fn end_epoch(&mut self, lr: f64) -> Result<EpochRecord, Error> {
        let Position { epoch, loss_sum, correct, items, .. } = self.position;
        let mut record = EpochRecord {
            epoch: epoch + 1,
            mean_loss: loss_sum / items as f64,
            training: Score { correct, items },
            lr,
            batch_statistics: None,
            running_statistics: None,
            best: false,
        };
        if let Some(Scored { data, selects }) = self.scored {
            let network = self.trainer.network();
            let score = |mode| evaluate(self.trainer.context(), network, data, mode);
            record.running_statistics = Some(score(Normalization::RunningStatistics)?);
            record.batch_statistics = match network.has_batch_norm() {
                true => defined(score(Normalization::BatchStatistics))?,
                false => None,
            };
            let judged = |record: &EpochRecord| record.score(self.batches.options.judged_by);
            let before =
                self.history.epochs.iter().filter_map(judged).map(|score| score.correct).max();
            record.best = selects && judged(&record).map(|score| score.correct) > before;
            if record.best {
                self.best = Some(network.clone());
            }
        }
        self.history.epochs.push(record);
        self.position = Position { epoch: epoch + 1, ..Position::default() };
        self.order = self.batches.order(epoch + 1);
        self.find_end();
        Ok(record)
    }

    fn find_end(&mut self) {
        let patience = self.batches.options.patience.map_or(usize::MAX, |epochs| epochs.get());
        let selects = self.scored.is_some_and(|scored| scored.selects);
        self.end = if self.position.epoch >= self.batches.options.epochs {
            Some(End::Epochs)
        } else if selects && self.history.epochs_since_best() >= patience {
            Some(End::Patience)
        } else {
            None
        };
    }
}

/// The score, or none where batch statistics of a single item do not exist.
fn defined(score: Result<Score, Error>) -> Result<Option<Score>, Error> {
    match score {
        Ok(score) => Ok(Some(score)),
        Err(Error::Spec(SpecError::OneValuePerChannel { .. })) => Ok(None),
        Err(error) => Err(error),
    }
}

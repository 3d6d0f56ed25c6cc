//! A training as the bytes of one safetensors file, and back.
//!
//! | tensors | what |
//! |---|---|
//! | `network.*` | parameters and running statistics, named as in a weights file |
//! | `optimizer.*` | what the optimiser keeps for each parameter, by PyTorch's names |
//! | `best.*` | the network of the best epoch, if there is one |
//! | `history.losses` | f32, the loss of each step |
//! | `history.epochs` | f64, a row for each epoch that is over |
//! | `position`, `loss_sum` | where the training stands, and its sums over the epoch at hand |
//!
//! The order of the items and all random numbers follow from the options and the position, so there is no other
//! random state. Of the options the file holds a description, by which those of a resumed training are
//! judged.

use super::batches::Batches;
use super::diagnose::Retained;
use super::{Augmentation, EpochRecord, History, Position, Scored, TrainOptions, Training};
use crate::Error;
use crate::data::{Dataset, Order};
use crate::evaluate::Score;
use crate::spec::NetworkSpec;
use crate::tensors_file::parse;
use crate::trainer::Trainer;
use crate::weights::{
    Stored, Tensors, WeightsError, none_left, take_doubles, take_floats, take_integers,
};
use safetensors::tensor::{SafeTensors, serialize};
use serde_json::to_string as to_json;
use std::collections::HashMap;

const FORMAT: &str = "loupe checkpoint 2";
/// Numbers of a row of `history.epochs`.
const COLUMNS: usize = 10;
/// The largest number of items in a row: 2⁵³, up to which an f64 holds all whole numbers.
const MAX_COUNT: f64 = (1u64 << 53) as f64;

/// A checkpoint that cannot be resumed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// A safetensors file that is no checkpoint, or one of another version.
    #[error("a safetensors file, but not a {FORMAT}")]
    Version,
    /// The checkpoint is of a training with other options, network or data.
    #[error("the checkpoint is of a training with {what} {saved}, not {given}")]
    Other {
        /// What differs.
        what: &'static str,
        /// In the checkpoint.
        saved: String,
        /// Of the training to be resumed.
        given: String,
    },
    /// The bytes are no safetensors file, or a tensor is missing or has another shape or type.
    #[error(transparent)]
    Tensors(#[from] WeightsError),
    /// The numbers contradict each other.
    #[error("the checkpoint contradicts itself: {what}")]
    Inconsistent {
        /// In which numbers.
        what: &'static str,
    },
}

impl<'d> Training<'d> {
    /// All that is needed to resume this training, as the bytes of a safetensors file.
    pub fn checkpoint(&self) -> Vec<u8> {
        let Training { trainer, position, history, best, .. } = self;
        let mut tensors = trainer.network().stored("network.");
        if let Some(best) = best {
            tensors.extend(best.stored("best."));
        }
        let names = trainer.optimizer_options().state_names();
        for (name, state) in names.iter().zip(trainer.optimizer().state()) {
            tensors.extend(trainer.network().tensors().map(|(info, _)| {
                let stored = Stored::floats(&info.shape, &state[info.range.clone()]);
                (format!("optimizer.{}.{name}", info.name), stored)
            }));
        }
        let History { losses, epochs } = history;
        let rows: Vec<f64> = epochs.iter().flat_map(to_row).collect();
        let &Position { epoch, step, loss_sum, correct, items } = position;
        let steps = trainer.optimizer().steps();
        let position = [epoch as u64, step as u64, correct as u64, items as u64, steps]
            .map(|count| i64::try_from(count).unwrap_or(i64::MAX));
        tensors.extend([
            ("history.losses".to_owned(), Stored::floats(&[losses.len()], losses)),
            ("history.epochs".to_owned(), Stored::doubles(&[epochs.len(), COLUMNS], &rows)),
            ("position".to_owned(), Stored::integers(&[5], &position)),
            ("loss_sum".to_owned(), Stored::doubles(&[], &[loss_sum])),
        ]);
        let described = self.description().iter();
        let lines: Vec<_> = described.map(|(what, text)| format!("{what}: {text}\n")).collect();
        // One entry: several would be written in a random order.
        let metadata = HashMap::from([(FORMAT.to_owned(), lines.concat())]);
        serialize(tensors, Some(metadata)).expect("names are unique and sizes fit memory")
    }

    /// The training that wrote the [checkpoint](Training::checkpoint) `bytes`. The other arguments are those
    /// that it was [made](Training::new) with; of the options, epochs and patience may differ. What the
    /// network and the optimiser of `trainer` hold does not matter. If the
    /// [schedule](super::Schedule::depends_on_epochs) goes by the number of epochs, another number changes the
    /// rates of the steps that are left.
    ///
    /// # Errors
    /// [`Error::Checkpoint`], and as [`Training::new`].
    pub fn resume(
        trainer: Trainer,
        data: &'d Dataset,
        scored: Option<Scored<'d>>,
        options: TrainOptions,
        bytes: &[u8],
    ) -> Result<Training<'d>, Error> {
        let mut training = Training::new(trainer, data, scored, options)?;
        training.restore(bytes)?;
        Ok(training)
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), CheckpointError> {
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(WeightsError::Format)?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let described = metadata.get(FORMAT).ok_or(CheckpointError::Version)?;
        let mut lines = described.lines();
        for &(what, ref given) in self.description() {
            let line = lines.next().and_then(|line| line.strip_prefix(what)?.strip_prefix(": "));
            let saved = line.ok_or(CheckpointError::Version)?;
            if saved != given {
                let (saved, given) = (saved.to_owned(), given.clone());
                return Err(CheckpointError::Other { what, saved, given });
            }
        }
        let file = parse(bytes)?;
        let mut tensors: Tensors<'_> = file.tensors().into_iter().collect();
        let network = self.trainer.network().loaded("network.", &mut tensors)?;
        self.best = match tensors.keys().any(|name| name.starts_with("best.")) {
            true => Some(network.loaded("best.", &mut tensors)?),
            false => None,
        };
        let names = self.trainer.optimizer_options().state_names();
        let (states, optimizer_steps) = self.trainer.optimizer_mut().state_mut();
        for (name, state) in names.iter().zip(states) {
            for (info, _) in network.tensors() {
                let name = format!("optimizer.{}.{name}", info.name);
                take_floats(&mut tensors, &name, &info.shape, &mut state[info.range.clone()])?;
            }
        }
        let mut numbers = [0; 5];
        take_integers(&mut tensors, "position", &[5], &mut numbers)?;
        let inconsistent = |what| CheckpointError::Inconsistent { what };
        let negative = |_| inconsistent("its position is negative");
        *optimizer_steps = u64::try_from(numbers[4]).map_err(negative)?;
        let [epoch, step, correct, items] = [numbers[0], numbers[1], numbers[2], numbers[3]];
        let counted = |n: i64| usize::try_from(n).map_err(negative);
        let [epoch, step] = [counted(epoch)?, counted(step)?];
        let so_far = Score { correct: counted(correct)?, items: counted(items)? };
        let mut loss_sum = [0.0];
        take_doubles(&mut tensors, "loss_sum", &[], &mut loss_sum)?;
        let batch = self.batches.options.batch_size.get();
        let steps = self.batches.steps();
        let whole = step < steps && so_far.items == step * batch && so_far.correct <= so_far.items;
        if !whole || !loss_sum[0].is_finite() {
            return Err(inconsistent("its position is not in an epoch of this data set"));
        }
        let Score { correct, items } = so_far;
        self.position = Position { epoch, step, loss_sum: loss_sum[0], correct, items };
        self.history = history(&mut tensors, self.batches.data.len())?;
        let taken = epoch.checked_mul(steps).and_then(|steps| steps.checked_add(step));
        if Some(self.history.losses.len()) != taken || self.history.epochs.len() != epoch {
            return Err(inconsistent("its history is not as long as the training"));
        }
        if self.best.is_some() != self.history.best().is_some() {
            return Err(inconsistent("its history does not say which epoch was the best"));
        }
        none_left(&tensors)?;
        self.order = self.batches.order(epoch);
        self.trainer.set_network(network);
        self.retained = Retained::of(&self.trainer, [epoch, step]);
        self.find_end();
        Ok(())
    }
}

/// The history of a training on `items` items.
fn history(tensors: &mut Tensors<'_>, items: usize) -> Result<History, CheckpointError> {
    let len = |name: &str| tensors.get(name).and_then(|t| t.shape().first().copied()).unwrap_or(0);
    let (steps, epochs) = (len("history.losses"), len("history.epochs"));
    // Sizes of tensors that are in the file, if they are what they claim to be.
    if steps.max(epochs.saturating_mul(COLUMNS)) > tensors_len(tensors) {
        return Err(CheckpointError::Inconsistent { what: "its history is longer than the file" });
    }
    let mut losses = vec![0.0; steps];
    take_floats(tensors, "history.losses", &[steps], &mut losses)?;
    let mut rows = vec![0.0; epochs * COLUMNS];
    take_doubles(tensors, "history.epochs", &[epochs, COLUMNS], &mut rows)?;
    let (rows, _) = rows.as_chunks::<COLUMNS>();
    let epochs: Option<Vec<EpochRecord>> =
        (1..).zip(rows).map(|(epoch, row)| from_row(row, epoch, items)).collect();
    match epochs {
        Some(epochs) if losses.iter().all(|loss| loss.is_finite()) => {
            Ok(History { losses, epochs })
        }
        _ => Err(CheckpointError::Inconsistent { what: "its history is not one of this data set" }),
    }
}

/// Bytes of all tensors.
fn tensors_len(tensors: &Tensors<'_>) -> usize {
    tensors.values().map(|tensor| tensor.data().len()).sum()
}

/// NaN stands for a score that is not there.
fn to_row(record: &EpochRecord) -> [f64; COLUMNS] {
    let score = |score: Option<Score>| {
        score.map_or([f64::NAN; 2], |score| [score.correct as f64, score.items as f64])
    };
    let [batch_correct, batch_items] = score(record.batch_statistics);
    let [running_correct, running_items] = score(record.running_statistics);
    let Score { correct, items } = record.training;
    [
        record.epoch as f64,
        record.mean_loss,
        correct as f64,
        items as f64,
        record.lr,
        batch_correct,
        batch_items,
        running_correct,
        running_items,
        f64::from(u8::from(record.best)),
    ]
}

/// None if the row is not that of this epoch, counted from 1, of a training on `items` items.
fn from_row(row: &[f64; COLUMNS], epoch: usize, items: usize) -> Option<EpochRecord> {
    let count = |number: f64| {
        let exact = (0.0..=MAX_COUNT).contains(&number) && number.fract() == 0.0;
        exact.then_some(number as usize)
    };
    let score = |correct: f64, items: f64| {
        let score = Score { correct: count(correct)?, items: count(items)? };
        (score.correct <= score.items).then_some(score)
    };
    let scored = |correct: f64, items: f64| match correct.is_nan() && items.is_nan() {
        true => Some(None),
        false => score(correct, items).map(Some),
    };
    let &[number, mean_loss, correct, of, lr, .., best] = row;
    let usable = number == epoch as f64
        && mean_loss.is_finite()
        && lr.is_finite()
        && (best == 0.0 || best == 1.0);
    usable.then_some(EpochRecord {
        epoch,
        mean_loss,
        training: score(correct, of).filter(|score| score.items == items)?,
        lr,
        batch_statistics: scored(row[5], row[6])?,
        running_statistics: scored(row[7], row[8])?,
        best: best == 1.0,
    })
}

impl Training<'_> {
    /// What a training must have in common with the one that is resumed. It never changes, and is made once: it
    /// takes a look at all data.
    fn description(&self) -> &Description {
        self.description.get_or_init(|| description(&self.trainer, &self.batches, self.scored))
    }
}

/// A network as in a file; if it has layers of others, which cannot be in files, as they show themselves.
fn in_words(spec: &NetworkSpec) -> String {
    to_json(spec).unwrap_or_else(|_| format!("{spec:?}").replace('\n', " "))
}

/// By name.
pub(super) type Description = [(&'static str, String); 11];

fn description(
    trainer: &Trainer,
    batches: &Batches<'_>,
    scored: Option<Scored<'_>>,
) -> Description {
    let TrainOptions { batch_size, order, schedule, augmentation, judged_by, .. } = batches.options;
    let Augmentation { shift, rotate, seed } = augmentation;
    let items = |data: &Dataset| {
        let (len, height, width) = (data.len(), data.height(), data.width());
        let [images, labels] = [data.images(), data.labels()].map(crc32fast::hash);
        format!("{len} items of {height} × {width}, checksums {images:08x} and {labels:08x}")
    };
    let scored = scored.filter(|scored| scored.selects);
    [
        ("network", in_words(trainer.network().spec())),
        ("optimizer", trainer.optimizer_options().to_string()),
        ("loss", trainer.loss().to_string()),
        (
            "gradients clipped to",
            trainer.clip_grad_norm().map_or("any norm".to_owned(), |n| n.to_string()),
        ),
        // Where nothing is random, any seed gives the same bits.
        (
            "seed of random layers",
            match trainer.network().is_random() {
                true => trainer.seed().to_string(),
                false => "any".to_owned(),
            },
        ),
        ("batch size", batch_size.to_string()),
        (
            "order",
            match order {
                Order::File => "that of the file".to_owned(),
                Order::Shuffled { seed } => format!("shuffled by seed {seed}"),
            },
        ),
        ("schedule", to_json(&schedule).expect("a schedule is a table of numbers")),
        (
            "augmentation",
            match augmentation.is_none() {
                true => "none".to_owned(),
                false => format!("shift {shift}, rotate {rotate}, seed {seed}"),
            },
        ),
        ("data", items(batches.data)),
        (
            "validation",
            scored
                .map_or("none".to_owned(), |scored| format!("{}, {judged_by}", items(scored.data))),
        ),
    ]
}

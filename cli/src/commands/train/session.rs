//! A training with its folder: steps are taken, written down and saved.

use crate::diagnosis::explained;
use crate::environment;
use crate::interrupt::Interrupt;
use crate::log::RunLog;
use crate::output::{Output, Thousands};
use crate::progress::Progress;
use crate::recipe::Recipe;
use crate::report;
use crate::run_folder::{RunFolder, write};
use crate::text_file::read_text;
use anyhow::{Error, Result};
use loupe_model::data::Dataset;
use loupe_model::{End, Training};
use std::time::{Duration, Instant};

/// A checkpoint is written at the end of an epoch, and within one after so long.
const SAVE_EVERY: Duration = Duration::from_secs(30);

pub(super) struct Session<'d> {
    training: Training<'d>,
    folder: RunFolder,
    log: RunLog,
    /// Whether the folder holds a checkpoint.
    saved: bool,
    /// Images per second.
    speed: Option<f64>,
    /// Of training, in the end.
    seconds: f64,
}

/// Why a training has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// All epochs are over.
    Epochs,
    /// No better score for long enough.
    Patience,
    /// The time is up.
    Time,
    /// The user has asked for it.
    Interrupted,
}

impl<'d> Session<'d> {
    /// A new run, or one that had saved nothing.
    pub(super) fn new(
        folder: RunFolder,
        training: Training<'d>,
        recipe: &Recipe,
        data: &Dataset,
    ) -> Result<Session<'d>> {
        let begin = || {
            folder.write_classes(data)?;
            write(&folder.config(), recipe.to_toml().as_bytes())?;
            let environment = environment::of(training.trainer().context(), recipe);
            write(&folder.environment(), format!("{environment:#}\n").as_bytes())?;
            RunLog::open(folder.path(), 0)
        };
        match begin() {
            Ok(log) => {
                Ok(Session { training, folder, log, saved: false, speed: None, seconds: 0.0 })
            }
            Err(error) => {
                folder.discard();
                Err(error)
            }
        }
    }

    /// A run that goes on.
    pub(super) fn resume(
        folder: RunFolder,
        training: Training<'d>,
        recipe: &Recipe,
    ) -> Result<Session<'d>> {
        let steps = training.history().losses().len();
        // Without a report of all steps, the results are still to be written.
        let reported = read_text(&folder.report()).is_ok_and(|page| report::shows(&page, steps));
        if let Some(end) = training.end().filter(|_| reported) {
            let run = folder.path().display();
            if let (End::Patience, Some(patience)) = (end, recipe.patience) {
                anyhow::bail!(
                    "{run}: {patience} epochs without a better score are over; a larger number of \
                     --patience goes on"
                );
            }
            let place = place(training.position());
            anyhow::bail!(
                "{run}: the training is over after {place}; a larger number of --epochs goes on"
            );
        }
        let log = RunLog::open(folder.path(), steps)?;
        write(&folder.config(), recipe.to_toml().as_bytes())?;
        let session = Session { training, folder, log, saved: true, speed: None, seconds: 0.0 };
        // A run that was killed may have saved the checkpoint alone.
        session.save_weights()?;
        session.save_best()?;
        Ok(session)
    }

    pub(super) fn training(&self) -> &Training<'d> {
        &self.training
    }

    pub(super) fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// Seconds of training, when it has stopped.
    pub(super) fn seconds(&self) -> f64 {
        self.seconds
    }

    /// Seconds that an epoch took, if the log says it.
    pub(super) fn epoch_seconds(&self, epoch: usize) -> Option<f64> {
        self.log.epoch_seconds(epoch)
    }

    /// Images per second of training, if there was any.
    pub(super) fn speed(&self) -> Option<f64> {
        self.speed
    }

    /// What is trained, with what, and from where on.
    pub(super) fn headline(&self, model: &str, recipe: &Recipe) -> String {
        let cx = self.training.trainer().context();
        let order = if recipe.shuffle { "shuffled" } else { "in file order" };
        let threads = cx.threads().count();
        let mut line = format!(
            "{model}: {} parameters, batch size {} {order}, seed {}; {}, {threads} thread{}",
            Thousands(self.training.network().parameter_count()),
            recipe.batch_size,
            recipe.seed,
            cx.isa().tier().name(),
            if threads == 1 { "" } else { "s" },
        );
        if self.saved {
            line += &format!("; goes on after {}", self.place());
        }
        line
    }

    /// How far the training is, in words.
    pub(super) fn place(&self) -> String {
        place(self.training.position())
    }

    /// Takes steps until something stops it. `judge` is what the items are called that are scored after each
    /// epoch.
    pub(super) fn train(
        &mut self,
        recipe: &Recipe,
        judge: &str,
        interrupt: &Interrupt,
        output: &mut Output,
    ) -> Result<Stop> {
        let began = Instant::now();
        let limit = recipe.max_seconds.and_then(|limit| Duration::try_from_secs_f64(limit).ok());
        let mut saved = began;
        let left = self.items_left(recipe);
        let mut progress = Progress::new(recipe.epochs, left, limit, output.quiet());
        let stop = loop {
            let Some(step) = self.training.step()? else {
                break match self.training.end() {
                    Some(End::Patience) => Stop::Patience,
                    _ => Stop::Epochs,
                };
            };
            self.log.step(&step, self.training.history().losses())?;
            progress.step(&step, output);
            let now = Instant::now();
            if let Some(record) = step.epoch_over {
                self.log.epoch(&record)?;
                self.save()?;
                if record.best {
                    self.save_best()?;
                }
                progress.epoch(&record, judge, output);
                saved = now;
            } else if now - saved >= SAVE_EVERY {
                self.save()?;
                saved = now;
            }
            if self.training.end().is_none() {
                let stop = match () {
                    () if interrupt.asked() => Stop::Interrupted,
                    () if limit.is_some_and(|limit| now - began >= limit) => Stop::Time,
                    () => continue,
                };
                if step.epoch_over.is_none() {
                    self.save()?;
                }
                break stop;
            }
        };
        self.speed = progress.finish();
        self.seconds = self.log.seconds();
        if self.training.history().losses().is_empty() {
            self.save()?;
        }
        Ok(stop)
    }

    /// After an error the folder stays if it holds a checkpoint, and the message says so.
    pub(super) fn ended(&mut self, stop: Result<Stop>) -> Result<Stop> {
        let error = match stop {
            Ok(stop) => return Ok(stop),
            Err(error) => explained(&self.training, error),
        };
        if self.saved {
            let kept = format!(
                "{error:#}\n{} keeps the checkpoint and the weights that were saved last",
                self.folder.path().display()
            );
            return Err(Error::msg(kept));
        }
        self.folder.discard();
        Err(error)
    }

    fn items_left(&self, recipe: &Recipe) -> usize {
        let (epochs, steps) = self.training.position();
        let all = self.training.data().len();
        let done = steps.saturating_mul(recipe.batch_size.get()).min(all);
        recipe.epochs.saturating_sub(epochs).saturating_mul(all).saturating_sub(done)
    }

    /// Writes the checkpoint, then the weights, which are in it too.
    fn save(&mut self) -> Result<()> {
        write(&self.folder.checkpoint(), &self.training.checkpoint())?;
        self.saved = true;
        self.save_weights()
    }

    fn save_weights(&self) -> Result<()> {
        Ok(self.training.network().save_weights(&self.folder.weights())?)
    }

    fn save_best(&self) -> Result<()> {
        match self.training.best() {
            Some(best) => Ok(best.save_weights(&self.folder.best_weights())?),
            None => Ok(()),
        }
    }
}

/// How far a training is that has taken so many epochs, and steps of another one.
fn place((epochs, steps): (usize, usize)) -> String {
    match (epochs, steps) {
        (0, _) => format!("step {} of epoch 1", Thousands(steps)),
        (_, 0) => format!("epoch {epochs}"),
        _ => format!("step {} of epoch {}", Thousands(steps), epochs + 1),
    }
}

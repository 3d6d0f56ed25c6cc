//! One network of a comparison: its training, on a clock of its own.

use crate::diagnosis::explained;
use crate::model::Model;
use crate::output::Thousands;
use crate::recipe::Recipe;
use crate::scores::{ModeScore, modes};
use crate::training_data::Data;
use anyhow::Result;
use loupe_engine::Context;
use loupe_model::data::Dataset;
use loupe_model::{
    EpochRecord, Memory, Network, Normalization, Plan, Score, Summary, Training, evaluate,
};
use std::time::Instant;

pub(super) struct Entrant<'d> {
    name: String,
    /// It scores nothing itself: scores are on nobody's clock.
    training: Training<'d>,
    test: &'d Dataset,
    pub(super) summary: Summary,
    /// Floating-point operations of a training step's share of one input.
    pub(super) training_flops: u64,
    /// What training holds in memory.
    pub(super) memory: Memory,
    /// Bytes of parameters, statistics and all values for the inference of one input.
    pub(super) inference_bytes: usize,
    /// Seconds of each step.
    steps: Vec<f32>,
    pub(super) epochs: Vec<Epoch>,
    /// Of the network as it is in the end.
    pub(super) scores: Vec<ModeScore>,
}

/// An epoch that is over.
pub(super) struct Epoch {
    pub(super) record: EpochRecord,
    /// Seconds of its steps.
    pub(super) seconds: f64,
    pub(super) scores: Vec<ModeScore>,
}

/// Times of the steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct StepTimes {
    pub(super) median: f64,
    pub(super) mean: f64,
    pub(super) sum: f64,
}

impl<'d> Entrant<'d> {
    pub(super) fn new(
        cx: &Context,
        model: &Model,
        recipe: &Recipe,
        data: &'d Data,
    ) -> Result<Entrant<'d>> {
        let network = Network::new(model.spec.clone(), recipe.seed)?;
        let one = Plan::new(&network, 1)?.memory().total();
        let batch = recipe.batch_size.get().min(data.training.len());
        let mut trainer = recipe.trainer(cx.clone(), network);
        let memory = Memory::of(&mut trainer, batch)?;
        let mut entrant = Entrant {
            name: model.name.clone(),
            summary: Summary::new(&model.spec, 1)?,
            training_flops: model.spec.training_flops()?,
            training: Training::new(trainer, &data.training, None, recipe.options())?,
            test: &data.test,
            memory,
            inference_bytes: one + memory.parameters + memory.statistics,
            steps: Vec::new(),
            epochs: Vec::new(),
            scores: Vec::new(),
        };
        // A network that does not fit the test items is found out before the training.
        entrant.scores = entrant.score()?;
        Ok(entrant)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn training(&self) -> &Training<'d> {
        &self.training
    }

    /// Steps until the epoch at hand is over; none if there is no further step.
    pub(super) fn steps_left(&self) -> Option<usize> {
        let (_, steps) = self.training.position();
        self.training.end().is_none().then(|| self.training.steps_per_epoch() - steps)
    }

    /// Takes so many steps, and scores the network if an epoch ends with them.
    pub(super) fn take(&mut self, steps: usize) -> Result<()> {
        for _ in 0..steps {
            let began = Instant::now();
            let step = self.training.step();
            let seconds = began.elapsed().as_secs_f32();
            let step = step.map_err(|error| {
                explained(&self.training, error.into()).context(self.name.clone())
            })?;
            let Some(step) = step else { break };
            self.steps.push(seconds);
            if let Some(record) = step.epoch_over {
                let seconds = sum(&self.steps[self.steps.len() - step.steps..]);
                self.epochs.push(Epoch { record, seconds, scores: self.score()? });
            }
        }
        Ok(())
    }

    /// Scores the network as it is in the end.
    pub(super) fn finish(&mut self) -> Result<()> {
        self.scores = self.score()?;
        Ok(())
    }

    fn score(&self) -> Result<Vec<ModeScore>> {
        let (cx, network) = (self.training.trainer().context(), self.training.network());
        let score = |mode: crate::scores::Mode| {
            let by = mode.normalization();
            let score = match mode.possible {
                Ok(()) => Ok(evaluate(cx, network, self.test, by)?),
                Err(reason) => Err(reason),
            };
            Ok(ModeScore { mode: mode.name, score })
        };
        modes(network)?.into_iter().map(score).collect()
    }

    /// Times of all steps, if there were any.
    pub(super) fn times(&self) -> Option<StepTimes> {
        let sum = sum(&self.steps);
        let mut steps = self.steps.clone();
        let middle = steps.len() / 2;
        let (_, median, _) =
            (middle < steps.len()).then(|| steps.select_nth_unstable_by(middle, f32::total_cmp))?;
        Some(StepTimes { median: (*median).into(), mean: sum / self.steps.len() as f64, sum })
    }

    /// Steps taken.
    pub(super) fn step_count(&self) -> usize {
        self.steps.len()
    }

    /// Images per second of training, if there was any.
    pub(super) fn speed(&self) -> Option<f64> {
        let (epochs, steps) = self.training.position();
        let (all, batch) = (self.training.data().len(), self.training.options().batch_size.get());
        let items = epochs.saturating_mul(all) + steps.saturating_mul(batch).min(all);
        Some(items as f64 / self.times()?.sum.max(1e-9))
    }

    /// How far the training is, in words.
    pub(super) fn place(&self) -> String {
        match self.training.position() {
            (epochs, 0) => format!("epoch {epochs}"),
            (epochs, steps) => format!("step {} of epoch {}", Thousands(steps), epochs + 1),
        }
    }

    /// Epochs done and accuracies from 0 to 1, also where the training was interrupted.
    pub(super) fn accuracies(&self, judged_by: Normalization) -> Vec<(f64, f64)> {
        let point = |epoch: &Epoch| {
            Some((epoch.record.epoch as f64, judged(&epoch.scores, judged_by)?.1.ratio()))
        };
        let (epochs, steps) = self.training.position();
        let within = epochs as f64 + steps as f64 / self.training.steps_per_epoch() as f64;
        let end = judged(&self.scores, judged_by).filter(|_| steps > 0);
        let end = end.map(|(_, score)| (within, score.ratio()));
        self.epochs.iter().filter_map(point).chain(end).collect()
    }
}

/// The score by these statistics, or by others where that is not defined, and by which.
pub(super) fn judged(
    scores: &[ModeScore],
    judged_by: Normalization,
) -> Option<(Option<Normalization>, Score)> {
    let defined = scores.iter().filter_map(|of| Some((of.mode, *of.score.as_ref().ok()?)));
    defined.max_by_key(|(mode, _)| *mode == Some(judged_by))
}

fn sum(seconds: &[f32]) -> f64 {
    seconds.iter().map(|&seconds| f64::from(seconds)).sum()
}

//! All networks are trained by turns.

use super::entrant::Entrant;
use crate::interrupt::Interrupt;
use crate::output::{Output, Thousands};
use crate::progress::{Clock, LINE_EVERY, bar, show};
use crate::recipe::Recipe;
use crate::scores::ModeScore;
use anyhow::Result;
use indicatif::ProgressBar;
use std::time::{Duration, Instant};

/// How long a network's turn lasts, on average over the networks.
const TURN: Duration = Duration::from_millis(250);

/// Trains all networks to the end, or to where Ctrl-C is noticed; whether it was. In a round every network takes
/// the same number of steps, so that what disturbs the machine for a while meets all of them. No round reaches
/// beyond an epoch. The results do not depend on the rounds.
pub(super) fn train(
    entrants: &mut [Entrant<'_>],
    recipe: &Recipe,
    interrupt: &Interrupt,
    output: &mut Output,
) -> Result<bool> {
    let mut progress = Progress::new(entrants, recipe.epochs, output.quiet());
    let mut steps = 1;
    while let Some(left) = entrants[0].steps_left() {
        let round = left.min(steps);
        let began = Instant::now();
        entrants.iter_mut().try_for_each(|entrant| entrant.take(round))?;
        steps = next(round, began.elapsed() / entrants.len() as u32);
        progress.round(entrants, round, output);
        if round == left {
            progress.epoch(entrants, output);
        }
        if interrupt.asked() && entrants[0].steps_left().is_some() {
            progress.bar.finish_and_clear();
            return Ok(true);
        }
    }
    progress.bar.finish_and_clear();
    Ok(false)
}

/// The steps of the next round, if `steps` of a network took so long on average. They at most double, because few
/// steps say little.
fn next(steps: usize, took: Duration) -> usize {
    let fitting = steps as f64 * TURN.as_secs_f64() / took.as_secs_f64().max(1e-9);
    (fitting as usize).clamp(1, steps.saturating_mul(2))
}

struct Progress {
    bar: ProgressBar,
    epochs: usize,
    began: Instant,
    printed: Instant,
    /// Of each network.
    steps: usize,
    all: usize,
    /// Characters of the longest name.
    width: usize,
}

impl Progress {
    fn new(entrants: &[Entrant<'_>], epochs: usize, quiet: bool) -> Progress {
        let steps = entrants[0].training().steps_per_epoch();
        let width = entrants.iter().map(|entrant| entrant.name().chars().count()).max();
        let now = Instant::now();
        Progress {
            bar: bar(quiet),
            epochs,
            began: now,
            printed: now,
            steps: 0,
            all: epochs.saturating_mul(steps),
            width: width.unwrap_or(0),
        }
    }

    fn round(&mut self, entrants: &[Entrant<'_>], round: usize, output: &mut Output) {
        self.steps += round;
        let steps = entrants[0].training().steps_per_epoch();
        let (epoch, step) = ((self.steps - 1) / steps, (self.steps - 1) % steps + 1);
        let losses = entrants.iter().map(|entrant| {
            let losses = entrant.training().history().losses();
            let newest = &losses[losses.len() - round..];
            let mean = newest.iter().map(|&loss| f64::from(loss)).sum::<f64>() / round as f64;
            format!("{} {mean:.4}", entrant.name())
        });
        let losses = losses.collect::<Vec<_>>().join(", ");
        let place = format!("epoch {}/{}", epoch + 1, self.epochs);
        let pace = self.began.elapsed().as_secs_f64() / self.steps as f64;
        let left = Clock(pace * self.all.saturating_sub(self.steps) as f64);
        let (step_text, of) = (Thousands(step), Thousands(steps));
        let state = format!("step {step_text}/{of}  loss {losses}  {left} left");
        show(&self.bar, place.clone(), [step, steps], &state);
        if self.bar.is_hidden() && self.printed.elapsed() >= LINE_EVERY && step < steps {
            self.printed = Instant::now();
            output.note(format_args!("{place}  {state}"));
        }
    }

    /// Prints what an epoch has come to.
    fn epoch(&self, entrants: &[Entrant<'_>], output: &mut Output) {
        for entrant in entrants {
            let Some(epoch) = entrant.epochs.last() else { continue };
            let steps = entrant.training().steps_per_epoch() as f64;
            let line = format!(
                "epoch {}/{}  {:width$}  mean loss {:.4}  test {} %  {:.2} s  {:.2} µs/step",
                epoch.record.epoch,
                self.epochs,
                entrant.name(),
                epoch.record.mean_loss,
                percents(&epoch.scores),
                epoch.seconds,
                epoch.seconds / steps * 1e6,
                width = self.width,
            );
            self.bar.suspend(|| output.note(format_args!("{line}")));
        }
    }
}

/// Accuracies in percent, one for each way of normalising.
pub(super) fn percents(scores: &[ModeScore]) -> String {
    let percent = |of: &ModeScore| match &of.score {
        Ok(score) => format!("{:.2}", score.ratio() * 100.0),
        Err(_) => "–".to_owned(),
    };
    scores.iter().map(percent).collect::<Vec<_>>().join(" / ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_grow_slowly_and_shrink_at_once() {
        assert_eq!(next(1, Duration::ZERO), 2);
        assert_eq!(next(1000, TURN), 1000);
        assert_eq!(next(1000, TURN / 10), 2000);
        assert_eq!(next(1000, TURN * 10), 100);
        assert_eq!(next(1, TURN * 10), 1);
    }
}

//! Which step first left the range of numbers, and where.

use super::Training;
use crate::Error;
use crate::network::Network;
use crate::optim::Optimizer;
use crate::trace::{NonFinite, find_non_finite};
use crate::trainer::Trainer;
use std::fmt;

/// After so many steps the state is kept from which a diagnosis begins.
pub(super) const RETAINED_EVERY: usize = 1024;

/// The state of a training before a step.
#[derive(Debug)]
pub(super) struct Retained {
    network: Network,
    optimizer: Optimizer,
    at: [usize; 2],
}

impl Retained {
    pub(super) fn of(trainer: &Trainer, at: [usize; 2]) -> Retained {
        Retained { network: trainer.network().clone(), optimizer: trainer.optimizer().clone(), at }
    }
}

/// The first step whose values were not all finite. It prints as some lines of text.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Diagnosis {
    /// The epoch, counted from 1.
    pub epoch: usize,
    /// Within the epoch, counted from 1.
    pub step: usize,
    /// The learning rate of the step.
    pub lr: f64,
    /// Where, and the ranges of all values up to there. None if all values of the step were finite, and the update
    /// led out of the range.
    pub found: Option<NonFinite>,
    /// The first parameter that was not finite after the update, if one was.
    pub parameter: Option<String>,
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Diagnosis { epoch, step, lr, found, parameter } = self;
        write!(f, "step {step} of epoch {epoch} (learning rate {lr}) was the first: ")?;
        match (found, parameter) {
            (Some(found), _) => write!(f, "{found}"),
            (None, Some(name)) => {
                write!(f, "its gradients were finite, its update of {name} was not")
            }
            (None, None) => f.write_str("its loss, or the norm of its gradients, was not finite"),
        }
    }
}

impl Training<'_> {
    /// After [`Error::NonFiniteLoss`] or [`Error::NonFiniteGradient`]: which step was the first whose losses, gradients or parameters were not
    /// all finite, and in which layer. The last steps are taken again on a copy, with the same bits, and
    /// looked at one by one. None if all of them are finite.
    ///
    /// # Errors
    /// As [`Trainer::step`].
    pub fn diagnose(&self) -> Result<Option<Diagnosis>, Error> {
        let Retained { network, optimizer, at } = &self.retained;
        let cx = self.trainer.context().clone();
        let (loss, options) = (self.trainer.loss(), *self.trainer.optimizer_options());
        let mut trainer = Trainer::new(cx, network.clone(), loss.clone(), options);
        trainer.set_seed(self.trainer.seed());
        trainer.set_clip_grad_norm(self.trainer.clip_grad_norm());
        *trainer.optimizer_mut() = optimizer.clone();
        let &[epoch, start] = at;
        let batches = &self.batches;
        let order = batches.order(epoch);
        for step in start..batches.steps() {
            let items = batches.items(&order, step);
            let mut inputs = vec![0.0; items.len() * batches.data.pixels()];
            let mut targets = vec![0.0; items.len() * batches.data.classes()];
            batches.write(trainer.context(), items, epoch, &mut inputs, &mut targets)?;
            let lr = batches.rate(options.lr(), [epoch, step]);
            trainer.set_learning_rate(lr);
            let before = trainer.network().clone();
            let gradients = match trainer.step(&inputs, &targets) {
                Ok(loss) => {
                    loss.is_finite() && trainer.gradients().all(|(_, values)| is_finite(values))
                }
                Err(Error::NonFiniteGradient { .. }) => false,
                Err(error) => return Err(error),
            };
            let parameters = trainer.network().tensors();
            let parameter = parameters
                .filter(|(_, values)| !is_finite(values))
                .map(|(info, _)| info.name.clone())
                .next();
            if !gradients || parameter.is_some() {
                let cx = trainer.context();
                let found = find_non_finite(cx, &before, loss.clone(), &inputs, &targets)?;
                let (epoch, step) = (epoch + 1, step + 1);
                return Ok(Some(Diagnosis { epoch, step, lr, found, parameter }));
            }
        }
        Ok(None)
    }
}

fn is_finite(values: &[f32]) -> bool {
    values.iter().all(|value| value.is_finite())
}

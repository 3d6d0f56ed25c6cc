//! What training holds in memory.

use crate::plan::PlanMemory;
use crate::{Error, Trainer};
use serde::Serialize;

/// Bytes that training holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Memory {
    /// Trainable numbers.
    pub parameters: usize,
    /// Running means and variances.
    pub statistics: usize,
    /// Gradients by the parameters.
    pub parameter_gradients: usize,
    /// State of the optimiser.
    pub optimizer: usize,
    /// Targets of the batch.
    pub targets: usize,
    /// The plan of this batch size.
    pub plan: PlanMemory,
    /// What operations have taken for themselves, on all threads of the process.
    pub scratch: usize,
}

impl Memory {
    /// What `trainer` holds for steps on batches of `batch`. Scratch memory, which belongs to the threads, is left
    /// at 0.
    ///
    /// # Errors
    /// [`Error::Spec`] if no step of that size is possible.
    pub fn of(trainer: &mut Trainer, batch: usize) -> Result<Memory, Error> {
        let plan = trainer.plan(batch)?;
        let (targets, plan) = (size_of_val(plan.output()), plan.memory());
        let optimizer = trainer.optimizer_bytes();
        let network = trainer.network();
        Ok(Memory {
            parameters: size_of_val(&network.parameters[..]),
            statistics: size_of_val(&network.statistics[..]),
            parameter_gradients: size_of_val(&network.parameters[..]),
            optimizer,
            targets,
            plan,
            scratch: 0,
        })
    }

    /// All of it.
    pub fn total(&self) -> usize {
        let Memory { parameters, statistics, parameter_gradients, optimizer, targets, .. } = self;
        parameters
            + statistics
            + parameter_gradients
            + optimizer
            + targets
            + self.plan.total()
            + self.scratch
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nets::mnist_cnn;
    use crate::{Loss, Network, OptimizerOptions};
    use loupe_engine::Context;
    use loupe_engine::optim::SgdOptions;

    #[test]
    fn the_tutorials_network() {
        let of = |optimizer, batch| {
            let network = Network::new(mnist_cnn(), 0).unwrap();
            let mut trainer = Trainer::new(Context::serial(), network, Loss::Bce, optimizer);
            Memory::of(&mut trainer, batch).unwrap()
        };
        let one = of(OptimizerOptions::default(), 1);
        // Ten tensors and four averages, each of which begins on a cache line.
        assert!((4 * 3720..4 * 3720 + 10 * 64).contains(&one.parameters));
        assert!((4 * 40..4 * 40 + 4 * 64).contains(&one.statistics));
        assert_eq!((one.parameter_gradients, one.optimizer), (one.parameters, 2 * one.parameters));
        assert_eq!((one.targets, one.scratch), (4 * 10, 0));
        let many = of(OptimizerOptions::Sgd(SgdOptions::default()), 64);
        assert_eq!((many.parameters, many.targets), (one.parameters, 64 * one.targets));
        assert!(many.optimizer < one.optimizer);
        assert!(many.plan.total() > 4 * one.plan.total());
    }
}

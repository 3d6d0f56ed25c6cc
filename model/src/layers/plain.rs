//! Operations without parameters and without state.

use super::{Backward, Forward, Operation, Values};
use crate::Error;
use loupe_engine::Context;
use std::fmt;

type Done = Result<(), loupe_engine::Error>;

/// Two functions of the engine, and the sizes that both take.
pub(super) struct Plain<G> {
    /// The sizes.
    pub(super) geometry: G,
    /// Writes y for x.
    pub(super) forward: fn(&Context, &G, &[f32], &mut [f32]) -> Done,
    /// Writes the gradient by x.
    pub(super) backward: fn(&Context, &G, Values<'_>, &mut [f32]) -> Done,
}

impl<G: fmt::Debug> fmt::Debug for Plain<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.geometry.fmt(f)
    }
}

impl<G: fmt::Debug + Send + Sync> Operation for Plain<G> {
    fn forward(&mut self, pass: &mut Forward<'_>, x: &[f32], y: &mut [f32]) -> Result<(), Error> {
        Ok((self.forward)(pass.context(), &self.geometry, x, y)?)
    }

    fn backward(
        &mut self,
        pass: &mut Backward<'_>,
        values: Values<'_>,
        dx: Option<&mut [f32]>,
    ) -> Result<(), Error> {
        let Some(dx) = dx else { return Ok(()) };
        Ok((self.backward)(pass.context(), &self.geometry, values, dx)?)
    }
}

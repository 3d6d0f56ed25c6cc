//! Values left out at random.

use super::check::check;
use super::{Backward, Forward, LayerError, Module, Operation, Values};
use crate::Error;
use loupe_engine::dropout::{self, dropout, dropout_backward};
use serde::{Deserialize, Serialize};
use std::fmt;

/// In a step of training, each value becomes 0 with probability p, and is scaled by 1 / (1 − p) otherwise; by itself
/// the same values. PyTorch's `Dropout`, with random numbers of its own.
///
/// They follow from the trainer's seed ([`Trainer::set_seed`](crate::Trainer::set_seed)), the number of the step,
/// the layer's place and that of the value, and from nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dropout {
    /// From 0 to 1; default 0.5.
    #[serde(default = "half")]
    pub p: f32,
}

fn half() -> f32 {
    0.5
}

impl Dropout {
    /// With this probability.
    pub fn new(p: f32) -> Dropout {
        Dropout { p }
    }
}

impl Default for Dropout {
    fn default() -> Dropout {
        Dropout::new(half())
    }
}

impl fmt::Display for Dropout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dropout(p={})", self.p)
    }
}

impl Module for Dropout {
    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, LayerError> {
        let sound = (0.0..=1.0).contains(&self.p);
        check(sound, || format!("p must lie in [0, 1], found {}", self.p))?;
        Ok(input.to_vec())
    }

    fn operation(&self, _: usize, _: &[usize]) -> Result<Box<dyn Operation>, Error> {
        Ok(Box::new(DropoutOperation { p: self.p }))
    }
}

#[derive(Debug)]
struct DropoutOperation {
    p: f32,
}

impl Operation for DropoutOperation {
    fn forward(&mut self, pass: &mut Forward<'_>, x: &[f32], y: &mut [f32]) -> Result<(), Error> {
        match pass.random_key() {
            None => y.copy_from_slice(x),
            Some(key) => dropout(pass.context(), &dropout::Dropout { p: self.p, key }, x, y)?,
        }
        Ok(())
    }

    fn backward(
        &mut self,
        pass: &mut Backward<'_>,
        Values { dy, .. }: Values<'_>,
        dx: Option<&mut [f32]>,
    ) -> Result<(), Error> {
        match (dx, pass.random_key()) {
            (None, _) => {}
            (Some(dx), None) => dx.copy_from_slice(dy),
            (Some(dx), Some(key)) => {
                let dropout = dropout::Dropout { p: self.p, key };
                dropout_backward(pass.context(), &dropout, dy, dx)?;
            }
        }
        Ok(())
    }
}

//! Shares that sum up to 1.

use super::check::check;
use super::plain::Plain;
use super::{LayerError, Module, Operation};
use crate::Error;
use loupe_engine::activation::{self, softmax, softmax_backward};
use serde::{Deserialize, Serialize};
use std::fmt;

/// y = exp(x) / Σ exp(x), the sum running over one axis. PyTorch's `Softmax`.
///
/// `CrossEntropyLoss` contains it: a network that is trained with that loss ends without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Softmax {
    /// The axis, counted with the batch, which is 0: 1 are the features or channels. Negative ones count from the
    /// end. Default 1.
    #[serde(default = "first")]
    pub dim: isize,
}

fn first() -> isize {
    1
}

impl Softmax {
    /// Over this axis, counted with the batch.
    pub fn new(dim: isize) -> Softmax {
        Softmax { dim }
    }

    /// The axis, counted without the batch.
    pub(crate) fn axis(&self, input: &[usize]) -> Option<usize> {
        let axes = isize::try_from(input.len()).ok()?;
        let dim = if self.dim < 0 { self.dim.checked_add(axes + 1)? } else { self.dim };
        (1..=axes).contains(&dim).then(|| dim.unsigned_abs() - 1)
    }
}

impl Default for Softmax {
    fn default() -> Softmax {
        Softmax::new(first())
    }
}

impl fmt::Display for Softmax {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Softmax(dim={})", self.dim)
    }
}

impl Module for Softmax {
    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, LayerError> {
        let (dim, axes) = (self.dim, input.len());
        check(self.axis(input).is_some(), || {
            format!("dim must be an axis from 1 to {axes} (0 is the batch), found {dim}")
        })?;
        Ok(input.to_vec())
    }

    fn operation(&self, batch: usize, input: &[usize]) -> Result<Box<dyn Operation>, Error> {
        let axis = self.axis(input).expect("the shape was accepted");
        let product = |sizes: &[usize]| sizes.iter().product::<usize>();
        let (outer, inner) = (batch * product(&input[..axis]), product(&input[axis + 1..]));
        Ok(Box::new(Plain {
            geometry: activation::Softmax { outer, classes: input[axis], inner },
            forward: softmax,
            backward: |cx, dims, values, dx| softmax_backward(cx, dims, values.y, values.dy, dx),
        }))
    }
}

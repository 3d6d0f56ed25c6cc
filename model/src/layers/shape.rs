//! The same elements under another shape.

use super::check::{check, len};
use super::fields::{Shape, list};
use super::{Backward, Forward, LayerError, Module, Operation, Values};
use crate::Error;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The same elements under another shape, without the batch: `tensor.view(N, …)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct View {
    /// The new shape.
    #[serde(deserialize_with = "list")]
    pub shape: Vec<usize>,
}

impl View {
    /// To this shape.
    pub fn new(shape: impl Into<Vec<usize>>) -> View {
        View { shape: shape.into() }
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "View({})", Shape(&self.shape))
    }
}

impl Module for View {
    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, LayerError> {
        check(!self.shape.is_empty(), || "the shape must have at least one axis".into())?;
        match len(&self.shape) {
            Some(elements) if Some(elements) == len(input) => Ok(self.shape.clone()),
            Some(elements) => Err(LayerError::shape(format!("with {elements} elements"))),
            None => Err(LayerError::shape("with too many elements")),
        }
    }

    fn operation(&self, _: usize, _: &[usize]) -> Result<Box<dyn Operation>, Error> {
        Ok(Box::new(Copy))
    }
}

/// `[…]` → `[features]`. PyTorch's `Flatten` with its defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flatten;

impl fmt::Display for Flatten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Flatten()")
    }
}

impl Module for Flatten {
    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, LayerError> {
        Ok(vec![input.iter().product()])
    }

    fn operation(&self, _: usize, _: &[usize]) -> Result<Box<dyn Operation>, Error> {
        Ok(Box::new(Copy))
    }
}

/// y = x, for those who want the values of all layers: plans share them.
#[derive(Debug)]
struct Copy;

impl Operation for Copy {
    fn forward(&mut self, _: &mut Forward<'_>, x: &[f32], y: &mut [f32]) -> Result<(), Error> {
        y.copy_from_slice(x);
        Ok(())
    }

    fn backward(
        &mut self,
        _: &mut Backward<'_>,
        values: Values<'_>,
        dx: Option<&mut [f32]>,
    ) -> Result<(), Error> {
        if let Some(dx) = dx {
            dx.copy_from_slice(values.dy);
        }
        Ok(())
    }
}

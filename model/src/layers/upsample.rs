//! Larger images.

use super::check::image;
use super::fields::{Pair, pair};
use super::{Backward, Forward, LayerError, Module, Operation, Values};
use crate::Error;
use loupe_engine::upsample::{UpsampleNearest2d, upsample_nearest2d, upsample_nearest2d_backward};
use serde::{Deserialize, Serialize};
use std::fmt;

/// `[C, H, W]` → `[C, Sh · H, Sw · W]`: every pixel becomes a block. PyTorch's `Upsample` with mode `nearest` and
/// whole factors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upsample {
    /// Sh, Sw.
    #[serde(deserialize_with = "pair")]
    pub scale_factor: [usize; 2],
}

impl Upsample {
    /// By this factor.
    pub fn new(scale_factor: impl Into<Pair>) -> Upsample {
        Upsample { scale_factor: scale_factor.into().0 }
    }
}

impl fmt::Display for Upsample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Upsample(scale_factor={}, mode='nearest')", Pair(self.scale_factor))
    }
}

impl Module for Upsample {
    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, LayerError> {
        let channels = input.first().copied().unwrap_or(0);
        let size = match input {
            [_, _, _] => image(channels, input)?,
            _ => return Err(LayerError::shape("[channels, height, width]")),
        };
        let up = UpsampleNearest2d::new(self.scale_factor, size).map_err(LayerError::option)?;
        let [ho, wo] = up.output_size();
        Ok(vec![channels, ho, wo])
    }

    fn operation(&self, _: usize, input: &[usize]) -> Result<Box<dyn Operation>, Error> {
        let up = UpsampleNearest2d::new(self.scale_factor, [input[1], input[2]])?;
        Ok(Box::new(UpsampleOperation(up)))
    }
}

#[derive(Debug)]
struct UpsampleOperation(UpsampleNearest2d);

impl Operation for UpsampleOperation {
    fn forward(&mut self, pass: &mut Forward<'_>, x: &[f32], y: &mut [f32]) -> Result<(), Error> {
        Ok(upsample_nearest2d(pass.context(), &self.0, x, y)?)
    }

    fn backward(
        &mut self,
        pass: &mut Backward<'_>,
        values: Values<'_>,
        dx: Option<&mut [f32]>,
    ) -> Result<(), Error> {
        let Some(dx) = dx else { return Ok(()) };
        Ok(upsample_nearest2d_backward(pass.context(), &self.0, values.dy, dx)?)
    }
}

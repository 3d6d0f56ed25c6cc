//! Larger images.

use super::check::image;
use super::fields::{Pair, pair};
use super::plain::Plain;
use super::{LayerError, Module, Operation};
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
        Ok(Box::new(Plain {
            geometry: UpsampleNearest2d::new(self.scale_factor, [input[1], input[2]])?,
            forward: upsample_nearest2d,
            backward: |cx, up, values, dx| upsample_nearest2d_backward(cx, up, values.dy, dx),
        }))
    }
}

//! Layers with a way around them.

use super::{Layer, layers};
use serde::{Deserialize, Serialize};
use std::fmt;

/// y = layers(x) + shortcut(x), where a way without layers is x itself.
///
/// Tensors are named as in a PyTorch module with two `Sequential`s, `layers` and `shortcut`: behind the number of
/// the block, `layers.0.weight`. Source: K. He et al., "Deep Residual Learning for Image Recognition" (2015).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Residual {
    /// One behind the other.
    #[serde(deserialize_with = "layers")]
    pub layers: Vec<Layer>,
    /// One behind the other; without any, the input itself, which must then have the shape of the output.
    #[serde(default, deserialize_with = "layers", skip_serializing_if = "Vec::is_empty")]
    pub shortcut: Vec<Layer>,
}

impl Residual {
    /// No layers yet on either way.
    pub fn new() -> Residual {
        Residual { layers: Vec::new(), shortcut: Vec::new() }
    }

    /// Adds a layer behind those of the block.
    #[expect(clippy::should_implement_trait, reason = "it builds, it does not compute a sum")]
    pub fn add(mut self, layer: impl Into<Layer>) -> Residual {
        self.layers.push(layer.into());
        self
    }

    /// Adds a layer behind those of the shortcut.
    pub fn shortcut(mut self, layer: impl Into<Layer>) -> Residual {
        self.shortcut.push(layer.into());
        self
    }
}

impl Default for Residual {
    fn default() -> Residual {
        Residual::new()
    }
}

/// `Residual(9 layers, shortcut of 2)`.
impl fmt::Display for Residual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.layers.len() == 1 { "" } else { "s" };
        write!(f, "Residual({} layer{plural}", self.layers.len())?;
        match self.shortcut.len() {
            0 => f.write_str(")"),
            n => write!(f, ", shortcut of {n})"),
        }
    }
}

//! A network in words: a plain list of layers, and the shapes that follow from it.

mod error;
mod flat;
mod flops;

pub use error::SpecError;
pub use flat::FlatLayer;

use crate::layers::{Layer, layers};
use serde::{Deserialize, Serialize};

/// A network: the shape of one input and the layers that it passes through.
///
/// It is built layer by layer, or read from a file: its serde form has PyTorch's names of layers and fields.
/// Fields with a default may be left out, and a pair of equal numbers may be written as one.
///
/// ```
/// use loupe_model::NetworkSpec;
/// use loupe_model::layers::{Conv2d, Linear, ReLU, View};
///
/// let built = NetworkSpec::new([1, 28, 28])
///     .add(Conv2d::new(1, 4, 5).stride(2))
///     .add(ReLU)
///     .add(View::new([576]))
///     .add(Linear::new(576, 10));
/// assert_eq!(built.shapes().unwrap()[0], [4, 12, 12]);
///
/// let read: NetworkSpec = serde_json::from_str(r#"{
///     "input": [1, 28, 28],
///     "layers": [
///         { "type": "Conv2d", "in_channels": 1, "out_channels": 4, "kernel_size": 5, "stride": 2 },
///         { "type": "ReLU" },
///         { "type": "View", "shape": 576 },
///         { "type": "Linear", "in_features": 576, "out_features": 10 }
///     ]
/// }"#).unwrap();
/// assert_eq!(read, built);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkSpec {
    /// Shape of one input without the batch: `[C, H, W]`, or `[features]`.
    pub input: Vec<usize>,
    /// From input to output.
    #[serde(deserialize_with = "layers")]
    pub layers: Vec<Layer>,
}

impl NetworkSpec {
    /// A network without layers, for inputs of this shape.
    pub fn new(input: impl Into<Vec<usize>>) -> NetworkSpec {
        NetworkSpec { input: input.into(), layers: Vec::new() }
    }

    /// Adds a layer behind the others. Whether it fits is found out by [`NetworkSpec::shapes`] and by all that
    /// make something of the network.
    #[expect(clippy::should_implement_trait, reason = "it builds, it does not compute a sum")]
    pub fn add(mut self, layer: impl Into<Layer>) -> NetworkSpec {
        self.layers.push(layer.into());
        self
    }

    /// The network as a list of single layers: those within blocks too, each with its shapes.
    ///
    /// # Errors
    /// A [`SpecError`] that names the first layer that cannot take what it is given.
    pub fn flatten(&self) -> Result<Vec<FlatLayer>, SpecError> {
        flat::flatten(self)
    }

    /// The shape of one input after each of [`NetworkSpec::layers`], without the batch.
    ///
    /// # Errors
    /// As [`NetworkSpec::flatten`].
    pub fn shapes(&self) -> Result<Vec<Vec<usize>>, SpecError> {
        let flat = self.flatten()?;
        let outer = flat.into_iter().filter(|layer| !layer.path.contains('.'));
        Ok(outer.map(|layer| layer.output_shape).collect())
    }

    /// Elements of one input.
    ///
    /// # Errors
    /// As [`NetworkSpec::flatten`].
    pub fn input_len(&self) -> Result<usize, SpecError> {
        self.flatten()?;
        Ok(self.input.iter().product())
    }

    /// Elements of one output.
    ///
    /// # Errors
    /// As [`NetworkSpec::flatten`].
    pub fn output_len(&self) -> Result<usize, SpecError> {
        let flat = self.flatten()?;
        Ok(flat.last().map_or(&self.input, |layer| &layer.output_shape).iter().product())
    }
}

/// The error of the first batch normalisation that has a single value per channel in a batch of `batch`.
pub(crate) fn one_value_per_channel(layers: &[FlatLayer], batch: usize) -> Option<SpecError> {
    let single = |layer: &&FlatLayer| {
        layer.values_per_channel().is_some_and(|values| batch.saturating_mul(values) == 1)
    };
    layers.iter().find(single).map(|FlatLayer { path, layer, .. }| SpecError::OneValuePerChannel {
        path: path.clone(),
        layer: layer.to_string(),
    })
}

//! A network in words: a plain list of layers, and the shapes that follow from it.

mod error;
mod flops;
mod layer;
mod shapes;

pub use error::SpecError;
pub use layer::Layer;
pub(crate) use shapes::conv_geometry;

use serde::{Deserialize, Serialize};

/// A network: the shape of one input and the layers that it passes through.
///
/// Its serde form is what a network file holds. Layers and their fields have PyTorch's names; fields
/// with a default may be left out, and a pair of equal numbers may be written as one.
///
/// ```
/// use loupe_model::NetworkSpec;
///
/// let spec: NetworkSpec = serde_json::from_str(r#"{
///     "input": [1, 28, 28],
///     "layers": [
///         { "type": "Conv2d", "in_channels": 1, "out_channels": 4, "kernel_size": 5, "stride": 2 },
///         { "type": "ReLU" },
///         { "type": "View", "shape": [576] },
///         { "type": "Linear", "in_features": 576, "out_features": 10 }
///     ]
/// }"#).unwrap();
/// assert_eq!(spec.shapes().unwrap()[0], [4, 12, 12]);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkSpec {
    /// Shape of one input without the batch: `[C, H, W]`, or `[features]`.
    pub input: Vec<usize>,
    /// From input to output.
    pub layers: Vec<Layer>,
}

impl NetworkSpec {
    /// The shape of one input after each layer, without the batch.
    ///
    /// # Errors
    /// A [`SpecError`] that names the first layer that cannot take what it is given.
    pub fn shapes(&self) -> Result<Vec<Vec<usize>>, SpecError> {
        shapes::infer(self)
    }

    /// The shape of one input before each layer, and behind the last.
    pub(crate) fn shapes_between(&self) -> Result<Vec<Vec<usize>>, SpecError> {
        let mut shapes = vec![self.input.clone()];
        shapes.extend(self.shapes()?);
        Ok(shapes)
    }

    /// The error of the first batch normalisation that has a single value per channel in a batch of
    /// `batch`. `shapes` are those before each layer, and behind the last.
    pub(crate) fn one_value_per_channel(
        &self,
        shapes: &[Vec<usize>],
        batch: usize,
    ) -> Option<SpecError> {
        shapes::one_value_per_channel(self, shapes, batch)
    }

    /// Elements of one input.
    ///
    /// # Errors
    /// As [`NetworkSpec::shapes`].
    pub fn input_len(&self) -> Result<usize, SpecError> {
        self.shapes()?;
        Ok(self.input.iter().product())
    }

    /// Elements of one output.
    ///
    /// # Errors
    /// As [`NetworkSpec::shapes`].
    pub fn output_len(&self) -> Result<usize, SpecError> {
        let shapes = self.shapes()?;
        Ok(shapes.last().unwrap_or(&self.input).iter().product())
    }
}

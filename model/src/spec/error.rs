//! What can be wrong with a network in words.

use super::FlatLayer;

/// A layer that cannot take what it is given, or an option without meaning.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// The shape that reaches a layer is not the one that it works on.
    #[error("layer {path}, {layer}: expected an input of shape {expected}, found {found:?}{from}")]
    Shape {
        /// The layer's place: its number from 0, or `3.layers.0` within a block.
        path: String,
        /// The layer, as PyTorch prints it.
        layer: String,
        /// The shape in words or numbers.
        expected: String,
        /// The shape that reaches the layer.
        found: Vec<usize>,
        /// Where that shape comes from: ` from layer 2, …`.
        from: String,
    },
    /// An option of a layer.
    #[error("layer {path}, {layer}: {reason}")]
    Option {
        /// The layer's place: its number from 0, or `3.layers.0` within a block.
        path: String,
        /// The layer, as PyTorch prints it.
        layer: String,
        /// What is wrong, with numbers.
        reason: String,
    },
    /// The shape of the network's input.
    #[error(
        "the network's input shape {found:?} must have at least one axis, none of size 0, and fit memory"
    )]
    Input {
        /// The shape.
        found: Vec<usize>,
    },
    /// Batch normalisation by the statistics of a batch that has one value per channel.
    #[error(
        "layer {path}, {layer}: batch statistics need more than one value per channel, found 1 \
         (batch size 1 and images of one pixel)"
    )]
    OneValuePerChannel {
        /// The layer's place: its number from 0, or `3.layers.0` within a block.
        path: String,
        /// The layer, as PyTorch prints it.
        layer: String,
    },
    /// A batch whose tensors do not fit the address space, or an empty one.
    #[error("batch size {batch}: must be at least 1, and its tensors must fit memory")]
    Batch {
        /// The batch size.
        batch: usize,
    },
}

impl SpecError {
    /// Whether every value of a batch fits a slice.
    ///
    /// # Errors
    /// [`SpecError::Batch`]
    pub(crate) fn check_batch(
        input: &[usize],
        layers: &[FlatLayer],
        batch: usize,
    ) -> Result<(), SpecError> {
        let shapes = layers.iter().map(|layer| &layer.output_shape[..]).chain([input]);
        let longest = shapes.map(|shape| shape.iter().product::<usize>()).max().unwrap_or(0);
        let fits = longest
            .checked_mul(batch)
            .and_then(|len| len.checked_mul(size_of::<f32>()))
            .is_some_and(|bytes| isize::try_from(bytes).is_ok());
        if batch > 0 && fits { Ok(()) } else { Err(SpecError::Batch { batch }) }
    }
}

//! What can be wrong with a network in words.

use super::FlatLayer;

/// Elements of all values of a batch, at most: a tebibyte, or what the address space holds.
const MAX_VALUES: usize = if usize::BITS > 40 { 1 << 38 } else { 1 << 28 };

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
    /// More parameters than the system gives memory for.
    #[error("the network's {what}: the system does not give {bytes} bytes")]
    OutOfMemory {
        /// Its parameters or its running statistics.
        what: &'static str,
        /// For all of them.
        bytes: usize,
    },
    /// A batch whose values would take more than a tebibyte, or an empty one.
    #[error("batch size {batch}: must be at least 1, and its tensors must fit memory")]
    Batch {
        /// The batch size.
        batch: usize,
    },
}

impl SpecError {
    /// The elements of all values of a batch, if these can be in memory together.
    ///
    /// # Errors
    /// [`SpecError::Batch`]
    pub(crate) fn check_batch(
        input: &[usize],
        layers: &[FlatLayer],
        batch: usize,
    ) -> Result<usize, SpecError> {
        let shapes = layers.iter().map(|layer| &layer.output_shape[..]).chain([input]);
        let lens = shapes.map(|shape| shape.iter().product::<usize>());
        let total = lens.fold(0, usize::saturating_add).checked_mul(batch);
        let fits = |&total: &usize| batch > 0 && total <= MAX_VALUES;
        total.filter(fits).ok_or(SpecError::Batch { batch })
    }
}

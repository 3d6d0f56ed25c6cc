//! Which loss is minimised.

use loupe_engine::loss::{bce, bce_with_logits, cross_entropy_probabilities, mse};
use loupe_engine::{Context, Error};
use serde::{Deserialize, Serialize};

/// A loss over outputs `[N, outputs]` and targets of the same shape, reduced to its mean as PyTorch
/// does by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Loss {
    /// PyTorch's `BCELoss`: binary cross-entropy of probabilities, the mean over all outputs.
    #[default]
    #[serde(rename = "BCELoss")]
    Bce,
    /// PyTorch's `BCEWithLogitsLoss`: the same of logits.
    #[serde(rename = "BCEWithLogitsLoss")]
    BceWithLogits,
    /// PyTorch's `MSELoss`: the mean squared error over all outputs.
    #[serde(rename = "MSELoss")]
    Mse,
    /// PyTorch's `CrossEntropyLoss` of logits and class probabilities (here one-hot): the mean over
    /// the inputs of the batch.
    #[serde(rename = "CrossEntropyLoss")]
    CrossEntropy,
}

impl Loss {
    /// The loss of `output` `[N, outputs]`, and its gradient by the output if there is room for it.
    ///
    /// # Errors
    /// As the function of this name in [`loupe_engine::loss`].
    pub fn evaluate(
        self,
        cx: &Context,
        outputs: usize,
        output: &[f32],
        target: &[f32],
        gradient: Option<&mut [f32]>,
    ) -> Result<f32, Error> {
        match self {
            Loss::Bce => bce(cx, output, target, gradient),
            Loss::BceWithLogits => bce_with_logits(cx, output, target, gradient),
            Loss::Mse => mse(cx, output, target, gradient),
            Loss::CrossEntropy => {
                cross_entropy_probabilities(cx, outputs, output, target, gradient)
            }
        }
    }
}

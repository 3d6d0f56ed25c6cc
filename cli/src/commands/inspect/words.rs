//! What is seen at each kind of layer, in a sentence or two.

use super::view::Seen;
use loupe_model::{Layer, Normalization};

/// What the layer does to this picture.
pub(super) fn about(seen: &Seen<'_>, normalization: Normalization) -> String {
    match seen.layer {
        &Layer::Conv2d { in_channels, out_channels, kernel_size: [kh, kw], stride, padding, groups, .. } => {
            let depth = match in_channels / groups {
                1 => String::new(),
                depth => format!(" of {depth} maps at once"),
            };
            let steps = match stride {
                [1, 1] => "moves on by one".to_owned(),
                [h, w] if h == w => format!("moves on by {h}"),
                [h, w] => format!("moves on by {h} down and {w} across"),
            };
            let zeros = match padding {
                [0, 0] => "",
                _ => " Around the picture there are zeros.",
            };
            format!(
                "Each of {out_channels} kernels looks at {kh} × {kw} places{depth}, adds up value times weight \
                 and {steps}. Where what it sees is like the kernel the result is large, where it is the opposite \
                 it is negative.{zeros}"
            )
        }
        Layer::Linear { in_features, out_features, .. } => format!(
            "Each of {out_features} outputs is a weighted sum of all {in_features} values: here what was found at \
             different places comes together."
        ),
        Layer::BatchNorm2d { .. } => {
            let by = match normalization {
                Normalization::BatchStatistics => "its mean and variance over this picture",
                Normalization::RunningStatistics => "mean and variance that training has kept",
            };
            format!(
                "Each map is shifted and scaled by {by}, then by a learnt weight and bias. The pattern stays, only \
                 its range becomes like that of the others."
            )
        }
        Layer::LayerNorm { .. } => "The values are shifted and scaled together until their mean is 0 and their \
            variance 1, then each by a learnt weight and bias."
            .into(),
        Layer::LeakyReLU { negative_slope } => format!(
            "What is positive passes; what is negative is multiplied by {negative_slope} and almost disappears. What \
             is left is where something was found."
        ),
        Layer::ReLU {} => {
            "What is positive passes, what is negative becomes 0. What is left is where something was found.".into()
        }
        Layer::Sigmoid {} => {
            "Every value is pressed between 0 and 1: far below 0 becomes 0, far above becomes 1.".into()
        }
        Layer::View { .. } => "The same values in another shape; nothing is computed.".into(),
    }
}

pub(super) const GRADIENT: &str = "How the winning score would change if a pixel became brighter: red raises it, blue \
    lowers it.";

pub(super) const INFLUENCE: &str = "The size of gradient times pixel: the brighter, the more this pixel, as it is, counts for the decision.";

//! What is seen at each kind of layer, in a sentence or two.

use super::view::Seen;
use loupe_model::{Layer, Normalization};

/// What the layer does to this picture.
pub(super) fn about(seen: &Seen<'_>, normalization: Normalization) -> String {
    match seen.layer {
        Layer::Conv2d(conv) => {
            let (outputs, [kh, kw]) = (conv.out_channels, conv.kernel_size);
            let depth = match conv.in_channels / conv.groups {
                1 => String::new(),
                depth => format!(" of {depth} maps at once"),
            };
            let steps = match conv.stride {
                [1, 1] => "moves on by one".to_owned(),
                [h, w] if h == w => format!("moves on by {h}"),
                [h, w] => format!("moves on by {h} down and {w} across"),
            };
            let zeros = match conv.padding {
                [0, 0] => "",
                _ => " Around the picture there are zeros.",
            };
            format!(
                "Each of {outputs} kernels looks at {kh} × {kw} places{depth}, adds up value times weight \
                 and {steps}. Where what it sees is like the kernel the result is large, where it is the opposite \
                 it is negative.{zeros}"
            )
        }
        Layer::Linear(linear) => format!(
            "Each of {} outputs is a weighted sum of all {} values: here what was found at different places comes \
             together.",
            linear.out_features, linear.in_features
        ),
        Layer::BatchNorm1d(_) | Layer::BatchNorm2d(_) => {
            let by = match normalization {
                Normalization::BatchStatistics => "its mean and variance over this picture",
                Normalization::RunningStatistics => "mean and variance that training has kept",
            };
            format!(
                "Each map is shifted and scaled by {by}, then by a learnt weight and bias. The pattern stays, only \
                 its range becomes like that of the others."
            )
        }
        Layer::LayerNorm(_) => "The values are shifted and scaled together until their mean is 0 and their \
            variance 1, then each by a learnt weight and bias."
            .into(),
        Layer::LeakyReLU(layer) => format!(
            "What is positive passes; what is negative is multiplied by {} and almost disappears. What is left is \
             where something was found.",
            layer.negative_slope
        ),
        Layer::ReLU(_) => {
            "What is positive passes, what is negative becomes 0. What is left is where something was found.".into()
        }
        Layer::Sigmoid(_) => {
            "Every value is pressed between 0 and 1: far below 0 becomes 0, far above becomes 1.".into()
        }
        Layer::View(_) | Layer::Flatten(_) => {
            "The same values in another shape; nothing is computed.".into()
        }
        Layer::Residual(_) => {
            "What went through the layers of the block and what went around them are added.".into()
        }
        other => format!("What {other} makes of it."),
    }
}

pub(super) const GRADIENT: &str = "How the winning score would change if a pixel became brighter: red raises it, blue \
    lowers it.";

pub(super) const INFLUENCE: &str = "The size of gradient times pixel: the brighter, the more this pixel, as it is, counts for the decision.";

//! What is seen at each kind of layer, in a sentence or two.

use super::view::Seen;
use loupe_model::layers::{Conv2d, PaddingMode};
use loupe_model::{Layer, Normalization};

/// What the layer does to this picture.
pub(super) fn about(seen: &Seen<'_>, normalization: Normalization) -> String {
    match seen.layer {
        Layer::Conv2d(conv) => convolution(conv),
        Layer::ConvTranspose2d(conv) => {
            let (outputs, [kh, kw]) = (conv.out_channels, conv.kernel_size);
            format!(
                "A convolution the other way round: every place lays kernels of {kh} × {kw}, times its value, onto \
                 {outputs} larger maps and {}. Where kernels overlap they are added.",
                moves(conv.stride)
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
        Layer::GroupNorm(norm) => {
            let groups = match norm.num_groups {
                1 => "All maps are shifted and scaled together".to_owned(),
                groups => format!("The maps are shifted and scaled in {groups} groups"),
            };
            format!(
                "{groups} until the mean over this picture is 0 and the variance 1, then each map by a learnt weight \
                 and bias."
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
        Layer::GELU(_) | Layer::SiLU(_) => "What is far above 0 passes, what is far below becomes 0, with a smooth \
            curve between them that dips a little below 0. What is left is where something was found."
            .into(),
        Layer::Tanh(_) => {
            "Every value is pressed between −1 and 1: small ones hardly change, large ones become ±1.".into()
        }
        Layer::Softmax(_) => "Every value becomes a share between 0 and 1, and all shares together are 1. The largest \
            value takes most of it."
            .into(),
        Layer::MaxPool2d(pool) => {
            let [kh, kw] = pool.kernel_size;
            format!(
                "A window of {kh} × {kw} places {} and passes on the largest value that it sees: that something was \
                 found counts, not exactly where.",
                moves(pool.stride.unwrap_or(pool.kernel_size))
            )
        }
        Layer::AvgPool2d(pool) => {
            let [kh, kw] = pool.kernel_size;
            format!(
                "A window of {kh} × {kw} places {} and passes on the mean of what it sees: the same map, coarser.",
                moves(pool.stride.unwrap_or(pool.kernel_size))
            )
        }
        Layer::AdaptiveAvgPool2d(pool) => match pool.output_size {
            [1, 1] => {
                "Each map becomes its mean: how much of something was found, wherever it was.".into()
            }
            [h, w] => format!("Each map is cut into {h} × {w} parts, of which the means are left."),
        },
        Layer::Upsample(layer) => {
            let [h, w] = layer.scale_factor;
            format!("Every place becomes a block of {h} × {w} equal ones; nothing is learnt.")
        }
        Layer::Dropout(layer) => format!(
            "In training a share of {} of the values, chosen at random, is left out in every step, so that no value \
             is relied on alone. Here all of them pass as they are.",
            layer.p
        ),
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

fn convolution(conv: &Conv2d) -> String {
    let (outputs, [kh, kw]) = (conv.out_channels, conv.kernel_size);
    let depth = match conv.in_channels / conv.groups {
        1 => String::new(),
        depth => format!(" of {depth} maps at once"),
    };
    let around = match (conv.padding, conv.padding_mode) {
        ([0, 0], _) => "",
        (_, PaddingMode::Zeros) => " Around the picture there are zeros.",
        (_, PaddingMode::Reflect) => " Around the picture it is continued as in a mirror.",
        (_, PaddingMode::Replicate) => " Around the picture its outermost pixels are repeated.",
        (_, PaddingMode::Circular) => " Around the picture it is continued from its other side.",
    };
    format!(
        "Each of {outputs} kernels looks at {kh} × {kw} places{depth}, adds up value times weight and {}. Where what \
         it sees is like the kernel the result is large, where it is the opposite it is negative.{around}",
        moves(conv.stride)
    )
}

/// How a kernel or window gets from place to place.
fn moves(stride: [usize; 2]) -> String {
    match stride {
        [1, 1] => "moves on by one".to_owned(),
        [h, w] if h == w => format!("moves on by {h}"),
        [h, w] => format!("moves on by {h} down and {w} across"),
    }
}

pub(super) const GRADIENT: &str = "How the winning score would change if a pixel became brighter: red raises it, blue \
    lowers it.";

pub(super) const INFLUENCE: &str = "The size of gradient times pixel: the brighter, the more this pixel, as it is, counts for the decision.";

//! From layers to operators.

use super::graph::{Node, Part};
use super::{OnnxError, activation, conv, norm, pool, shape};
use crate::layers::Layer;
use crate::spec::FlatLayer;

/// Whether its output is its input.
pub(super) fn is_left_out(layer: &FlatLayer) -> bool {
    matches!(layer.layer, Layer::Dropout(_))
}

/// Writes what comes before the last node of a layer that reads the values `inputs`; gives that node.
///
/// # Errors
/// [`OnnxError::Custom`], or [`OnnxError::TooLarge`] if a tensor that the layer is composed with is too large.
pub(super) fn node(part: &mut Part<'_>, inputs: &[&str]) -> Result<Node, OnnxError> {
    let FlatLayer { path, layer, .. } = part.layer();
    let x = inputs[0];
    Ok(match layer {
        Layer::AdaptiveAvgPool2d(pool) => pool::adaptive(part, x, pool)?,
        Layer::AvgPool2d(pool) => pool::average(x, pool),
        Layer::BatchNorm1d(norm) => norm::batch(part, x, norm.eps),
        Layer::BatchNorm2d(norm) => norm::batch(part, x, norm.eps),
        Layer::Conv2d(conv) => conv::conv(part, x, conv),
        Layer::ConvTranspose2d(conv) => conv::transpose(part, x, conv),
        Layer::Dropout(_) => Node::new("Identity", inputs),
        Layer::Flatten(_) => Node::new("Flatten", inputs).int("axis", 1),
        Layer::GELU(gelu) => activation::gelu(part, x, gelu.approximate),
        Layer::GroupNorm(norm) => norm::group(part, x, norm),
        Layer::LayerNorm(norm) => norm::layer(part, x, norm),
        Layer::LeakyReLU(relu) => {
            Node::new("LeakyRelu", inputs).float("alpha", relu.negative_slope)
        }
        Layer::Linear(_) => Node::new("Gemm", &part.with_parameters(x)).int("transB", 1),
        Layer::MaxPool2d(pool) => pool::max(x, pool),
        Layer::ReLU(_) => Node::new("Relu", inputs),
        Layer::Residual(_) => Node::new("Add", inputs),
        Layer::SiLU(_) => activation::silu(part, x),
        Layer::Sigmoid(_) => Node::new("Sigmoid", inputs),
        Layer::Softmax(softmax) => activation::softmax(x, softmax),
        Layer::Tanh(_) => Node::new("Tanh", inputs),
        Layer::Upsample(up) => shape::upsample(part, x, up),
        Layer::View(view) => shape::reshape(part, x, "shape", &view.shape),
        Layer::Custom(_) => {
            let (path, layer) = (path.clone(), layer.to_string());
            return Err(OnnxError::Custom { path, layer });
        }
    })
}

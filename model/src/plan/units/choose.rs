//! What a unit is to be.

use super::lanes::{Form, Lanes};
use crate::spec::{Layer, NetworkSpec};
use loupe_engine::LANES;

/// The longest value of one image of which sixteen make a unit: they are 256 KiB, about what a core's own
/// cache holds.
const LONGEST_OF_IMAGES: usize = 1 << 12;
/// The longest value, missing channels included, of an image that is a unit.
const LONGEST_OF_CHANNELS: usize = 1 << 14;
/// The largest weight of a linear layer that is read again for every image.
const LARGEST_LINEAR: usize = 1 << 15;

/// What a unit is to be, if units are worth it.
pub(super) fn lanes(spec: &NetworkSpec, shapes: &[Vec<usize>], batch: usize) -> Option<Lanes> {
    let longest = shapes.iter().map(|shape| shape.iter().product::<usize>()).max().unwrap_or(0);
    let by_image = |layer: &Layer| matches!(layer, Layer::LayerNorm { .. });
    if spec.layers.iter().any(by_image) {
        return None;
    }
    if fills_lanes(batch) {
        return (longest <= LONGEST_OF_IMAGES).then_some(Lanes::Images);
    }
    fits_channels(spec, shapes).then_some(Lanes::Channels)
}

/// Whether at least five of eight lanes hold an image, where units of one image have about as many channels
/// for theirs. Fewer than 16 images would be a single task.
fn fills_lanes(batch: usize) -> bool {
    batch >= LANES && batch.next_multiple_of(LANES) <= batch + batch / 5 * 3
}

/// Why there are no units, for a network and a batch that [`lanes`] has no use for units for.
pub(in crate::plan) fn why_not(spec: &NetworkSpec, shapes: &[Vec<usize>], batch: usize) -> String {
    let by_image = |layer: &&Layer| matches!(layer, Layer::LayerNorm { .. });
    if let Some(layer) = spec.layers.iter().find(by_image) {
        return format!("{layer} is not computed in units");
    }
    if fills_lanes(batch) {
        let longest = shapes.iter().max_by_key(|shape| shape.iter().product::<usize>());
        return format!(
            "units of 16 images need values of at most {LONGEST_OF_IMAGES} numbers an image, found \
             {:?}",
            longest.unwrap_or(&spec.input)
        );
    }
    format!(
        "the batch fills too few lanes of units of 16 images, and units of one image need convolutions without groups from \
         the input to a View, values of at most {LONGEST_OF_CHANNELS} numbers, and linear layers of at \
         most {LARGEST_LINEAR} weights"
    )
}

/// Whether images can be blocked from the first convolution to a `View` behind the last, and the rest is
/// small.
fn fits_channels(spec: &NetworkSpec, shapes: &[Vec<usize>]) -> bool {
    let mut form = Form::Plain;
    for (layer, shape) in spec.layers.iter().zip(shapes) {
        let blocked = matches!(form, Form::Blocked { .. });
        let fits = match layer {
            // The gradient by a plain input is not known to a convolution of blocks.
            &Layer::Conv2d { groups, out_channels, .. } => {
                let first = form == Form::Plain && shape == &spec.input;
                form = Form::Blocked { channels: out_channels };
                groups == 1 && (blocked || first)
            }
            Layer::BatchNorm2d { .. } | Layer::LeakyReLU { .. } | Layer::ReLU {} => blocked,
            Layer::View { .. } => {
                form = Form::Plain;
                blocked
            }
            Layer::Linear { in_features, out_features, .. } => {
                form == Form::Plain && in_features * out_features <= LARGEST_LINEAR
            }
            // It would make something of the zeros of missing channels.
            Layer::Sigmoid {} => form == Form::Plain,
            Layer::LayerNorm { .. } => false,
        };
        if !fits || form.len(shape) > LONGEST_OF_CHANNELS {
            return false;
        }
    }
    true
}

//! What a unit is to be.

use super::lanes::{Form, Lanes};
use crate::layers::Layer;
use crate::spec::FlatLayer;
use loupe_engine::LANES;

/// The longest value of one image of which sixteen make a unit: they are 256 KiB, about what a core's own
/// cache holds.
const LONGEST_OF_IMAGES: usize = 1 << 12;
/// The longest value, missing channels included, of an image that is a unit.
const LONGEST_OF_CHANNELS: usize = 1 << 14;
/// The largest weight of a linear layer that is read again for every image.
const LARGEST_LINEAR: usize = 1 << 15;

/// What a unit is to be, if units are worth it. `layers` are those of the flat list.
pub(super) fn lanes(input: &[usize], layers: &[FlatLayer], batch: usize) -> Option<Lanes> {
    if layers.iter().any(|layer| !is_of_units(&layer.layer)) {
        return None;
    }
    if fills_lanes(batch) {
        let longest = len(longest(input, layers));
        return (longest <= LONGEST_OF_IMAGES).then_some(Lanes::Images);
    }
    fits_channels(input, layers).then_some(Lanes::Channels)
}

/// Whether there is a node for it.
fn is_of_units(layer: &Layer) -> bool {
    match layer {
        Layer::Conv2d(conv) => conv.is_zero_padded(),
        Layer::Linear(_) => true,
        _ => layer.batch_norm().is_some() || layer.activation().is_some() || layer.is_view(),
    }
}

fn len(shape: &[usize]) -> usize {
    shape.iter().product()
}

/// The shape of the largest value of one input.
fn longest<'a>(input: &'a [usize], layers: &'a [FlatLayer]) -> &'a [usize] {
    let shapes = layers.iter().map(|layer| &layer.output_shape[..]);
    shapes.chain([input]).max_by_key(|shape| len(shape)).expect("that of the input")
}

/// Whether at least five of eight lanes hold an image, where units of one image have about as many channels
/// for theirs. Fewer than 16 images would be a single task.
fn fills_lanes(batch: usize) -> bool {
    batch >= LANES && batch.next_multiple_of(LANES) <= batch + batch / 5 * 3
}

/// Why there are no units, for a network and a batch that [`lanes`] has no use for units for.
pub(in crate::plan) fn why_not(input: &[usize], layers: &[FlatLayer], batch: usize) -> String {
    if let Some(layer) = layers.iter().find(|layer| !is_of_units(&layer.layer)) {
        return format!("{} is not computed in units", layer.layer);
    }
    if fills_lanes(batch) {
        return format!(
            "units of 16 images need values of at most {LONGEST_OF_IMAGES} numbers an image, found \
             {:?}",
            longest(input, layers)
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
fn fits_channels(input: &[usize], layers: &[FlatLayer]) -> bool {
    let mut form = Form::Plain;
    for FlatLayer { layer, input_shape, .. } in layers {
        let blocked = matches!(form, Form::Blocked { .. });
        let fits = match layer {
            // The gradient by a plain input is not known to a convolution of blocks.
            Layer::Conv2d(conv) => {
                let first = form == Form::Plain && input_shape == input;
                form = Form::Blocked { channels: conv.out_channels };
                conv.groups == 1 && (blocked || first)
            }
            Layer::Linear(linear) => {
                form == Form::Plain && linear.in_features * linear.out_features <= LARGEST_LINEAR
            }
            _ if layer.is_view() => {
                form = Form::Plain;
                blocked
            }
            _ => match layer.activation() {
                // It would make something of the zeros of missing channels.
                Some(activation) if !activation.keeps_zero() => form == Form::Plain,
                _ => blocked,
            },
        };
        if !fits || form.len(input_shape) > LONGEST_OF_CHANNELS {
            return false;
        }
    }
    true
}

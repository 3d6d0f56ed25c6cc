//! Other shapes, and larger images.

use super::graph::{Node, Part};
use crate::layers::Upsample;

/// Every input under this shape, which is written as the tensor `name`.
pub(super) fn reshape(part: &mut Part<'_>, x: &str, name: &str, shape: &[usize]) -> Node {
    // A size of 0 is that of the input: N.
    let shape = part.sizes(name, &[&[0], shape].concat());
    Node::new("Reshape", &[x, &shape])
}

/// Pixel i of the result is pixel ⌊i / factor⌋.
pub(super) fn upsample(part: &mut Part<'_>, x: &str, up: &Upsample) -> Node {
    let [height, width] = up.scale_factor.map(|factor| factor as f32);
    let scales = part.floats("scales", &[4], &[1.0, 1.0, height, width]);
    // The input between them would be a region of interest.
    Node::new("Resize", &[x, "", &scales])
        .word("mode", "nearest")
        .word("coordinate_transformation_mode", "asymmetric")
        .word("nearest_mode", "floor")
}

//! Convolutions, and images padded by their own pixels.

use super::graph::{Node, Part, int};
use crate::layers::{Conv2d, ConvTranspose2d, PaddingMode};

pub(super) fn conv(part: &mut Part<'_>, x: &str, conv: &Conv2d) -> Node {
    let (x, padding) = if conv.is_zero_padded() {
        (x.to_owned(), conv.padding)
    } else {
        (pad(part, x, conv), [0, 0])
    };
    Node::new("Conv", &part.with_parameters(&x))
        .sizes("kernel_shape", &conv.kernel_size)
        .sizes("strides", &conv.stride)
        .sizes("pads", &both_sides(padding))
        .sizes("dilations", &conv.dilation)
        .int("group", int(conv.groups))
}

pub(super) fn transpose(part: &mut Part<'_>, x: &str, conv: &ConvTranspose2d) -> Node {
    Node::new("ConvTranspose", &part.with_parameters(x))
        .sizes("kernel_shape", &conv.kernel_size)
        .sizes("strides", &conv.stride)
        .sizes("pads", &both_sides(conv.padding))
        .sizes("output_padding", &conv.output_padding)
        .sizes("dilations", &conv.dilation)
        .int("group", int(conv.groups))
}

/// What is added at the top and at the left, at the bottom and at the right.
pub(super) fn both_sides([height, width]: [usize; 2]) -> [usize; 4] {
    [height, width, height, width]
}

fn pad(part: &mut Part<'_>, x: &str, conv: &Conv2d) -> String {
    let mode = match conv.padding_mode {
        PaddingMode::Zeros => "constant",
        PaddingMode::Reflect => "reflect",
        PaddingMode::Replicate => "edge",
        PaddingMode::Circular => {
            let rows = wrap(part, x, 2, ["rows.before", "rows.after", "rows"], conv.padding[0]);
            return wrap(part, &rows, 3, ["cols.before", "cols.after", "padded"], conv.padding[1]);
        }
    };
    let [height, width] = conv.padding;
    let pads = part.sizes("pads", &[0, 0, height, width, 0, 0, height, width]);
    part.value("padded", Node::new("Pad", &[x, &pads]).word("mode", mode))
}

/// The last `pad` rows or columns, x, and its first ones.
fn wrap(part: &mut Part<'_>, x: &str, axis: usize, names: [&str; 3], pad: usize) -> String {
    if pad == 0 {
        return x.to_owned();
    }
    let [before, after, padded] = names;
    let size = part.layer().input_shape[axis - 1];
    let axes = part.sizes(&format!("{padded}.axis"), &[axis]);
    let mut slice = |name: &str, start: usize, end: usize| {
        let [start, end] = [("start", start), ("end", end)]
            .map(|(bound, place)| part.sizes(&format!("{name}.{bound}"), &[place]));
        part.value(name, Node::new("Slice", &[x, &start, &end, &axes]))
    };
    let before = slice(before, size - pad, size);
    let after = slice(after, 0, pad);
    let node = Node::new("Concat", &[before.as_str(), x, &after]);
    part.value(padded, node.int("axis", int(axis)))
}

//! Pooling.

use super::OnnxError;
use super::conv::both_sides;
use super::graph::{Node, Part};
use crate::layers::{AdaptiveAvgPool2d, AvgPool2d, MaxPool2d};

pub(super) fn max(x: &str, pool: &MaxPool2d) -> Node {
    let node = Node::new("MaxPool", &[x])
        .sizes("kernel_shape", &pool.kernel_size)
        .sizes("strides", &pool.stride.unwrap_or(pool.kernel_size))
        .sizes("pads", &both_sides(pool.padding));
    // Some runtimes do not know of dilations.
    if pool.dilation == [1, 1] { node } else { node.sizes("dilations", &pool.dilation) }
}

pub(super) fn average(x: &str, pool: &AvgPool2d) -> Node {
    Node::new("AveragePool", &[x])
        .sizes("kernel_shape", &pool.kernel_size)
        .sizes("strides", &pool.stride.unwrap_or(pool.kernel_size))
        .sizes("pads", &both_sides(pool.padding))
        .int("count_include_pad", i64::from(pool.count_include_pad))
}

/// One mean, windows side by side, or, where these would not be of one size, a product with a matrix for each
/// axis: A x Bᵀ, of which a row of A `[Ho, H]` and of B `[Wo, W]` is the mean of a window. (A value that is not
/// finite then reaches all means of its image.)
pub(super) fn adaptive(
    part: &mut Part<'_>,
    x: &str,
    pool: &AdaptiveAvgPool2d,
) -> Result<Node, OnnxError> {
    let [_, height, width] = part.layer().input_shape[..] else {
        unreachable!("an image has three axes");
    };
    let [ho, wo] = pool.output_size;
    if [ho, wo] == [1, 1] {
        return Ok(Node::new("GlobalAveragePool", &[x]));
    }
    if height.is_multiple_of(ho) && width.is_multiple_of(wo) {
        let windows = [height / ho, width / wo];
        let node = Node::new("AveragePool", &[x]).sizes("kernel_shape", &windows);
        return Ok(node.sizes("strides", &windows));
    }
    part.check_room(height.saturating_mul(ho).saturating_add(width.saturating_mul(wo)))?;
    let rows = means(height, ho);
    let cols = means(width, wo);
    let cols: Vec<f32> = (0..cols.len()).map(|i| cols[i % wo * width + i / wo]).collect();
    let cols = part.floats("cols", &[width, wo], &cols);
    let rows = part.floats("rows", &[ho, height], &rows);
    let x = part.value("narrow", Node::new("MatMul", &[x, &cols]));
    Ok(Node::new("MatMul", &[rows, x]))
}

/// `[outputs, size]`: row i is 1 / length at the elements ⌊i · size / outputs⌋ to ⌈(i + 1) · size / outputs⌉ of
/// window i, and 0 elsewhere.
fn means(size: usize, outputs: usize) -> Vec<f32> {
    let mut matrix = vec![0.0; size * outputs];
    for (i, row) in matrix.chunks_exact_mut(size).enumerate() {
        let window = &mut row[i * size / outputs..((i + 1) * size).div_ceil(outputs)];
        let share = 1.0 / window.len() as f32;
        window.fill(share);
    }
    matrix
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_of_an_axis() {
        let third = 1.0 / 3.0;
        let expected = [[third, third, third, 0.0, 0.0], [0.0, 0.0, third, third, third]];
        assert_eq!(means(5, 2), expected.concat());
        let expected = [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]];
        assert_eq!(means(2, 3), expected.concat());
    }
}

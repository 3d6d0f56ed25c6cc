//! Which shape leaves each layer.

use super::{Layer, NetworkSpec, SpecError};
use loupe_engine::conv::{Conv2d, Conv2dOptions};

/// More elements than this in one tensor of one input, 8 GiB, are refused: they could not be trained.
const MAX_LEN: usize = 1 << 31;

pub(super) fn infer(spec: &NetworkSpec) -> Result<Vec<Vec<usize>>, SpecError> {
    if spec.input.is_empty() || len(&spec.input).is_none_or(|len| len == 0) {
        return Err(SpecError::Input { found: spec.input.clone() });
    }
    let mut shapes: Vec<Vec<usize>> = Vec::with_capacity(spec.layers.len());
    for (index, layer) in spec.layers.iter().enumerate() {
        let input = shapes.last().unwrap_or(&spec.input);
        let shape = output(layer, input).map_err(|problem| match problem {
            Problem::Shape(expected) => SpecError::Shape {
                index,
                layer: layer.to_string(),
                expected,
                found: input.clone(),
                from: match index.checked_sub(1) {
                    Some(before) => format!(" from layer {before}, {}", spec.layers[before]),
                    None => " as the network's input".into(),
                },
            },
            Problem::Option(reason) => {
                SpecError::Option { index, layer: layer.to_string(), reason }
            }
        })?;
        shapes.push(shape);
    }
    Ok(shapes)
}

/// The first batch normalisation that has a single value per channel in a batch of `batch`, if there is
/// one. `shapes` are those before each layer, and behind the last.
pub(super) fn one_value_per_channel(
    spec: &NetworkSpec,
    shapes: &[Vec<usize>],
    batch: usize,
) -> Option<SpecError> {
    let single = |(layer, shape): (&Layer, &Vec<usize>)| {
        let values = batch * shape.iter().skip(1).product::<usize>();
        matches!(layer, Layer::BatchNorm2d { .. }) && values == 1
    };
    let index = spec.layers.iter().zip(shapes).position(single)?;
    Some(SpecError::OneValuePerChannel { index, layer: spec.layers[index].to_string() })
}

enum Problem {
    /// The expected shape in words.
    Shape(String),
    Option(String),
}

fn output(layer: &Layer, input: &[usize]) -> Result<Vec<usize>, Problem> {
    match layer {
        Layer::Conv2d { in_channels, .. } => {
            let &[channels, height, width] = input else {
                return Err(Problem::Shape(format!("[{in_channels}, height, width]")));
            };
            if channels != *in_channels {
                return Err(Problem::Shape(format!("[{in_channels}, height, width]")));
            }
            let geometry = conv_geometry(layer, [height, width]).map_err(Problem::Option)?;
            let [ho, wo] = geometry.output_size();
            let fits = geometry.weight_len() <= MAX_LEN && geometry.output_len() <= MAX_LEN;
            check(fits, "the weight or the output does not fit memory")?;
            Ok(vec![geometry.options().out_channels, ho, wo])
        }
        Layer::Linear { in_features, out_features, .. } => {
            check(*in_features > 0 && *out_features > 0, "features must be at least 1")?;
            let weights = in_features.checked_mul(*out_features);
            check(weights.is_some_and(|n| n <= MAX_LEN), "the weight does not fit memory")?;
            match input {
                [features] if features == in_features => Ok(vec![*out_features]),
                _ => Err(Problem::Shape(format!("[{in_features}]"))),
            }
        }
        Layer::BatchNorm2d { num_features, eps, momentum } => {
            check_eps(*eps)?;
            let share = (0.0..=1.0).contains(momentum);
            check(share, &format!("momentum must lie in [0, 1], found {momentum}"))?;
            match input {
                [channels, _, _] if channels == num_features => Ok(input.to_vec()),
                _ => Err(Problem::Shape(format!("[{num_features}, height, width]"))),
            }
        }
        Layer::LayerNorm { normalized_shape, eps } => {
            check_eps(*eps)?;
            check(!normalized_shape.is_empty(), "normalized_shape must have at least one axis")?;
            if input.ends_with(normalized_shape) {
                return Ok(input.to_vec());
            }
            let axes: Vec<_> = normalized_shape.iter().map(usize::to_string).collect();
            Err(Problem::Shape(format!("[…, {}]", axes.join(", "))))
        }
        Layer::LeakyReLU { negative_slope } => {
            let finite = negative_slope.is_finite();
            check(finite, &format!("negative_slope must be finite, found {negative_slope}"))?;
            Ok(input.to_vec())
        }
        Layer::ReLU {} | Layer::Sigmoid {} => Ok(input.to_vec()),
        Layer::View { shape } => match len(shape) {
            Some(elements) if Some(elements) == len(input) => Ok(shape.clone()),
            _ => {
                let elements = len(shape).map_or("too many".into(), |n| n.to_string());
                Err(Problem::Shape(format!("with {elements} elements")))
            }
        },
    }
}

/// The geometry of a `Conv2d` layer on images of this size.
///
/// # Panics
/// If the layer is not a `Conv2d`.
pub(crate) fn conv_geometry(layer: &Layer, size: [usize; 2]) -> Result<Conv2d, String> {
    let &Layer::Conv2d {
        in_channels,
        out_channels,
        kernel_size,
        stride,
        padding,
        dilation,
        groups,
        bias: _,
    } = layer
    else {
        unreachable!("{layer} is not a convolution");
    };
    let options =
        Conv2dOptions { in_channels, out_channels, kernel_size, stride, padding, dilation, groups };
    Conv2d::new(options, size).map_err(|e| e.to_string())
}

/// The number of elements, if a network can work with it.
fn len(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1_usize, |n, &size| n.checked_mul(size)).filter(|&n| n <= MAX_LEN)
}

fn check_eps(eps: f32) -> Result<(), Problem> {
    let sound = eps.is_finite() && eps >= 0.0;
    check(sound, &format!("eps must be finite and not negative, found {eps}"))
}

fn check(sound: bool, reason: &str) -> Result<(), Problem> {
    if sound { Ok(()) } else { Err(Problem::Option(reason.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nets::{mnist_cnn, mnist_mlp};

    #[test]
    fn shapes_of_the_tutorials_networks() {
        let shapes = mnist_cnn().shapes().unwrap();
        assert_eq!(shapes[0], [10, 12, 12]);
        assert_eq!(shapes[2], [10, 12, 12]);
        assert_eq!(shapes[3], [10, 5, 5]);
        assert_eq!(shapes[6], [250]);
        assert_eq!(shapes[8], [10]);
        let shapes = mnist_mlp().shapes().unwrap();
        assert_eq!(shapes, [vec![784], vec![200], vec![200], vec![200], vec![10], vec![10]]);
    }

    #[test]
    fn the_leftover_layer_norm_is_named_with_both_shapes() {
        let mut spec = mnist_cnn();
        spec.layers.insert(3, Layer::layer_norm(&[200]));
        assert_eq!(
            spec.shapes().unwrap_err().to_string(),
            "layer 3, LayerNorm(200): expected an input of shape […, 200], found [10, 12, 12] from \
             layer 2, BatchNorm2d(10)"
        );
    }

    #[test]
    fn each_layer_refuses_the_shape_that_it_cannot_take() {
        let refuse = |input: &[usize], layer: Layer| {
            let spec = NetworkSpec { input: input.to_vec(), layers: vec![layer] };
            spec.shapes().unwrap_err().to_string()
        };
        let conv = Layer::conv2d(Conv2dOptions::new(3, 4, [5, 5]));
        let error = refuse(&[1, 28, 28], conv.clone());
        assert!(error.contains("expected an input of shape [3, height, width], found [1, 28, 28]"));
        let error = refuse(&[3, 4, 28], conv);
        assert!(error.contains("layer 0, Conv2d(3, 4, kernel_size=5): "), "{error}");
        assert!(error.contains("no larger than the padded image"), "{error}");
        let error = refuse(&[10, 5, 5], Layer::linear(250, 10));
        assert!(error.contains("shape [250], found [10, 5, 5] as the network's input"), "{error}");
        assert!(refuse(&[9, 5, 5], Layer::batch_norm2d(10)).contains("[10, height, width]"));
        assert!(refuse(&[10], Layer::batch_norm2d(10)).contains("[10, height, width]"));
        assert!(refuse(&[10, 5, 5], Layer::view(&[251])).contains("with 251 elements"));
        assert!(refuse(&[4], Layer::layer_norm(&[])).contains("at least one axis"));
        let slope = Layer::LeakyReLU { negative_slope: f32::NAN };
        assert!(refuse(&[4], slope).contains("must be finite, found NaN"));
        let norm = Layer::LayerNorm { normalized_shape: vec![4], eps: -1.0 };
        assert!(refuse(&[4], norm).contains("eps must be finite and not negative, found -1"));
    }

    #[test]
    fn absurd_sizes_are_errors() {
        let refuse = |input: &[usize], layers| {
            NetworkSpec { input: input.to_vec(), layers }.shapes().unwrap_err()
        };
        assert!(matches!(refuse(&[], vec![]), SpecError::Input { .. }));
        assert!(matches!(refuse(&[3, 0, 2], vec![]), SpecError::Input { .. }));
        assert!(matches!(refuse(&[usize::MAX, 2], vec![]), SpecError::Input { .. }));
        let error = refuse(&[4], vec![Layer::linear(4, usize::MAX)]);
        assert!(error.to_string().contains("does not fit memory"));
    }
}

//! A network as a list of single layers: which value each reads, and the shapes that follow.

use super::{NetworkSpec, SpecError};
use crate::layers::check::{MAX_LEN, len};
use crate::layers::{Layer, LayerError};
use std::fmt;

/// Blocks within blocks that are followed.
const DEPTH: usize = 32;

/// A layer at its place in a network.
///
/// *Values* are numbered: 0 is the network's input, i + 1 the output of layer i of the list.
#[derive(Clone, Debug, PartialEq)]
pub struct FlatLayer {
    /// Its number in the network, or `3.layers.0` within block 3; the names of its tensors begin with it.
    pub path: String,
    /// The layer. A `Residual` comes behind the layers that it holds, and stands for the sum of its two ways.
    pub layer: Layer,
    /// The values that it reads: one, or the two that a `Residual` adds.
    pub inputs: Vec<usize>,
    /// Shape of one of these, without the batch.
    pub input_shape: Vec<usize>,
    /// Shape of one output, without the batch.
    pub output_shape: Vec<usize>,
}

/// Its place and itself: `3.layers.0, ReLU()`.
impl fmt::Display for FlatLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.path, self.layer)
    }
}

impl FlatLayer {
    /// Multiplications and additions of one input.
    pub(crate) fn multiply_adds(&self) -> u64 {
        let module = self.layer.module();
        module.map_or(0, |module| module.multiply_adds(&self.input_shape, &self.output_shape))
    }

    /// Values of one channel of one input, for a batch normalisation.
    pub(crate) fn values_per_channel(&self) -> Option<usize> {
        self.layer.batch_norm().map(|_| self.input_shape[1..].iter().product())
    }
}

pub(super) fn flatten(spec: &NetworkSpec) -> Result<Vec<FlatLayer>, SpecError> {
    if spec.input.is_empty() || len(&spec.input).is_none_or(|len| len == 0) {
        return Err(SpecError::Input { found: spec.input.clone() });
    }
    let mut flat = Flat { spec, layers: Vec::new(), parameters: 0 };
    flat.add_all(&spec.layers, "", 0, 0)?;
    Ok(flat.layers)
}

struct Flat<'a> {
    spec: &'a NetworkSpec,
    layers: Vec<FlatLayer>,
    /// Elements of the parameters so far.
    parameters: usize,
}

impl Flat<'_> {
    fn shape(&self, value: usize) -> &[usize] {
        value.checked_sub(1).map_or(&self.spec.input, |i| &self.layers[i].output_shape)
    }

    /// Adds layers one behind the other, of which the first reads `value`; the last one's value.
    fn add_all(
        &mut self,
        layers: &[Layer],
        prefix: &str,
        mut value: usize,
        depth: usize,
    ) -> Result<usize, SpecError> {
        for (index, layer) in layers.iter().enumerate() {
            let path = format!("{prefix}{index}");
            value = self.add(layer, path, value, depth)?;
        }
        Ok(value)
    }

    fn add(
        &mut self,
        layer: &Layer,
        path: String,
        value: usize,
        depth: usize,
    ) -> Result<usize, SpecError> {
        let (inputs, output) = match layer.module() {
            Some(module) => (vec![value], module.output_shape(self.shape(value))),
            None => {
                let Layer::Residual(block) = layer else { unreachable!("all others are modules") };
                if depth == DEPTH {
                    let reason = format!("blocks within blocks must be at most {DEPTH} deep");
                    return Err(SpecError::Option { path, layer: layer.to_string(), reason });
                }
                let main =
                    self.add_all(&block.layers, &format!("{path}.layers."), value, depth + 1)?;
                let prefix = format!("{path}.shortcut.");
                let around = self.add_all(&block.shortcut, &prefix, value, depth + 1)?;
                let [sum, other] = [main, around].map(|value| self.shape(value));
                let output = if sum == other {
                    Ok(sum.to_vec())
                } else {
                    Err(LayerError::option(format!(
                        "the layers give {sum:?}, but the shortcut gives {other:?}"
                    )))
                };
                (vec![main, around], output)
            }
        };
        let found = self.shape(inputs[0]).to_vec();
        let output = output.and_then(|shape| match len(&shape) {
            Some(0) | None => Err(LayerError::option(format!(
                "the output would have the shape {shape:?}, which is empty or does not fit memory"
            ))),
            Some(_) => Ok(shape),
        });
        let output = output.and_then(|shape| self.count_parameters(layer).map(|()| shape));
        let output_shape = output.map_err(|problem| match problem {
            LayerError::Shape { expected } => SpecError::Shape {
                path: path.clone(),
                layer: layer.to_string(),
                expected,
                found: found.clone(),
                from: match value.checked_sub(1) {
                    Some(before) => {
                        let FlatLayer { path, layer, .. } = &self.layers[before];
                        format!(" from layer {path}, {layer}")
                    }
                    None => " as the network's input".into(),
                },
            },
            LayerError::Option { reason } => {
                SpecError::Option { path: path.clone(), layer: layer.to_string(), reason }
            }
        })?;
        let (layer, input_shape) = (layer.clone(), found);
        self.layers.push(FlatLayer { path, layer, inputs, input_shape, output_shape });
        Ok(self.layers.len())
    }

    /// Counts the parameters of a layer whose options are sound.
    fn count_parameters(&mut self, layer: &Layer) -> Result<(), LayerError> {
        let tensors = layer.module().map(|module| module.parameters()).unwrap_or_default();
        let mut lens = tensors.iter().map(|tensor| len(&tensor.shape));
        let total = lens.try_fold(self.parameters, |sum, len| sum.checked_add(len?));
        self.parameters = total.filter(|&total| total <= MAX_LEN).ok_or_else(|| {
            LayerError::option(format!("the parameters up to here are more than {MAX_LEN} numbers"))
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::{
        BatchNorm2d, Conv2d, Flatten, LayerNorm, LeakyReLU, Linear, ReLU, Residual, View,
    };
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
    fn blocks_become_two_ways_and_a_sum() {
        let block = Residual::new()
            .add(Conv2d::new(3, 4, 3).padding(1))
            .add(ReLU)
            .shortcut(Conv2d::new(3, 4, 1));
        let spec = NetworkSpec::new([3, 8, 8]).add(ReLU).add(block).add(Flatten);
        let flat = spec.flatten().unwrap();
        let found: Vec<_> = flat.iter().map(|l| (l.path.as_str(), l.inputs.clone())).collect();
        let expected = [
            ("0", vec![0]),
            ("1.layers.0", vec![1]),
            ("1.layers.1", vec![2]),
            ("1.shortcut.0", vec![1]),
            ("1", vec![3, 4]),
            ("2", vec![5]),
        ];
        assert_eq!(found, expected);
        assert_eq!(spec.shapes().unwrap(), [vec![3, 8, 8], vec![4, 8, 8], vec![256]]);
    }

    #[test]
    fn the_leftover_layer_norm_is_named_with_both_shapes() {
        let mut spec = mnist_cnn();
        spec.layers.insert(3, LayerNorm::new([200]).into());
        assert_eq!(
            spec.shapes().unwrap_err().to_string(),
            "layer 3, LayerNorm(200): expected an input of shape […, 200], found [10, 12, 12] from \
             layer 2, BatchNorm2d(10)"
        );
    }

    fn refuse(input: &[usize], layer: impl Into<Layer>) -> String {
        NetworkSpec::new(input).add(layer).shapes().unwrap_err().to_string()
    }

    #[test]
    fn each_layer_refuses_the_shape_that_it_cannot_take() {
        let conv = Conv2d::new(3, 4, 5);
        let error = refuse(&[1, 28, 28], conv.clone());
        assert!(error.contains("expected an input of shape [3, height, width], found [1, 28, 28]"));
        let error = refuse(&[3, 4, 28], conv);
        assert!(error.contains("layer 0, Conv2d(3, 4, kernel_size=5): "), "{error}");
        assert!(error.contains("no larger than the padded image"), "{error}");
        let error = refuse(&[10, 5, 5], Linear::new(250, 10));
        assert!(error.contains("shape [250], found [10, 5, 5] as the network's input"), "{error}");
        assert!(refuse(&[9, 5, 5], BatchNorm2d::new(10)).contains("[10, height, width]"));
        assert!(refuse(&[10], BatchNorm2d::new(10)).contains("[10, height, width]"));
        assert!(refuse(&[10, 5, 5], View::new([251])).contains("with 251 elements"));
        assert!(refuse(&[4], LayerNorm::new([])).contains("at least one axis"));
        assert!(refuse(&[4], LeakyReLU::new(f32::NAN)).contains("must be finite, found NaN"));
        let norm = LayerNorm::new([4]).eps(-1.0);
        assert!(refuse(&[4], norm).contains("eps must be finite and not negative, found -1"));
        let block = Residual::new().add(Conv2d::new(3, 4, 1));
        let expected = "layer 0, Residual(1 layer): the layers give [4, 5, 5], but the shortcut \
                        gives [3, 5, 5]";
        assert_eq!(refuse(&[3, 5, 5], block), expected);
        let block = Residual::new().add(ReLU).add(Linear::new(3, 3));
        assert!(refuse(&[4], block).starts_with("layer 0.layers.1, Linear(3, 3): "));
    }

    #[test]
    fn absurd_sizes_are_errors() {
        let refuse = |input: &[usize], layers| {
            NetworkSpec { input: input.to_vec(), layers }.shapes().unwrap_err()
        };
        assert!(matches!(refuse(&[], vec![]), SpecError::Input { .. }));
        assert!(matches!(refuse(&[3, 0, 2], vec![]), SpecError::Input { .. }));
        assert!(matches!(refuse(&[usize::MAX, 2], vec![]), SpecError::Input { .. }));
        let error = refuse(&[4], vec![Linear::new(4, usize::MAX).into()]);
        assert!(error.to_string().contains("does not fit memory"));
        let mut nested = Residual::new();
        for _ in 0..100 {
            nested = Residual::new().add(nested);
        }
        let error = refuse(&[4], vec![nested.into()]);
        assert!(error.to_string().contains("at most 32 deep"), "{error}");
    }
}

//! Where each tensor of a network lies: names, shapes and places in flat buffers.
//!
//! All parameters of a network share one buffer, so an optimiser's step is one loop and a copy of a
//! network is a copy of memory. Names are those of a PyTorch `Sequential`'s `state_dict`.

use crate::spec::{Layer, NetworkSpec, SpecError};
use loupe_engine::LANES;
use loupe_engine::norm::Affine;
use std::ops::Range;

/// A named tensor within a flat buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// `<layer>.<name>`, as in PyTorch's `state_dict`.
    pub name: String,
    /// Axes, outermost first.
    pub shape: Vec<usize>,
    /// Place in the buffer. Every tensor begins at a multiple of 16 floats; the gaps hold zeros.
    pub range: Range<usize>,
}

/// Tensors one behind the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) tensors: Vec<TensorInfo>,
    /// Floats of the buffer, gaps included.
    pub(crate) len: usize,
}

impl Layout {
    fn add(&mut self, name: String, shape: &[usize]) -> Range<usize> {
        let range = self.len..self.len + shape.iter().product::<usize>();
        self.len = range.end.next_multiple_of(LANES);
        self.tensors.push(TensorInfo { name, shape: shape.to_vec(), range: range.clone() });
        range
    }

    /// The number of elements without the gaps.
    pub(crate) fn elements(&self) -> usize {
        self.tensors.iter().map(|tensor| tensor.range.len()).sum()
    }
}

/// Where the tensors of one layer lie.
#[derive(Clone, Debug, Default)]
pub(crate) struct LayerTensors {
    /// Among the parameters.
    pub(crate) weight: Range<usize>,
    /// Among the parameters.
    pub(crate) bias: Option<Range<usize>>,
    /// Inputs of one output; bounds of the initial values follow from it. 0 for a normalisation.
    pub(crate) fan_in: usize,
    /// Running mean and variance, among the statistics.
    pub(crate) running: Option<[Range<usize>; 2]>,
}

impl LayerTensors {
    /// The layer's weight and bias in a buffer of all parameters, for a layer that has both.
    pub(crate) fn affine<'a>(&self, parameters: &'a [f32]) -> Affine<'a> {
        let bias = self.bias.clone().expect("a normalisation has a bias");
        Affine { weight: &parameters[self.weight.clone()], bias: &parameters[bias] }
    }

    /// The layer's weight and bias in a buffer of all parameters or gradients.
    pub(crate) fn split<'a>(
        &self,
        buffer: &'a mut [f32],
    ) -> (&'a mut [f32], Option<&'a mut [f32]>) {
        let (before, after) = buffer.split_at_mut(self.weight.end);
        let weight = &mut before[self.weight.start..];
        let bias = self.bias.clone().map(|bias| {
            let offset = self.weight.end;
            &mut after[bias.start - offset..bias.end - offset]
        });
        (weight, bias)
    }
}

/// All tensors of a network.
#[derive(Clone, Debug, Default)]
pub(crate) struct NetworkLayout {
    pub(crate) parameters: Layout,
    /// Running means and variances.
    pub(crate) statistics: Layout,
    /// One for each layer; nothing for layers without parameters.
    pub(crate) layers: Vec<Option<LayerTensors>>,
}

impl NetworkLayout {
    /// # Errors
    /// As [`NetworkSpec::shapes`].
    pub(crate) fn new(spec: &NetworkSpec) -> Result<NetworkLayout, SpecError> {
        spec.shapes()?;
        let mut layout = NetworkLayout::default();
        for (index, layer) in spec.layers.iter().enumerate() {
            let tensors = layout.layer(index, layer);
            layout.layers.push(tensors);
        }
        Ok(layout)
    }

    fn layer(&mut self, index: usize, layer: &Layer) -> Option<LayerTensors> {
        let name = |tensor: &str| format!("{index}.{tensor}");
        let parameters = &mut self.parameters;
        let mut affine = |weight: &[usize], bias: Option<usize>| LayerTensors {
            weight: parameters.add(name("weight"), weight),
            bias: bias.map(|len| parameters.add(name("bias"), &[len])),
            ..LayerTensors::default()
        };
        Some(match layer {
            &Layer::Conv2d {
                in_channels,
                out_channels,
                kernel_size: [kh, kw],
                groups,
                bias,
                ..
            } => {
                let group_inputs = in_channels / groups;
                let shape = [out_channels, group_inputs, kh, kw];
                let tensors = affine(&shape, bias.then_some(out_channels));
                LayerTensors { fan_in: group_inputs * kh * kw, ..tensors }
            }
            &Layer::Linear { in_features, out_features, bias } => {
                let tensors = affine(&[out_features, in_features], bias.then_some(out_features));
                LayerTensors { fan_in: in_features, ..tensors }
            }
            &Layer::BatchNorm2d { num_features, .. } => {
                let tensors = affine(&[num_features], Some(num_features));
                let running = ["running_mean", "running_var"]
                    .map(|tensor| self.statistics.add(name(tensor), &[num_features]));
                LayerTensors { running: Some(running), ..tensors }
            }
            Layer::LayerNorm { normalized_shape, .. } => {
                let weight = parameters.add(name("weight"), normalized_shape);
                let bias = Some(parameters.add(name("bias"), normalized_shape));
                LayerTensors { weight, bias, ..LayerTensors::default() }
            }
            Layer::LeakyReLU { .. } | Layer::ReLU {} | Layer::Sigmoid {} | Layer::View { .. } => {
                return None;
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nets::{mnist_cnn, mnist_mlp};

    #[test]
    fn tensors_have_pytorchs_names_and_do_not_overlap() {
        let layout = NetworkLayout::new(&mnist_cnn()).unwrap();
        let names: Vec<_> = layout.parameters.tensors.iter().map(|t| t.name.as_str()).collect();
        let expected = [
            "0.weight", "0.bias", "2.weight", "2.bias", "3.weight", "3.bias", "5.weight", "5.bias",
            "7.weight", "7.bias",
        ];
        assert_eq!(names, expected);
        let names: Vec<_> = layout.statistics.tensors.iter().map(|t| t.name.as_str()).collect();
        assert_eq!(names, ["2.running_mean", "2.running_var", "5.running_mean", "5.running_var"]);
        for layout in [&layout.parameters, &layout.statistics] {
            let mut end = 0;
            for tensor in &layout.tensors {
                assert!(tensor.range.start >= end && tensor.range.start.is_multiple_of(LANES));
                end = tensor.range.end;
            }
            assert!(end <= layout.len);
        }
    }

    #[test]
    fn the_tutorials_networks_have_the_tutorials_number_of_parameters() {
        assert_eq!(NetworkLayout::new(&mnist_cnn()).unwrap().parameters.elements(), 3_720);
        assert_eq!(NetworkLayout::new(&mnist_mlp()).unwrap().parameters.elements(), 159_410);
    }
}

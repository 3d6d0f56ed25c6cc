//! Where each tensor of a network lies: names, shapes and places in flat buffers.
//!
//! All parameters of a network share one buffer, so an optimiser's step is one loop and a copy of a
//! network is a copy of memory. Names are those of a PyTorch `Sequential`'s `state_dict`.

use crate::layers::{Init, Parameter};
use crate::spec::FlatLayer;
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
    /// Among the parameters, in ascending order.
    pub(crate) parameters: Vec<Range<usize>>,
    /// Running mean and variance, among the statistics.
    pub(crate) running: Option<[Range<usize>; 2]>,
}

impl LayerTensors {
    /// The first tensor's place.
    ///
    /// # Panics
    /// If the layer has none.
    pub(crate) fn weight(&self) -> Range<usize> {
        self.parameters[0].clone()
    }

    /// The second tensor's place.
    pub(crate) fn bias(&self) -> Option<Range<usize>> {
        self.parameters.get(1).cloned()
    }

    /// The layer's weight and bias in a buffer of all parameters, for a layer that has both.
    pub(crate) fn affine<'a>(&self, parameters: &'a [f32]) -> Affine<'a> {
        let bias = self.bias().expect("a normalisation has a bias");
        Affine { weight: &parameters[self.weight()], bias: &parameters[bias] }
    }

    /// The layer's first N tensors in a buffer of all parameters or gradients.
    ///
    /// # Panics
    /// If the layer has fewer.
    pub(crate) fn split<'a, const N: usize>(&self, buffer: &'a mut [f32]) -> [&'a mut [f32]; N] {
        let places = std::array::from_fn(|i| self.parameters[i].clone());
        buffer.get_disjoint_mut(places).expect("tensors do not overlap")
    }

    /// The layer's weight and bias, if there is one, in a buffer of all parameters or gradients.
    pub(crate) fn weight_and_bias<'a>(
        &self,
        buffer: &'a mut [f32],
    ) -> (&'a mut [f32], Option<&'a mut [f32]>) {
        if self.parameters.len() == 1 {
            return (&mut buffer[self.weight()], None);
        }
        let [weight, bias] = self.split(buffer);
        (weight, Some(bias))
    }
}

/// All tensors of a network.
#[derive(Clone, Debug, Default)]
pub(crate) struct NetworkLayout {
    pub(crate) parameters: Layout,
    /// Running means and variances.
    pub(crate) statistics: Layout,
    /// Of each layer of the flat list.
    pub(crate) layers: Vec<LayerTensors>,
    /// Initial values of each parameter.
    pub(crate) init: Vec<Init>,
}

impl NetworkLayout {
    pub(crate) fn new(layers: &[FlatLayer]) -> NetworkLayout {
        let mut layout = NetworkLayout::default();
        for FlatLayer { path, layer, input_shape, .. } in layers {
            let mut tensors = LayerTensors::default();
            let parameters = layer.module().map(|module| module.parameters());
            for Parameter { name, shape, init } in parameters.into_iter().flatten() {
                tensors.parameters.push(layout.parameters.add(format!("{path}.{name}"), &shape));
                layout.init.push(init);
            }
            if layer.batch_norm().is_some() {
                let channels = &input_shape[..1];
                let mut add = |name| layout.statistics.add(format!("{path}.{name}"), channels);
                tensors.running = Some(["running_mean", "running_var"].map(&mut add));
            }
            layout.layers.push(tensors);
        }
        layout
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nets::{mnist_cnn, mnist_mlp};

    #[test]
    fn tensors_have_pytorchs_names_and_do_not_overlap() {
        let layout = NetworkLayout::new(&mnist_cnn().flatten().unwrap());
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
        assert_eq!(
            NetworkLayout::new(&mnist_cnn().flatten().unwrap()).parameters.elements(),
            3_720
        );
        assert_eq!(
            NetworkLayout::new(&mnist_mlp().flatten().unwrap()).parameters.elements(),
            159_410
        );
    }
}

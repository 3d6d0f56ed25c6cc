//! From layers to nodes.

use super::Node;
use super::block::{Block, BlockNorm};
use super::linear::LinearNode;
use super::norm::{BatchNormNode, LayerNormNode, Norm};
use crate::Error;
use crate::network::Network;
use crate::parameters::LayerTensors;
use crate::plan::Purpose;
use crate::plan::activation::Activation;
use crate::spec::{Layer, NetworkSpec, conv_geometry};
use loupe_engine::Buffer;
use loupe_engine::conv::Conv2d;
use loupe_engine::linear::Linear;
use loupe_engine::norm::batch::BatchNorm;
use loupe_engine::norm::layer::LayerNorm;
use std::ops::Range;

/// Nodes, the layers of each, and the values between them.
pub(super) type Chain = (Vec<Node>, Vec<Range<usize>>, Vec<Buffer>);

/// The chain of a network. `shapes` are those of one input before each layer, and behind
/// the last.
pub(super) fn build(
    network: &Network,
    shapes: Vec<Vec<usize>>,
    batch: usize,
    purpose: Purpose,
) -> Result<Chain, Error> {
    let mut builder = Builder {
        spec: network.spec(),
        tensors: &network.layout.layers,
        shapes,
        batch,
        purpose,
        next: 0,
        nodes: Vec::new(),
        layers: Vec::new(),
        values: Vec::new(),
    };
    builder.values.push(Buffer::zeros(builder.value_len(0)));
    while builder.next < builder.spec.layers.len() {
        builder.add_node()?;
    }
    Ok((builder.nodes, builder.layers, builder.values))
}

struct Builder<'a> {
    spec: &'a NetworkSpec,
    tensors: &'a [Option<LayerTensors>],
    shapes: Vec<Vec<usize>>,
    batch: usize,
    purpose: Purpose,
    /// The first layer that no node does yet.
    next: usize,
    nodes: Vec<Node>,
    layers: Vec<Range<usize>>,
    values: Vec<Buffer>,
}

impl Builder<'_> {
    /// Makes a node of the next layer, and of those behind it that it can take in.
    fn add_node(&mut self) -> Result<(), Error> {
        let index = self.next;
        let shape = &self.shapes[index];
        self.next += 1;
        let node = match &self.spec.layers[index] {
            Layer::View { .. } => return Ok(()),
            layer @ Layer::Conv2d { .. } => {
                let size = [shape[1], shape[2]];
                let geometry = conv_geometry(layer, size).expect("shape inference has passed");
                self.block(index, geometry)
            }
            &Layer::Linear { in_features, out_features, .. } => {
                let dims = Linear { batch: self.batch, in_features, out_features };
                Node::Linear(LinearNode::new(dims, self.layer_tensors(index), self.purpose))
            }
            Layer::BatchNorm2d { .. } => Node::BatchNorm(BatchNormNode { norm: self.norm(index) }),
            Layer::LayerNorm { normalized_shape, eps } => {
                let features = normalized_shape.iter().product();
                let rows = self.batch * shape.iter().product::<usize>() / features;
                let dims = LayerNorm { rows, features, eps: *eps };
                Node::LayerNorm(LayerNormNode::new(dims, self.layer_tensors(index)))
            }
            &Layer::LeakyReLU { negative_slope } => {
                Node::Activation(Activation::LeakyRelu { negative_slope })
            }
            Layer::ReLU {} => Node::Activation(Activation::Relu),
            Layer::Sigmoid {} => Node::Activation(Activation::Sigmoid),
        };
        self.nodes.push(node);
        self.layers.push(index..self.next);
        self.values.push(Buffer::zeros(self.value_len(self.next)));
        Ok(())
    }

    /// A convolution with the activation and the normalisation behind it.
    fn block(&mut self, index: usize, geometry: Conv2d) -> Node {
        let negative_slope = match self.spec.layers.get(self.next) {
            Some(Layer::ReLU {}) => Some(0.0),
            // The backward pass reads the sign of the input off the output.
            Some(&Layer::LeakyReLU { negative_slope }) if negative_slope >= 0.0 => {
                Some(negative_slope)
            }
            _ => None,
        };
        self.next += usize::from(negative_slope.is_some());
        let output_len = self.value_len(self.next);
        let norm = match self.spec.layers.get(self.next) {
            Some(Layer::BatchNorm2d { .. }) => {
                self.next += 1;
                let norm = self.norm(self.next - 1);
                let dz_sums = Buffer::zeros(geometry.options().out_channels);
                Some(BlockNorm { norm, activated: Buffer::zeros(output_len), dz_sums })
            }
            _ => None,
        };
        let has_dz = norm.is_some() || negative_slope.is_some();
        let dz = Buffer::zeros(if has_dz { output_len } else { 0 });
        let tensors = self.layer_tensors(index);
        Node::Block(Box::new(Block { geometry, tensors, negative_slope, norm, dz }))
    }

    fn norm(&mut self, index: usize) -> Norm {
        let layer = &self.spec.layers[index];
        let (&Layer::BatchNorm2d { num_features, eps, momentum }, &[_, height, width]) =
            (layer, &self.shapes[index][..])
        else {
            unreachable!("shape inference has passed");
        };
        let (batch, spatial) = (self.batch, height * width);
        let dims = BatchNorm { batch, channels: num_features, spatial, eps };
        Norm::new(dims, momentum, self.layer_tensors(index))
    }

    fn layer_tensors(&self, index: usize) -> LayerTensors {
        self.tensors[index].clone().expect("a layer with parameters")
    }

    /// Elements of the batch before layer `index`.
    fn value_len(&self, index: usize) -> usize {
        self.batch * self.shapes[index].iter().product::<usize>()
    }
}

//! From layers to nodes.

use super::activation::Activation;
use super::block::{Block, BlockNorm};
use super::conv::Conv;
use super::linear::LinearNode;
use super::norm::{BatchNormNode, LayerNormNode, Norm};
use super::{Edges, Node, Plan};
use crate::Error;
use crate::network::Network;
use crate::parameters::LayerTensors;
use crate::spec::{Layer, NetworkSpec, SpecError, conv_geometry};
use loupe_engine::conv::{Conv2d, Conv2dOptions};
use loupe_engine::linear::Linear;
use loupe_engine::norm::batch::BatchNorm;
use loupe_engine::norm::layer::LayerNorm;
use loupe_engine::{Buffer, LANES};

pub(super) fn build(network: &Network, batch: usize) -> Result<Plan, Error> {
    let mut builder = Builder::new(network, batch)?;
    while builder.next < builder.spec.layers.len() {
        builder.add_node()?;
    }
    let Builder { nodes, values, interleaved, one_value_per_channel, .. } = builder;
    let spec = network.shared_spec();
    let edges = interleaved.then(|| Edges {
        input: Buffer::zeros(values[0].len()),
        output: Buffer::zeros(values[values.len() - 1].len()),
    });
    Ok(Plan { spec, batch, nodes, values, edges, one_value_per_channel })
}

/// The longest value of one image that is interleaved: sixteen of them are 256 KiB, about what a core's
/// own cache holds.
const INTERLEAVED_LEN: usize = 1 << 12;

/// Whether values are to be interleaved: full groups of images, which are small, and no layer that
/// looks at one image by itself.
fn is_interleaved(spec: &NetworkSpec, batch: usize, longest: usize) -> bool {
    let by_image = |layer: &Layer| matches!(layer, Layer::LayerNorm { .. });
    batch.is_multiple_of(LANES) && longest <= INTERLEAVED_LEN && !spec.layers.iter().any(by_image)
}

struct Builder<'a> {
    spec: &'a NetworkSpec,
    tensors: &'a [Option<LayerTensors>],
    /// Of one input before each layer, and behind the last.
    shapes: Vec<Vec<usize>>,
    batch: usize,
    /// The first layer that no node does yet.
    next: usize,
    nodes: Vec<Node>,
    values: Vec<Buffer>,
    interleaved: bool,
    one_value_per_channel: Option<SpecError>,
}

impl<'a> Builder<'a> {
    fn new(network: &'a Network, batch: usize) -> Result<Builder<'a>, Error> {
        let spec = network.spec();
        let mut shapes = vec![spec.input.clone()];
        shapes.extend(spec.shapes()?);
        let longest = shapes.iter().map(|shape| shape.iter().product::<usize>()).max().unwrap_or(0);
        // Every tensor of the batch fits a slice.
        let fits = longest
            .checked_mul(batch)
            .and_then(|len| len.checked_mul(size_of::<f32>()))
            .is_some_and(|bytes| isize::try_from(bytes).is_ok());
        if batch == 0 || !fits {
            return Err(SpecError::Batch { batch }.into());
        }
        let input = shapes[0].iter().product::<usize>() * batch;
        Ok(Builder {
            spec,
            tensors: &network.layout.layers,
            shapes,
            batch,
            next: 0,
            nodes: Vec::new(),
            values: vec![Buffer::zeros(input)],
            interleaved: is_interleaved(spec, batch, longest),
            one_value_per_channel: None,
        })
    }

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
                self.block(index, geometry)?
            }
            &Layer::Linear { in_features, out_features, .. } if self.interleaved => {
                let options = Conv2dOptions::new(in_features, out_features, [1, 1]);
                let geometry = Conv2d::new(options, [1, 1]).expect("shape inference has passed");
                self.block(index, geometry)?
            }
            &Layer::Linear { in_features, out_features, .. } => Node::Linear(LinearNode {
                dims: Linear { batch: self.batch, in_features, out_features },
                tensors: self.layer_tensors(index),
            }),
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
        self.values.push(Buffer::zeros(self.value_len(self.next)));
        Ok(())
    }

    /// A convolution with the activation and the normalisation behind it.
    fn block(&mut self, index: usize, geometry: Conv2d) -> Result<Node, Error> {
        let conv = Conv::new(geometry, self.interleaved)?;
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
                let dz_sums = Buffer::zeros(conv.out_channels());
                Some(BlockNorm { norm, activated: Buffer::zeros(output_len), dz_sums })
            }
            _ => None,
        };
        let has_dz = norm.is_some() || negative_slope.is_some();
        let dz = Buffer::zeros(if has_dz { output_len } else { 0 });
        let tensors = self.layer_tensors(index);
        Ok(Node::Block(Box::new(Block { conv, tensors, negative_slope, norm, dz })))
    }

    fn norm(&mut self, index: usize) -> Norm {
        let layer = &self.spec.layers[index];
        let (&Layer::BatchNorm2d { num_features, eps, momentum }, &[_, height, width]) =
            (layer, &self.shapes[index][..])
        else {
            unreachable!("shape inference has passed");
        };
        let spatial = height * width;
        if self.batch * spatial == 1 && self.one_value_per_channel.is_none() {
            let layer = layer.to_string();
            self.one_value_per_channel = Some(SpecError::OneValuePerChannel { index, layer });
        }
        // The values of one channel of 16 interleaved images lie together, like those of one image.
        let images = if self.interleaved { LANES } else { 1 };
        let (batch, spatial) = (self.batch / images, spatial * images);
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

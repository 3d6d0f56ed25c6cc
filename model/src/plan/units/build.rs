//! From layers to nodes of units.

use super::choose::lanes;
use super::conv::{ConvGradients, ConvNode};
use super::lanes::{Form, Lanes, UnitConv};
use super::linear::LinearNode;
use super::norm::{Constants, NormNode};
use super::values::Place;
use super::{ActivationNode, Node, Part, Sizes, Step, UnblockNode, UnitPlan};
use crate::Error;
use crate::layers::{Activation, Layer};
use crate::network::Network;
use crate::parameters::LayerTensors;
use crate::plan::Purpose;
use loupe_engine::conv::{BlockedConv2d, BlockedInput, Conv2d, Conv2dOptions, InterleavedConv2d};
use loupe_engine::linear::Linear;
use loupe_engine::norm::batch::BatchNorm;
use loupe_engine::{Buffer, LANES};
use std::ops::Range;
/// The most floats of the values of a batch that are all kept: 8 MiB, which last-level caches hold with the
/// gradients. Beyond, memory decides.
const LARGEST_KEPT: usize = 1 << 21;

pub(super) fn build(
    network: &Network,
    batch: usize,
    purpose: Purpose,
) -> Result<Option<UnitPlan>, Error> {
    let (input, layers) = (&network.spec().input, network.layers());
    let Some(lanes) = lanes(input, layers, batch) else { return Ok(None) };
    let outputs = layers.iter().map(|layer| layer.output_shape.clone());
    let shapes: Vec<_> = std::iter::once(input.clone()).chain(outputs).collect();
    let form = match lanes {
        Lanes::Images => Form::Interleaved,
        Lanes::Channels => Form::Plain,
    };
    let values: usize = shapes.iter().map(|shape| form.len(shape)).sum::<usize>() / lanes.images();
    let mut builder = Builder {
        network,
        shapes: &shapes,
        batch,
        purpose,
        lanes,
        makes_again: batch * values > LARGEST_KEPT,
        form,
        next: 0,
        work: 0,
        kept_len: 0,
        passing_len: 0,
        gradient_len: 0,
        sums_len: 0,
        value: Place { is_kept: false, range: 0..0 },
        gradient: None,
        activated: None,
        first: 0,
        nodes: Vec::new(),
        layers: Vec::new(),
        forward: Vec::new(),
    };
    let passes = builder.passes();
    builder.value = builder.value(form.len(&shapes[0]), passes);
    let first = (builder.value.clone(), form);
    while builder.next < layers.len() {
        builder.add_node()?;
    }
    builder.finish(first).map(Some)
}

struct Builder<'a> {
    network: &'a Network,
    /// Of one input before each layer, and behind the last.
    shapes: &'a [Vec<usize>],
    batch: usize,
    purpose: Purpose,
    lanes: Lanes,
    /// The backward pass makes cheap values again, which are not kept.
    makes_again: bool,
    /// How the last value so far lies.
    form: Form,
    /// The first layer that no node does yet.
    next: usize,
    work: usize,
    kept_len: usize,
    passing_len: usize,
    /// Of the unit, for gradients.
    gradient_len: usize,
    sums_len: usize,
    /// The last value so far.
    value: Place,
    /// The gradient by it; none for the input.
    gradient: Option<Place>,
    /// If the last value is a convolution's: the slope of its activation, and its bias.
    activated: Option<(f32, Option<Range<usize>>)>,
    /// The first layer of the next node.
    first: usize,
    nodes: Vec<Node>,
    layers: Vec<Range<usize>>,
    forward: Vec<Step>,
}

impl Builder<'_> {
    /// Room for what a unit keeps, at the beginning of a cache line.
    fn kept(&mut self, len: usize) -> Place {
        Place { is_kept: true, range: room(&mut self.kept_len, len) }
    }

    /// Room for a value that is kept or passes.
    fn value(&mut self, len: usize, passes: bool) -> Place {
        if passes {
            Place { is_kept: false, range: room(&mut self.passing_len, len) }
        } else {
            self.kept(len)
        }
    }

    /// Whether a value that is cheaply made, which the next layer reads, is not kept.
    fn passes(&self) -> bool {
        let next = (self.next..).map_while(|i| self.layer(i)).find(|layer| !layer.is_view());
        match (self.purpose, next) {
            // Its second part is of the next round.
            (_, Some(layer)) if layer.batch_norm().is_some() => false,
            (Purpose::Inference, _) => true,
            // The backward pass makes it again, for the gradient by the weight.
            (Purpose::Training, Some(Layer::Conv2d(_))) => self.makes_again,
            (Purpose::Training, Some(Layer::Linear(_))) => {
                self.makes_again && self.lanes == Lanes::Images
            }
            (Purpose::Training, _) => false,
        }
    }

    /// Room for a gradient in a unit.
    fn gradient(&mut self, len: usize) -> Place {
        let len = if self.purpose == Purpose::Training { len } else { 0 };
        self.gradient_len += len;
        self.kept(len)
    }

    /// Room among the sums of a run.
    fn sums(&mut self, len: usize) -> Range<usize> {
        room(&mut self.sums_len, len)
    }

    fn layer_tensors(&self, index: usize) -> LayerTensors {
        self.network.layout.layers[index].clone()
    }

    fn push(&mut self, node: Node, parts: &[Part]) {
        let steps = parts.iter().map(|&part| Step { node: self.nodes.len(), part });
        self.forward.extend(steps);
        self.nodes.push(node);
        self.layers.push(self.first..self.next);
    }

    /// Makes a node of the next layer, and of those behind it that it can take in.
    fn add_node(&mut self) -> Result<(), Error> {
        let index = self.next;
        let shape = &self.shapes[index];
        (self.first, self.next) = (index, index + 1);
        match &self.network.layers()[index].layer {
            Layer::Conv2d(conv) => {
                let geometry = conv.geometry([shape[1], shape[2]])?;
                self.conv(index, geometry)?;
            }
            Layer::Linear(linear) if self.lanes == Lanes::Channels => {
                self.linear(index, linear.dims(1));
            }
            Layer::Linear(linear) => {
                let options = Conv2dOptions::new(linear.in_features, linear.out_features, [1, 1]);
                self.conv(index, Conv2d::new(options, [1, 1])?)?;
            }
            layer if layer.is_view() => self.unblock(),
            layer => match (layer.batch_norm(), layer.activation()) {
                (Some([eps, momentum]), _) => self.norm(index, eps, momentum),
                (_, Some(activation)) => self.activation(activation),
                _ => unreachable!("{layer} is not of units"),
            },
        }
        Ok(())
    }

    fn layer(&self, index: usize) -> Option<&Layer> {
        self.network.layers().get(index).map(|layer| &layer.layer)
    }

    fn conv(&mut self, index: usize, geometry: Conv2d) -> Result<(), Error> {
        let out_channels = geometry.options().out_channels;
        let normalizes = matches!(self.nodes.last(), Some(Node::Norm(norm)) if norm.y.is_none());
        let conv = match self.form {
            Form::Interleaved if normalizes => {
                UnitConv::Interleaved(InterleavedConv2d::of_normalized(geometry)?)
            }
            Form::Interleaved => UnitConv::Interleaved(InterleavedConv2d::new(geometry)?),
            Form::Plain => UnitConv::Blocked(BlockedConv2d::new(geometry, BlockedInput::Plain)?),
            Form::Blocked { .. } => {
                UnitConv::Blocked(BlockedConv2d::new(geometry, BlockedInput::Blocked)?)
            }
        };
        if self.lanes == Lanes::Channels {
            self.form = Form::Blocked { channels: out_channels };
        }
        let negative_slope = match self.layer(self.next).and_then(Layer::activation) {
            Some(Activation::Relu) => Some(0.0),
            // The backward pass reads the sign of the input off the output.
            Some(Activation::LeakyRelu { negative_slope }) if negative_slope >= 0.0 => {
                Some(negative_slope)
            }
            _ => None,
        };
        self.next += usize::from(negative_slope.is_some());
        let norm_options = self.layer(self.next).and_then(Layer::batch_norm);
        let has_norm = norm_options.is_some();

        let tensors = self.layer_tensors(index);
        let geometry = conv.geometry();
        let products = geometry.weight_len() / out_channels;
        let work = (2 * self.batch * geometry.output_len()).saturating_mul(products);
        self.work = self.work.saturating_add(work);
        let output_len = conv.output_len();
        let norm = self.lanes.norm(out_channels, geometry.output_len() / out_channels);
        let channels = norm.channels;
        let x = self.value.clone();
        let y = self.kept(output_len);
        let moments = has_norm.then(|| [self.kept(channels), self.kept(channels)]);
        let dy = self.gradient(output_len);
        let has_dz = negative_slope.is_some() && !has_norm;
        let gradients = (self.purpose == Purpose::Training).then(|| {
            let has_sums = tensors.bias().is_some() && !has_norm;
            let packed_len = if self.gradient.is_some() { conv.packed_backward_len() } else { 0 };
            let sums_len = conv.sums_len();
            ConvGradients {
                dx: self.gradient.clone(),
                dy: dy.clone(),
                dz: has_dz.then(|| self.gradient(output_len)),
                weight_sums: self.sums(sums_len),
                bias_sums: has_sums.then(|| (self.sums(channels), norm)),
                packed: Buffer::zeros(packed_len),
                total: Buffer::zeros(sums_len),
            }
        });
        self.activated = Some((negative_slope.unwrap_or(1.0), tensors.bias()));
        let packed_forward = Buffer::zeros(conv.packed_forward_len());
        self.value = y.clone();
        self.gradient = Some(dy);
        let node = ConvNode {
            conv,
            normalizes,
            tensors,
            negative_slope,
            x,
            y,
            moments,
            packed_forward,
            gradients,
        };
        self.push(Node::Conv(Box::new(node)), &[Part::First]);
        if let Some([eps, momentum]) = norm_options {
            (self.first, self.next) = (self.next, self.next + 1);
            self.norm(self.first, eps, momentum);
        }
        Ok(())
    }

    /// The normalisation of the last value; its moments are known if a convolution is in front of it.
    fn norm(&mut self, index: usize, eps: f32, momentum: f32) {
        let (&channels, spatial) = self.shapes[index].split_first().expect("it has channels");
        let spatial = spatial.iter().product();
        let len = self.value.len();
        let norm = self.lanes.norm(channels, spatial);
        let lanes = norm.channels;
        let (moments, parts) = match self.nodes.last() {
            Some(Node::Conv(conv)) if conv.moments.is_some() && conv.y == self.value => {
                (conv.moments.clone().expect("just looked at"), &[Part::Second][..])
            }
            _ => ([self.kept(lanes), self.kept(lanes)], &[Part::First, Part::Second][..]),
        };
        let (negative_slope, conv_bias) =
            if parts.len() == 1 { self.activated.take() } else { None }.unwrap_or((1.0, None));
        // The gradient by the input of the network is written too, where there is no other place.
        let dy = self.gradient.take().unwrap_or_else(|| self.gradient(len));
        let next = self.layer(self.next);
        // A convolution of interleaved images normalises what it reads.
        let y = if matches!(next, Some(Layer::Conv2d(_))) && self.lanes == Lanes::Images {
            None
        } else {
            let passes = self.passes();
            Some(self.value(len, passes))
        };
        let sums = [(); 3].map(|()| self.gradient(lanes));
        let dims = BatchNorm { batch: self.batch, channels, spatial, eps };
        let node = NormNode {
            norm,
            dims,
            momentum,
            tensors: self.layer_tensors(index),
            x: self.value.clone(),
            y: y.clone(),
            follows_conv: parts.len() == 1,
            moments,
            dy: dy.clone(),
            negative_slope,
            sums,
            conv_bias,
            constants: Constants::new(lanes),
        };
        self.value = y.unwrap_or_else(|| self.value.clone());
        self.gradient = Some(dy);
        self.push(Node::Norm(Box::new(node)), parts);
    }

    fn linear(&mut self, index: usize, dims: Linear) {
        let x = self.value.clone();
        let y = self.kept(dims.out_features);
        let dx = self.gradient.take();
        let dy = self.gradient(dims.out_features);
        let work = (2 * self.batch * dims.in_features).saturating_mul(dims.out_features);
        self.work = self.work.saturating_add(work);
        (self.value, self.gradient) = (y.clone(), Some(dy.clone()));
        let tensors = self.layer_tensors(index);
        self.push(Node::Linear(LinearNode { dims, tensors, x, y, dx, dy }), &[Part::First]);
    }

    /// Makes the last value plain, if it is blocked.
    fn unblock(&mut self) {
        let Form::Blocked { channels } = self.form else { return };
        self.form = Form::Plain;
        let x = self.value.clone();
        let len = self.shapes[self.next].iter().product();
        let dx = self.gradient.take().expect("a blocked value comes from a convolution");
        let (y, dy) = (self.kept(len), self.gradient(len));
        (self.value, self.gradient) = (y.clone(), Some(dy.clone()));
        self.push(Node::Unblock(UnblockNode { channels, x, y, dx, dy }), &[Part::First]);
    }

    fn activation(&mut self, activation: Activation) {
        let len = self.value.len();
        let x = self.value.clone();
        let dx = self.gradient.take().unwrap_or_else(|| self.gradient(len));
        let (y, dy) = (self.kept(len), self.gradient(len));
        (self.value, self.gradient) = (y.clone(), Some(dy.clone()));
        let node = ActivationNode { activation, x, y, dx, dy };
        self.push(Node::Activation(node), &[Part::First]);
    }

    fn finish(mut self, (first, first_form): (Place, Form)) -> Result<UnitPlan, Error> {
        let images = self.lanes.images();
        let units = self.batch.div_ceil(images);
        let runs = runs(units, self.work);
        let image = [0, self.shapes.len() - 1].map(|n| self.shapes[n].iter().product());
        let sizes = Sizes {
            work: self.work,
            batch: self.batch,
            images,
            units,
            run: units.div_ceil(runs),
            kept_len: self.kept_len.max(LANES),
            passing_len: self.passing_len,
            gradient_len: self.gradient_len,
            sums_len: self.sums_len.max(LANES),
            image,
        };
        let last = self.value.clone();
        // A network without layers has no gradient at all.
        let dy = self.gradient.take().unwrap_or_else(|| last.clone());
        let mut backward = Vec::new();
        for (node, kind) in self.nodes.iter().enumerate().rev() {
            match kind {
                Node::Norm(_) => {
                    backward.extend([Part::First, Part::Second].map(|part| Step { node, part }));
                    continue;
                }
                Node::Conv(conv) if !conv.x.is_kept && node > 0 => {
                    backward.push(Step { node: node - 1, part: Part::Again });
                }
                _ => {}
            }
            backward.push(Step { node, part: Part::First });
        }
        let units_len = units.saturating_mul(sizes.kept_len);
        Ok(UnitPlan {
            input: Buffer::try_zeros("the inputs of a batch", self.batch * image[0])?,
            output: Buffer::try_zeros("the outputs of a batch", self.batch * image[1])?,
            sizes,
            units: Buffer::try_zeros("the values of a batch", units_len)?,
            sums: Buffer::zeros(sizes.runs() * sizes.sums_len),
            backward,
            nodes: self.nodes,
            layers: self.layers,
            forward: self.forward,
            reloads: !first.is_kept,
            edges: [first, last, dy],
            forms: [first_form, self.form],
            prepared: None,
        })
    }
}

/// Room behind what there is, to the end of a cache line.
fn room(end: &mut usize, len: usize) -> Range<usize> {
    let range = *end..*end + len;
    *end = range.end.next_multiple_of(LANES);
    range
}

/// Into how many runs the units are cut: each is some work, and their sums are added up later.
fn runs(units: usize, work: usize) -> usize {
    const RUN_WORK: usize = 1 << 17;
    (work / RUN_WORK).clamp(1, 16).min(units)
}

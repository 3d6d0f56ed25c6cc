//! From layers to nodes, and places for their values.

use super::block::{BlockNode, BlockNorm, NormNode};
use super::linear::LinearNode;
use super::slots::{Allocation, Slot};
use super::{BackwardSlots, Kind, LayerNode, LayerPlan, Node, Target};
use crate::Error;
use crate::layers::{Activation, BatchNormOperation, Layer};
use crate::network::Network;
use crate::parameters::LayerTensors;
use crate::plan::Purpose;
use crate::spec::FlatLayer;
use loupe_engine::Buffer;
use loupe_engine::conv::Conv2d;
use std::iter;
use std::ops::Range;

/// The plan of a network.
pub(super) fn build(network: &Network, batch: usize, purpose: Purpose) -> Result<LayerPlan, Error> {
    let layers = network.layers();
    let mut uses = vec![0; layers.len() + 1];
    layers.iter().flat_map(|layer| &layer.inputs).for_each(|&value| uses[value] += 1);
    let tensors = &network.layout.layers;
    let mut builder = Builder {
        layers,
        tensors,
        uses,
        batch,
        purpose,
        next: 0,
        drafts: Vec::new(),
        renamed: (0..=layers.len()).collect(),
    };
    while builder.next < layers.len() {
        builder.add_node()?;
    }
    let shapes = layers.iter().map(|layer| &layer.output_shape);
    let shapes = iter::once(&network.spec().input).chain(shapes);
    let lens: Vec<usize> = shapes.map(|shape| batch * shape.iter().product::<usize>()).collect();
    let output = builder.renamed[layers.len()];
    place(builder.drafts, &lens, output, purpose)
}

/// A node whose values have numbers, but no places yet.
struct Draft {
    kind: DraftKind,
    layers: Range<usize>,
    /// One, or the two of a sum.
    inputs: Vec<usize>,
    output: usize,
    has_parameters: bool,
}

enum DraftKind {
    Node(Kind),
    Sum,
}

struct Builder<'a> {
    layers: &'a [FlatLayer],
    tensors: &'a [LayerTensors],
    /// Layers that read each value.
    uses: Vec<usize>,
    batch: usize,
    purpose: Purpose,
    /// The first layer that no node does yet.
    next: usize,
    drafts: Vec<Draft>,
    /// The value that each value is, behind views.
    renamed: Vec<usize>,
}

impl Builder<'_> {
    /// Makes a node of the next layer, and of those behind it that it can take in.
    fn add_node(&mut self) -> Result<(), Error> {
        let index = self.next;
        let flat = &self.layers[index];
        self.next += 1;
        if flat.layer.is_view() {
            self.renamed[index + 1] = self.renamed[flat.inputs[0]];
            return Ok(());
        }
        let kind = self.kind(index).map_err(|error| error.of_layer(flat.to_string()))?;
        let layers = index..self.next;
        self.drafts.push(Draft {
            kind,
            inputs: flat.inputs.iter().map(|&value| self.renamed[value]).collect(),
            output: self.next,
            has_parameters: layers.clone().any(|i| !self.tensors[i].parameters.is_empty()),
            layers,
        });
        Ok(())
    }

    /// What computes a layer, with those behind it that it takes in.
    fn kind(&mut self, index: usize) -> Result<DraftKind, Error> {
        let flat = &self.layers[index];
        let FlatLayer { layer, input_shape, .. } = flat;
        Ok(match layer {
            Layer::Conv2d(conv) if conv.is_zero_padded() => {
                let geometry = conv.geometry([input_shape[1], input_shape[2]])?;
                DraftKind::Node(Kind::Block(Box::new(self.block(index, geometry)?)))
            }
            Layer::Linear(linear) => {
                let dims = linear.dims(self.batch);
                let tensors = self.tensors[index].clone();
                DraftKind::Node(Kind::Linear(LinearNode::new(dims, tensors, self.purpose)))
            }
            _ if layer.batch_norm().is_some() => {
                DraftKind::Node(Kind::BatchNorm(Box::new(self.norm(index))))
            }
            _ => match layer.module() {
                None => DraftKind::Sum,
                Some(module) => DraftKind::Node(Kind::Layer(Box::new(LayerNode {
                    operation: module.operation(self.batch, input_shape)?,
                    tensors: self.tensors[index].clone(),
                    index,
                    name: flat.to_string(),
                    is_activation: layer.activation().is_some(),
                }))),
            },
        })
    }

    /// The next layer, if it alone reads what the one before it gives.
    fn follower(&self) -> Option<&Layer> {
        let next = self.layers.get(self.next)?;
        (next.inputs == [self.next] && self.uses[self.next] == 1).then_some(&next.layer)
    }

    /// A convolution with the activation and the normalisation behind it.
    fn block(&mut self, index: usize, geometry: Conv2d) -> Result<BlockNode, Error> {
        let negative_slope = match self.follower().and_then(Layer::activation) {
            Some(Activation::Relu) => Some(0.0),
            // The backward pass reads the sign of the input off the output.
            Some(Activation::LeakyRelu { negative_slope }) if negative_slope >= 0.0 => {
                Some(negative_slope)
            }
            _ => None,
        };
        self.next += usize::from(negative_slope.is_some());
        let output_len = self.batch * geometry.output_len();
        let norm = match self.follower().and_then(Layer::batch_norm) {
            None => None,
            Some(_) => {
                self.next += 1;
                Some(BlockNorm {
                    norm: self.norm(self.next - 1),
                    activated: Buffer::try_zeros("the activations of a batch", output_len)?,
                    dz_sums: Buffer::zeros(geometry.options().out_channels),
                })
            }
        };
        let has_dz =
            self.purpose == Purpose::Training && (norm.is_some() || negative_slope.is_some());
        let dz_len = if has_dz { output_len } else { 0 };
        let dz = Buffer::try_zeros("the gradient by the activations", dz_len)?;
        Ok(BlockNode { geometry, tensors: self.tensors[index].clone(), negative_slope, norm, dz })
    }

    fn norm(&self, index: usize) -> NormNode {
        let FlatLayer { layer, input_shape, .. } = &self.layers[index];
        let [eps, momentum] = layer.batch_norm().expect("a batch normalisation");
        let norm = BatchNormOperation::new(self.batch, input_shape, eps, momentum);
        NormNode { norm, tensors: self.tensors[index].clone(), index }
    }
}

/// Finds a place for every value and every gradient. `lens` are those of all values.
///
/// For training every value keeps its own place; for inference a place is free again behind the last node
/// that reads it, but for those of the input and the output of the network.
fn place(
    drafts: Vec<Draft>,
    lens: &[usize],
    output: usize,
    purpose: Purpose,
) -> Result<LayerPlan, Error> {
    let mut last_use = vec![0; lens.len()];
    for (i, draft) in drafts.iter().enumerate() {
        draft.inputs.iter().for_each(|&value| last_use[value] = i);
    }
    let mut allocation = Allocation::default();
    let mut slots: Vec<Option<Slot>> = vec![None; lens.len()];
    let input = allocation.slot(lens[0]);
    slots[0] = Some(input);
    for (i, draft) in drafts.iter().enumerate() {
        slots[draft.output] = Some(allocation.slot(lens[draft.output]));
        if purpose == Purpose::Inference {
            let mut inputs = draft.inputs.clone();
            inputs.dedup();
            let done = inputs.iter().filter(|&&v| v != 0 && v != output && last_use[v] == i);
            done.for_each(|&value| allocation.free(slots[value].expect("placed before")));
        }
    }
    let slot = |value: usize| slots[value].expect("every value that is read was made");
    let values = allocation.slots()?;

    let mut gradients = Gradients::new(&drafts, lens, output, purpose);
    let backward: Vec<_> = drafts.iter().rev().map(|draft| gradients.node(draft)).collect();
    let mut nodes = Vec::with_capacity(drafts.len());
    let mut layers = Vec::with_capacity(drafts.len());
    for (draft, backward) in drafts.into_iter().zip(backward.into_iter().rev()) {
        let x = slot(draft.inputs[0]);
        let kind = match draft.kind {
            DraftKind::Node(kind) => kind,
            DraftKind::Sum => Kind::Sum { other: slot(draft.inputs[1]) },
        };
        nodes.push(Node { kind, x, y: slot(draft.output), backward });
        layers.push(draft.layers);
    }
    Ok(LayerPlan {
        nodes,
        layers,
        values,
        input,
        output: slot(output),
        gradients: gradients.allocation.slots()?,
        output_gradient: gradients.output,
    })
}

/// Places of gradients, from the last node to the first. A place is free again behind the node that made the
/// value.
struct Gradients<'a> {
    allocation: Allocation,
    /// Of all values.
    lens: &'a [usize],
    /// By each value, so far.
    slots: Vec<Option<Slot>>,
    /// Whether a parameter lies before the value.
    is_needed: Vec<bool>,
    output: Option<Slot>,
}

impl<'a> Gradients<'a> {
    fn new(drafts: &[Draft], lens: &'a [usize], output: usize, purpose: Purpose) -> Gradients<'a> {
        let mut is_needed = vec![false; lens.len()];
        if purpose == Purpose::Training {
            for draft in drafts {
                let is_behind = draft.inputs.iter().any(|&value| is_needed[value]);
                is_needed[draft.output] = draft.has_parameters || is_behind;
            }
        }
        let mut gradients = Gradients {
            allocation: Allocation::default(),
            lens,
            slots: vec![None; lens.len()],
            is_needed,
            output: None,
        };
        if gradients.is_needed[output] {
            gradients.output = Some(gradients.allocation.slot(lens[output]));
            gradients.slots[output] = gradients.output;
        }
        gradients
    }

    /// The places of a node, if it has a part in the backward pass. Nodes behind it have theirs.
    fn node(&mut self, draft: &Draft) -> Option<BackwardSlots> {
        let dy = self.slots[draft.output]?;
        let is_sum = matches!(draft.kind, DraftKind::Sum);
        let mut dx = [None; 2];
        for (dx, &value) in dx.iter_mut().zip(&draft.inputs) {
            if !self.is_needed[value] {
                continue;
            }
            *dx = Some(match self.slots[value] {
                None => {
                    let slot = self.allocation.slot(self.lens[value]);
                    self.slots[value] = Some(slot);
                    Target::Write(slot)
                }
                // A sum adds what it was given.
                Some(place) if is_sum => Target::Add(place, dy),
                Some(place) => {
                    let term = self.allocation.slot(place.len);
                    self.allocation.free(term);
                    Target::Add(place, term)
                }
            });
        }
        self.allocation.free(dy);
        Some(BackwardSlots { dy, dx })
    }
}

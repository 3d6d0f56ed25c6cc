//! Networks as ONNX files, for other runtimes.
//!
//! A file is a `ModelProto` of `onnx.proto`: the network for inference, with its values. Fields come in the order of
//! their numbers, in which the libraries of Protocol Buffers write them too. The operators are those of
//! opset 17, which every runtime reads that is not older than 2022. What has no operator there is composed of
//! several: GELU (an operator since opset 20), circular padding (19), group normalisation (as meant here 21).
//!
//! Source: the pages "ONNX Operators" and "Open Neural Network Exchange Intermediate Representation (ONNX IR)
//! Specification" of the ONNX documentation.

mod activation;
mod conv;
mod graph;
mod layers;
mod norm;
mod pool;
mod protobuf;
mod shape;

use crate::described::ENTRY;
use crate::network::Network;
use graph::{FLOAT, Graph, Node, Part, int};
use protobuf::Message;

/// Version of the operators.
const OPSET: i64 = 17;

/// Version of the format, that of the release which brought the opset.
const IR_VERSION: i64 = 8;

/// The name of the network's input.
const INPUT: &str = "input";

/// The name of its output.
const OUTPUT: &str = "output";

/// The name of the batch's size.
const BATCH: &str = "N";

/// What Protocol Buffers can read: 2 GiB less a byte.
const MAX_LEN: usize = i32::MAX as usize;

/// A network that ONNX cannot hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OnnxError {
    /// A layer of your own, for which there are no operators.
    #[error("layer {path}, {layer}: a layer of your own cannot be written as ONNX operators")]
    Custom {
        /// The layer's place: its number from 0, or `3.layers.0` within a block.
        path: String,
        /// The layer, as it prints.
        layer: String,
    },
    /// Protocol Buffers end at 2 GiB.
    #[error("an ONNX file holds at most 2 GiB; the network would take {bytes} bytes")]
    TooLarge {
        /// Bytes of all tensors, or of the file.
        bytes: usize,
    },
}

impl Network {
    /// The network for inference as the bytes of an ONNX file.
    ///
    /// Its input `input` `[N, …]` and output `output` `[N, …]` are f32, N being any number. Tensors have
    /// PyTorch's names. Batch normalisations go by their running statistics, and `Dropout` is left out. The
    /// operators are those of opset 17 (IR version 8).
    ///
    /// # Errors
    /// [`OnnxError::Custom`] if the network has a layer of your own, [`OnnxError::TooLarge`] if its tensors do
    /// not fit a file.
    pub fn to_onnx(&self) -> Result<Vec<u8>, OnnxError> {
        onnx(self, None)
    }

    /// The same with a [`Description`](crate::Description) of this network and the names of its `classes`, as
    /// text of the metadata entry `loupe`.
    ///
    /// # Errors
    /// As [`Network::to_onnx`].
    pub fn described_onnx(&self, classes: Option<&[String]>) -> Result<Vec<u8>, OnnxError> {
        onnx(self, self.description(classes).as_deref())
    }
}

fn onnx(network: &Network, description: Option<&str>) -> Result<Vec<u8>, OnnxError> {
    check_len(network.layout.parameters.elements())?;
    let graph = graph_of(network)?;
    check_len(graph.floats())?;
    let layers = network.layers();
    let input = &network.spec().input;
    let output = layers.last().map_or(input, |layer| &layer.output_shape);
    let [nodes, tensors] = [(1, graph.nodes), (5, graph.tensors)].map(|(field, messages)| {
        messages.iter().fold(Message::new(), |message, value| message.message(field, value))
    });
    let graph = nodes
        .string(2, "network")
        .merge(&tensors)
        .message(11, &value_info(INPUT, input))
        .message(12, &value_info(OUTPUT, output));
    let model = Message::new()
        .int(1, IR_VERSION)
        .string(2, "loupe")
        .string(3, env!("CARGO_PKG_VERSION"))
        .message(7, &graph)
        .message(8, &Message::new().string(1, "").int(2, OPSET));
    let model = match description {
        Some(text) => model.message(14, &Message::new().string(1, ENTRY).string(2, text)),
        None => model,
    };
    check_bytes(model.len())?;
    Ok(model.into_bytes())
}

fn check_bytes(bytes: usize) -> Result<(), OnnxError> {
    if bytes <= MAX_LEN { Ok(()) } else { Err(OnnxError::TooLarge { bytes }) }
}

/// Whether so many numbers fit a file.
fn check_len(floats: usize) -> Result<(), OnnxError> {
    check_bytes(floats.saturating_mul(size_of::<f32>()))
}

/// Nodes and tensors of all layers. A value has its layer's path for a name, unless it is the last one.
fn graph_of(network: &Network) -> Result<Graph, OnnxError> {
    let layers = network.layers();
    // The value that each layer's output is: its own, or what goes into a `Dropout`.
    let mut sources = vec![0];
    for (index, layer) in layers.iter().enumerate() {
        let source = if layers::is_left_out(layer) { sources[layer.inputs[0]] } else { index + 1 };
        sources.push(source);
    }
    let last = sources[layers.len()];
    let name = |value: usize| match sources[value] {
        0 => INPUT,
        source if source == last => OUTPUT,
        source => &layers[source - 1].path,
    };
    let mut graph = Graph::default();
    for (index, layer) in layers.iter().enumerate() {
        if layers::is_left_out(layer) {
            continue;
        }
        let inputs: Vec<&str> = layer.inputs.iter().map(|&value| name(value)).collect();
        let mut part = Part::new(&mut graph, network, index);
        let node = layers::node(&mut part, &inputs)?;
        part.finish(node, name(index + 1));
    }
    if last == 0 {
        graph.node(Node::new("Identity", &[INPUT]), OUTPUT, OUTPUT, "no layers");
    }
    Ok(graph)
}

/// A `ValueInfoProto`: f32 of the shape `[N, …]`.
fn value_info(name: &str, shape: &[usize]) -> Message {
    let batch = Message::new().string(2, BATCH);
    let sizes = shape.iter().map(|&size| Message::new().int(1, int(size)));
    let shape = std::iter::once(batch)
        .chain(sizes)
        .fold(Message::new(), |shape, size| shape.message(1, &size));
    let tensor = Message::new().int(1, FLOAT).message(2, &shape);
    Message::new().string(1, name).message(2, &Message::new().message(1, &tensor))
}

//! A graph that grows node by node: its nodes, and its tensors (*initialisers*).
//!
//! Field numbers are those of `NodeProto`, `AttributeProto` and `TensorProto` in `onnx.proto`.

use super::protobuf::Message;
use super::{OnnxError, check_len};
use crate::layers::Parameter;
use crate::network::Network;
use crate::spec::FlatLayer;

/// Numbers of the enumeration `TensorProto.DataType`.
pub(super) const FLOAT: i64 = 1;
const INT64: i64 = 7;

/// A number of the size of a tensor or of an option. One that is larger than the format's numbers has no effect
/// that differs from that of the largest: an image has far fewer pixels.
pub(super) fn int(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// An operator with its inputs and attributes.
#[derive(Clone, Debug)]
pub(super) struct Node {
    operator: &'static str,
    /// Fields `input`.
    inputs: Message,
    /// Fields `attribute`.
    attributes: Message,
}

impl Node {
    /// Without attributes.
    pub(super) fn new(operator: &'static str, inputs: &[impl AsRef<str>]) -> Node {
        let inputs = inputs.iter().map(AsRef::as_ref);
        let inputs = inputs.fold(Message::new(), |message, input| message.string(1, input));
        Node { operator, inputs, attributes: Message::new() }
    }

    /// Sets an attribute that is a whole number.
    pub(super) fn int(self, name: &str, value: i64) -> Node {
        self.attribute(name, 2, |attribute| attribute.int(3, value))
    }

    /// Sets an attribute that is a list of sizes.
    pub(super) fn sizes(self, name: &str, sizes: &[usize]) -> Node {
        self.attribute(name, 7, |attribute| attribute.ints(8, sizes.iter().copied().map(int)))
    }

    /// Sets an attribute that is a number.
    pub(super) fn float(self, name: &str, value: f32) -> Node {
        self.attribute(name, 1, |attribute| attribute.float(2, value))
    }

    /// Sets an attribute that is a word.
    pub(super) fn word(self, name: &str, value: &str) -> Node {
        self.attribute(name, 3, |attribute| attribute.string(4, value))
    }

    /// `kind` is a number of the enumeration `AttributeType`.
    fn attribute(self, name: &str, kind: i64, value: impl FnOnce(Message) -> Message) -> Node {
        let attribute = value(Message::new().string(1, name)).int(20, kind);
        Node { attributes: self.attributes.message(5, &attribute), ..self }
    }
}

/// Nodes and tensors of a graph.
#[derive(Debug, Default)]
pub(super) struct Graph {
    /// `NodeProto`s in the order of computation.
    pub(super) nodes: Vec<Message>,
    /// `TensorProto`s.
    pub(super) tensors: Vec<Message>,
}

impl Graph {
    /// Adds a node that writes the value `output`. Its name is made of `name` and the operator's, since some
    /// runtimes do not tell nodes from values of the same name. `doc` is what people read of it.
    pub(super) fn node(&mut self, node: Node, name: &str, output: &str, doc: &str) {
        let name = format!("{name}/{}", node.operator);
        let message = node.inputs.string(2, output).string(3, &name).string(4, node.operator);
        self.nodes.push(message.merge(&node.attributes).string(6, doc));
    }

    /// The size of all tensors, as numbers of four bytes.
    pub(super) fn floats(&self) -> usize {
        self.tensors.iter().map(Message::len).sum::<usize>() / size_of::<f32>()
    }

    fn tensor(&mut self, name: &str, shape: &[usize], data_type: i64, bytes: &[u8]) {
        let message = Message::new().ints(1, shape.iter().copied().map(int)).int(2, data_type);
        self.tensors.push(message.string(8, name).bytes(9, bytes));
    }
}

/// What is being written for one layer. All names begin with the layer's path.
#[derive(Debug)]
pub(super) struct Part<'a> {
    graph: &'a mut Graph,
    network: &'a Network,
    index: usize,
    parameters: Vec<Parameter>,
}

impl<'a> Part<'a> {
    /// That of layer `index` of the flat list.
    pub(super) fn new(graph: &'a mut Graph, network: &'a Network, index: usize) -> Part<'a> {
        let module = network.layers()[index].layer.module();
        let parameters = module.map_or_else(Vec::new, |module| module.parameters());
        Part { graph, network, index, parameters }
    }

    /// The layer.
    pub(super) fn layer(&self) -> &'a FlatLayer {
        &self.network.layers()[self.index]
    }

    fn name(&self, name: &str) -> String {
        format!("{}.{name}", self.layer().path)
    }

    /// Whether a file has room for so many numbers beside the tensors that there are.
    pub(super) fn check_room(&self, floats: usize) -> Result<(), OnnxError> {
        check_len(self.graph.floats().saturating_add(floats))
    }

    /// Adds a node in front of the layer's last one; the name of its output.
    pub(super) fn value(&mut self, name: &str, node: Node) -> String {
        let name = self.name(name);
        self.graph.node(node, &name, &name, &self.layer().layer.to_string());
        name
    }

    /// Adds the layer's last node.
    pub(super) fn finish(self, node: Node, output: &str) {
        let layer = self.layer();
        self.graph.node(node, &layer.path, output, &layer.layer.to_string());
    }

    /// Adds the layer's trainable tensor number `index`, with its name in PyTorch.
    pub(super) fn parameter(&mut self, index: usize) -> String {
        let shape = self.parameters[index].shape.clone();
        self.parameter_as(index, &shape)
    }

    /// The same under another shape.
    pub(super) fn parameter_as(&mut self, index: usize, shape: &[usize]) -> String {
        let name = self.parameters[index].name.clone();
        let place = self.network.layout.layers[self.index].parameters[index].clone();
        self.floats(&name, shape, &self.network.parameters[place])
    }

    /// `x` and the names of all trainable tensors: the inputs of most operators.
    pub(super) fn with_parameters(&mut self, x: &str) -> Vec<String> {
        let parameters = (0..self.parameters.len()).map(|index| self.parameter(index));
        std::iter::once(x.to_owned()).chain(parameters).collect()
    }

    /// Adds the running mean and variance of a batch normalisation.
    pub(super) fn statistics(&mut self) -> [String; 2] {
        let running = self.network.layout.layers[self.index].running.clone();
        let [mean, variance] = running.expect("a batch normalisation has running statistics");
        [("running_mean", mean), ("running_var", variance)].map(|(name, place)| {
            let values = &self.network.statistics[place];
            self.floats(name, &[values.len()], values)
        })
    }

    /// Adds a tensor of numbers.
    pub(super) fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) -> String {
        let name = self.name(name);
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.graph.tensor(&name, shape, FLOAT, &bytes);
        name
    }

    /// Adds a single number, a tensor without axes.
    pub(super) fn number(&mut self, name: &str, value: f32) -> String {
        self.floats(name, &[], &[value])
    }

    /// Adds a list of whole numbers.
    pub(super) fn sizes(&mut self, name: &str, sizes: &[usize]) -> String {
        let name = self.name(name);
        let bytes: Vec<u8> = sizes.iter().flat_map(|&size| int(size).to_le_bytes()).collect();
        self.graph.tensor(&name, &[sizes.len()], INT64, &bytes);
        name
    }
}

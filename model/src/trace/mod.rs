//! Every value of a forward and a backward pass, for those who want to see what a network does.
//!
//! Layers run one behind the other by the engine's plain operations, nothing fused, and all that they
//! give is kept. It is slower than a [`Plan`](crate::Plan) and takes the memory of all values.

mod layer;
mod non_finite;
mod range;

pub use layer::NormStatistics;
pub use non_finite::{NonFinite, Place, find_non_finite};
pub use range::Range;

use crate::Error;
use crate::network::Network;
use crate::normalization::Normalization;
use crate::parameters::{NetworkLayout, TensorInfo};
use crate::spec::{NetworkSpec, SpecError};
use layer::Step;
use loupe_engine::Context;
use std::sync::Arc;

/// The values of a forward pass over one batch.
#[derive(Clone, Debug)]
pub struct Trace {
    spec: Arc<NetworkSpec>,
    /// N.
    pub batch: usize,
    /// By which statistics batch normalisations have normalised.
    pub normalization: Normalization,
    /// `[N, …]`
    pub inputs: Vec<f32>,
    /// One for each layer of the network.
    pub layers: Vec<LayerTrace>,
}

/// What one layer has made of what it was given.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerTrace {
    /// Of one input's output, without the batch.
    pub shape: Vec<usize>,
    /// `[N, …]`
    pub output: Vec<f32>,
    /// What a normalisation has normalised by.
    pub statistics: Option<NormStatistics>,
}

/// The gradients of a backward pass, by all values and all parameters.
#[derive(Clone, Debug)]
pub struct Gradients {
    /// By the input of each layer, `[N, …]`, and last the one by the output that the pass began with: that
    /// by the output of layer i is number i + 1. The first is by the inputs of the network.
    pub values: Vec<Vec<f32>>,
    parameters: Vec<f32>,
    layout: Arc<NetworkLayout>,
}

impl Gradients {
    /// By each trainable tensor, in the order of [`Network::tensors`]. Those of layers behind the one that the
    /// pass began with are 0.
    pub fn parameters(&self) -> impl Iterator<Item = (&TensorInfo, &[f32])> {
        let tensors = &self.layout.parameters.tensors;
        tensors.iter().map(|info| (info, &self.parameters[info.range.clone()]))
    }
}

/// Runs `network` on `inputs` `[N, …]`; N is what they hold. Running statistics stay as they are.
///
/// By batch statistics these are the values of a training step.
///
/// ```
/// use loupe_engine::Context;
/// use loupe_model::trace::trace;
/// use loupe_model::{Network, Normalization, nets};
///
/// let cx = Context::serial();
/// let network = Network::new(nets::mnist_cnn(), 0)?;
/// let trace = trace(&cx, &network, &[0.5; 784], Normalization::BatchStatistics)?;
/// assert_eq!(trace.layers[0].shape, [10, 12, 12]);
///
/// // How the score of class 3 changes with each pixel.
/// let mut class = [0.0; 10];
/// class[3] = 1.0;
/// let gradients = trace.backward(&cx, &network, &class)?;
/// assert_eq!(gradients.values[0].len(), 784);
/// # Ok::<(), loupe_model::Error>(())
/// ```
///
/// # Errors
/// [`Error::Engine`] if `inputs` are no whole number of inputs; [`Error::Spec`] if there are none, if their
/// values do not fit memory, or if batch statistics are asked for where there is one value per channel.
pub fn trace(
    cx: &Context,
    network: &Network,
    inputs: &[f32],
    normalization: Normalization,
) -> Result<Trace, Error> {
    let spec = network.shared_spec();
    let shapes = spec.shapes_between()?;
    let input_len: usize = spec.input.iter().product();
    let batch = inputs.len() / input_len;
    expect_len("the inputs", batch.max(1) * input_len, inputs.len())?;
    SpecError::check_batch(&shapes, batch)?;
    if normalization == Normalization::BatchStatistics
        && let Some(error) = spec.one_value_per_channel(&shapes, batch)
    {
        return Err(error.into());
    }
    let mut layers: Vec<LayerTrace> = Vec::with_capacity(spec.layers.len());
    for (index, shape) in shapes[1..].iter().enumerate() {
        let input = layers.last().map_or(inputs, |before| &before.output);
        let step = Step::new(cx, network, index, batch, &shapes[index]);
        let mut output = vec![0.0; batch * shape.iter().product::<usize>()];
        let statistics = step.forward(input, normalization, &mut output)?;
        layers.push(LayerTrace { shape: shape.clone(), output, statistics });
    }
    Ok(Trace { spec, batch, normalization, inputs: inputs.to_vec(), layers })
}

impl Trace {
    /// The output of the last layer, `[N, …]`.
    pub fn output(&self) -> &[f32] {
        self.before(self.layers.len())
    }

    /// What layer `index` was given, `[N, …]`; behind the last layer, its output.
    fn before(&self, index: usize) -> &[f32] {
        index.checked_sub(1).map_or(&self.inputs, |before| &self.layers[before].output)
    }

    /// The gradients of a number of which `output_gradient` `[N, …]` is the gradient by the output: a loss,
    /// or one of the outputs. `network` has the values that the trace was made with.
    ///
    /// By batch statistics, mean and variance are differentiated as functions of the batch; by running
    /// statistics they are constants.
    ///
    /// # Errors
    /// [`Error::OtherNetwork`] if the network has other layers, [`Error::Engine`] if `output_gradient` is not
    /// as long as the output.
    pub fn backward(
        &self,
        cx: &Context,
        network: &Network,
        output_gradient: &[f32],
    ) -> Result<Gradients, Error> {
        self.backward_through(cx, network, self.layers.len(), output_gradient)
    }

    /// The same through the first `layers` layers only: `gradient` is by the output of the last of them.
    ///
    /// # Errors
    /// As [`Trace::backward`]; [`Error::Engine`] if there are fewer layers.
    pub fn backward_through(
        &self,
        cx: &Context,
        network: &Network,
        layers: usize,
        gradient: &[f32],
    ) -> Result<Gradients, Error> {
        if *self.spec != *network.spec() {
            return Err(Error::OtherNetwork);
        }
        if layers > self.layers.len() {
            return Err(loupe_engine::Error::Invalid {
                op: OP,
                what: "the number of layers",
                expected: "at most that of the network",
                found: layers.to_string(),
            }
            .into());
        }
        expect_len("the gradient", self.before(layers).len(), gradient.len())?;
        let mut parameters = vec![0.0; network.layout.parameters.len];
        let mut values = vec![gradient.to_vec()];
        for index in (0..layers).rev() {
            let shape = index.checked_sub(1).map_or(&self.spec.input, |i| &self.layers[i].shape);
            let step = Step::new(cx, network, index, self.batch, shape);
            let mut dx = vec![0.0; self.before(index).len()];
            let dy = values.last().expect("the gradient by the output");
            let layer = &self.layers[index];
            step.backward(self, [self.before(index), dy], layer, &mut parameters, &mut dx)?;
            values.push(dx);
        }
        values.reverse();
        Ok(Gradients { values, parameters, layout: network.layout.clone() })
    }
}

const OP: &str = "trace";

fn expect_len(what: &'static str, expected: usize, found: usize) -> Result<(), Error> {
    if expected == found {
        return Ok(());
    }
    Err(loupe_engine::Error::Length { op: OP, what, expected, found }.into())
}

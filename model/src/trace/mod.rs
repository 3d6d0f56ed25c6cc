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
use crate::spec::{NetworkSpec, SpecError, one_value_per_channel};
use layer::Step;
use loupe_engine::elementwise::add_assign;
use loupe_engine::{Buffer, Context};
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
    /// One for each layer of [`Network::layers`].
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
    /// By each value, `[N, …]`: the first is by the inputs of the network, number i + 1 by the output of layer i of
    /// [`Network::layers`]; the last is the one that the pass began with. Values that it does not reach have 0.
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
/// By batch statistics these are the values of a training step, but that `Dropout` leaves nothing out.
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
    let (spec, flat) = (network.shared_spec(), network.layers());
    let input_len: usize = spec.input.iter().product();
    let batch = inputs.len() / input_len;
    expect_len("the inputs", batch.max(1).saturating_mul(input_len), inputs.len())?;
    let values = SpecError::check_batch(&spec.input, flat, batch)?;
    // They are all kept, in vectors that are not asked for one by one.
    Buffer::try_zeros("the values of a batch", values)?;
    if normalization == Normalization::BatchStatistics
        && let Some(error) = one_value_per_channel(flat, batch)
    {
        return Err(error.into());
    }
    let mut layers: Vec<LayerTrace> = Vec::with_capacity(flat.len());
    for (index, layer) in flat.iter().enumerate() {
        let read = layer.inputs.iter().map(|&value| value_of(inputs, &layers, value));
        let read: Vec<&[f32]> = read.collect();
        let shape = layer.output_shape.clone();
        let mut output = vec![0.0; batch * shape.iter().product::<usize>()];
        let step = Step::new(cx, network, index, batch, normalization);
        let statistics = step.forward(&read, &mut output);
        let statistics = statistics.map_err(|error| error.of_layer(layer.to_string()))?;
        layers.push(LayerTrace { shape, output, statistics });
    }
    Ok(Trace { spec, batch, normalization, inputs: inputs.to_vec(), layers })
}

impl Trace {
    /// The output of the last layer, `[N, …]`.
    pub fn output(&self) -> &[f32] {
        self.value(self.layers.len())
    }

    /// A value of the network, `[N, …]`: number 0 are the inputs, number i + 1 is the output of layer i.
    ///
    /// # Panics
    /// If there are fewer layers.
    pub fn value(&self, number: usize) -> &[f32] {
        value_of(&self.inputs, &self.layers, number)
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

    /// The same through the first `layers` of [`Network::layers`] only: `gradient` is by the output of the last of
    /// them.
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
        expect_len("the gradient", self.value(layers).len(), gradient.len())?;
        let mut parameters = vec![0.0; network.layout.parameters.len];
        let mut values: Vec<Option<Vec<f32>>> = vec![None; layers];
        values.push(Some(gradient.to_vec()));
        for (index, layer) in network.layers()[..layers].iter().enumerate().rev() {
            let (before, after) = values.split_at_mut(index + 1);
            let Some(dy) = &after[0] else { continue };
            let read: Vec<_> = layer.inputs.iter().map(|&value| self.value(value)).collect();
            let step = Step::new(cx, network, index, self.batch, self.normalization);
            let y = &self.layers[index].output;
            let gradients = step.backward(&read, [y, dy], &mut parameters);
            let gradients = gradients.map_err(|error| error.of_layer(layer.to_string()))?;
            for (&value, gradient) in layer.inputs.iter().zip(gradients) {
                match &mut before[value] {
                    Some(sum) => add_assign(cx, &gradient, sum)?,
                    none => *none = Some(gradient),
                }
            }
        }
        let values = values.into_iter().enumerate();
        let values = values
            .map(|(number, values)| values.unwrap_or_else(|| vec![0.0; self.value(number).len()]))
            .collect();
        Ok(Gradients { values, parameters, layout: network.layout.clone() })
    }
}

fn value_of<'a>(inputs: &'a [f32], layers: &'a [LayerTrace], number: usize) -> &'a [f32] {
    number.checked_sub(1).map_or(inputs, |layer| &layers[layer].output)
}

const OP: &str = "trace";

fn expect_len(what: &'static str, expected: usize, found: usize) -> Result<(), Error> {
    if expected == found {
        return Ok(());
    }
    Err(loupe_engine::Error::Length { op: OP, what, expected, found }.into())
}

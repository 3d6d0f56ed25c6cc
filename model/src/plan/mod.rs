//! A network and a batch size made ready to run: every buffer placed, neighbouring layers fused.
//!
//! There are two kinds of plans. In a [unit plan](units) the batch is cut into units that fit a core's own
//! cache, and a thread does all it can with a unit before it takes the next: that is for small images. In a
//! [layer plan](layers) every operation runs over the whole batch: that works for all networks. Running
//! either allocates nothing.

mod layers;
mod memory;
pub(crate) mod probe;
mod units;

use crate::Error;
use crate::layers::{self as layer, Measured, Statistics};
use crate::network::Network;
use crate::normalization::Normalization;
use crate::parameters::LayerTensors;
use crate::random::mix;
use crate::spec::{NetworkSpec, SpecError, one_value_per_channel};
use layers::LayerPlan;
use loupe_engine::elementwise::{flush_denormals, has_denormals};
use loupe_engine::{Buffer, Context};
pub use memory::PlanMemory;
use probe::Probe;
use std::ops::Range;
use std::sync::Arc;
use units::UnitPlan;

/// A [`Network`]'s forward pass for one batch size.
///
/// ```
/// use loupe_engine::Context;
/// use loupe_model::{Network, Normalization, Plan, nets};
///
/// let network = Network::new(nets::mnist_cnn(), 0)?;
/// let mut plan = Plan::new(&network, 2)?;
/// plan.input_mut().fill(0.5);
/// let output = plan.infer(&Context::serial(), &network, Normalization::RunningStatistics)?;
/// assert_eq!(output.len(), 2 * 10);
/// # Ok::<(), loupe_model::Error>(())
/// ```
#[derive(Debug)]
pub struct Plan {
    spec: Arc<NetworkSpec>,
    batch: usize,
    body: Body,
    /// The gradient by the outputs `[N, …]`; empty if there is no backward pass.
    output_gradient: Buffer,
    /// Of the last step of training.
    random_key: u64,
    /// The first layer that has a single value per channel in this batch, if there is one.
    one_value_per_channel: Option<SpecError>,
}

#[derive(Debug)]
enum Body {
    Layers(LayerPlan),
    Units(Box<UnitPlan>),
}

/// What a plan is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Inference,
    Training,
}

/// How a plan cuts its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Units {
    /// Images of a unit: 16 in the lanes of a vector, or one whose channels are.
    pub(crate) images: usize,
    pub(crate) units: usize,
    /// Tasks of a round.
    pub(crate) runs: usize,
}

/// What a forward pass reads besides the values.
struct Forward<'a> {
    cx: &'a Context,
    /// `[N, …]`; none if they were written to the plan.
    inputs: Option<&'a [f32]>,
    parameters: &'a [f32],
    /// The network's.
    version: u64,
    statistics: Statistics<'a>,
    /// Of the step, in training.
    random_key: Option<u64>,
    probe: Probe<'a>,
}

/// What a backward pass reads and writes besides the values.
struct Backward<'a> {
    cx: &'a Context,
    /// Those of the forward pass.
    inputs: Option<&'a [f32]>,
    parameters: &'a [f32],
    gradients: &'a mut [f32],
    random_key: Option<u64>,
    probe: Probe<'a>,
}

impl Forward<'_> {
    /// The part of layer `index` of the network, which has these tensors.
    fn of_layer<'a>(&'a mut self, tensors: &'a LayerTensors, index: usize) -> layer::Forward<'a> {
        layer::Forward {
            cx: self.cx,
            parameters: self.parameters,
            tensors,
            statistics: self.statistics.reborrow(),
            random_key: self.random_key.map(|key| key_of_layer(key, index)),
        }
    }
}

impl Backward<'_> {
    /// As [`Forward::of_layer`].
    fn of_layer<'a>(&'a mut self, tensors: &'a LayerTensors, index: usize) -> layer::Backward<'a> {
        layer::Backward {
            cx: self.cx,
            parameters: self.parameters,
            gradients: self.gradients,
            tensors,
            random_key: self.random_key.map(|key| key_of_layer(key, index)),
        }
    }
}

/// A number that differs for each layer: the key of the step, mixed with the layer's number.
fn key_of_layer(key: u64, index: usize) -> u64 {
    mix(key ^ mix(index as u64))
}

/// The gradient by the weight of a fully connected layer at batch size 1: dy · xᵀ.
pub(crate) struct Factors<'a> {
    pub(crate) node: usize,
    /// The weight's, among the parameters.
    pub(crate) place: Range<usize>,
    pub(crate) dy: &'a [f32],
    pub(crate) x: &'a [f32],
}

impl Plan {
    /// A plan for batches of `batch` inputs.
    ///
    /// # Errors
    /// [`Error::Spec`] if the batch size is 0 or all values of a batch would take more than a tebibyte,
    /// [`Error::Layer`] or [`Error::Engine`] if the system does not give the memory.
    pub fn new(network: &Network, batch: usize) -> Result<Plan, Error> {
        Plan::build(network, batch, Purpose::Inference)
    }

    /// A plan that has a backward pass too.
    pub(crate) fn for_training(network: &Network, batch: usize) -> Result<Plan, Error> {
        Plan::build(network, batch, Purpose::Training)
    }

    fn build(network: &Network, batch: usize, purpose: Purpose) -> Result<Plan, Error> {
        let (spec, layers) = (network.shared_spec(), network.layers());
        let values = SpecError::check_batch(&spec.input, layers, batch)?;
        if purpose == Purpose::Training {
            // They are all kept, in buffers that are not asked for one by one.
            Buffer::try_zeros("the values of a batch", values)?;
        }
        let body = match UnitPlan::new(network, batch, purpose)? {
            Some(plan) => Body::Units(Box::new(plan)),
            None => Body::Layers(LayerPlan::new(network, batch, purpose)?),
        };
        let output = layers.last().map_or(&spec.input, |layer| &layer.output_shape);
        let outputs = output.iter().product::<usize>() * batch;
        let gradient_len = if purpose == Purpose::Training { outputs } else { 0 };
        let output_gradient = Buffer::try_zeros("the gradient by the outputs", gradient_len)?;
        let one_value_per_channel = one_value_per_channel(layers, batch);
        Ok(Plan { spec, batch, body, output_gradient, random_key: 0, one_value_per_channel })
    }

    /// The number of inputs of a batch.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// The inputs `[N, …]`, to be filled before a pass.
    pub fn input_mut(&mut self) -> &mut [f32] {
        match &mut self.body {
            Body::Layers(plan) => plan.input_mut(),
            Body::Units(plan) => plan.input_mut(),
        }
    }

    /// The outputs `[N, …]` of the last pass.
    pub fn output(&self) -> &[f32] {
        match &self.body {
            Body::Layers(plan) => plan.output(),
            Body::Units(plan) => plan.output(),
        }
    }

    /// The outputs of the last pass and the gradient by them, which is to be filled before the backward
    /// pass; both `[N, …]`.
    pub(crate) fn output_and_gradient(&mut self) -> (&[f32], &mut [f32]) {
        let output = match &self.body {
            Body::Layers(plan) => plan.output(),
            Body::Units(plan) => plan.output(),
        };
        (output, &mut self.output_gradient)
    }

    /// The outputs `[N, …]` for the inputs that [`Plan::input_mut`] was filled with. The network's
    /// running statistics stay as they are.
    ///
    /// # Errors
    /// [`Error::OtherNetwork`] if the plan was made for another network; [`Error::Spec`] if batch
    /// statistics are asked for where there is one value per channel.
    pub fn infer(
        &mut self,
        cx: &Context,
        network: &Network,
        normalization: Normalization,
    ) -> Result<&[f32], Error> {
        self.infer_inputs(cx, network, None, normalization)
    }

    /// [`Plan::infer`] of the given inputs `[N, …]`, or of those in the plan.
    ///
    /// # Panics
    /// If the given ones are not N inputs.
    pub(crate) fn infer_inputs(
        &mut self,
        cx: &Context,
        network: &Network,
        inputs: Option<&[f32]>,
        normalization: Normalization,
    ) -> Result<&[f32], Error> {
        self.check_network(network)?;
        self.check_inputs(inputs);
        let statistics = match normalization {
            Normalization::BatchStatistics => {
                self.check_batch_statistics()?;
                Statistics::Batch
            }
            Normalization::RunningStatistics => Statistics::Running(&network.statistics),
        };
        let probe = Probe::default();
        self.forward(Forward {
            cx,
            inputs,
            parameters: &network.parameters,
            version: network.version(),
            statistics,
            random_key: None,
            probe,
        })?;
        Ok(self.output())
    }

    /// Takes denormal inputs for 0, since with them a pass is many times slower. Returns the inputs of the pass: the
    /// given ones, or none if they are in the plan.
    ///
    /// # Panics
    /// If the given ones are not N inputs.
    pub(crate) fn without_denormals<'a>(
        &mut self,
        cx: &Context,
        given: Option<&'a [f32]>,
    ) -> Option<&'a [f32]> {
        let own = self.input_mut();
        if !has_denormals(cx, given.unwrap_or(own)) {
            return given;
        }
        if let Some(given) = given {
            own.copy_from_slice(given);
        }
        flush_denormals(cx, own);
        None
    }

    /// A forward pass by batch statistics that moves the running ones and keeps what the backward
    /// pass needs. `random_key` is of this step alone. The inputs `[N, …]` are the given ones, or those in the plan.
    ///
    /// # Panics
    /// If the given ones are not N inputs.
    pub(crate) fn forward_training(
        &mut self,
        cx: &Context,
        network: &mut Network,
        inputs: Option<&[f32]>,
        random_key: u64,
        probe: Probe<'_>,
    ) -> Result<(), Error> {
        self.check_network(network)?;
        self.check_batch_statistics()?;
        self.check_inputs(inputs);
        network.touch();
        let version = network.version();
        let statistics = Statistics::Training(&mut network.statistics);
        let parameters = &network.parameters;
        self.random_key = random_key;
        let random_key = Some(random_key);
        self.forward(Forward { cx, inputs, parameters, version, statistics, random_key, probe })?;
        network.batches_tracked = network.batches_tracked.saturating_add(1);
        Ok(())
    }

    fn forward(&mut self, pass: Forward<'_>) -> Result<(), Error> {
        match &mut self.body {
            Body::Layers(plan) => plan.forward(pass),
            Body::Units(plan) => plan.forward(pass),
        }
    }

    /// Writes the gradient by every parameter but those of [`Plan::factors`], given the one by the outputs in
    /// [`Plan::output_and_gradient`] and the inputs of the forward pass. The gradient by the inputs is
    /// not computed.
    ///
    /// # Panics
    /// If the plan was not made for training, or the inputs are not N.
    pub(crate) fn backward(
        &mut self,
        cx: &Context,
        network: &Network,
        inputs: Option<&[f32]>,
        gradients: &mut [f32],
        probe: Probe<'_>,
    ) -> Result<(), Error> {
        self.check_inputs(inputs);
        let (parameters, random_key) = (&network.parameters, Some(self.random_key));
        let pass = Backward { cx, inputs, parameters, gradients, random_key, probe };
        match &mut self.body {
            Body::Layers(plan) => plan.backward(pass, &self.output_gradient),
            Body::Units(plan) => plan.backward(pass, &self.output_gradient),
        }
    }

    /// The gradients that the backward pass has not written, in the order of the parameters: those of which
    /// it has kept the factors instead.
    pub(crate) fn factors(&self) -> impl Iterator<Item = Factors<'_>> {
        match &self.body {
            Body::Layers(plan) => Some(plan.factors()),
            Body::Units(_) => None,
        }
        .into_iter()
        .flatten()
    }

    /// What each batch normalisation, in the order of the layers, found in the batch of the last pass by batch
    /// statistics.
    pub(crate) fn measured(&self) -> Vec<Measured<'_>> {
        match &self.body {
            Body::Layers(plan) => plan.measured().collect(),
            Body::Units(plan) => plan.measured().collect(),
        }
    }

    /// The layers of each node, in order.
    pub(crate) fn nodes(&self) -> &[Range<usize>] {
        match &self.body {
            Body::Layers(plan) => plan.layers(),
            Body::Units(plan) => plan.layers(),
        }
    }

    /// Why a network and a batch are not worked through unit by unit, if they are not.
    pub(crate) fn why_layers(network: &Network, batch: usize) -> String {
        units::why_not(&network.spec().input, network.layers(), batch)
    }

    /// How the batch is cut, if it is worked through unit by unit.
    pub(crate) fn units(&self) -> Option<Units> {
        match &self.body {
            Body::Layers(_) => None,
            Body::Units(plan) => Some(plan.units()),
        }
    }

    fn check_network(&self, network: &Network) -> Result<(), Error> {
        let same = std::ptr::eq(&*self.spec, network.spec()) || *self.spec == *network.spec();
        if same { Ok(()) } else { Err(Error::OtherNetwork) }
    }

    fn check_inputs(&mut self, inputs: Option<&[f32]>) {
        let len = self.input_mut().len();
        assert!(inputs.is_none_or(|inputs| inputs.len() == len), "inputs of one batch");
    }

    fn check_batch_statistics(&self) -> Result<(), Error> {
        self.one_value_per_channel.clone().map_or(Ok(()), |error| Err(error.into()))
    }
}

//! One step of training: forward, loss, backward, update.

use crate::Error;
use crate::evaluate::largest;
use crate::loss::LossOptions;
use crate::network::Network;
use crate::optim::{Optimizer, OptimizerOptions};
use crate::parameters::TensorInfo;
use crate::plan::probe::{Probe, What};
use crate::plan::{Factors, Plan};
use crate::random::mix;
use loupe_engine::linear::{Linear, linear_backward_weight};
use loupe_engine::optim::{Gradient, clip_factor, gradient_norm};
use loupe_engine::{Buffer, Context};
use std::ops::Range;

/// A network that is being trained.
///
/// ```
/// use loupe_engine::Context;
/// use loupe_model::{Loss, Network, OptimizerOptions, Trainer, nets};
///
/// let network = Network::new(nets::mnist_cnn(), 0)?;
/// let mut trainer = Trainer::new(Context::serial(), network, Loss::Bce, OptimizerOptions::default());
/// let images = vec![0.5; 4 * 784];
/// let mut targets = vec![0.0; 4 * 10];
/// targets.iter_mut().step_by(10).for_each(|target| *target = 1.0);
/// let first = trainer.step(&images, &targets)?;
/// let second = trainer.step(&images, &targets)?;
/// assert!(second < first);
/// # Ok::<(), loupe_model::Error>(())
/// ```
#[derive(Debug)]
pub struct Trainer {
    cx: Context,
    network: Network,
    loss: LossOptions,
    clip_grad_norm: Option<f64>,
    /// Like the gradients without memory before the first step, as that may be refused.
    optimizer: Optimizer,
    gradients: Buffer,
    /// One for each batch size that has been used: that of the run, and that of its last batch.
    prepared: Vec<Prepared>,
    /// The batch size of the last step.
    last: Option<usize>,
    /// Of random choices, such as those of `Dropout`.
    seed: u64,
}

/// What a step of one batch size works on.
#[derive(Debug)]
struct Prepared {
    plan: Plan,
    /// For those who write them here.
    targets: Buffer,
}

impl Trainer {
    /// Prepares to train `network` on the threads and instructions of `cx`.
    pub fn new(
        cx: Context,
        network: Network,
        loss: impl Into<LossOptions>,
        optimizer: impl Into<OptimizerOptions>,
    ) -> Trainer {
        Trainer {
            cx,
            network,
            loss: loss.into(),
            clip_grad_norm: None,
            optimizer: Optimizer::without_memory(optimizer.into()),
            gradients: Buffer::zeros(0),
            prepared: Vec::new(),
            last: None,
            seed: 0,
        }
    }

    /// The network as it is now.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The trained network.
    pub fn into_network(self) -> Network {
        self.network
    }

    /// The optimiser's options, as they were given.
    pub fn optimizer_options(&self) -> &OptimizerOptions {
        self.optimizer.options()
    }

    /// The loss.
    pub fn loss(&self) -> &LossOptions {
        &self.loss
    }

    /// The norm that the gradients of a step are clipped to.
    pub fn clip_grad_norm(&self) -> Option<f64> {
        self.clip_grad_norm
    }

    /// Refuses options with which there is no step.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.loss.check(self.network.spec().output_len()?)?;
        if let Some(max_norm) = self.clip_grad_norm {
            clip(0.0, max_norm)?;
        }
        Ok(())
    }

    pub(crate) fn optimizer(&self) -> &Optimizer {
        &self.optimizer
    }

    pub(crate) fn optimizer_mut(&mut self) -> &mut Optimizer {
        &mut self.optimizer
    }

    /// Goes on with the values of `network`, which has the same layers.
    pub(crate) fn set_network(&mut self, network: Network) {
        debug_assert_eq!(network.spec(), self.network.spec());
        self.network = network;
        self.network.touch();
    }

    /// How many of the last step's outputs were largest for these labels.
    pub(crate) fn correct(&self, labels: impl ExactSizeIterator<Item = u8>) -> usize {
        let output = self.output();
        let outputs = output.len() / labels.len().max(1);
        let rows = output.chunks_exact(outputs.max(1)).zip(labels);
        rows.filter(|(row, label)| largest(row) == usize::from(*label)).count()
    }

    /// Sets the learning rate of the steps to come.
    pub fn set_learning_rate(&mut self, rate: f64) {
        self.optimizer.set_learning_rate(rate);
    }

    /// Sets the seed of the random choices that layers such as `Dropout` make; 0 before. They follow from it and
    /// from the number of the step.
    pub fn set_seed(&mut self, seed: u64) {
        self.seed = seed;
    }

    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// From now on scales the gradients of a step down if the 2-norm over all of them is larger than `max_norm`, at
    /// least 0, as PyTorch's `clip_grad_norm_` does. None, as at first, leaves them as they are.
    pub fn set_clip_grad_norm(&mut self, max_norm: Option<f64>) {
        self.clip_grad_norm = max_norm;
    }

    /// The outputs `[N, outputs]` of the last step, before its update; empty before the first.
    pub fn output(&self) -> &[f32] {
        let last = self.prepared.iter().find(|prepared| Some(prepared.plan.batch()) == self.last);
        last.map_or(&[], |last| last.plan.output())
    }

    /// Instructions and threads.
    pub fn context(&self) -> &Context {
        &self.cx
    }

    /// The gradient that the last step used, by tensor and before it was clipped; unspecified values after an
    /// error other than [`Error::NonFiniteGradient`].
    ///
    /// A step does not write the gradient by the weight of a large `Linear` at batch size 1, where the optimiser
    /// takes it from its factors. This call does. Before the first step all are 0.
    pub fn gradients(&mut self) -> impl Iterator<Item = (&TensorInfo, &[f32])> {
        if self.gradients.is_empty() {
            self.gradients = Buffer::zeros(self.network.parameters.len());
        }
        let last = self.prepared.iter().find(|prepared| Some(prepared.plan.batch()) == self.last);
        for Factors { place, dy, x, .. } in last.into_iter().flat_map(|last| last.plan.factors()) {
            let layer = Linear { batch: 1, in_features: x.len(), out_features: dy.len() };
            linear_backward_weight(&self.cx, &layer, x, dy, &mut self.gradients[place], None)
                .expect("lengths with which the step has computed");
        }
        let tensors = &self.network.layout.parameters.tensors;
        tensors.iter().map(|info| (info, &self.gradients[info.range.clone()]))
    }

    /// One step on inputs `[N, …]` and targets `[N, outputs]`; N is what `inputs` holds. Returns the
    /// loss before the update.
    ///
    /// Denormal inputs, of magnitudes below [`f32::MIN_POSITIVE`], count as 0: most CPUs calculate with such numbers
    /// many times slower.
    ///
    /// # Errors
    /// [`Error::Engine`] if a length does not fit the network or the loss cannot take the values,
    /// [`Error::Spec`] if there is one value per channel to normalise, [`Error::NonFiniteGradient`] if gradients
    /// that are to be clipped are not all finite. The network is then unchanged, but for running statistics. The same holds if the loss that is returned is not finite.
    pub fn step(&mut self, inputs: &[f32], targets: &[f32]) -> Result<f32, Error> {
        self.step_probed(inputs, targets, Probe::default())
    }

    /// [`Trainer::step`], whose operations `probe` times.
    pub(crate) fn step_probed(
        &mut self,
        inputs: &[f32],
        targets: &[f32],
        probe: Probe<'_>,
    ) -> Result<f32, Error> {
        let input_len: usize = self.network.spec().input.iter().product();
        let batch = inputs.len() / input_len;
        let Prepared { plan, targets: own } = self.prepare(batch)?;
        let lengths = [
            ("the inputs", plan.input_mut().len(), inputs.len()),
            ("the targets", own.len(), targets.len()),
        ];
        for (what, expected, found) in lengths {
            if expected != found {
                let op = "training step";
                return Err(loupe_engine::Error::Length { op, what, expected, found }.into());
            }
        }
        self.run(batch, Some([inputs, targets]), probe)
    }

    /// [`Trainer::step`] on a batch that `fill` writes: inputs `[N, …]` and targets `[N, outputs]`, for
    /// N = `batch`. Both hold unspecified values before.
    ///
    /// # Errors
    /// As [`Trainer::step`], and what `fill` returns.
    pub fn step_with(
        &mut self,
        batch: usize,
        fill: impl FnOnce(&mut [f32], &mut [f32]) -> Result<(), Error>,
    ) -> Result<f32, Error> {
        let Prepared { plan, targets } = self.prepare(batch)?;
        fill(plan.input_mut(), targets)?;
        self.run(batch, None, Probe::default())
    }

    /// A step on the given inputs and targets, or on what the prepared buffers hold.
    fn run(
        &mut self,
        batch: usize,
        given: Option<[&[f32]; 2]>,
        probe: Probe<'_>,
    ) -> Result<f32, Error> {
        self.last = Some(batch);
        let Trainer {
            cx, network, loss, clip_grad_norm, optimizer, gradients, prepared, seed, ..
        } = self;
        let key = mix(*seed ^ mix(optimizer.steps()));
        let Prepared { plan, targets } =
            prepared.iter_mut().find(|prepared| prepared.plan.batch() == batch).expect("prepared");
        let cx = probe.context().unwrap_or(cx);
        let (inputs, targets) = match given {
            Some([inputs, targets]) => (Some(inputs), targets),
            None => (None, &**targets),
        };
        let inputs = plan.without_denormals(cx, inputs);
        plan.forward_training(cx, network, inputs, key, probe)?;
        let (output, gradient) = plan.output_and_gradient();
        let outputs = output.len() / batch;
        let value = probe.time(What::Loss.of_all(), || {
            loss.evaluate(cx, outputs, output, targets, Some(gradient))
        })?;
        if !value.is_finite() {
            return Ok(value);
        }
        plan.backward(cx, network, inputs, gradients, probe)?;
        let factor = match *clip_grad_norm {
            None => 1.0,
            Some(max_norm) => probe.time(What::Update.of_all(), || {
                let all = parts(plan, gradients).map(|part| part.gradient);
                clip(gradient_norm(cx, all), max_norm)
            })?,
        };
        let parameters = &mut network.parameters;
        for Part { node, place, gradient } in parts(plan, gradients) {
            let what = match node {
                Some(node) => What::WeightUpdate.of(node),
                None => What::Update.of_all(),
            };
            probe.time(what, || {
                let own = &mut parameters[place.clone()];
                optimizer.step_part(cx, place, own, gradient.scaled(factor))
            })?;
        }
        optimizer.end_step();
        network.touch();
        Ok(value)
    }

    /// The plan of a batch size, which is made if there is none yet.
    pub(crate) fn plan(&mut self, batch: usize) -> Result<&Plan, Error> {
        Ok(&self.prepare(batch)?.plan)
    }

    /// Bytes of the optimiser's state.
    pub(crate) fn optimizer_bytes(&self) -> usize {
        self.optimizer.bytes()
    }

    /// Sees to it that there is memory for gradients and the optimiser's state.
    pub(crate) fn allocate(&mut self) -> Result<(), Error> {
        let len = self.network.parameters.len();
        if self.gradients.len() != len {
            self.gradients = Buffer::try_zeros("the gradients", len)?;
        }
        Ok(self.optimizer.allocate(len)?)
    }

    /// Makes the plan for a batch size, if it is the first step of that size. Later steps allocate
    /// nothing.
    fn prepare(&mut self, batch: usize) -> Result<&mut Prepared, Error> {
        let known = self.prepared.iter().position(|prepared| prepared.plan.batch() == batch);
        let at = match known {
            Some(at) => at,
            None => {
                self.allocate()?;
                let plan = Plan::for_training(&self.network, batch)?;
                let targets = Buffer::try_zeros("the targets of a batch", plan.output().len())?;
                self.prepared.push(Prepared { plan, targets });
                self.prepared.len() - 1
            }
        };
        Ok(&mut self.prepared[at])
    }
}

/// A part of the gradient by all parameters.
struct Part<'a> {
    /// The node whose weight it belongs to, if it is left as factors.
    node: Option<usize>,
    /// Among all parameters.
    place: Range<usize>,
    gradient: Gradient<'a>,
}

/// The gradient of a step by all parameters, in their order.
fn parts<'a>(plan: &'a Plan, gradients: &'a [f32]) -> impl Iterator<Item = Part<'a>> {
    let mut start = 0;
    plan.factors().map(Some).chain([None]).flat_map(move |factors| {
        let end = factors.as_ref().map_or(gradients.len(), |factors| factors.place.start);
        let gradient = Gradient::dense(&gradients[start..end]);
        let between = Part { node: None, place: start..end, gradient };
        let factored = factors.map(|Factors { node, place, dy, x }| Part {
            node: Some(node),
            place,
            gradient: Gradient::outer(dy, x),
        });
        start = factored.as_ref().map_or(end, |part| part.place.end);
        [Some(between), factored].into_iter().flatten()
    })
}

/// What gradients of this norm are multiplied by.
fn clip(norm: f32, max_norm: f64) -> Result<f32, Error> {
    match norm.is_finite() {
        true => Ok(clip_factor(norm, max_norm)?),
        false => Err(Error::NonFiniteGradient { norm }),
    }
}

#[cfg(test)]
mod tests;

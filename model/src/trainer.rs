//! One step of training: forward, loss, backward, update.

use crate::Error;
use crate::loss::Loss;
use crate::network::Network;
use crate::optim::{Optimizer, OptimizerOptions};
use crate::parameters::TensorInfo;
use crate::plan::Plan;
use crate::plan::probe::{Probe, What};
use loupe_engine::{Buffer, Context};

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
    loss: Loss,
    optimizer: Optimizer,
    gradients: Buffer,
    /// One for each batch size that has been used: that of the run, and that of its last batch.
    prepared: Vec<Prepared>,
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
    pub fn new(cx: Context, network: Network, loss: Loss, optimizer: OptimizerOptions) -> Trainer {
        let len = network.parameters.len();
        Trainer {
            cx,
            network,
            loss,
            optimizer: Optimizer::new(optimizer, len),
            gradients: Buffer::zeros(len),
            prepared: Vec::new(),
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

    /// Instructions and threads.
    pub fn context(&self) -> &Context {
        &self.cx
    }

    /// The gradient that the last step used, by tensor.
    pub fn gradients(&self) -> impl Iterator<Item = (&TensorInfo, &[f32])> {
        let tensors = &self.network.layout.parameters.tensors;
        tensors.iter().map(|info| (info, &self.gradients[info.range.clone()]))
    }

    /// One step on inputs `[N, …]` and targets `[N, outputs]`; N is what `inputs` holds. Returns the
    /// loss before the update.
    ///
    /// # Errors
    /// [`Error::Engine`] if a length does not fit the network or the loss cannot take the values,
    /// [`Error::Spec`] if there is one value per channel to normalise. The network is then unchanged,
    /// but for running statistics.
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
        let Trainer { cx, network, loss, optimizer, gradients, prepared } = self;
        let Prepared { plan, targets } =
            prepared.iter_mut().find(|prepared| prepared.plan.batch() == batch).expect("prepared");
        let cx = probe.context().unwrap_or(cx);
        let (inputs, targets) = match given {
            Some([inputs, targets]) => (Some(inputs), targets),
            None => (None, &**targets),
        };
        plan.forward_training(cx, network, inputs, probe)?;
        let (output, gradient) = plan.output_and_gradient();
        let outputs = output.len() / batch;
        let value = probe.time(What::Loss.of_all(), || {
            loss.evaluate(cx, outputs, output, targets, Some(gradient))
        })?;
        plan.backward(cx, network, inputs, gradients, probe)?;
        probe.time(What::Update.of_all(), || {
            optimizer.step(cx, &mut network.parameters, gradients)
        })?;
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

    /// Makes the plan for a batch size, if it is the first step of that size. Later steps allocate
    /// nothing.
    fn prepare(&mut self, batch: usize) -> Result<&mut Prepared, Error> {
        let known = self.prepared.iter().position(|prepared| prepared.plan.batch() == batch);
        let at = match known {
            Some(at) => at,
            None => {
                let plan = Plan::for_training(&self.network, batch)?;
                let targets = Buffer::zeros(plan.output().len());
                self.prepared.push(Prepared { plan, targets });
                self.prepared.len() - 1
            }
        };
        Ok(&mut self.prepared[at])
    }
}

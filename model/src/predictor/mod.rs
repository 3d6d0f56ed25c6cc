//! Inference for those who embed it.

mod fold;
mod mapped;

use crate::Error;
use crate::described::Description;
use crate::network::Network;
use crate::normalization::Normalization;
use crate::plan::Plan;
use crate::spec::NetworkSpec;
use crate::tensors_file::TensorsFile;
use crate::weights::WeightsError;
use loupe_engine::Context;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Plans that are kept for later calls.
const KEPT: usize = 16;

/// A trained network that answers: from any thread, many at a time, on one thread or on a pool.
///
/// Batch normalisations go by their running statistics and are folded into the convolutions and linear layers
/// beside them where that gives the same numbers but for rounding. The first call of a batch size makes a plan
/// for it, as does a call during which all plans of its size are in use; all others allocate nothing.
///
/// ```
/// use loupe_engine::Context;
/// use loupe_model::{Network, Predictor, nets};
///
/// let network = Network::new(nets::mnist_cnn(), 0)?;
/// let predictor = Predictor::new(Context::serial(), &network)?;
/// let mut scores = [0.0; 10];
/// predictor.predict(&[0.5; 784], &mut scores)?;
/// # Ok::<(), loupe_model::Error>(())
/// ```
#[derive(Debug)]
pub struct Predictor {
    cx: Context,
    network: Network,
    classes: Option<Vec<String>>,
    input_len: usize,
    output_len: usize,
    /// Those not in use; the last one was used by the latest call.
    plans: Mutex<Vec<Plan>>,
}

impl Predictor {
    /// Answers of `network` as it is now, computed with the instructions and threads of `cx`.
    ///
    /// # Errors
    /// [`Error::Spec`] if the network's layers do not fit each other.
    pub fn new(cx: Context, network: &Network) -> Result<Predictor, Error> {
        let network = fold::fold(network)?;
        let (input_len, output_len) = (network.spec().input_len()?, network.spec().output_len()?);
        let plans = Mutex::new(Vec::with_capacity(KEPT));
        Ok(Predictor { cx, network, classes: None, input_len, output_len, plans })
    }

    /// Of a file that says of which network it is ([`Network::described_weights`]), such as `loupe export` writes.
    /// For the weights alone there is [`Predictor::from_weights`].
    ///
    /// # Errors
    /// [`Error::Weights`] if the file cannot be read, is no such file or does not fit; [`Error::Spec`] if its
    /// network makes no sense.
    pub fn open(cx: Context, path: &Path) -> Result<Predictor, Error> {
        let file = TensorsFile::open(path).map_err(|reason| WeightsError::reading(path, reason))?;
        let description = Description::of_file(&file).and_then(described);
        let Description { network, classes } = description.map_err(|e| e.in_file(path))?;
        let network = Network::from_tensors_file(network, path, file)?;
        Ok(Predictor { classes, ..Predictor::new(cx, &network)? })
    }

    /// Of the bytes of such a file, for those who have it in memory.
    ///
    /// # Errors
    /// As [`Predictor::open`].
    pub fn from_bytes(cx: Context, bytes: &[u8]) -> Result<Predictor, Error> {
        let description = described(Description::of(bytes)?)?;
        let predictor = Predictor::from_weights(cx, description.network, bytes)?;
        Ok(Predictor { classes: description.classes, ..predictor })
    }

    /// Of the bytes of a safetensors file with the weights of this network, such as PyTorch writes.
    ///
    /// # Errors
    /// As [`Predictor::open`].
    pub fn from_weights(cx: Context, spec: NetworkSpec, bytes: &[u8]) -> Result<Predictor, Error> {
        Predictor::new(cx, &Network::from_weights(spec, bytes)?)
    }

    /// Writes the outputs `[N, …]` for the inputs `[N, …]`; N ≥ 1 is what `inputs` holds.
    ///
    /// # Errors
    /// [`Error::Engine`] if a length does not fit, [`Error::Spec`] if there are no inputs or their values would
    /// not fit memory.
    pub fn predict(&self, inputs: &[f32], outputs: &mut [f32]) -> Result<(), Error> {
        let op = "predict";
        let batch = inputs.len() / self.input_len;
        let lengths = [
            ("the inputs", batch.max(1).saturating_mul(self.input_len), inputs.len()),
            ("the outputs", batch.saturating_mul(self.output_len), outputs.len()),
        ];
        for (what, expected, found) in lengths {
            if expected != found {
                return Err(loupe_engine::Error::Length { op, what, expected, found }.into());
            }
        }
        let mut plan = match self.take(batch) {
            Some(plan) => plan,
            None => Plan::new(&self.network, batch)?,
        };
        let result = plan.infer_inputs(
            &self.cx,
            &self.network,
            Some(inputs),
            Normalization::RunningStatistics,
        );
        let result = result.map(|answer| outputs.copy_from_slice(answer));
        let mut plans = self.plans();
        if plans.len() == KEPT {
            plans.remove(0);
        }
        plans.push(plan);
        result
    }

    fn take(&self, batch: usize) -> Option<Plan> {
        let mut plans = self.plans();
        let at = plans.iter().rposition(|plan| plan.batch() == batch)?;
        Some(plans.remove(at))
    }

    fn plans(&self) -> MutexGuard<'_, Vec<Plan>> {
        // The list is whole even if a thread has panicked that held the lock.
        self.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The network that computes the answers, with what could be folded taken out.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The shape of one input.
    pub fn input_shape(&self) -> &[usize] {
        &self.network.spec().input
    }

    /// The shape of one output.
    pub fn output_shape(&self) -> &[usize] {
        let last = self.network.layers().last();
        last.map_or(self.input_shape(), |layer| &layer.output_shape)
    }

    /// The names of the classes, if the file has them.
    pub fn classes(&self) -> Option<&[String]> {
        self.classes.as_deref()
    }
}

fn described(description: Option<Description>) -> Result<Description, WeightsError> {
    description.ok_or(WeightsError::NoDescription)
}

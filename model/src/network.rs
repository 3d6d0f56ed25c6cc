//! A network with its values: parameters and running statistics.

use crate::layers::Init;
use crate::parameters::{NetworkLayout, TensorInfo};
use crate::spec::{FlatLayer, NetworkSpec, SpecError, one_value_per_channel};
use loupe_engine::Buffer;
use rand_pcg::Pcg64;
use rand_pcg::rand_core::{Rng, SeedableRng};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A network: its [spec](NetworkSpec), its parameters and the running statistics of its batch
/// normalisations.
#[derive(Clone, Debug)]
pub struct Network {
    spec: Arc<NetworkSpec>,
    layers: Arc<[FlatLayer]>,
    pub(crate) layout: Arc<NetworkLayout>,
    pub(crate) parameters: Buffer,
    pub(crate) statistics: Buffer,
    /// Batches that the running statistics have seen: PyTorch's `num_batches_tracked`.
    pub(crate) batches_tracked: u64,
    /// Networks of one version have the same values.
    version: u64,
}

/// A version that no network has had.
fn next_version() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Network {
    /// The network with PyTorch's default initial values: weights and biases of `Conv2d` and `Linear`
    /// uniform in ±1/√fan_in, normalisations weight 1 and bias 0, running mean 0 and variance 1.
    ///
    /// The random numbers are those of PCG-64 (`Lcg128Xsl64`) seeded with `seed`, drawn tensor by
    /// tensor in the order of [`Network::tensors`]. They are not PyTorch's numbers.
    ///
    /// # Errors
    /// As [`NetworkSpec::shapes`]; [`SpecError::OutOfMemory`] if the system does not give the memory.
    pub fn new(spec: NetworkSpec, seed: u64) -> Result<Network, SpecError> {
        let layers = spec.flatten()?;
        let layout = NetworkLayout::new(&layers);
        let zeros = |what, len: usize| {
            let none = |_| SpecError::OutOfMemory { what, bytes: len.saturating_mul(4) };
            Buffer::try_zeros(what, len).map_err(none)
        };
        let mut parameters = zeros("parameters", layout.parameters.len)?;
        let mut statistics = zeros("running statistics", layout.statistics.len)?;
        let mut random = Pcg64::seed_from_u64(seed);
        for (tensor, init) in layout.parameters.tensors.iter().zip(&layout.init) {
            let values = &mut parameters[tensor.range.clone()];
            match *init {
                Init::Constant(value) => values.fill(value),
                Init::Uniform { bound } => values.fill_with(|| uniform(&mut random, bound)),
            }
        }
        for [_, variance] in layout.layers.iter().filter_map(|tensors| tensors.running.as_ref()) {
            statistics[variance.clone()].fill(1.0);
        }
        Ok(Network {
            spec: Arc::new(spec),
            layers: layers.into(),
            layout: Arc::new(layout),
            parameters,
            statistics,
            batches_tracked: 0,
            version: next_version(),
        })
    }

    /// The network in words.
    pub fn spec(&self) -> &NetworkSpec {
        &self.spec
    }

    /// The layers as a flat list, those within blocks too.
    pub fn layers(&self) -> &[FlatLayer] {
        &self.layers
    }

    pub(crate) fn shared_spec(&self) -> Arc<NetworkSpec> {
        self.spec.clone()
    }

    /// What plans have made of the values is out of date. To be called with every change of them.
    pub(crate) fn touch(&mut self) {
        self.version = next_version();
    }

    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// The trainable tensors in the order of the layers, weight before bias, with their values.
    pub fn tensors(&self) -> impl Iterator<Item = (&TensorInfo, &[f32])> {
        let tensors = &self.layout.parameters.tensors;
        tensors.iter().map(|info| (info, &self.parameters[info.range.clone()]))
    }

    /// The running mean and variance of each batch normalisation.
    pub fn statistics(&self) -> impl Iterator<Item = (&TensorInfo, &[f32])> {
        let tensors = &self.layout.statistics.tensors;
        tensors.iter().map(|info| (info, &self.statistics[info.range.clone()]))
    }

    /// The values of the trainable tensor or running statistic called `name`.
    pub fn tensor(&self, name: &str) -> Option<&[f32]> {
        let mut tensors = self.tensors().chain(self.statistics());
        tensors.find(|(info, _)| info.name == name).map(|(_, values)| values)
    }

    /// The values of the trainable tensor or running statistic called `name`, to be changed.
    pub fn tensor_mut(&mut self, name: &str) -> Option<&mut [f32]> {
        self.touch();
        let NetworkLayout { parameters, statistics, .. } = &*self.layout;
        let place = |tensors: &[TensorInfo]| {
            tensors.iter().find(|info| info.name == name).map(|info| info.range.clone())
        };
        if let Some(range) = place(&parameters.tensors) {
            return Some(&mut self.parameters[range]);
        }
        place(&statistics.tensors).map(|range| &mut self.statistics[range])
    }

    /// The number of trainable numbers.
    pub fn parameter_count(&self) -> usize {
        self.layout.parameters.elements()
    }

    /// Whether outputs depend on the [normalisation mode](crate::Normalization).
    pub fn has_batch_norm(&self) -> bool {
        self.layers.iter().any(|layer| layer.layer.batch_norm().is_some())
    }

    /// Whether a step depends on the trainer's seed, or may do so.
    pub(crate) fn is_random(&self) -> bool {
        self.layers.iter().any(|layer| layer.layer.is_random())
    }

    /// Whether an input by itself has batch statistics.
    ///
    /// # Errors
    /// [`SpecError::OneValuePerChannel`] of the first batch normalisation to which a single input brings one
    /// value per channel, whose variance is not defined.
    pub fn check_single(&self) -> Result<(), SpecError> {
        self.check_batch(1)
    }

    /// Whether a batch of this size has batch statistics.
    ///
    /// # Errors
    /// As [`Network::check_single`].
    pub(crate) fn check_batch(&self, batch: usize) -> Result<(), SpecError> {
        one_value_per_channel(&self.layers, batch).map_or(Ok(()), Err)
    }
}

/// Uniform in [−bound, bound): 24 bits, every value a multiple of bound · 2⁻²³.
fn uniform(random: &mut Pcg64, bound: f32) -> f32 {
    let unit = (random.next_u32() >> 8) as f32 * 2.0_f32.powi(-23) - 1.0;
    unit * bound
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nets::{mnist_cnn, mnist_mlp};

    #[test]
    fn initial_values_fill_their_bounds() {
        let network = Network::new(mnist_mlp(), 7).unwrap();
        let (_, weight) = network.tensors().next().unwrap();
        let bound = 1.0 / 28.0;
        assert!(weight.iter().all(|w| (-bound..bound).contains(w)));
        let mean = weight.iter().sum::<f32>() / weight.len() as f32;
        let variance = weight.iter().map(|w| w * w).sum::<f32>() / weight.len() as f32;
        assert!(mean.abs() < bound * 0.01, "mean {mean}");
        assert!((variance / (bound * bound / 3.0) - 1.0).abs() < 0.02, "variance {variance}");
    }

    #[test]
    fn normalisations_start_as_the_identity() {
        let network = Network::new(mnist_cnn(), 0).unwrap();
        let norm = |name: &str| network.tensors().find(|(info, _)| info.name == name).unwrap().1;
        assert_eq!(norm("2.weight"), [1.0; 10]);
        assert_eq!(norm("2.bias"), [0.0; 10]);
        let statistics: Vec<_> = network.statistics().map(|(_, values)| values[0]).collect();
        assert_eq!(statistics, [0.0, 1.0, 0.0, 1.0]);
    }

    /// A seed means the same network in every version: these numbers must not change.
    #[test]
    fn a_seed_gives_the_same_values_everywhere() {
        let values = |seed| {
            let network = Network::new(mnist_cnn(), seed).unwrap();
            let (_, weight) = network.tensors().next().unwrap();
            [weight[0], weight[1], weight[249]]
        };
        assert_eq!(values(0), [0.132_633_88, -0.131_644_23, -0.070_836_715]);
        assert_ne!(values(0), values(1));
        assert_eq!(values(1), values(1));
    }

    #[test]
    fn tensors_are_found_by_name() {
        let mut network = Network::new(mnist_cnn(), 0).unwrap();
        network.tensor_mut("5.running_mean").unwrap().fill(3.0);
        assert_eq!(network.tensor("5.running_mean"), Some(&[3.0; 10][..]));
        assert_eq!(network.statistics().nth(2).unwrap().1, [3.0; 10]);
        assert_eq!(network.tensor_mut("7.weight").unwrap().len(), 2500);
        assert!(network.tensor("6.weight").is_none() && network.tensor_mut("6.weight").is_none());
    }
}

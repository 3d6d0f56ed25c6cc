//! Random networks and what to try them on.

use super::chain::EPS;
use loupe_engine::reference::random::Random;
use loupe_model::layers::{BatchNorm2d, Conv2d, LayerNorm, LeakyReLU, Linear, ReLU, Sigmoid, View};
use loupe_model::{Layer, Loss, Network, NetworkSpec};
use proptest::prelude::*;

#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) spec: NetworkSpec,
    pub(crate) batch: usize,
    pub(crate) loss: Loss,
    pub(crate) seed: u64,
}

impl Problem {
    /// The network with random values, and a batch of inputs and targets.
    pub(crate) fn values(&self) -> (Network, Vec<f32>, Vec<f32>) {
        let mut random = Random::new(self.seed);
        let mut network = Network::new(self.spec.clone(), self.seed).unwrap();
        // Normalisations start as the identity, where errors in their gradients could hide.
        let constant = |values: &[f32]| values.len() > 1 && values.iter().all(|v| *v == values[0]);
        let norms = network.tensors().filter(|(_, values)| constant(values));
        let names: Vec<_> = norms.map(|(info, _)| info.name.clone()).collect();
        for name in &names {
            let tensor = network.tensor_mut(name).unwrap();
            tensor.iter_mut().for_each(|w| *w += random.uniform(-0.3, 0.3) as f32);
        }
        let input_len = self.batch * self.spec.input_len().unwrap();
        let x = random.uniform_f32(input_len, -1.0, 1.0);
        let targets = self.targets(&mut random);
        (network, x, targets)
    }

    /// One-hot rows for classification, any numbers for MSE and L1.
    fn targets(&self, random: &mut Random) -> Vec<f32> {
        let outputs = self.spec.output_len().unwrap();
        if matches!(self.loss, Loss::Mse | Loss::L1) {
            return random.uniform_f32(self.batch * outputs, -2.0, 2.0);
        }
        let mut targets = vec![0.0; self.batch * outputs];
        for row in targets.chunks_mut(outputs) {
            row[random.below(outputs)] = 1.0;
        }
        targets
    }
}

fn batch_norm(num_features: usize) -> Layer {
    BatchNorm2d::new(num_features).eps(EPS).into()
}

/// A small network as plans know best how to run: a convolution of any geometry, an activation, a normalisation
/// or none, another convolution or none, and a linear layer.
pub(crate) fn problems() -> impl Strategy<Value = Problem> {
    let pair = |range: std::ops::Range<usize>| [range.clone(), range];
    let conv = (1_usize..3, 1_usize..3, 1_usize..4, pair(1..4), pair(1..3), pair(0..2), pair(1..3));
    let rest = (0..4, 0..4, any::<[bool; 2]>(), pair(1..6), 1_usize..7, 0_usize..5, any::<u64>());
    (conv, rest).prop_map(|(conv, rest)| {
        let (groups, inputs, outputs, kernel_size, stride, padding, dilation) = conv;
        let (activation, norm, [bias, second], extra, batch, loss, seed) = rest;
        // Sixteen images are interleaved, and so are those that are left.
        let batch = match batch {
            5 => 21,
            6 => 16,
            _ => batch,
        };
        let conv = Conv2d::new(groups * inputs, groups * outputs, kernel_size)
            .stride(stride)
            .padding(padding)
            .dilation(dilation)
            .groups(groups)
            .bias(bias);
        let size = [0, 1].map(|axis| dilation[axis] * (kernel_size[axis] - 1) + 1 + extra[axis]);
        let input = vec![conv.in_channels, size[0], size[1]];
        let mut layers: Vec<Layer> = vec![conv.into()];
        match activation {
            0 => layers.push(LeakyReLU::new(0.1).into()),
            // Not taken in by the convolution: its sign is not that of its input.
            1 => layers.push(LeakyReLU::new(-0.2).into()),
            2 => layers.push(ReLU.into()),
            _ => {}
        }
        let shape = NetworkSpec { input: input.clone(), layers: layers.clone() }
            .shapes()
            .unwrap()
            .pop()
            .unwrap();
        let values = batch * shape[1] * shape[2];
        match norm {
            // Two values per channel are ±1 whatever they were, so their gradients vanish.
            0 if values > 2 => layers.push(batch_norm(shape[0])),
            1 if values > 2 => {
                layers.push(Sigmoid.into());
                layers.push(batch_norm(shape[0]));
            }
            2 if shape[2] > 2 => {
                layers.push(LayerNorm::new([shape[2]]).eps(EPS).into());
            }
            _ => {}
        }
        let mut features: usize = shape.iter().product();
        if second {
            // Padding is 0 behind a normalisation too.
            let (kernel_size, padding) = ([2, 2], [1, 1]);
            layers.push(Conv2d::new(shape[0], 2, kernel_size).padding(padding).into());
            features = 2 * (shape[1] + 1) * (shape[2] + 1);
        }
        layers.push(View::new([features]).into());
        layers.push(Linear::new(features, 5).bias(bias).into());
        let loss = [Loss::Bce, Loss::BceWithLogits, Loss::Mse, Loss::CrossEntropy, Loss::L1][loss];
        if loss == Loss::Bce {
            layers.push(Sigmoid.into());
        }
        Problem { spec: NetworkSpec { input, layers }, batch, loss, seed }
    })
}

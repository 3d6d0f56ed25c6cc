//! A small network of any layers: it runs, it is trained, and another runtime computes the same of its ONNX file.
//!
//! Not so with what this version of rten lacks: dilations of `MaxPool` and `ConvTranspose`, and a bias of the latter
//! with groups.

use crate::{Taken, chain, network, networks};
use arbitrary::Arbitrary;
use loupe_engine::reference::compare::{Tolerance, assert_close, widen};
use loupe_model::{AdamOptions, Layer, Loss, Network, NetworkSpec, OptimizerOptions, Trainer};
use rten_tensor::Tensor;
use rten_tensor::prelude::*;

/// Layers of a list.
const MAX_PICKS: usize = 5;

/// Both compute in f32 and add in another order; up to 20 layers, of which some make differences larger.
const SHARE: f64 = 1e-3;

/// A network, and inputs for it.
#[derive(Arbitrary, Debug)]
pub struct Problem {
    input: [u8; 3],
    picks: [Vec<[u8; 4]>; 4],
    batch: u8,
    seed: u64,
}

/// Makes the network and asks everybody.
pub fn run(problem: &Problem) -> Taken {
    let [channels, height, width] = problem.input.map(usize::from);
    let input = [1 + channels % 4, 2 + height % 7, 2 + width % 7];
    let batch = [1, 2, 3, 17][usize::from(problem.batch % 4)];
    let mut picks = problem.picks.clone();
    picks.iter_mut().for_each(|picks| picks.truncate(MAX_PICKS));
    let layers = chain::layers(&picks, &input, batch);
    let network = networks::random(NetworkSpec { input: input.to_vec(), layers }, problem.seed);
    network::check(&network, batch, |cx, network| {
        Trainer::new(cx, network, Loss::Mse, OptimizerOptions::Adam(AdamOptions::default()))
    });
    let file = network.to_onnx().expect("all layers have operators");
    network.layers().iter().all(|flat| is_known(&flat.layer)).then(|| {
        compare(&network, file, batch, problem.seed);
    })
}

/// Whether rten has the layer.
fn is_known(layer: &Layer) -> bool {
    match layer {
        Layer::MaxPool2d(pool) => pool.dilation == [1, 1],
        Layer::ConvTranspose2d(conv) => conv.dilation == [1, 1] && (conv.groups == 1 || !conv.bias),
        _ => true,
    }
}

fn compare(network: &Network, file: Vec<u8>, batch: usize, seed: u64) {
    let [inputs, expected] = networks::answer(network, batch, seed);
    let model = rten::Model::load(file).unwrap_or_else(|error| panic!("{error}: {network:?}"));
    let shape = [&[batch], &network.spec().input[..]].concat();
    let output = model.run_one(Tensor::from_data(&shape[..], inputs).into(), None);
    let output = output.unwrap_or_else(|error| panic!("{error}: {:?}", network.spec()));
    let output: Tensor<f32> = output.try_into().expect("floats");
    assert_eq!(output.shape(), [batch, 5]);
    let expected = widen(&expected);
    let largest = expected.iter().fold(0.0_f64, |largest, y| largest.max(y.abs()));
    let tolerance = Tolerance::abs_rel(SHARE * largest, 0.0);
    assert_close(&format!("{:?}", network.spec()), &output.to_vec(), &expected, &tolerance);
}

//! Random networks of all layers, and one network that has them all.

use super::chain;
use super::problem::Problem;
use loupe_model::layers::{
    AdaptiveAvgPool2d, AvgPool2d, BatchNorm1d, BatchNorm2d, Conv2d, ConvTranspose2d, Dropout,
    Flatten, GELU, GroupNorm, LayerNorm, LeakyReLU, Linear, MaxPool2d, PaddingMode, ReLU, Residual,
    SiLU, Sigmoid, Softmax, Tanh, Upsample, View,
};
use loupe_model::{Layer, Loss, NetworkSpec};
use proptest::prelude::*;

/// Names of layers in files, of which each is in [`every_layer`].
pub(crate) fn names() -> Vec<String> {
    let error = serde_json::from_str::<Layer>(r#"{"type": "?"}"#).unwrap_err().to_string();
    error.split('`').skip(3).step_by(2).map(str::to_owned).collect()
}

/// `[1, 28, 28]` → `[10]` probabilities, by way of every layer.
pub(crate) fn every_layer() -> NetworkSpec {
    let projected = Residual::new()
        .add(Conv2d::new(8, 16, 3).stride(2).padding(1).bias(false))
        .add(GroupNorm::new(4, 16))
        .add(SiLU)
        .add(Conv2d::new(16, 16, 3).padding(1).padding_mode(PaddingMode::Reflect))
        .add(BatchNorm2d::new(16))
        .shortcut(AvgPool2d::new(2))
        .shortcut(Conv2d::new(8, 16, 1).bias(false));
    let nested = Residual::new().add(Tanh).add(Residual::new().add(GELU::new()));
    let features =
        Residual::new().add(Linear::new(36, 36)).add(LeakyReLU::new(0.1)).add(Dropout::new(0.25));
    NetworkSpec::new([1, 28, 28])
        .add(Conv2d::new(1, 8, 5).padding(2).stride(2))
        .add(ReLU)
        .add(BatchNorm2d::new(8))
        .add(projected)
        .add(MaxPool2d::new(3).stride(2).padding(1))
        .add(nested)
        .add(Upsample::new(2))
        .add(ConvTranspose2d::new(16, 4, 4).stride(2).padding(1))
        .add(Softmax::new(1))
        .add(AdaptiveAvgPool2d::new(3))
        .add(LayerNorm::new([3, 3]))
        .add(View::new([4, 9]))
        .add(BatchNorm1d::new(4))
        .add(Flatten)
        .add(features)
        .add(Linear::new(36, 10))
        .add(Sigmoid)
}

/// Small networks of any layers: some, a residual block, some within a block in a block, and a linear layer.
pub(crate) fn mixtures() -> impl Strategy<Value = Problem> {
    let picks = || prop::collection::vec(any::<[u8; 4]>(), 0..4);
    let rest = (0_usize..4, [1_usize..5, 2..8, 2..8], 0_usize..5, any::<u64>());
    ([picks(), picks(), picks(), picks()], rest).prop_map(|(picks, (batch, input, loss, seed))| {
        let batch = [1, 2, 3, 17][batch];
        let mut layers = chain::layers(&picks, &input, batch);
        let loss = [Loss::Bce, Loss::BceWithLogits, Loss::Mse, Loss::CrossEntropy, Loss::L1][loss];
        if loss == Loss::Bce {
            layers.push(Sigmoid.into());
        }
        Problem { spec: NetworkSpec { input: input.to_vec(), layers }, batch, loss, seed }
    })
}

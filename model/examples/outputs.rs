//! A tool of the fixtures: writes what a network makes of the first 48 training digits, for PyTorch to compare.
//!
//! ```text
//! cargo run -p loupe-model --example outputs -- cnn WEIGHTS OUTPUTS
//! python model/tests/fixtures/check_weights.py WEIGHTS --network cnn --reference OUTPUTS
//! ```

#![forbid(unsafe_code)]

use loupe_engine::Context;
use loupe_model::data::{Split, open_mnist};
use loupe_model::{Network, Normalization, Plan, nets};
use safetensors::tensor::{Dtype, TensorView, serialize};
use std::error::Error;
use std::path::Path;

const DIGITS: usize = 48;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, weights, outputs] = &arguments[..] else {
        return Err(
            "expected three arguments: cnn, mlp or residual, a weights file, a file to write"
                .into(),
        );
    };
    let spec = match name.as_str() {
        "cnn" => nets::mnist_cnn(),
        "mlp" => nets::mnist_mlp(),
        "residual" => serde_json::from_str(include_str!("../tests/fixtures/residual.json"))?,
        _ => return Err(format!("unknown network {name}; expected cnn, mlp or residual").into()),
    };
    let mut network = Network::new(spec, 0)?;
    network.read_weights(Path::new(weights))?;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/mnist");
    let digits = open_mnist(&folder, Split::Train, None)?;

    let running = run(&network, &digits, DIGITS, Normalization::RunningStatistics)?;
    let batch = run(&network, &digits, 1, Normalization::BatchStatistics)?;
    let batch16 = run(&network, &digits, 16, Normalization::BatchStatistics)?;
    let mut tensors = Vec::new();
    for (mode, bytes) in [("running", &running), ("batch", &batch), ("batch16", &batch16)] {
        let view = TensorView::new(Dtype::F32, vec![DIGITS, 10], bytes)?;
        tensors.push((format!("output/{mode}"), view));
    }
    std::fs::write(outputs, serialize(tensors, None)?)?;
    Ok(())
}

/// The outputs `[48, 10]` as bytes, computed in batches of `batch`.
fn run(
    network: &Network,
    digits: &loupe_model::data::Dataset,
    batch: usize,
    normalization: Normalization,
) -> Result<Vec<u8>, loupe_model::Error> {
    let mut plan = Plan::new(network, batch)?;
    let mut bytes = Vec::new();
    let items: Vec<usize> = (0..DIGITS).collect();
    for items in items.chunks(batch) {
        digits.write_images(items, plan.input_mut())?;
        let output = plan.infer(&Context::serial(), network, normalization)?;
        bytes.extend(output.iter().flat_map(|value| value.to_le_bytes()));
    }
    Ok(bytes)
}

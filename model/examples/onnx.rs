//! Writes networks with every layer as ONNX files, and what plans make of some inputs, for other runtimes to compare:
//!
//! ```text
//! cargo run -p loupe-model --example onnx -- FOLDER
//! python model/tests/onnx/check.py FOLDER
//! ```

#![forbid(unsafe_code)]

#[path = "../tests/onnx/networks.rs"]
mod networks;

use networks::{all, answer, random};
use safetensors::tensor::{Dtype, TensorView, serialize};
use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("expected a folder to write to")?);
    std::fs::create_dir_all(&folder)?;
    for (seed, (name, spec)) in (1..).zip(all()) {
        let network = random(spec, seed);
        std::fs::write(folder.join(name).with_extension("onnx"), network.to_onnx()?)?;
        let input = network.spec().input.clone();
        let output = network.layers().last().map_or(&input, |layer| &layer.output_shape);
        let mut tensors = Vec::new();
        for batch in [1, 3, 16] {
            let values = answer(&network, batch, seed + 100);
            for (what, shape, values) in
                [("input", &input, &values[0]), ("output", output, &values[1])]
            {
                let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                tensors.push((format!("{what}/{batch}"), [&[batch], &shape[..]].concat(), bytes));
            }
        }
        let views = tensors.iter().map(|(name, shape, bytes)| {
            Ok((name, TensorView::new(Dtype::F32, shape.clone(), bytes)?))
        });
        let views = views.collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
        std::fs::write(folder.join(name).with_extension("safetensors"), serialize(views, None)?)?;
    }
    Ok(())
}

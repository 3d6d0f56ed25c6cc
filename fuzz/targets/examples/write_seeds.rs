//! Writes the seeds that are files of loupe's own, after their form has changed: `write_seeds fuzz/corpus`.

#![forbid(unsafe_code)]

use loupe_fuzz_targets::{checkpoint, weights};
use loupe_model::Network;
use std::error::Error;
use std::fs;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let corpus = PathBuf::from(std::env::args_os().nth(1).ok_or("expected the folder of seeds")?);
    let network = Network::new(weights::spec(), 0)?;
    let classes = ["a", "b", "c"].map(String::from);
    let folder = corpus.join("weights");
    fs::write(folder.join("whole.safetensors"), network.weights())?;
    fs::write(folder.join("described.safetensors"), network.described_weights(None))?;
    fs::write(folder.join("classes.safetensors"), network.described_weights(Some(&classes)))?;

    let folder = corpus.join("checkpoint");
    let mut training = checkpoint::begin();
    for (name, steps) in [("begun", 0), ("within", 2), ("epoch", 1), ("over", 6)] {
        for _ in 0..steps {
            training.step()?;
        }
        fs::write(folder.join(format!("{name}.safetensors")), training.checkpoint())?;
    }
    let whole = training.checkpoint();
    fs::write(folder.join("truncated.safetensors"), &whole[..whole.len() - 8])?;
    Ok(())
}

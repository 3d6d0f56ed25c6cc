//! Scores the first test digit of MNIST with the network of a file that the example `train` or `loupe export` wrote.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "it shows the scores")]
use loupe_engine::Context;
use loupe_model::Predictor;
use loupe_model::data::{Split, open_mnist};
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::args_os().nth(1).ok_or("expected the name of a weights file")?;
    let predictor = Predictor::open(Context::serial(), Path::new(&file))?;
    let digits = open_mnist(Path::new("data/mnist"), Split::Test, None)?;
    let mut pixels = vec![0.0; digits.pixels()];
    digits.write_images(&[0], &mut pixels)?;
    let mut scores = vec![0.0; predictor.output_shape().iter().product()];
    predictor.predict(&pixels, &mut scores)?;
    let names = predictor.classes().unwrap_or(digits.class_names());
    names.iter().zip(scores).for_each(|(name, score)| println!("{name} {score:9.4}"));
    Ok(())
}

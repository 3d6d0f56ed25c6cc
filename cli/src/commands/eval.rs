//! `loupe eval`

use super::print_scores;
use crate::args::{self, CommonArguments};
use crate::data;
use crate::model::Model;
use crate::output::Output;
use crate::run_folder::RunFolder;
use anyhow::{Result, bail};
use clap::Args;
use loupe_model::Network;
use loupe_model::data::Split;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct EvalArguments {
    /// A folder that `train` has written, or a safetensors file with PyTorch's names
    pub(crate) weights: PathBuf,

    /// cnn, mlp, or a network file (.toml or .json) [default: the network of the folder]
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) model: Option<String>,

    /// Which digits
    #[arg(long, value_enum, default_value_t = args::Split::Test)]
    pub(crate) split: args::Split,

    #[command(flatten)]
    pub(crate) common: CommonArguments,
}

pub(crate) fn run(arguments: &EvalArguments, mut output: Output) -> Result<()> {
    let cx = data::context(&arguments.common.threads)?;
    let path = &arguments.weights;
    if !path.exists() {
        bail!(
            "{}: not found; expected a folder that train has written, or a weights file",
            path.display()
        );
    }
    let (weights, network) = match path.is_dir() {
        true => (RunFolder::open(path).weights(), Some(RunFolder::open(path).network())),
        false => (path.clone(), None),
    };
    let model = match (&arguments.model, network) {
        (Some(name), _) => Model::named(name)?,
        (None, Some(network)) => Model::from_file(&network)?,
        (None, None) => bail!(
            "{}: a weights file does not say of which network it is; name it with --model",
            path.display()
        ),
    };
    let mut network = Network::new(model.spec, 0)?;
    network.read_weights(&weights)?;
    let split = match arguments.split {
        args::Split::Train => Split::Train,
        args::Split::Test => Split::Test,
    };
    let data = data::open(&arguments.common, split)?;
    print_scores(&mut output, &cx, &network, &data)?;
    output.finish()
}

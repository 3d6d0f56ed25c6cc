//! `loupe eval`

use super::print_scores;
use crate::args::{self, CommonArguments};
use crate::data;
use crate::output::Output;
use crate::trained::Trained;
use anyhow::Result;
use clap::Args;
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
    let network = Trained::open(&arguments.weights, arguments.model.as_deref())?.network;
    let split = match arguments.split {
        args::Split::Train => Split::Train,
        args::Split::Test => Split::Test,
    };
    let data = data::open(&arguments.common, split, network.spec())?;
    print_scores(&mut output, &cx, &network, &data)?;
    output.finish()
}

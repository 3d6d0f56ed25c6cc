//! `loupe export`

use crate::args::TrainedArguments;
use crate::new_file::{NewFile, expect_ending, write_new};
use crate::output::{Output, Thousands};
use crate::run_folder::RunFolder;
use crate::trained::read_weights;
use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
pub(crate) struct ExportArguments {
    #[command(flatten)]
    pub(crate) trained: TrainedArguments,

    #[command(flatten)]
    pub(crate) file: NewFile,

    /// Of which kind the file is to be
    #[arg(long, value_enum, default_value_t = Format::Safetensors)]
    pub(crate) format: Format,

    /// Take the weights that did best on the way instead of the last ones
    #[arg(long)]
    pub(crate) best: bool,

    /// Leave out the description of the network
    #[arg(long)]
    pub(crate) bare: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Tensors with the names of a PyTorch state_dict
    Safetensors,
}

pub(crate) fn run(arguments: &ExportArguments, mut output: Output) -> Result<()> {
    let ExportArguments { trained: source, file, format, best, bare } = arguments;
    file.check()?;
    expect_ending(&file.out, "safetensors")?;
    let mut trained = source.open()?;
    if *best {
        let run = &source.run;
        let weights = RunFolder::open(run).best_weights();
        if !weights.is_file() {
            bail!("{}: the run has kept no best weights; leave out --best", run.display());
        }
        read_weights(&mut trained.network, &weights)?;
    }
    let bytes = match format {
        Format::Safetensors if *bare => trained.network.weights(),
        Format::Safetensors => trained.network.described_weights(trained.classes.as_deref()),
    };
    write_new(file, &bytes)?;
    output.note(format_args!(
        "wrote {}, {} parameters in {} bytes",
        file.out.display(),
        Thousands(trained.network.parameter_count()),
        Thousands(bytes.len()),
    ));
    output.finish()
}

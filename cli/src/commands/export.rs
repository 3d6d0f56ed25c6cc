//! `loupe export`

use crate::args::TrainedArguments;
use crate::new_file::{NewFile, expect_ending, write_new};
use crate::output::{Output, Thousands};
use crate::run_folder::RunFolder;
use crate::shell::Word;
use crate::trained::{Trained, read_weights};
use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use loupe_model::Normalization;
use serde_json::json;
use std::path::Path;

#[derive(Debug, Args)]
pub(crate) struct ExportArguments {
    #[command(flatten)]
    pub(crate) trained: TrainedArguments,

    #[command(flatten)]
    pub(crate) file: NewFile,

    /// Of which kind the file is to be [default: what its name ends in]
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,

    /// Take the weights that did best on the way instead of the last ones
    #[arg(long)]
    pub(crate) best: bool,

    /// Leave out the description of the network
    #[arg(long)]
    pub(crate) bare: bool,

    /// Write JSON instead of a line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Tensors with the names of a PyTorch state_dict
    Safetensors,
    /// The whole network for other runtimes; it normalises by running statistics
    Onnx,
}

impl Format {
    /// Its name, and what files of it end in.
    fn name(self) -> &'static str {
        match self {
            Format::Safetensors => "safetensors",
            Format::Onnx => "onnx",
        }
    }

    /// The format that `file` is to have: the one that is `asked` for, else the one that its name ends in. A name
    /// that ends in another one would mislead.
    fn of(file: &Path, asked: Option<Format>) -> Result<Format> {
        let ends = |format: &Format| expect_ending(file, format.name()).is_ok();
        let named = Format::value_variants().iter().copied().find(ends);
        if let (Some(asked), Some(_)) = (asked, named) {
            expect_ending(file, asked.name())?;
        }
        match asked.or(named) {
            Some(format) => Ok(format),
            None => {
                bail!("{}: expected a name that ends in .safetensors or .onnx", file.display())
            }
        }
    }
}

pub(crate) fn run(arguments: &ExportArguments, mut output: Output) -> Result<()> {
    let ExportArguments { trained: source, file, format, best, bare, json } = arguments;
    file.check()?;
    let format = Format::of(&file.out, *format)?;
    let mut trained = source.open()?;
    if *best {
        let run = &source.run;
        let weights = RunFolder::open(run).best_weights();
        if !weights.is_file() {
            bail!("{}: the run has kept no best weights; leave out --best", run.display());
        }
        trained.network = read_weights(trained.network.spec().clone(), &weights)?;
    }
    let Trained { network, classes, .. } = &trained;
    let bytes = match (format, bare) {
        (Format::Safetensors, true) => network.weights(),
        (Format::Safetensors, false) => network.described_weights(classes.as_deref()),
        (Format::Onnx, true) => network.to_onnx()?,
        (Format::Onnx, false) => network.described_onnx(classes.as_deref())?,
    };
    write_new(file, &bytes)?;
    if *json {
        let report = json!({
            "file": file.out.display().to_string(),
            "format": format.name(),
            "parameters": network.parameter_count(),
            "bytes": bytes.len(),
        });
        output.line(format_args!("{report:#}"));
        return output.finish();
    }
    output.note(format_args!(
        "wrote {}, {} parameters in {} bytes",
        file.out.display(),
        Thousands(network.parameter_count()),
        Thousands(bytes.len()),
    ));
    let by_batch =
        trained.statistics() == Some(Normalization::BatchStatistics) && network.has_batch_norm();
    if format == Format::Onnx && by_batch {
        output.note(format_args!(
            "an ONNX file normalises by running statistics, but this run is judged by those of the batch; \
             see `loupe doctor {}`",
            Word(&source.run)
        ));
    }
    output.finish()
}

//! `loupe data info`

use super::contents::Contents;
use super::report;
use crate::data;
use crate::output::Output;
use crate::recipe::DATA;
use anyhow::{Result, bail};
use clap::Args;
use serde_json::Value;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct InfoArguments {
    /// Folder of a data set
    #[arg(value_name = "DIR", default_value = DATA)]
    pub(crate) folder: PathBuf,

    /// Write JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(arguments: &InfoArguments, mut output: Output) -> Result<()> {
    let folder = &arguments.folder;
    let contents = Contents::read(folder, data::cache_folder().as_deref())?;
    if let [fault, rest @ ..] = &contents.faults[..] {
        match rest.len() {
            0 => bail!("{fault}"),
            more => bail!("{fault} (and {more} more; loupe data verify names all)"),
        }
    }
    if arguments.json {
        let report = Value::Object(report::to_json(folder, &contents));
        output.line(format_args!("{report:#}"));
    } else {
        report::print_files(&mut output, folder, &contents);
        if let Some(pixels) = report::pixels(&contents) {
            output.line(format_args!("  {pixels}"));
        }
        report::print_classes(&mut output, &contents, false);
    }
    output.finish()
}

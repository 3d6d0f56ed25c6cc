//! `loupe completions`

use crate::args::Arguments;
use crate::output::Output;
use anyhow::{Context, Result};
use clap::{Args, CommandFactory};
use clap_complete::Shell;

#[derive(Debug, Args)]
pub(crate) struct CompletionsArguments {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

pub(crate) fn run(arguments: &CompletionsArguments, mut output: Output) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "loupe", &mut script);
    let script = String::from_utf8(script).context("completions that are no text")?;
    output.line(format_args!("{}", script.trim_end()));
    output.finish()
}

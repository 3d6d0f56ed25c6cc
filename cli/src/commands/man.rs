//! `loupe man`

use crate::args::{Arguments, EXIT_STATUS};
use crate::output::Output;
use anyhow::{Context, Result};
use clap::{Args, Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use loupe_model::write_atomically;
use std::fs;
use std::io;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct ManArguments {
    /// Folder for the pages of all commands: loupe.1, loupe-train.1, … [default: print loupe.1]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

pub(crate) fn run(arguments: &ManArguments, mut output: Output) -> Result<()> {
    let mut command = Arguments::command().disable_help_subcommand(true);
    command.build();
    let Some(folder) = &arguments.out else {
        let page = String::from_utf8(page(&command)?).context("a manual page that is no text")?;
        output.line(format_args!("{}", page.trim_end()));
        return output.finish();
    };
    fs::create_dir_all(folder)
        .with_context(|| format!("{}: cannot make the folder", folder.display()))?;
    let commands = all(&command);
    for command in &commands {
        let path = folder.join(Man::new((*command).clone()).get_filename());
        write_atomically(&path, &page(command)?)
            .with_context(|| format!("{}: cannot write", path.display()))?;
    }
    let (pages, folder) = (commands.len(), folder.display());
    output.note(format_args!(
        "wrote {pages} pages to {folder}; read one with `man -l {folder}/loupe.1`"
    ));
    output.finish()
}

/// A command and all below it.
fn all(command: &Command) -> Vec<&Command> {
    std::iter::once(command).chain(command.get_subcommands().flat_map(all)).collect()
}

/// A manual page as the source that `man` formats.
fn page(command: &Command) -> io::Result<Vec<u8>> {
    let man = Man::new(command.clone()).source(concat!("loupe ", env!("CARGO_PKG_VERSION")));
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let mut more = Roff::new();
    more.control("SH", ["EXIT STATUS"]);
    for (status, when) in EXIT_STATUS {
        more.control("TP", []).text([roman(status.to_string())]).text([roman(when)]);
    }
    more.control("SH", ["ENVIRONMENT"]);
    for (name, meaning) in ENVIRONMENT {
        more.control("TP", []).text([roman(name)]).text([roman(meaning)]);
    }
    more.to_writer(&mut page)?;
    Ok(page)
}

/// The variables that the program reads.
const ENVIRONMENT: [(&str, &str); 5] = [
    (
        "LOUPE_ISA",
        "The CPU instructions: portable, avx2 or avx512. The default is the best that the CPU has.",
    ),
    ("NO_COLOR", "If set, help and messages have no colours."),
    ("HTTPS_PROXY, HTTP_PROXY, NO_PROXY", "By which proxy `loupe data fetch` reaches servers."),
    (
        "SSL_CERT_FILE",
        "The certificates that `loupe data fetch` trusts, as PEM; the default is Mozilla's list.",
    ),
    ("XDG_CACHE_HOME", "Where unpacked data sets are kept, in loupe; the default is ~/.cache."),
];

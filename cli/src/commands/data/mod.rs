//! `loupe data`: the commands about data sets.

mod contents;
mod fetch;
mod info;
mod progress;
mod report;
mod samples;
mod verify;

use crate::output::Output;
use anyhow::Result;
use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(crate) struct DataArguments {
    #[command(subcommand)]
    command: DataCommand,
}

#[derive(Debug, Subcommand)]
enum DataCommand {
    /// Show what a data set consists of
    Info(info::InfoArguments),
    /// Read all of a data set and name everything that is wrong with it
    #[command(
        long_about = "Read all of a data set and name everything that is wrong with it: damaged or \
        missing files, files that are not those of the published set, labels of no class, numbers that do \
        not fit. Images that both splits have and images of one colour are counted; they are no faults."
    )]
    Verify(verify::VerifyArguments),
    /// Download a published data set
    #[command(long_about = "Download a published data set. Each file gets its name only when its \
        SHA-256 is right; files that are there and right are kept, and a download that was cut short goes \
        on where it ended.\n\n\
        HTTPS_PROXY and the like name a proxy, SSL_CERT_FILE a PEM file of the certificates to trust.")]
    Fetch(fetch::FetchArguments),
}

pub(crate) fn run(arguments: &DataArguments, output: Output) -> Result<()> {
    match &arguments.command {
        DataCommand::Info(arguments) => info::run(arguments, output),
        DataCommand::Verify(arguments) => verify::run(arguments, output),
        DataCommand::Fetch(arguments) => fetch::run(arguments, output),
    }
}

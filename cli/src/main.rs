//! `loupe`: trains and scores small convolutional networks on the CPU.

#![forbid(unsafe_code)]

mod args;
mod commands;
mod data;
#[allow(dead_code, unused_imports, reason = "the commands take it up one by one")]
mod draw;
#[allow(dead_code, reason = "the commands take it up one by one")]
mod events;
mod inputs;
mod machine;
mod model;
mod new_file;
mod output;
#[allow(dead_code, reason = "the commands take it up one by one")]
mod report;
mod run_folder;
mod scores;
mod similar;
mod trained;

use args::{Arguments, Command};
use clap::Parser;
use output::Output;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let output = Output::new(arguments.verbosity);
    let result = match &arguments.command {
        Command::Train(arguments) => commands::train::run(arguments, output),
        Command::Eval(arguments) => commands::eval::run(arguments, output),
        Command::Predict(arguments) => commands::predict::run(arguments, output),
        Command::Bench(arguments) => commands::bench::run(arguments, output),
        Command::Explain(arguments) => commands::explain::run(arguments, output),
        Command::Doctor(arguments) => commands::doctor::run(arguments, output),
        Command::Summary(arguments) => commands::summary::run(arguments, output),
        Command::Export(arguments) => commands::export::run(arguments, output),
        Command::Completions(arguments) => commands::completions::run(arguments, output),
        Command::Man(arguments) => commands::man::run(arguments, output),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Some libraries end their messages with a line break.
            let message = format!("{error:#}");
            // If standard error is closed there is no one to tell.
            let _ = writeln!(std::io::stderr(), "loupe: {}", message.trim_end());
            ExitCode::FAILURE
        }
    }
}

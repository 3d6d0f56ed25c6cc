//! `loupe`: trains and scores small convolutional networks on the CPU.

#![forbid(unsafe_code)]

mod args;
mod commands;
mod data;
mod diagnosis;
mod draw;
mod environment;
mod events;
mod fetch;
mod inputs;
mod interrupt;
mod kernel;
mod known;
mod log;
mod machine;
mod maps;
mod model;
mod new_file;
mod output;
mod picked;
mod progress;
mod recipe;
mod report;
mod run_folder;
mod scores;
mod screen;
mod shell;
mod similar;
mod text_file;
mod trained;
mod training_data;

use args::{Arguments, Command};
use clap::Parser;
use output::Output;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let output = Output::new(arguments.verbosity);
    let done = |result: anyhow::Result<()>| result.map(|()| ExitCode::SUCCESS);
    let result = match &arguments.command {
        Command::Train(arguments) => commands::train::run(arguments, output),
        Command::Compare(arguments) => commands::compare::run(arguments, output),
        Command::Eval(arguments) => done(commands::eval::run(arguments, output)),
        Command::Predict(arguments) => done(commands::predict::run(arguments, output)),
        Command::Bench(arguments) => done(commands::bench::run(arguments, output)),
        Command::Explain(arguments) => done(commands::explain::run(arguments, output)),
        Command::Doctor(arguments) => done(commands::doctor::run(arguments, output)),
        Command::Summary(arguments) => done(commands::summary::run(arguments, output)),
        Command::Export(arguments) => done(commands::export::run(arguments, output)),
        Command::Completions(arguments) => done(commands::completions::run(arguments, output)),
        Command::Man(arguments) => done(commands::man::run(arguments, output)),
        Command::Data(arguments) => done(commands::data::run(arguments, output)),
        Command::Inspect(arguments) => done(commands::inspect::run(arguments, output)),
        Command::Convolve(arguments) => done(commands::convolve::run(arguments, output)),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            // Some libraries end their messages with a line break.
            let message = printable(format!("{error:#}").trim_end());
            // If standard error is closed there is no one to tell.
            let _ = writeln!(std::io::stderr(), "loupe: {message}");
            ExitCode::FAILURE
        }
    }
}

/// The text without characters that a terminal obeys, but for ends of lines: names of files may hold any.
fn printable(text: &str) -> String {
    let plain = |c: &char| !c.is_control() || *c == '\n' || *c == '\t';
    text.chars().fold(String::new(), |mut printable, c| {
        match plain(&c) {
            true => printable.push(c),
            false => printable.extend(c.escape_default()),
        }
        printable
    })
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn messages_do_not_steer_the_terminal() {
        assert_eq!(printable("a\u{1b}]0;b\u{7}c\r\n\té"), "a\\u{1b}]0;b\\u{7}c\\r\n\té");
    }
}

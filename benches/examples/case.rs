//! Times loupe on cases whose names are given, or read from standard input a line each, and prints JSON:
//!
//! ```sh
//! cargo run --release -p loupe-benches --example case -- 2 1.5 "cnn train 64" "gemm 1024x1024x1024"
//! ```
//!
//! The first argument is the number of threads, the second the seconds for each case. With `peak` as its only
//! argument it prints the FMA peak of one core in GFLOP/s, or 0 where that is not known, and the name of the
//! instructions. `LOUPE_ISA` chooses them.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "a program that prints numbers")]

use loupe_benches::{Loupe, context, peak_gflops, serve};
use std::io;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments == ["peak"] {
        println!("{} {}", peak_gflops(), context(1).isa().tier().name());
        return ExitCode::SUCCESS;
    }
    let numbers = match arguments.get(..2) {
        Some([threads, seconds]) => threads.parse().ok().zip(seconds.parse().ok()),
        _ => None,
    };
    let Some((threads, seconds)) = numbers.filter(|(threads, _)| *threads > 0) else {
        return fail("usage: case THREADS SECONDS [CASE …], or case peak");
    };
    let names = arguments[2..].join("\n");
    let served = if names.is_empty() {
        serve(&Loupe, threads, seconds, io::stdin().lock())
    } else {
        serve(&Loupe, threads, seconds, names.as_bytes())
    };
    served.map_or_else(|error| fail(&error.to_string()), |()| ExitCode::SUCCESS)
}

#[allow(clippy::print_stderr, reason = "a program's message")]
fn fail(message: &str) -> ExitCode {
    eprintln!("{message}");
    ExitCode::FAILURE
}

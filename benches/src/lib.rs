//! What the benchmarks share.
//!
//! A [`Case`] is one thing to time, named by a line such as `cnn train 64`; `shapes/` lists them. A
//! [`Library`] can run cases: loupe here, other Rust libraries in `peers/rust`, which is a workspace of its
//! own. The first output of a run is held against the oracle ([`check()`]) before anything is timed. Criterion
//! benchmarks time cases within one process ([`bench_cases`]), the program `case` times them for
//! `peers/compare.py` ([`serve()`]).

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "benchmarks report on standard output")]

mod case;
mod check;
mod library;
mod loupe;
mod measure;
mod peak;
mod serve;

pub use case::{
    Case, ConvShape, Direction, Kind, NormShape, Pass, Rule, conv_cases, fused_cases, gemm_cases,
    network_cases, norm_cases, optim_cases, signed,
};
pub use check::check;
pub use library::{Call, Library};
pub use loupe::{INTERLEAVED_LEN, Loupe, MatrixMultiply, load_network};
pub use measure::{Rates, Work, bench_cases, criterion};
pub use peak::peak_gflops;
pub use serve::serve;

use loupe_engine::{Context, Threads};

/// The instructions that `LOUPE_ISA` names (the CPU's best if it is not set) on `threads` threads.
///
/// # Panics
/// If they cannot be had.
pub fn context(threads: usize) -> Context {
    Context::from_env(Threads::new(threads).expect("a thread pool")).expect("LOUPE_ISA")
}

/// 1 and, if there are more cores, the number of cores.
pub fn thread_counts() -> Vec<usize> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if cores > 1 { vec![1, cores] } else { vec![1] }
}

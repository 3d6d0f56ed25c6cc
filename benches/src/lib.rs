//! What the benchmarks share: shapes from files, the machine's limit, contexts.

#![allow(clippy::print_stdout, reason = "benchmarks report on standard output")]

mod peak;

pub use peak::peak_gflops;

use loupe_engine::{Context, Isa, Threads};
use std::time::{Duration, Instant};

/// The lines of a file of shapes, cut into words; `#` begins a comment.
pub fn shapes(file: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    let code = |line: &'static str| line.split('#').next().unwrap_or("");
    file.lines()
        .map(code)
        .map(|line| line.split_whitespace().collect())
        .filter(|w: &Vec<_>| !w.is_empty())
}

/// Whole numbers from words.
///
/// # Panics
/// If a word is no number: the files of shapes are part of the benchmark.
pub fn numbers<const N: usize>(words: &[&str]) -> [usize; N] {
    let number = |word: &&str| word.parse().unwrap_or_else(|_| panic!("{word} is no number"));
    let numbers: Vec<usize> = words.iter().map(number).collect();
    numbers.try_into().unwrap_or_else(|n| panic!("{n:?} are not {N} numbers"))
}

/// The CPU's best instructions on one thread and, if there are more cores, on all.
pub fn contexts() -> Vec<Context> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let counts = if cores > 1 { vec![1, cores] } else { vec![1] };
    let context = |count| Context::new(Isa::best(), Threads::new(count).expect("a thread pool"));
    counts.into_iter().map(context).collect()
}

/// The best time of a few calls.
pub fn best_time(mut f: impl FnMut()) -> Duration {
    let started = Instant::now();
    let mut best = Duration::MAX;
    while started.elapsed() < Duration::from_millis(100) {
        let call = Instant::now();
        f();
        best = best.min(call.elapsed());
    }
    best
}

/// Prints a rate and its share of what the machine can do, as this run measures it.
pub fn report(what: &str, flop: f64, time: Duration, threads: usize) {
    let rate = flop / time.as_secs_f64() / 1e9;
    let share = 100.0 * rate / (peak_gflops() * threads as f64);
    println!("{what}: {rate:.1} GFLOP/s, {share:.0} % of the FMA peak");
}

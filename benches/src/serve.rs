//! Cases by name, timed one after another for `peers/compare.py`.

use crate::{Call, Case, Library, Work, check};
use std::io::{self, BufRead, Error, ErrorKind, Write};
use std::time::{Duration, Instant};

/// Numbers of an output that are printed, so that libraries in other languages can compare theirs.
const SHOWN: usize = 64;

/// Reads names of cases, a line each, and answers each with a line of JSON:
///
/// ```json
/// {"case": "cnn train 64", "seconds": 3e-4, "best": 2.9e-4, "calls": 3100, "variant": "plain",
///  "flop": 18816000, "images": 64, "bytes": 0, "output": [0.78, 0.74]}
/// ```
///
/// `seconds` is the median time of a call (of short runs of calls, if calls are very short), of the
/// variant that is fastest; `flop`, `images` and `bytes` are what a call does, as [`Case::work`] counts it;
/// `output` has up to 64 elements at even distances. What `library` cannot run is answered by
/// `{"case": …, "skipped": true}`. What follows a tab is not read. Each case is run for about `seconds`
/// seconds, after the output of each variant has been held against the oracle ([`check()`]).
///
/// # Errors
/// If reading or writing fails, there is no case of a name, or an output is wrong.
pub fn serve(
    library: &dyn Library,
    threads: usize,
    seconds: f64,
    names: impl BufRead,
) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for line in names.lines() {
        let line = line?;
        let name = line.split('\t').next().unwrap_or_default();
        let invalid = |problem: String| Error::new(ErrorKind::InvalidInput, problem);
        let case: Case = name.parse().map_err(invalid)?;
        let mut fastest: Option<(Time, &str, Vec<f32>)> = None;
        let variants = library.variants(&case);
        let share = seconds / variants.len().max(1) as f64;
        for variant in variants {
            let Call { output, time } = library.prepare(&case, variant, threads);
            check(&case, &output).map_err(|problem| {
                let name = library.name();
                Error::new(ErrorKind::InvalidData, format!("{case}, {name} {variant}: {problem}"))
            })?;
            let time = measure(time, share);
            if fastest.as_ref().is_none_or(|(fastest, ..)| time.seconds < fastest.seconds) {
                fastest = Some((time, variant, output));
            }
        }
        match fastest {
            None => writeln!(out, "{{\"case\": \"{case}\", \"skipped\": true}}")?,
            Some((Time { seconds, best, calls }, variant, output)) => {
                let (flop, images, bytes) = match case.work() {
                    Work::Images { images, flop } => (flop, images, 0),
                    Work::Flop(flop) => (flop, 0, 0),
                    Work::Bytes(bytes) => (0, 0, bytes),
                };
                writeln!(
                    out,
                    "{{\"case\": \"{case}\", \"seconds\": {seconds:e}, \"best\": {best:e}, \
                     \"calls\": {calls}, \"variant\": \"{variant}\", \"flop\": {flop}, \
                     \"images\": {images}, \"bytes\": {bytes}, \"output\": [{}]}}",
                    shown(&output).join(", ")
                )?;
            }
        }
        out.flush()?;
    }
    Ok(())
}

/// Elements at even distances, from the first to the last.
fn shown(output: &[f32]) -> Vec<String> {
    let (count, last) = (SHOWN.min(output.len()), output.len() - 1);
    let at = |i: usize| if count > 1 { i * last / (count - 1) } else { 0 };
    (0..count).map(|i| format!("{:e}", output[at(i)])).collect()
}

struct Time {
    seconds: f64,
    best: f64,
    calls: u64,
}

/// Times calls for about `seconds`, after a fifth as long to warm up.
fn measure(mut time: Box<dyn FnMut(u64) -> Duration>, seconds: f64) -> Time {
    let (mut warm, mut spent) = (0, Duration::ZERO);
    let started = Instant::now();
    while warm < 2 || started.elapsed().as_secs_f64() < seconds / 5.0 {
        spent += time(1);
        warm += 1;
    }
    // A sample takes 50 µs at least, beside which reading the clock is nothing.
    let per_call = spent.as_secs_f64() / f64::from(warm);
    let calls = (50e-6 / per_call).ceil().max(1.0) as u64;
    let mut samples = Vec::new();
    let started = Instant::now();
    while samples.is_empty() || started.elapsed().as_secs_f64() < seconds {
        samples.push(time(calls));
    }
    samples.sort_unstable();
    let of = |time: Duration| time.as_secs_f64() / calls as f64;
    Time {
        seconds: of(samples[samples.len() / 2]),
        best: of(samples[0]),
        calls: calls * samples.len() as u64,
    }
}

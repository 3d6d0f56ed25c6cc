//! Cases by name, timed one after another for `peers/compare.py`.

use crate::{Call, Case, Library, Work};
use std::io::{self, BufRead, Write};
use std::time::{Duration, Instant};

/// Numbers of an output that are printed, so that the outputs of libraries can be compared.
const SHOWN: usize = 8;

/// Reads names of cases, a line each, and answers each with a line of JSON:
///
/// ```json
/// {"case": "cnn train 64", "seconds": 3e-4, "best": 2.9e-4, "calls": 3100, "variant": "plain",
///  "flop": 18816000, "images": 64, "output": [0.78, 0.74]}
/// ```
///
/// `seconds` is the median time of a call (of short runs of calls, if calls are very short), of the
/// variant that is faster; `flop` and `images` are what a call does, as [`Case::work`] counts it; `output` has up to eight elements at even distances. What `library` cannot run
/// is answered by `{"case": …, "skipped": true}`. Each case is run for about `seconds` seconds.
///
/// # Errors
/// If reading or writing fails, or there is no case of a name.
pub fn serve(
    library: &dyn Library,
    threads: usize,
    seconds: f64,
    names: impl BufRead,
) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for line in names.lines() {
        let name = line?;
        let case: Case =
            name.parse().map_err(|problem| io::Error::new(io::ErrorKind::InvalidInput, problem))?;
        let variants = library.variants(&case);
        let share = seconds / variants.len().max(1) as f64;
        let timed = variants.into_iter().map(|variant| {
            let Call { output, call } = library.prepare(&case, variant, threads);
            (time(call, share), variant, output)
        });
        match timed.min_by(|(a, ..), (b, ..)| a.seconds.total_cmp(&b.seconds)) {
            None => writeln!(out, "{{\"case\": \"{case}\", \"skipped\": true}}")?,
            Some((Time { seconds, best, calls }, variant, output)) => {
                let last = output.len() - 1;
                let shown = SHOWN.min(output.len());
                let at = |i: usize| if shown > 1 { i * last / (shown - 1) } else { 0 };
                let output: Vec<String> =
                    (0..shown).map(|i| format!("{:e}", output[at(i)])).collect();
                let (flop, images) = match case.work() {
                    Work::Images { images, flop } => (flop, images),
                    Work::Flop(flop) => (flop, 0),
                    Work::Bytes(_) => (0, 0),
                };
                writeln!(
                    out,
                    "{{\"case\": \"{case}\", \"seconds\": {seconds:e}, \"best\": {best:e}, \
                     \"calls\": {calls}, \"variant\": \"{variant}\", \"flop\": {flop}, \
                     \"images\": {images}, \"output\": [{}]}}",
                    output.join(", ")
                )?;
            }
        }
        out.flush()?;
    }
    Ok(())
}

struct Time {
    seconds: f64,
    best: f64,
    calls: usize,
}

/// Times calls for about `seconds`, after a fifth as long to warm up.
fn time(mut call: Box<dyn FnMut()>, seconds: f64) -> Time {
    let mut warm = 0;
    let started = Instant::now();
    while warm < 2 || started.elapsed().as_secs_f64() < seconds / 5.0 {
        call();
        warm += 1;
    }
    // A sample takes 50 µs at least, beside which reading the clock is nothing.
    let per_call = started.elapsed().as_secs_f64() / f64::from(warm);
    let calls = (50e-6 / per_call).ceil().max(1.0) as usize;
    let mut samples = Vec::new();
    let started = Instant::now();
    while samples.is_empty() || started.elapsed().as_secs_f64() < seconds {
        let sample = Instant::now();
        (0..calls).for_each(|_| call());
        samples.push(sample.elapsed());
    }
    samples.sort_unstable();
    let of = |time: Duration| time.as_secs_f64() / calls as f64;
    Time {
        seconds: of(samples[samples.len() / 2]),
        best: of(samples[0]),
        calls: calls * samples.len(),
    }
}

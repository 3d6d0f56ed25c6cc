//! Criterion with rates that mean something here, and without work for what is filtered out.

use crate::{Call, Case, Library, check, peak_gflops};
use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, Throughput};
use std::sync::Once;
use std::time::{Duration, Instant};

/// What one call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Multiplications and additions.
    Flop(usize),
    /// Images that pass a network, and the FLOP of the whole call.
    Images {
        /// Of a call.
        images: usize,
        /// Of a call.
        flop: usize,
    },
    /// Bytes that are read or written.
    Bytes(usize),
}

impl Work {
    /// Criterion has no rates of these names; [`Rates`] takes them back from these.
    fn throughput(self) -> Throughput {
        match self {
            Work::Flop(flop) => Throughput::Bytes(flop as u64),
            Work::Images { images, flop } => {
                Throughput::ElementsAndBytes { elements: images as u64, bytes: flop as u64 }
            }
            Work::Bytes(bytes) => Throughput::BytesDecimal(bytes as u64),
        }
    }
}

/// Wall time, with rates in img/s, GB/s, or GFLOP/s and, in parentheses, their share of the FMA peak of
/// one core: two threads can reach 200 %.
#[derive(Debug)]
pub struct Rates;

impl Measurement for Rates {
    type Intermediate = Instant;
    type Value = Duration;

    fn start(&self) -> Instant {
        WallTime.start()
    }

    fn end(&self, start: Instant) -> Duration {
        WallTime.end(start)
    }

    fn add(&self, a: &Duration, b: &Duration) -> Duration {
        *a + *b
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        WallTime.to_f64(value)
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        self
    }
}

impl ValueFormatter for Rates {
    fn format_throughput(&self, throughput: &Throughput, nanoseconds: f64) -> String {
        let mut rate = [nanoseconds];
        let unit = self.scale_throughputs(nanoseconds, throughput, &mut rate);
        let [rate] = rate;
        match throughput {
            Throughput::Bytes(_) => {
                format!("{rate:.1} {unit} ({:.0} %)", 100.0 * rate / peak())
            }
            Throughput::Elements(_) => format!("{rate:.0} {unit}"),
            _ => format!("{rate:.1} {unit}"),
        }
    }

    fn scale_values(&self, typical: f64, values: &mut [f64]) -> &'static str {
        WallTime.formatter().scale_values(typical, values)
    }

    fn scale_throughputs(
        &self,
        _typical: f64,
        throughput: &Throughput,
        values: &mut [f64],
    ) -> &'static str {
        let (amount, unit) = match *throughput {
            Throughput::Bytes(flop) => (flop as f64, "GFLOP/s"),
            Throughput::BytesDecimal(bytes) => (bytes as f64, "GB/s"),
            Throughput::Elements(n) | Throughput::ElementsAndBytes { elements: n, .. } => {
                (n as f64 * 1e9, "img/s")
            }
            Throughput::Bits(bits) => (bits as f64, "Gbit/s"),
        };
        values.iter_mut().for_each(|nanoseconds| *nanoseconds = amount / *nanoseconds);
        unit
    }

    fn scale_for_machines(&self, values: &mut [f64]) -> &'static str {
        WallTime.formatter().scale_for_machines(values)
    }
}

/// The peak, printed when it is first asked for.
fn peak() -> f64 {
    static PRINTED: Once = Once::new();
    let peak = peak_gflops();
    PRINTED.call_once(|| println!("\nFMA peak of one core: {peak:.1} GFLOP/s"));
    peak
}

/// Criterion with samples so short that all benchmarks together take a few minutes.
pub fn criterion() -> Criterion<Rates> {
    Criterion::default()
        .with_measurement(Rates)
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(700))
        .nresamples(2000)
}

/// Times the call that `prepare` makes. `prepare`, which also checks the results, only runs if the
/// benchmark is not filtered out.
fn bench(
    group: &mut BenchmarkGroup<'_, Rates>,
    id: BenchmarkId,
    work: Work,
    prepare: impl FnOnce() -> Call,
) {
    // Calls that take long would otherwise be made 1, 2, 3, … times for the samples.
    group.sampling_mode(SamplingMode::Flat);
    group.throughput(work.throughput());
    let (mut prepare, mut call) = (Some(prepare), None);
    // Criterion calls this once for each sample.
    group.bench_function(id, |bencher| {
        let call = call.get_or_insert_with(|| prepare.take().expect("the first sample")());
        bencher.iter_custom(&mut call.time);
    });
}

/// Times cases with every library that can run them, on each of some numbers of threads.
///
/// # Panics
/// If a result does not agree with the oracle.
pub fn bench_cases(
    criterion: &mut Criterion<Rates>,
    cases: &[Case],
    libraries: &[&dyn Library],
    threads: &[usize],
) {
    for case in cases {
        let mut group = criterion.benchmark_group(case.to_string());
        for (threads, library) in
            threads.iter().flat_map(|n| libraries.iter().map(move |l| (*n, l)))
        {
            for variant in library.variants(case) {
                let name = match variant {
                    "plain" => library.name().to_owned(),
                    _ => format!("{} {variant}", library.name()),
                };
                bench(&mut group, BenchmarkId::new(&name, threads), case.work(), || {
                    let run = library.prepare(case, variant, threads);
                    check(case, &run.output)
                        .unwrap_or_else(|problem| panic!("{case}, {name}: {problem}"));
                    run
                });
            }
        }
        group.finish();
    }
}

//! Convolution forward and its gradients, of images one behind the other and interleaved.

use criterion::{Criterion, criterion_group, criterion_main};
use loupe_benches::{Loupe, Rates, bench_cases, conv_cases, criterion, thread_counts};

fn bench(criterion: &mut Criterion<Rates>) {
    bench_cases(criterion, &conv_cases(), &[&Loupe], &thread_counts());
}

criterion_group! {
    name = benches;
    config = criterion();
    targets = bench
}
criterion_main!(benches);

//! The block of a convolutional network in training, in each of the ways in which loupe can run it.

use criterion::{Criterion, criterion_group, criterion_main};
use loupe_benches::{Loupe, Rates, bench_cases, criterion, fused_cases, thread_counts};

fn bench(criterion: &mut Criterion<Rates>) {
    bench_cases(criterion, &fused_cases(), &[&Loupe], &thread_counts());
}

criterion_group! {
    name = benches;
    config = criterion();
    targets = bench
}
criterion_main!(benches);

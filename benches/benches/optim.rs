//! Steps of Adam and SGD.

use criterion::{Criterion, criterion_group, criterion_main};
use loupe_benches::{Loupe, Rates, bench_cases, criterion, optim_cases, thread_counts};

fn bench(criterion: &mut Criterion<Rates>) {
    bench_cases(criterion, &optim_cases(), &[&Loupe], &thread_counts());
}

criterion_group! {
    name = benches;
    config = criterion();
    targets = bench
}
criterion_main!(benches);

//! Matrix products beside the crate `matrixmultiply`, whose rows loupe shares out to its threads.

use criterion::{Criterion, criterion_group, criterion_main};
use loupe_benches::{
    Loupe, MatrixMultiply, Rates, bench_cases, criterion, gemm_cases, thread_counts,
};

fn bench(criterion: &mut Criterion<Rates>) {
    bench_cases(criterion, &gemm_cases(), &[&Loupe, &MatrixMultiply], &thread_counts());
}

criterion_group! {
    name = benches;
    config = criterion();
    targets = bench
}
criterion_main!(benches);

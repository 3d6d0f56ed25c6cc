//! loupe beside the peers whose features are on, in one process, on as many threads as
//! `RAYON_NUM_THREADS` says or, without it, on all cores.

use criterion::{Criterion, criterion_group, criterion_main};
use loupe_benches::{
    Library, Loupe, Rates, bench_cases, conv_cases, criterion, fused_cases, gemm_cases,
    network_cases, norm_cases, optim_cases,
};

fn bench(criterion: &mut Criterion<Rates>) {
    let threads = std::env::var("RAYON_NUM_THREADS").ok().and_then(|count| count.parse().ok());
    let threads = threads.or(std::thread::available_parallelism().ok().map(usize::from));
    let libraries: Vec<&dyn Library> =
        [&Loupe as &dyn Library].into_iter().chain(loupe_peers::libraries()).collect();
    let cases =
        [network_cases(), gemm_cases(), conv_cases(), fused_cases(), norm_cases(), optim_cases()]
            .concat();
    bench_cases(criterion, &cases, &libraries, &[threads.unwrap_or(1)]);
}

criterion_group! {
    name = benches;
    config = criterion();
    targets = bench
}
criterion_main!(benches);

//! Matrix products beside the crate `matrixmultiply`. An element of the throughput is a FLOP.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use loupe_benches::{best_time, contexts, numbers, report, shapes};
use loupe_engine::Context;
use loupe_engine::gemm::{Backend, GemmOptions, Matrix, MatrixMut, gemm};
use loupe_engine::reference::random::Random;

fn multiply(
    cx: &Context,
    [m, n, k]: [usize; 3],
    a: &[f32],
    b: &[f32],
    c: &mut [f32],
    backend: Backend,
) {
    let a = Matrix::row_major(a, [m, k]).expect("A fits");
    let b = Matrix::row_major(b, [k, n]).expect("B fits");
    let c = MatrixMut::row_major(c, [m, n]).expect("C fits");
    gemm(cx, a, b, c, GemmOptions { backend, ..GemmOptions::default() }).expect("shapes fit");
}

fn bench(criterion: &mut Criterion) {
    for words in shapes(include_str!("../shapes/gemm.txt")) {
        let size = numbers::<3>(&words);
        let [m, n, k] = size;
        let mut random = Random::new(1);
        // Small whole numbers: both backends must give the same, exact result.
        let (a, b) = (random.whole_f32(m * k, 8), random.whole_f32(k * n, 8));
        let (mut ours, mut theirs) = (vec![0.0; m * n], vec![0.0; m * n]);
        let flop = 2 * m * n * k;
        let mut group = criterion.benchmark_group(format!("gemm {m}x{n}x{k}"));
        group.throughput(Throughput::Elements(flop as u64));
        for cx in contexts() {
            multiply(&cx, size, &a, &b, &mut ours, Backend::Loupe);
            multiply(&cx, size, &a, &b, &mut theirs, Backend::MatrixMultiply);
            assert!(ours == theirs, "the backends disagree on {size:?}");
            let threads = cx.threads().count();
            for (name, backend) in
                [("loupe", Backend::Loupe), ("matrixmultiply", Backend::MatrixMultiply)]
            {
                let mut run = || multiply(&cx, size, &a, &b, &mut ours, backend);
                let what = format!("gemm {m}x{n}x{k} {name}, {threads} thread(s)");
                report(&what, flop as f64, best_time(&mut run), threads);
                group.bench_function(BenchmarkId::new(name, threads), |bencher| {
                    bencher.iter(&mut run);
                });
            }
        }
        group.finish();
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);

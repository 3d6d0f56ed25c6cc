//! Training steps and inference of the tutorial's networks. An element of the throughput is an image.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use loupe_benches::contexts;
use loupe_engine::reference::random::Random;
use loupe_model::{Loss, Network, Normalization, OptimizerOptions, Plan, Trainer, nets};

const BATCHES: [usize; 5] = [1, 8, 64, 256, 1024];

/// Random images and one-hot targets.
fn batch(size: usize) -> (Vec<f32>, Vec<f32>) {
    let mut random = Random::new(1);
    let images = random.uniform_f32(size * 784, 0.0, 1.0);
    let mut targets = vec![0.0; size * 10];
    for row in targets.chunks_mut(10) {
        row[random.below(10)] = 1.0;
    }
    (images, targets)
}

fn bench(criterion: &mut Criterion) {
    for (name, spec) in [("cnn", nets::mnist_cnn()), ("mlp", nets::mnist_mlp())] {
        for size in BATCHES {
            let (images, targets) = batch(size);
            let mut group = criterion.benchmark_group(format!("{name} batch {size}"));
            group.throughput(Throughput::Elements(size as u64));
            for cx in contexts() {
                let threads = cx.threads().count();
                let network = Network::new(spec.clone(), 0).expect("a network");
                let mut plan = Plan::new(&network, size).expect("a plan");
                let untrained = network.clone();
                let adam = OptimizerOptions::default();
                let mut trainer = Trainer::new(cx.clone(), network, Loss::Bce, adam);
                let first = trainer.step(&images, &targets).expect("a step");
                let second = trainer.step(&images, &targets).expect("a step");
                assert!(second < first, "a step must lower the loss of its own batch");
                group.bench_function(BenchmarkId::new("train", threads), |bencher| {
                    bencher.iter(|| trainer.step(&images, &targets).expect("a step"));
                });
                plan.input_mut().copy_from_slice(&images);
                group.bench_function(BenchmarkId::new("infer", threads), |bencher| {
                    bencher.iter(|| {
                        plan.infer(&cx, &untrained, Normalization::RunningStatistics)
                            .expect("inference")[0]
                    });
                });
            }
            group.finish();
        }
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);

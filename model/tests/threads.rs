//! The same bits on any number of threads.

mod support;

use loupe_engine::{Context, Isa, Threads};
use loupe_model::data::{Dataset, Split, open_mnist};
use loupe_model::{Loss, Network, NetworkSpec, OptimizerOptions, Trainer, nets};
use std::path::Path;
use support::mixture::every_layer;

fn digits() -> Dataset {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/mnist");
    open_mnist(&folder, Split::Train, None).unwrap()
}

/// All parameters and running statistics after 50 steps.
fn trained(
    data: &Dataset,
    spec: &NetworkSpec,
    batch: usize,
    isa: Isa,
    threads: &Threads,
) -> Vec<u32> {
    let cx = Context::new(isa, threads.clone());
    let network = Network::new(spec.clone(), 5).unwrap();
    let mut trainer = Trainer::new(cx, network, Loss::Bce, OptimizerOptions::default());
    for step in 0..50 {
        let items: Vec<usize> = (step * batch..(step + 1) * batch).collect();
        trainer
            .step_with(batch, |images, targets| {
                data.write_images(&items, images)?;
                Ok(data.write_targets(&items, targets)?)
            })
            .unwrap();
    }
    let network = trainer.network();
    let tensors = network.tensors().chain(network.statistics());
    tensors.flat_map(|(_, values)| values.iter().map(|v| v.to_bits())).collect()
}

fn check(spec: NetworkSpec) {
    let data = digits();
    let pools = [2, 7].map(|count| Threads::new(count).unwrap());
    for batch in [1, 16, 100] {
        for isa in Isa::available() {
            let serial = trained(&data, &spec, batch, isa, &Threads::serial());
            assert!(serial.iter().all(|&bits| f32::from_bits(bits).is_finite()));
            for threads in &pools {
                let threaded = trained(&data, &spec, batch, isa, threads);
                let same = serial == threaded;
                assert!(same, "batch size {batch}, {isa:?}, {} threads", threads.count());
            }
        }
    }
}

#[test]
fn cnn_has_the_same_bits_on_1_2_and_7_threads() {
    check(nets::mnist_cnn());
}

#[test]
fn mlp_has_the_same_bits_on_1_2_and_7_threads() {
    check(nets::mnist_mlp());
}

#[test]
fn every_layer_has_the_same_bits_on_1_2_and_7_threads() {
    check(every_layer());
}

/// The fused tiers differ in nothing but the width of their registers.
#[test]
fn tiers_with_fused_multiply_add_have_the_same_bits() {
    use loupe_engine::Tier::{Avx2, Avx512};
    // Says nothing on a CPU that lacks one of them.
    let (Some(avx2), Some(avx512)) = (Isa::of(Avx2), Isa::of(Avx512)) else { return };
    let data = digits();
    for spec in [nets::mnist_cnn(), nets::mnist_mlp(), every_layer()] {
        for batch in [1, 16, 100] {
            let run = |isa| trained(&data, &spec, batch, isa, &Threads::serial());
            assert!(run(avx2) == run(avx512), "batch size {batch}");
        }
    }
}

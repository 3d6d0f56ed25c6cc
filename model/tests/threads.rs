//! The same bits on any number of threads.

use loupe_engine::{Context, Isa, Threads};
use loupe_model::data::{Dataset, Split, open_mnist};
use loupe_model::layers::{
    AdaptiveAvgPool2d, AvgPool2d, BatchNorm1d, BatchNorm2d, Conv2d, ConvTranspose2d, Dropout,
    Flatten, GELU, GroupNorm, LayerNorm, LeakyReLU, Linear, MaxPool2d, PaddingMode, ReLU, Residual,
    SiLU, Sigmoid, Softmax, Tanh, Upsample, View,
};
use loupe_model::{Loss, Network, NetworkSpec, OptimizerOptions, Trainer, nets};
use std::path::Path;

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
    check_batches(spec, &[1, 16, 100]);
}

fn check_batches(spec: NetworkSpec, batches: &[usize]) {
    let data = digits();
    let pools = [2, 7].map(|count| Threads::new(count).unwrap());
    for &batch in batches {
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

/// Every layer: convolutions of both kinds, pools, normalisations, activations, dropout, blocks with a way around.
fn all_layers() -> NetworkSpec {
    let block = Residual::new()
        .add(Conv2d::new(8, 8, 3).padding(1).padding_mode(PaddingMode::Reflect))
        .add(GroupNorm::new(2, 8))
        .add(SiLU)
        .add(Conv2d::new(8, 8, 3).padding(1).groups(4))
        .shortcut(Conv2d::new(8, 8, 1));
    NetworkSpec::new([1, 28, 28])
        .add(Conv2d::new(1, 8, 5).stride(2))
        .add(BatchNorm2d::new(8))
        .add(ReLU)
        .add(block)
        .add(MaxPool2d::new(3).stride(2).padding(1))
        .add(ConvTranspose2d::new(8, 6, 4).stride(2).padding(1))
        .add(GELU::new())
        .add(AvgPool2d::new(2))
        .add(Upsample::new(2))
        .add(Tanh)
        .add(AdaptiveAvgPool2d::new(4))
        .add(Flatten)
        .add(BatchNorm1d::new(96))
        .add(Linear::new(96, 60))
        .add(LayerNorm::new([60]))
        .add(LeakyReLU::new(0.1))
        .add(Dropout::new(0.2))
        .add(View::new([60]))
        .add(Linear::new(60, 10))
        .add(Softmax::new(1))
        .add(Sigmoid)
}

#[test]
fn a_network_of_all_layers_has_the_same_bits_on_1_2_and_7_threads() {
    check_batches(all_layers(), &[16, 100]);
}

/// The fused tiers differ in nothing but the width of their registers.
#[test]
fn tiers_with_fused_multiply_add_have_the_same_bits() {
    use loupe_engine::Tier::{Avx2, Avx512};
    // Says nothing on a CPU that lacks one of them.
    let (Some(avx2), Some(avx512)) = (Isa::of(Avx2), Isa::of(Avx512)) else { return };
    let data = digits();
    for (spec, batches) in [
        (nets::mnist_cnn(), &[1, 16, 100][..]),
        (nets::mnist_mlp(), &[1, 16, 100]),
        (all_layers(), &[16, 100]),
    ] {
        for &batch in batches {
            let run = |isa| trained(&data, &spec, batch, isa, &Threads::serial());
            assert!(run(avx2) == run(avx512), "batch size {batch}");
        }
    }
}

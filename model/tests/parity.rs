//! The two networks against PyTorch: the same initial weights and digits, then 100 steps.
//!
//! `fixtures/README.md` says what the files hold and how far PyTorch's f32 is from f64 in each tensor.
//! Another f32 program that adds in another order errs by as much, in another direction, and the
//! differences of 100 steps add up. Each tolerance is about four times the largest distance that the
//! README lists for its kind of tensor:
//!
//! | tensor | largest distance | tolerance |
//! |---|---|---|
//! | outputs, running statistics | 4.6e-7 of the largest | 2e-6 of the largest |
//! | losses | 4.8e-7 relative | 2e-6 relative, and 1e-7 |
//! | gradients | 6.6e-6 of the largest | 3e-5 of the largest |
//! | updates | 9.9e-7 | 4e-6, where an update of one step is up to 1e-3 |

mod support;

use loupe_engine::reference::compare::{Tolerance, assert_close};
use loupe_engine::{Context, Isa, Threads};
use loupe_model::{
    Loss, Network, NetworkSpec, Normalization, OptimizerOptions, Plan, Trainer, nets,
};
use safetensors::SafeTensors;
use support::{Fixture, assert_near, fixture_path};

const DIGITS: usize = 48;
const RECORDED: [usize; 4] = [1, 2, 10, 100];

struct Digits {
    images: Vec<f32>,
    targets: Vec<f32>,
}

fn digits() -> Digits {
    let fixture = Fixture::open("digits.safetensors.gz");
    let images = fixture.u8("digits/images").iter().map(|&b| f32::from(b) / 255.0).collect();
    let one_hot = |&label: &u8| (0..10).map(move |class| f32::from(u8::from(class == label)));
    let targets = fixture.u8("digits/labels").iter().flat_map(one_hot).collect();
    Digits { images, targets }
}

/// A network with PyTorch's initial weights.
fn initial_network(spec: NetworkSpec, initial: &Fixture) -> Network {
    let mut network = Network::new(spec, 1).unwrap();
    let names: Vec<String> = initial.names().map(str::to_owned).collect();
    let mut set = 0;
    for name in &names {
        let Some(tensor) = name.strip_prefix("initial/") else { continue };
        if !tensor.ends_with("num_batches_tracked") {
            network.tensor_mut(tensor).unwrap().copy_from_slice(&initial.f32(name));
            set += 1;
        }
    }
    assert_eq!(set, network.tensors().count() + network.statistics().count());
    network
}

/// Outputs of all digits in the three modes of the fixtures.
fn check_outputs(
    what: &str,
    cx: &Context,
    network: &Network,
    digits: &Digits,
    file: &Fixture,
    steps: usize,
) {
    let modes = [
        ("running", DIGITS, Normalization::RunningStatistics),
        ("batch", 1, Normalization::BatchStatistics),
        ("batch16", 16, Normalization::BatchStatistics),
    ];
    for (name, batch, normalization) in modes {
        let mut plan = Plan::new(network, batch).unwrap();
        let mut outputs = Vec::new();
        for images in digits.images.chunks_exact(batch * 784) {
            plan.input_mut().copy_from_slice(images);
            outputs.extend_from_slice(plan.infer(cx, network, normalization).unwrap());
        }
        let expected = file.wide(&format!("output/{steps}/{name}"));
        assert_near(&format!("{what}: output {name}"), &outputs, &expected, 2e-6);
    }
}

fn check_training(cx: &Context, name: &str, spec: NetworkSpec, batch: usize) {
    let digits = digits();
    let initial = Fixture::open(&format!("{name}-initial.safetensors.gz"));
    let record = Fixture::open(&format!("{name}-batch{batch}.safetensors.gz"));
    let losses = record.wide("losses");
    let network = initial_network(spec, &initial);
    let what = format!("{name}, batch size {batch}, {:?}", cx.isa().tier());
    check_outputs(&what, cx, &network, &digits, &initial, 0);

    let before = network.clone();
    let adam = OptimizerOptions::default();
    let mut trainer = Trainer::new(cx.clone(), network, Loss::Bce, adam);
    for step in 1..=100 {
        let items = (0..batch).map(|j| ((step - 1) * batch + j) % DIGITS);
        let images: Vec<f32> =
            items.clone().flat_map(|i| digits.images[i * 784..][..784].to_vec()).collect();
        let targets: Vec<f32> =
            items.flat_map(|i| digits.targets[i * 10..][..10].to_vec()).collect();
        let loss = trainer.step(&images, &targets).unwrap();
        let what = format!("{what}, step {step}");
        let tolerance = Tolerance::abs_rel(1e-7, 2e-6);
        assert_close(&format!("{what}: loss"), &[loss], &[losses[step - 1]], &tolerance);
        if !RECORDED.contains(&step) {
            continue;
        }
        for (info, gradient) in trainer.gradients() {
            let expected = record.wide(&format!("gradient/{step}/{}", info.name));
            assert_near(&format!("{what}: gradient {}", info.name), gradient, &expected, 3e-5);
        }
        let moved = trainer.network().tensors().zip(before.tensors());
        for ((info, now), (_, then)) in moved {
            let update: Vec<f32> = (now.iter().zip(then))
                .map(|(&now, &then)| (f64::from(now) - f64::from(then)) as f32)
                .collect();
            let expected = record.wide(&format!("update/{step}/{}", info.name));
            let tolerance = Tolerance::abs_rel(4e-6, 0.0);
            assert_close(&format!("{what}: update {}", info.name), &update, &expected, &tolerance);
        }
        for (info, values) in trainer.network().statistics() {
            let expected = record.wide(&format!("buffer/{step}/{}", info.name));
            assert_near(&format!("{what}: {}", info.name), values, &expected, 2e-6);
        }
    }
    check_outputs(&what, cx, trainer.network(), &digits, &record, 100);
}

fn every_tier(check: impl Fn(&Context)) {
    for isa in Isa::available() {
        check(&Context::new(isa, Threads::serial()));
    }
}

#[test]
fn cnn_at_batch_size_1() {
    every_tier(|cx| check_training(cx, "cnn", nets::mnist_cnn(), 1));
}

#[test]
fn cnn_at_batch_size_16() {
    every_tier(|cx| check_training(cx, "cnn", nets::mnist_cnn(), 16));
}

#[test]
fn mlp_at_batch_size_1() {
    every_tier(|cx| check_training(cx, "mlp", nets::mnist_mlp(), 1));
}

#[test]
fn mlp_at_batch_size_16() {
    every_tier(|cx| check_training(cx, "mlp", nets::mnist_mlp(), 16));
}

/// A `state_dict` that PyTorch has written gives PyTorch's outputs.
#[test]
fn state_dicts_of_pytorch_can_be_read() {
    let digits = digits();
    for (name, spec) in [("cnn", nets::mnist_cnn()), ("mlp", nets::mnist_mlp())] {
        let mut network = Network::new(spec, 3).unwrap();
        network.read_weights(&fixture_path(&format!("{name}-state-dict.safetensors"))).unwrap();
        let record = Fixture::open(&format!("{name}-batch16.safetensors.gz"));
        every_tier(|cx| check_outputs(name, cx, &network, &digits, &record, 100));
    }
}

/// Tensors of blocks are called `3.layers.0.weight`, of blocks within blocks `3.layers.2.layers.1.weight`.
#[test]
fn state_dicts_with_residual_blocks_can_be_read() {
    let digits = digits();
    let text = std::fs::read_to_string(fixture_path("residual.json")).unwrap();
    let spec: NetworkSpec = serde_json::from_str(&text).unwrap();
    let mut network = Network::new(spec, 3).unwrap();
    let path = fixture_path("residual-state-dict.safetensors");
    network.read_weights(&path).unwrap();
    let record = Fixture::open("residual-outputs.safetensors.gz");
    every_tier(|cx| check_outputs("residual", cx, &network, &digits, &record, 10));

    let bytes = [std::fs::read(&path).unwrap(), network.weights()];
    let [theirs, ours] =
        [&bytes[0], &bytes[1]].map(|bytes| SafeTensors::deserialize(bytes).unwrap());
    let sorted = |file: &SafeTensors<'_>| {
        let mut tensors: Vec<_> = file
            .tensors()
            .into_iter()
            .map(|(name, view)| (name, view.dtype(), view.shape().to_vec(), view.data().to_vec()))
            .collect();
        tensors.sort_by(|a, b| a.0.cmp(&b.0));
        tensors
    };
    assert_eq!(sorted(&ours), sorted(&theirs));
}

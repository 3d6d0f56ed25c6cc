//! Predictors against the plans of the network that they were made of.

mod support;

use loupe_engine::reference::random::Random;
use loupe_engine::{Context, Threads};
use loupe_model::layers::{
    BatchNorm1d, BatchNorm2d, Conv2d, Flatten, LeakyReLU, Linear, ReLU, Residual,
};
use loupe_model::{
    Error, Network, NetworkSpec, Normalization, Plan, Predictor, WeightsError, nets,
};
use support::assert_near;

/// A network whose every tensor and running statistic is random.
fn random(spec: &NetworkSpec, seed: u64) -> Network {
    let mut network = Network::new(spec.clone(), seed).unwrap();
    let mut random = Random::new(seed);
    let names = network.tensors().chain(network.statistics()).map(|(info, _)| info.name.clone());
    for name in names.collect::<Vec<_>>() {
        let is_norm = name.contains("running_var");
        for value in network.tensor_mut(&name).unwrap() {
            *value += random.uniform(-0.3, 0.3) as f32;
            if is_norm {
                *value = value.abs() + 0.2;
            }
        }
    }
    network
}

fn expected(network: &Network, inputs: &[f32], batch: usize) -> Vec<f32> {
    let mut plan = Plan::new(network, batch).unwrap();
    plan.input_mut().copy_from_slice(inputs);
    let cx = Context::serial();
    plan.infer(&cx, network, Normalization::RunningStatistics).unwrap().to_vec()
}

/// The network's answers, and how many batch normalisations are left in the folded one.
#[track_caller]
fn check(spec: NetworkSpec, left: usize) {
    for (batch, seed) in [(1, 1), (3, 2), (16, 3), (21, 4)] {
        let network = random(&spec, seed);
        let len = batch * spec.input_len().unwrap();
        let inputs = Random::new(seed + 10).uniform_f32(len, -1.0, 1.0);
        let expected = expected(&network, &inputs, batch);
        for threads in [Threads::serial(), Threads::new(3).unwrap()] {
            let cx = Context::new(Context::serial().isa(), threads);
            let predictor = Predictor::new(cx, &network).unwrap();
            let norms = predictor.network().statistics().count() / 2;
            assert_eq!(norms, left, "{:?}", predictor.network().spec());
            let mut found = vec![f32::NAN; expected.len()];
            predictor.predict(&inputs, &mut found).unwrap();
            let wide: Vec<f64> = expected.iter().map(|&y| f64::from(y)).collect();
            assert_near("outputs", &found, &wide, 3e-6);
        }
    }
}

#[test]
fn the_tutorials_networks() {
    check(nets::mnist_cnn(), 0);
    check(nets::mnist_mlp(), 0);
}

#[test]
fn normalisations_behind_products_are_folded() {
    let spec = NetworkSpec::new([4, 7, 6])
        .add(Conv2d::new(4, 6, 3).padding(1).groups(2).bias(false))
        .add(BatchNorm2d::new(6))
        .add(ReLU)
        .add(
            Residual::new()
                .add(Conv2d::new(6, 8, 3).padding(1))
                .add(BatchNorm2d::new(8))
                .shortcut(Conv2d::new(6, 8, 1).bias(false))
                .shortcut(BatchNorm2d::new(8)),
        )
        .add(Flatten)
        .add(Linear::new(8 * 7 * 6, 5).bias(false))
        .add(BatchNorm1d::new(5));
    check(spec, 0);
}

#[test]
fn normalisations_in_front_of_products_are_folded() {
    let spec = NetworkSpec::new([3, 8, 8])
        .add(LeakyReLU::new(0.1))
        .add(BatchNorm2d::new(3))
        .add(Conv2d::new(3, 4, 3).bias(false))
        .add(ReLU)
        .add(BatchNorm2d::new(4))
        .add(Conv2d::new(4, 6, 2).groups(2))
        .add(ReLU)
        .add(BatchNorm2d::new(6))
        .add(Flatten)
        .add(Linear::new(150, 7))
        .add(ReLU)
        .add(BatchNorm1d::new(7))
        .add(Linear::new(7, 3));
    check(spec, 0);
}

/// The zeros of the padding are not normalised, so nothing can take these in.
#[test]
fn what_cannot_be_folded_stays() {
    let spec = NetworkSpec::new([2, 5, 5])
        .add(ReLU)
        .add(BatchNorm2d::new(2))
        .add(Conv2d::new(2, 3, 3).padding(1))
        .add(ReLU)
        .add(BatchNorm2d::new(3))
        .add(Residual::new().add(Conv2d::new(3, 3, 1)));
    check(spec, 2);
}

#[test]
fn many_threads_ask_one_predictor() {
    fn is_shared<T: Send + Sync>(_: &T) {}
    let network = random(&nets::mnist_cnn(), 5);
    let cx = Context::new(Context::serial().isa(), Threads::new(2).unwrap());
    let predictor = Predictor::new(cx, &network).unwrap();
    is_shared(&predictor);
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let (predictor, network) = (&predictor, &network);
            scope.spawn(move || {
                for batch in [1, 2, 16, 1] {
                    let inputs = Random::new(seed).uniform_f32(batch * 784, 0.0, 1.0);
                    let mut alone = vec![0.0; batch * 10];
                    Predictor::new(Context::serial(), network)
                        .unwrap()
                        .predict(&inputs, &mut alone)
                        .unwrap();
                    for _ in 0..20 {
                        let mut scores = vec![f32::NAN; batch * 10];
                        predictor.predict(&inputs, &mut scores).unwrap();
                        assert_eq!(scores, alone);
                    }
                }
            });
        }
    });
}

#[test]
fn files_say_of_which_network_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cnn.safetensors");
    let network = random(&nets::mnist_cnn(), 6);
    let classes: Vec<String> = (0..10).map(|digit| digit.to_string()).collect();
    std::fs::write(&path, network.described_weights(Some(&classes))).unwrap();
    let cx = Context::serial();
    let read = Predictor::open(cx.clone(), &path).unwrap();
    // SAFETY: the file of this test's folder does not change.
    let mapped = unsafe { Predictor::open_mapped(cx.clone(), &path) }.unwrap();
    let plain = Predictor::from_weights(cx.clone(), nets::mnist_cnn(), &network.weights()).unwrap();
    assert_eq!(read.classes(), Some(&classes[..]));
    assert_eq!((read.input_shape(), read.output_shape()), (&[1, 28, 28][..], &[10][..]));
    assert_eq!(plain.classes(), None);
    let [read, mapped, plain] = [read, mapped, plain].map(|predictor| {
        let mut scores = [f32::NAN; 10];
        predictor.predict(&[0.25; 784], &mut scores).unwrap();
        scores
    });
    assert!(read == mapped && read == plain && read.iter().all(|score| score.is_finite()));

    let refused = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        Predictor::open(cx.clone(), &path).unwrap_err().to_string()
    };
    let name = path.display().to_string();
    let error = refused(&network.weights());
    assert!(error.contains(&name) && error.contains("does not describe"), "{error}");
    let error = refused(b"no weights at all");
    assert!(error.contains(&name) && error.contains("not a safetensors file"), "{error}");
    let missing = Predictor::open(cx.clone(), &folder.path().join("none")).unwrap_err();
    assert!(matches!(missing, Error::Weights(WeightsError::Read { .. })), "{missing}");
}

#[test]
fn other_lengths_are_refused() {
    let network = Network::new(nets::mnist_cnn(), 0).unwrap();
    let predictor = Predictor::new(Context::serial(), &network).unwrap();
    let refused = |inputs: usize, outputs: usize| {
        predictor.predict(&vec![0.0; inputs], &mut vec![0.0; outputs]).unwrap_err()
    };
    for (inputs, outputs) in [(783, 10), (785, 10), (784, 9), (784, 20), (1568, 10), (5, 0)] {
        let error = refused(inputs, outputs);
        assert!(matches!(error, Error::Engine(loupe_engine::Error::Length { .. })), "{error}");
    }
    assert!(refused(0, 10).to_string().contains("784"), "{}", refused(0, 10));
}

//! Weights written and read again, and files that do not fit.

use loupe_engine::Context;
use loupe_model::{
    Description, Loss, Network, OptimizerOptions, Predictor, Trainer, WeightsError, nets,
};
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use std::collections::HashMap;
use std::fs;

/// A network that has been trained a little, so that its statistics have moved.
fn trained() -> Network {
    let network = Network::new(nets::mnist_cnn(), 4).unwrap();
    let mut trainer =
        Trainer::new(Context::serial(), network, Loss::Bce, OptimizerOptions::default());
    let images: Vec<f32> = (0..2 * 784).map(|i| (i % 29) as f32 / 29.0).collect();
    for _ in 0..3 {
        trainer.step(&images, &[0.1; 20]).unwrap();
    }
    trainer.into_network()
}

fn all_values(network: &Network) -> Vec<(String, Vec<u32>)> {
    let tensors = network.tensors().chain(network.statistics());
    tensors
        .map(|(info, values)| (info.name.clone(), values.iter().map(|v| v.to_bits()).collect()))
        .collect()
}

/// The file of a network with one tensor replaced, removed (`None`) or added.
fn edited(name: &str, tensor: Option<(Dtype, Vec<usize>, Vec<u8>)>) -> Vec<u8> {
    let bytes = trained().weights();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors = file.tensors();
    tensors.retain(|(n, _)| n != name);
    if let Some((dtype, shape, data)) = &tensor {
        let view = TensorView::new(*dtype, shape.clone(), data).unwrap();
        tensors.push((name.to_owned(), view));
    }
    serialize(tensors, None).unwrap()
}

fn refused(bytes: &[u8]) -> String {
    let mut network = Network::new(nets::mnist_cnn(), 9).unwrap();
    let before = all_values(&network);
    let error = network.load_weights(bytes).unwrap_err();
    assert_eq!(all_values(&network), before, "a refused file must change nothing");
    error.to_string()
}

#[test]
fn every_bit_survives() {
    let network = trained();
    let mut other = Network::new(nets::mnist_cnn(), 99).unwrap();
    assert_ne!(all_values(&network), all_values(&other));
    other.load_weights(&network.weights()).unwrap();
    assert_eq!(all_values(&network), all_values(&other));
    assert_eq!(network.weights(), other.weights());
}

#[test]
fn the_file_has_what_a_state_dict_has() {
    let bytes = trained().weights();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut names = file.names();
    names.sort_unstable();
    let expected = [
        "0.bias",
        "0.weight",
        "2.bias",
        "2.num_batches_tracked",
        "2.running_mean",
        "2.running_var",
        "2.weight",
        "3.bias",
        "3.weight",
        "5.bias",
        "5.num_batches_tracked",
        "5.running_mean",
        "5.running_var",
        "5.weight",
        "7.bias",
        "7.weight",
    ];
    assert_eq!(names, expected);
    assert_eq!(file.tensor("0.weight").unwrap().shape(), [10, 1, 5, 5]);
    let tracked = file.tensor("2.num_batches_tracked").unwrap();
    assert_eq!((tracked.dtype(), tracked.data()), (Dtype::I64, &3_i64.to_le_bytes()[..]));
}

#[test]
fn files_that_do_not_fit_are_refused_by_name() {
    let floats = |len: usize| vec![0; len * 4];
    assert_eq!(
        refused(&edited("5.bias", None)),
        "no tensor 5.bias; the network needs one of shape [10]"
    );
    assert_eq!(
        refused(&edited("9.weight", Some((Dtype::F32, vec![2, 3], floats(6))))),
        "tensor 9.weight of shape [2, 3] belongs to no layer of the network"
    );
    assert_eq!(
        refused(&edited("7.weight", Some((Dtype::F32, vec![250, 10], floats(2500))))),
        "tensor 7.weight: expected shape [10, 250], found [250, 10]"
    );
    assert_eq!(
        refused(&edited("0.bias", Some((Dtype::F64, vec![10], vec![0; 80])))),
        "tensor 0.bias: expected elements of type F32, found F64"
    );
    assert_eq!(
        refused(&edited("2.num_batches_tracked", Some((Dtype::F32, vec![], floats(1))))),
        "tensor 2.num_batches_tracked: expected elements of type I64, found F32"
    );
    let whole = trained().weights();
    for len in [0, 7, 8, 100, whole.len() - 1] {
        assert!(refused(&whole[..len]).starts_with("not a safetensors file: "), "{len} bytes");
    }
}

#[test]
fn files_are_written_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let network = trained();
    network.save_weights(&path).unwrap();
    assert_eq!(fs::read(&path).unwrap(), network.weights());
    network.save_weights(&path).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");

    let nowhere = folder.path().join("missing").join("weights.safetensors");
    let error = network.save_weights(&nowhere).unwrap_err();
    assert!(matches!(error, WeightsError::Write { .. }));
    assert!(error.to_string().contains("missing"), "{error}");

    let mut other = Network::new(nets::mnist_cnn(), 0).unwrap();
    let error = other.read_weights(&nowhere).unwrap_err();
    assert!(matches!(error, WeightsError::Read { .. }));
    fs::write(&path, b"junk").unwrap();
    let error = other.read_weights(&path).unwrap_err().to_string();
    assert!(error.contains("weights.safetensors: not a safetensors file"), "{error}");
}

/// A file of a few bytes may describe a network that no memory holds.
#[test]
fn no_file_asks_for_more_memory_than_it_has_weights() {
    let layer = r#"{"type": "Linear", "in_features": 40000, "out_features": 40000}"#;
    let text = format!(r#"{{"network": {{"input": [40000], "layers": [{layer}]}}}}"#);
    let entry = HashMap::from([("loupe".to_owned(), text)]);
    let bytes = serialize(Vec::<(&str, TensorView<'_>)>::new(), Some(entry)).unwrap();
    let spec = Description::of(&bytes).unwrap().unwrap().network;
    let expected = "no tensor 0.weight; the network needs one of shape [40000, 40000]";
    let error = Network::from_weights(spec, &bytes).unwrap_err();
    assert_eq!(error.to_string(), expected);
    let error = Predictor::from_bytes(Context::serial(), &bytes).unwrap_err();
    assert_eq!(error.to_string(), expected);
}

//! Networks written as ONNX files, run by rten, against plans.
//!
//! Both compute in f32 and add in another order: a layer brings a few ε of its largest value, and no network here has
//! more than thirteen. So 1e-5 of the largest output is allowed. A transposed weight or another padding would be off
//! by as much as the outputs are large. `check.py` does the same with ONNX Runtime, and with what this version of
//! rten lacks: dilations of `MaxPool` and `ConvTranspose`, and a bias of the latter with groups.

mod networks;
#[path = "../support/mod.rs"]
mod support;

use loupe_model::layers::Backward;
use loupe_model::layers::{
    AdaptiveAvgPool2d, Forward, Layer, LayerError, Linear, Module, Operation, ReLU, Residual,
    Values,
};
use loupe_model::{Description, Error, Network, NetworkSpec, OnnxError, nets};
use networks::{DILATED, all, answer, random};
use rten_tensor::Tensor;
use rten_tensor::prelude::*;
use std::fmt;
use support::assert_near;

/// What rten computes.
fn run(file: &[u8], batch: usize, input: &[usize], values: Vec<f32>) -> (Vec<usize>, Vec<f32>) {
    let model = rten::Model::load(file.to_vec()).unwrap_or_else(|error| panic!("{error}"));
    let shape = [&[batch], input].concat();
    let output = model.run_one(Tensor::from_data(&shape[..], values).into(), None).unwrap();
    let output: Tensor<f32> = output.try_into().unwrap();
    (output.shape().to_vec(), output.to_vec())
}

#[test]
fn another_runtime_computes_the_same() {
    for (seed, (name, spec)) in (1..).zip(all()) {
        if DILATED.contains(&name) {
            continue;
        }
        let network = random(spec, seed);
        let file = network.to_onnx().unwrap();
        assert_eq!(file, network.to_onnx().unwrap());
        for batch in [1, 3] {
            let [inputs, expected] = answer(&network, batch, seed + 100);
            let (shape, found) = run(&file, batch, &network.spec().input, inputs);
            let output = network.layers().last().map_or(&network.spec().input, |l| &l.output_shape);
            assert_eq!(shape, [&[batch], &output[..]].concat(), "{name}");
            let wide: Vec<f64> = expected.iter().map(|&y| f64::from(y)).collect();
            assert_near(&format!("{name}, batch {batch}"), &found, &wide, 1e-5);
        }
    }
}

/// The bytes of a string or of a tensor, behind their length.
fn has(file: &[u8], bytes: &[u8]) -> bool {
    file.windows(bytes.len()).any(|window| window == bytes)
}

#[test]
fn tensors_have_pytorchs_names() {
    for (name, spec) in all() {
        let network = random(spec, 1);
        let file = network.to_onnx().unwrap();
        for (info, values) in network.tensors().chain(network.statistics()) {
            // Field 8 is the tensor's name, field 9 its values.
            let mut field = vec![0x42, u8::try_from(info.name.len()).unwrap()];
            field.extend(info.name.as_bytes());
            field.push(0x4a);
            assert!(has(&file, &field), "{name}: {}", info.name);
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            assert!(has(&file, &bytes), "{name}: {}", info.name);
        }
    }
}

#[test]
fn a_file_says_of_which_network_it_is() {
    let network = Network::new(nets::mnist_cnn(), 0).unwrap();
    let classes: Vec<String> = (0..10).map(|digit| digit.to_string()).collect();
    let plain = network.to_onnx().unwrap();
    let described = network.described_onnx(Some(&classes)).unwrap();
    let behind = described.strip_prefix(&plain[..]).expect("the metadata comes last");
    let text = behind.iter().position(|&byte| byte == b'{').unwrap();
    let description: Description = serde_json::from_slice(&behind[text..]).unwrap();
    assert_eq!(&description.network, network.spec());
    assert_eq!(description.classes, Some(classes));
    let [inputs, _] = answer(&network, 2, 3);
    let [from_plain, from_described] =
        [plain, described].map(|file| run(&file, 2, &[1, 28, 28], inputs.clone()));
    assert_eq!(from_plain, from_described);
}

/// A layer of one's own that does nothing.
#[derive(Debug)]
struct Nothing;

impl fmt::Display for Nothing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nothing()")
    }
}

impl Module for Nothing {
    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, LayerError> {
        Ok(input.to_vec())
    }

    fn operation(&self, _: usize, _: &[usize]) -> Result<Box<dyn Operation>, Error> {
        Ok(Box::new(NoOperation))
    }
}

#[derive(Debug)]
struct NoOperation;

impl Operation for NoOperation {
    fn forward(&mut self, _: &mut Forward<'_>, x: &[f32], y: &mut [f32]) -> Result<(), Error> {
        y.copy_from_slice(x);
        Ok(())
    }

    fn backward(
        &mut self,
        _: &mut Backward<'_>,
        _: Values<'_>,
        _: Option<&mut [f32]>,
    ) -> Result<(), Error> {
        Ok(())
    }
}

#[test]
fn layers_of_ones_own_are_named() {
    let block = Residual::new().add(ReLU).add(Layer::custom(Nothing));
    let spec = NetworkSpec::new([3]).add(Linear::new(3, 3)).add(block);
    let error = Network::new(spec, 0).unwrap().to_onnx().unwrap_err();
    let expected =
        "layer 1.layers.1, Nothing(): a layer of your own cannot be written as ONNX operators";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn files_end_at_two_gibibytes() {
    let refuse = |spec| Network::new(spec, 0).unwrap().to_onnx().unwrap_err();
    let spec = NetworkSpec::new([1, 65_537, 1]).add(AdaptiveAvgPool2d::new((65_536, 1)));
    assert_eq!(refuse(spec), OnnxError::TooLarge { bytes: 4 * (65_536 * 65_537 + 1) });
}

//! What the tests of this crate share: fixtures from PyTorch, and networks of the oracle.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub(crate) mod problem;

use flate2::read::GzDecoder;
use loupe_engine::reference::compare::{Tolerance, assert_close};
use loupe_engine::reference::conv2d::Conv2dDims;
use loupe_engine::reference::network as oracle;
use loupe_model::layers::{BatchNorm2d, LayerNorm, LeakyReLU, Linear};
use loupe_model::{Layer, Network};
use safetensors::{Dtype, SafeTensors};
use std::collections::HashMap;
use std::io::Read;
use std::path::PathBuf;

/// The tensors of a safetensors file below `tests/fixtures`.
pub(crate) struct Fixture(HashMap<String, (Vec<usize>, Dtype, Vec<u8>)>);

impl Fixture {
    /// Reads `name`, unpacked if it ends in `.gz`.
    pub(crate) fn open(name: &str) -> Fixture {
        let path = fixture_path(name);
        let mut bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        if name.ends_with(".gz") {
            let packed = std::mem::take(&mut bytes);
            GzDecoder::new(&packed[..]).read_to_end(&mut bytes).unwrap();
        }
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let tensor = |(name, view): (String, safetensors::tensor::TensorView<'_>)| {
            (name, (view.shape().to_vec(), view.dtype(), view.data().to_vec()))
        };
        Fixture(file.tensors().into_iter().map(tensor).collect())
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn typed(&self, name: &str, dtype: Dtype) -> &(Vec<usize>, Dtype, Vec<u8>) {
        let tensor = self.0.get(name).unwrap_or_else(|| panic!("no tensor {name}"));
        assert_eq!(tensor.1, dtype, "{name}");
        tensor
    }

    pub(crate) fn shape(&self, name: &str) -> &[usize] {
        &self.0.get(name).unwrap_or_else(|| panic!("no tensor {name}")).0
    }

    pub(crate) fn f32(&self, name: &str) -> Vec<f32> {
        let bytes = &self.typed(name, Dtype::F32).2;
        bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
    }

    /// An f32 tensor, widened.
    pub(crate) fn wide(&self, name: &str) -> Vec<f64> {
        self.f32(name).into_iter().map(f64::from).collect()
    }

    /// An f64 scalar.
    pub(crate) fn scalar(&self, name: &str) -> f64 {
        let bytes = &self.typed(name, Dtype::F64).2;
        f64::from_le_bytes(bytes[..].try_into().unwrap())
    }

    pub(crate) fn i64(&self, name: &str) -> Vec<i64> {
        let bytes = &self.typed(name, Dtype::I64).2;
        bytes.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap())).collect()
    }

    pub(crate) fn u8(&self, name: &str) -> &[u8] {
        &self.typed(name, Dtype::U8).2
    }
}

pub(crate) fn fixture_path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// Asserts that no element is further from its expectation than `share` of the largest expected one.
#[track_caller]
pub(crate) fn assert_near(what: &str, actual: &[f32], expected: &[f64], share: f64) {
    let largest = expected.iter().fold(0.0_f64, |largest, x| largest.max(x.abs()));
    assert_close(what, actual, expected, &Tolerance::abs_rel(share * largest, 0.0));
}

/// The same network in the oracle's words: parameters widened, statistics of the batch.
pub(crate) fn oracle_network(network: &Network) -> oracle::Network {
    let spec = network.spec();
    let shapes = spec.shapes().unwrap();
    let wide = |name: String| -> Option<Vec<f64>> {
        let values = network.tensors().find(|(info, _)| info.name == name)?.1;
        Some(values.iter().copied().map(f64::from).collect())
    };
    let layer = |(i, layer): (usize, &Layer)| {
        let weight = || wide(format!("{i}.weight")).unwrap();
        let bias = wide(format!("{i}.bias"));
        let input = if i == 0 { &spec.input } else { &shapes[i - 1] };
        match layer {
            Layer::Conv2d(conv) => oracle::Layer::Conv2d {
                dims: Conv2dDims {
                    batch: 0,
                    in_channels: conv.in_channels,
                    height: input[1],
                    width: input[2],
                    out_channels: conv.out_channels,
                    kernel: conv.kernel_size,
                    stride: conv.stride,
                    padding: conv.padding,
                    dilation: conv.dilation,
                    groups: conv.groups,
                },
                weight: weight(),
                bias,
            },
            &Layer::Linear(Linear { in_features, out_features, .. }) => {
                oracle::Layer::Linear { in_features, out_features, weight: weight(), bias }
            }
            Layer::BatchNorm2d(BatchNorm2d { eps, .. }) => oracle::Layer::BatchNorm {
                weight: weight(),
                bias: bias.unwrap(),
                eps: f64::from(*eps),
            },
            Layer::LayerNorm(LayerNorm { eps, .. }) => oracle::Layer::LayerNorm {
                weight: weight(),
                bias: bias.unwrap(),
                eps: f64::from(*eps),
            },
            Layer::LeakyReLU(LeakyReLU { negative_slope }) => {
                oracle::Layer::LeakyRelu { slope: f64::from(*negative_slope) }
            }
            Layer::ReLU(_) => oracle::Layer::Relu,
            Layer::Sigmoid(_) => oracle::Layer::Sigmoid,
            Layer::View(_) | Layer::Flatten(_) => oracle::Layer::Flatten,
            other => unreachable!("{other} is not among the networks of the oracle"),
        }
    };
    oracle::Network { layers: spec.layers.iter().enumerate().map(layer).collect() }
}

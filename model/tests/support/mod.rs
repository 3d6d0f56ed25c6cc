//! What the tests of this crate share: fixtures from PyTorch, networks to try, and the same of the oracle.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub(crate) mod chain;
pub(crate) mod keys;
pub(crate) mod mixture;
pub(crate) mod oracle;
pub(crate) mod problem;

use flate2::read::GzDecoder;
use loupe_engine::reference::compare::{Tolerance, assert_close};
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

//! What the fuzz targets do with an input, as functions: a fuzzer calls them with what it makes up, and an ordinary
//! test with the seeds. They panic if something does not hold.

#![forbid(unsafe_code)]

pub mod checkpoint;
pub mod config;
pub mod conv_geometry;
pub mod conv_transpose_geometry;
pub mod gemm;
pub mod idx;
mod network;
mod number;
pub mod onnx;
pub mod picture;
pub mod pool_geometry;
pub mod spec_to_step;
pub mod weights;

// Of the program, which is no library: its recipes and what they are made of.
#[path = "../../../cli/src/model.rs"]
#[allow(dead_code, reason = "the program uses all of it")]
mod model;
#[path = "../../../cli/src/recipe/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the program uses all of it")]
mod recipe;
#[path = "../../../cli/src/similar.rs"]
mod similar;
#[path = "../../../cli/src/text_file.rs"]
mod text_file;

// Of the tests of networks: small ones, made of numbers, and their answers.
#[path = "../../../model/tests/support/chain.rs"]
#[allow(dead_code, reason = "the tests use all of it")]
mod chain;
#[path = "../../../model/tests/onnx/networks.rs"]
#[allow(dead_code, reason = "the tests use all of it")]
mod networks;

use arbitrary::{Arbitrary, Unstructured};

/// What becomes of an input: none if it was refused, or too large to be computed.
pub type Taken = Option<()>;

/// A target, for bytes as the fuzzer makes them up.
pub type Target = fn(&[u8]) -> Taken;

/// All of them by name.
pub const TARGETS: [(&str, Target); 11] = [
    ("checkpoint", checkpoint::run),
    ("config", |bytes| config::run(made_of(bytes)?)),
    ("conv_geometry", |bytes| conv_geometry::run(&made_of(bytes)?)),
    ("conv_transpose_geometry", |bytes| conv_transpose_geometry::run(&made_of(bytes)?)),
    ("gemm", |bytes| gemm::run(&made_of(bytes)?)),
    ("idx", idx::run),
    ("onnx", |bytes| onnx::run(&made_of(bytes)?)),
    ("picture", picture::run),
    ("pool_geometry", |bytes| pool_geometry::run(&made_of(bytes)?)),
    ("spec_to_step", |bytes| spec_to_step::run(made_of(bytes)?)),
    ("weights", weights::run),
];

/// The value that libFuzzer makes of these bytes.
fn made_of<'a, T: Arbitrary<'a>>(bytes: &'a [u8]) -> Option<T> {
    let (least, _) = T::size_hint(0);
    let value = (bytes.len() >= least).then(|| T::arbitrary_take_rest(Unstructured::new(bytes)));
    value?.ok()
}

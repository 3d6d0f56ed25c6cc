//! Other Rust libraries on the cases of loupe's benchmarks, each behind a feature.
//!
//! They take their threads from the environment, once per process: `RAYON_NUM_THREADS` is heeded by all
//! that have threads.

#[cfg(feature = "peer-burn")]
mod burn;
#[cfg(feature = "peer-candle")]
mod candle;
#[cfg(feature = "peer-gemm")]
mod gemm;
#[cfg(feature = "peer-rten")]
mod rten;
#[cfg(feature = "peer-tract")]
mod tract;

use loupe_benches::{Library, MatrixMultiply};

/// The libraries whose features are on.
pub fn libraries() -> Vec<&'static dyn Library> {
    vec![
        &MatrixMultiply,
        #[cfg(feature = "peer-gemm")]
        &gemm::Gemm,
        #[cfg(feature = "peer-candle")]
        &candle::Candle,
        #[cfg(feature = "peer-burn")]
        &burn::Burn,
        #[cfg(feature = "peer-tract")]
        &tract::Tract,
        #[cfg(feature = "peer-rten")]
        &rten::Rten,
    ]
}

/// The tutorial's CNN with the weights of loupe's fixtures; `../make_onnx.py` writes it.
#[cfg(any(feature = "peer-rten", feature = "peer-tract"))]
const CNN: &[u8] = include_bytes!("../../cnn.onnx");

/// The batch size of a case that is inference of the CNN.
#[cfg(any(feature = "peer-rten", feature = "peer-tract"))]
fn cnn_inference(case: &loupe_benches::Case) -> Option<usize> {
    use loupe_benches::{Case, Kind};
    match case {
        Case::Network { network, kind: Kind::Infer, batch } if network == "cnn" => Some(*batch),
        _ => None,
    }
}

/// The values of a tensor of a network.
#[cfg(any(feature = "peer-burn", feature = "peer-candle"))]
fn tensor(network: &loupe_model::Network, name: &str) -> (Vec<usize>, Vec<f32>) {
    let mut tensors = network.tensors().chain(network.statistics());
    let (info, values) = tensors.find(|(info, _)| info.name == name).expect("a tensor");
    (info.shape.clone(), values.to_vec())
}

//! Bytes as a weights file: refused, and the network is unchanged, or taken over to the last bit.

#![no_main]

use libfuzzer_sys::fuzz_target;
use loupe_engine::conv::Conv2dOptions;
use loupe_model::{Layer, Network, NetworkSpec};

fuzz_target!(|bytes: &[u8]| {
    // Few and short tensors, so that a mutation often hits a header.
    let spec = NetworkSpec {
        input: vec![1, 2, 2],
        layers: vec![
            Layer::conv2d(Conv2dOptions::new(1, 1, [2, 1])),
            Layer::batch_norm2d(1),
            Layer::view(&[2]),
            Layer::linear(2, 3),
        ],
    };
    let mut network = Network::new(spec, 0).expect("the network is sound");
    let before = network.weights();
    match network.load_weights(bytes) {
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert_eq!(network.weights(), before);
        }
        Ok(()) => {
            let written = network.weights();
            network.load_weights(&written).expect("its own weights fit");
            assert_eq!(network.weights(), written);
        }
    }
});

//! Bytes as a weights file: refused, and the network is unchanged, or taken over to the last bit.

#![no_main]

use libfuzzer_sys::fuzz_target;
use loupe_model::layers::{BatchNorm2d, Conv2d, Linear, View};
use loupe_model::{Network, NetworkSpec};

fuzz_target!(|bytes: &[u8]| {
    // Few and short tensors, so that a mutation often hits a header.
    let spec = NetworkSpec::new([1, 2, 2])
        .add(Conv2d::new(1, 1, (2, 1)))
        .add(BatchNorm2d::new(1))
        .add(View::new([2]))
        .add(Linear::new(2, 3));
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

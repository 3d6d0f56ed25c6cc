//! Bytes as a weights file: refused, and the network is unchanged, or taken over to the last bit.

use crate::{Taken, network};
use loupe_engine::Context;
use loupe_model::layers::{BatchNorm2d, Conv2d, Linear, View};
use loupe_model::{Description, Network, NetworkSpec, Predictor};

/// Few and short tensors, so that a mutation often hits a header.
pub fn spec() -> NetworkSpec {
    NetworkSpec::new([1, 2, 2])
        .add(Conv2d::new(1, 1, (2, 1)))
        .add(BatchNorm2d::new(1))
        .add(View::new([2]))
        .add(Linear::new(2, 3))
}

/// Loads bytes into a network, and asks them of which one they are.
pub fn run(bytes: &[u8]) -> Taken {
    let known = load(bytes);
    let described = describe(bytes);
    known.or(described)
}

fn load(bytes: &[u8]) -> Taken {
    let mut network = Network::new(spec(), 0).expect("the network is sound");
    let before = network.weights();
    if let Err(error) = network.load_weights(bytes) {
        assert!(!error.to_string().is_empty());
        assert_eq!(network.weights(), before);
        return None;
    }
    let written = network.weights();
    network.load_weights(&written).expect("its own weights fit");
    assert_eq!(network.weights(), written);
    Some(())
}

/// The file's own network: no file makes one that is larger than its tensors.
fn describe(bytes: &[u8]) -> Taken {
    let predictor = match Predictor::from_bytes(Context::serial(), bytes) {
        Ok(predictor) => predictor,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return None;
        }
    };
    let described = Description::of(bytes).expect("it has been read").expect("it is there");
    assert_eq!(predictor.classes(), described.classes.as_deref());
    network::is_small(&described.network).then(|| {
        let [inputs, outputs] = [predictor.input_shape(), predictor.output_shape()];
        let [inputs, outputs] = [inputs, outputs].map(|shape| shape.iter().product());
        let mut answer = vec![0.0; outputs];
        predictor.predict(&vec![0.5; inputs], &mut answer).expect("a small batch fits memory");
    })
}

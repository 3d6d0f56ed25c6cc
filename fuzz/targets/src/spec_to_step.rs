//! Text as a network file, JSON if it starts with `{`, else TOML: refused, or the network, if it is small, can be
//! run, trained for a step, written and read.

use crate::{Taken, network};
use loupe_model::{Loss, Network, NetworkSpec, OptimizerOptions, SgdOptions, Trainer};

/// Makes a network of the text.
pub fn run(text: &str) -> Taken {
    let spec: NetworkSpec = match text.starts_with('{') {
        true => serde_json::from_str(text).ok()?,
        false => toml::from_str(text).ok()?,
    };
    if let Err(error) = spec.shapes() {
        assert!(!error.to_string().is_empty());
        return None;
    }
    // TOML has no integers of more than 63 bits.
    if let Ok(text) = toml::to_string(&spec) {
        assert_eq!(toml::from_str::<NetworkSpec>(&text).as_ref(), Ok(&spec), "{text}");
    }
    if !network::is_small(&spec) {
        return None;
    }
    let network = Network::new(spec, 0).expect("its shapes are sound");
    for batch in [1, 2] {
        network::check(&network, batch, |cx, network| {
            let sgd = SgdOptions { lr: 0.01, momentum: 0.9, ..SgdOptions::default() };
            Trainer::new(cx, network, Loss::Mse, OptimizerOptions::Sgd(sgd))
        });
    }
    Some(())
}

//! The random numbers' keys of a step, layer by layer: what no layer of ours tells.

use loupe_engine::Context;
use loupe_engine::optim::SgdOptions;
use loupe_model::layers::{
    Backward, Forward, Layer, LayerError, Module, Operation, Residual, Values,
};
use loupe_model::{Error, Loss, Network, NetworkSpec, Trainer};
use std::fmt;
use std::sync::{Arc, Mutex};

type Keys = Arc<Mutex<Vec<Option<u64>>>>;

/// y = x; notes the key of its place.
#[derive(Clone, Debug)]
struct Spy(Keys);

impl fmt::Display for Spy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Spy()")
    }
}

impl Module for Spy {
    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, LayerError> {
        Ok(input.to_vec())
    }

    fn operation(&self, _: usize, _: &[usize]) -> Result<Box<dyn Operation>, Error> {
        Ok(Box::new(self.clone()))
    }
}

impl Operation for Spy {
    fn forward(&mut self, pass: &mut Forward<'_>, x: &[f32], y: &mut [f32]) -> Result<(), Error> {
        self.0.lock().unwrap().push(pass.random_key());
        y.copy_from_slice(x);
        Ok(())
    }

    fn backward(
        &mut self,
        _: &mut Backward<'_>,
        values: Values<'_>,
        dx: Option<&mut [f32]>,
    ) -> Result<(), Error> {
        if let Some(dx) = dx {
            dx.copy_from_slice(values.dy);
        }
        Ok(())
    }
}

/// The layers with another in the place of each `Dropout`.
pub(crate) fn replace_dropout(layers: &[Layer], by: &dyn Fn() -> Layer) -> Vec<Layer> {
    let replaced = |layer: &Layer| match layer {
        Layer::Dropout(_) => by(),
        Layer::Residual(Residual { layers, shortcut }) => {
            let [layers, shortcut] = [layers, shortcut].map(|way| replace_dropout(way, by));
            Residual { layers, shortcut }.into()
        }
        other => other.clone(),
    };
    layers.iter().map(replaced).collect()
}

/// For each layer of the flat list its key in the first step of a trainer; of a `Dropout` alone.
pub(crate) fn keys(network: &Network, inputs: &[f32], targets: &[f32]) -> Vec<Option<u64>> {
    let (noted, spec) = (Keys::default(), network.spec());
    let layers = replace_dropout(&spec.layers, &|| Layer::custom(Spy(noted.clone())));
    let spies = Network::new(NetworkSpec { input: spec.input.clone(), layers }, 0).unwrap();
    let still = SgdOptions { lr: 0.0, ..SgdOptions::default() };
    let mut trainer = Trainer::new(Context::serial(), spies, Loss::Mse, still);
    trainer.step(inputs, targets).unwrap();
    let mut noted = std::mem::take(&mut *noted.lock().unwrap()).into_iter();
    let layers = network.layers().iter();
    layers
        .map(|flat| match flat.layer {
            Layer::Dropout(_) => noted.next().expect("a key for each layer"),
            _ => None,
        })
        .collect()
}

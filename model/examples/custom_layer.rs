//! A layer of one's own with parameters: PReLU, whose slopes on the left of 0 are learnt; one becomes that of |x|.
//!
//! ```text
//! cargo run -p loupe-model --example custom_layer
//! ```

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "it shows how the slope changes")]

use loupe_engine::Context;
use loupe_engine::optim::SgdOptions;
use loupe_model::layers::{
    Backward, Forward, Init, Layer, LayerError, Module, Operation, Parameter, Values,
};
use loupe_model::{Error, Loss, Network, NetworkSpec, OptimizerOptions, Trainer};
use std::fmt;

/// `[C, …]` → the same: max(x, 0) + a · min(x, 0) with a slope a for each channel. PyTorch's `PReLU`.
#[derive(Debug)]
pub(crate) struct PReLU {
    /// C.
    pub(crate) num_parameters: usize,
}

/// In summaries and messages.
impl fmt::Display for PReLU {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PReLU(num_parameters={})", self.num_parameters)
    }
}

impl Module for PReLU {
    /// Shapes are without the batch.
    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, LayerError> {
        match input {
            [channels, ..] if *channels == self.num_parameters => Ok(input.to_vec()),
            _ => Err(LayerError::shape(format!("[{}, …]", self.num_parameters))),
        }
    }

    /// The tensors have PyTorch's names, so that its files can be loaded.
    fn parameters(&self) -> Vec<Parameter> {
        vec![Parameter::new("weight", &[self.num_parameters], Init::Constant(0.25))]
    }

    fn operation(&self, _batch: usize, input: &[usize]) -> Result<Box<dyn Operation>, Error> {
        Ok(Box::new(PReLUOperation { positions: input[1..].iter().product() }))
    }
}

/// What works on batches `[N, C, positions]`.
#[derive(Debug)]
struct PReLUOperation {
    positions: usize,
}

impl Operation for PReLUOperation {
    fn forward(&mut self, pass: &mut Forward<'_>, x: &[f32], y: &mut [f32]) -> Result<(), Error> {
        let slopes = pass.parameter(0);
        let planes = y.chunks_exact_mut(self.positions).zip(x.chunks_exact(self.positions));
        for (i, (y, x)) in planes.enumerate() {
            let slope = slopes[i % slopes.len()];
            for (y, &x) in y.iter_mut().zip(x) {
                *y = if x > 0.0 { x } else { slope * x };
            }
        }
        Ok(())
    }

    /// da = Σ dy · min(x, 0) over images and positions; dx is dy, times the slope where x is not above 0.
    fn backward(
        &mut self,
        pass: &mut Backward<'_>,
        Values { x, dy, .. }: Values<'_>,
        dx: Option<&mut [f32]>,
    ) -> Result<(), Error> {
        let slopes = pass.parameter(0);
        let [gradient] = pass.gradients();
        gradient.fill(0.0);
        let planes = x.chunks_exact(self.positions).zip(dy.chunks_exact(self.positions));
        for (i, (x, dy)) in planes.enumerate() {
            gradient[i % slopes.len()] +=
                x.iter().zip(dy).map(|(x, dy)| x.min(0.0) * dy).sum::<f32>();
        }
        // The first layer of a network is not asked for it.
        let Some(dx) = dx else { return Ok(()) };
        for (i, ((dx, x), dy)) in dx.iter_mut().zip(x).zip(dy).enumerate() {
            let slope = slopes[i / self.positions % slopes.len()];
            *dx = if *x > 0.0 { *dy } else { slope * dy };
        }
        Ok(())
    }
}

fn main() -> Result<(), Error> {
    // Two channels of eight values each.
    let spec = NetworkSpec::new([2, 8]).add(Layer::custom(PReLU { num_parameters: 2 }));
    let network = Network::new(spec, 0)?;
    let sgd = OptimizerOptions::Sgd(SgdOptions { lr: 0.5, ..SgdOptions::default() });
    let mut trainer = Trainer::new(Context::serial(), network, Loss::Mse, sgd);

    // From −2 to 1.5 in both channels. The first channel is to become |x|, the second max(x, 0).
    let x: Vec<f32> = (-4..4).map(|i| i as f32 / 2.0).collect();
    let inputs = [&x[..], &x[..]].concat();
    let positive = x.iter().map(|x| x.max(0.0));
    let targets: Vec<f32> = x.iter().map(|x| x.abs()).chain(positive).collect();
    for step in 0..=20 {
        let (_, slopes) = trainer.network().tensors().next().expect("the weight");
        let (first, second) = (slopes[0], slopes[1]);
        let loss = trainer.step(&inputs, &targets)?;
        if step % 5 == 0 {
            println!("step {step:2}  loss {loss:.6}  slopes {first:.3} {second:.3}");
        }
    }
    Ok(())
}

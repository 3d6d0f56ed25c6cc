//! Text as a network file, JSON if it starts with `{`, else TOML: refused, or the network, if it is
//! small, can be run, trained for a step, written and read.

#![no_main]

use libfuzzer_sys::fuzz_target;
use loupe_engine::Context;
use loupe_engine::optim::SgdOptions;
use loupe_model::{
    Layer, Loss, Network, NetworkSpec, Normalization, OptimizerOptions, Plan, Trainer,
};

/// Networks with a tensor of more elements are not run.
const MAX_LEN: usize = 100_000;
/// Nor are those with a convolution of more products for one input.
const MAX_PRODUCTS: usize = 1_000_000;

fuzz_target!(|text: &str| {
    let spec: Option<NetworkSpec> = match text.starts_with('{') {
        true => serde_json::from_str(text).ok(),
        false => toml::from_str(text).ok(),
    };
    let Some(spec) = spec else { return };
    let Ok(shapes) = spec.shapes() else { return };
    if !is_small(&spec, &shapes) {
        return;
    }
    for batch in [1, 2] {
        step(&spec, batch);
    }
});

fn is_small(spec: &NetworkSpec, shapes: &[Vec<usize>]) -> bool {
    let mut total = 0;
    let mut input_len: usize = spec.input.iter().product();
    for (layer, shape) in spec.layers.iter().zip(shapes) {
        let output_len: usize = shape.iter().product();
        let (parameters, products) = match layer {
            Layer::Linear(linear) => {
                (linear.in_features.saturating_mul(linear.out_features), 0)
            }
            Layer::Conv2d(conv) => {
                let [kh, kw] = conv.kernel_size;
                let sizes = [conv.in_channels / conv.groups, kh, kw];
                let kernel = sizes.into_iter().fold(1, usize::saturating_mul);
                (kernel.saturating_mul(conv.out_channels), kernel.saturating_mul(output_len))
            }
            _ => (output_len, 0),
        };
        if products > MAX_PRODUCTS {
            return false;
        }
        total = [input_len, output_len, parameters].into_iter().fold(total, usize::saturating_add);
        input_len = output_len;
    }
    total.max(input_len) <= MAX_LEN
}

fn step(spec: &NetworkSpec, batch: usize) {
    let cx = Context::serial();
    let network = Network::new(spec.clone(), 0).expect("its shapes are sound");
    let mut plan = Plan::new(&network, batch).expect("a small batch fits memory");
    plan.input_mut().fill(0.5);
    let outputs = plan.output().len();
    plan.infer(&cx, &network, Normalization::RunningStatistics).expect("running needs no batch");

    let inputs = vec![0.5; plan.input_mut().len()];
    let targets = vec![0.25; outputs];
    let sgd = OptimizerOptions::Sgd(SgdOptions { lr: 0.01, momentum: 0.9, ..SgdOptions::default() });
    let mut trainer = Trainer::new(cx, network, Loss::Mse, sgd);
    // Refused where a normalisation has one value per channel.
    let _ = trainer.step(&inputs, &targets);

    let weights = trainer.network().weights();
    let mut other = Network::new(spec.clone(), 1).expect("its shapes are sound");
    other.load_weights(&weights).expect("the weights are of this network");
    assert_eq!(other.weights(), weights);
}

//! What must hold of any network: it runs, it is trained by the same bits on one thread and on two, and its files are
//! its own.

use loupe_engine::reference::random::Random;
use loupe_engine::{Context, Isa, Threads};
use loupe_model::{
    Description, Error, FlatLayer, Network, NetworkSpec, Normalization, Plan, Predictor, Trainer,
};
use std::sync::LazyLock;

/// Networks of more values and parameters than this are not run.
const MAX_LEN: usize = 80_000;
/// Nor are those of more products for one input.
const MAX_PRODUCTS: u64 = 1_000_000;

static TWO: LazyLock<Threads> = LazyLock::new(|| Threads::new(2).expect("two threads"));

/// Contexts that give the same bits.
pub(crate) fn contexts() -> [Context; 2] {
    [Threads::serial(), TWO.clone()].map(|threads| Context::new(Isa::best(), threads))
}

fn product(shape: &[usize]) -> usize {
    shape.iter().fold(1, |product, &size| product.saturating_mul(size))
}

/// Whether the layers fit each other and are soon computed.
pub(crate) fn is_small(spec: &NetworkSpec) -> bool {
    let Ok(layers) = spec.flatten() else { return false };
    let (mut len, mut products) = (product(&spec.input), 0_u64);
    for FlatLayer { layer, input_shape, output_shape, .. } in &layers {
        len = len.saturating_add(product(output_shape));
        let Some(module) = layer.module() else { continue };
        for parameter in module.parameters() {
            len = len.saturating_add(product(&parameter.shape));
        }
        products = products.saturating_add(module.multiply_adds(input_shape, output_shape));
    }
    len <= MAX_LEN && products <= MAX_PRODUCTS
}

/// Runs the network, takes a step with what `trainer` makes of it, and reads its files.
pub(crate) fn check(
    network: &Network,
    batch: usize,
    trainer: impl Fn(Context, Network) -> Trainer,
) {
    let [inputs, outputs] = [network.spec().input_len(), network.spec().output_len()];
    let [inputs, outputs] = [inputs, outputs].map(|len| len.expect("its shapes are sound"));
    let mut random = Random::new(1);
    let inputs = random.uniform_f32(batch * inputs, -1.0, 1.0);
    let targets: Vec<f32> =
        (0..batch * outputs).map(|i| f32::from(u8::from(i % outputs == 0))).collect();

    let by_threads = contexts().map(|cx| {
        let mut plan = Plan::new(network, batch).expect("a small batch fits memory");
        plan.input_mut().copy_from_slice(&inputs);
        let answers = [Normalization::RunningStatistics, Normalization::BatchStatistics]
            .map(|by| bits(plan.infer(&cx, network, by)));
        let mut trainer = trainer(cx, network.clone());
        let loss = trainer.step(&inputs, &targets);
        (answers, loss.map(f32::to_bits).map_err(shown), trainer.into_network().weights())
    });
    assert_eq!(by_threads[0], by_threads[1], "one thread and two");
    assert!(by_threads[0].0[0].is_ok(), "running statistics need no batch: {:?}", by_threads[0].0);
    files(network, &inputs, batch * outputs);
}

fn bits(values: Result<&[f32], Error>) -> Result<Vec<u32>, String> {
    Ok(values.map_err(shown)?.iter().map(|value| value.to_bits()).collect())
}

fn shown(error: Error) -> String {
    let text = error.to_string();
    assert!(!text.is_empty());
    text
}

fn files(network: &Network, inputs: &[f32], outputs: usize) {
    let file = network.described_weights(None);
    let Description { network: spec, .. } =
        Description::of(&file).expect("its own file").expect("it describes itself");
    assert_eq!(&spec, network.spec());
    let mut other = Network::new(spec, 1).expect("its shapes are sound");
    other.load_weights(&file).expect("the weights are of this network");
    assert_eq!(other.weights(), network.weights());
    let predictor = Predictor::from_bytes(Context::serial(), &file).expect("its own file");
    predictor.predict(inputs, &mut vec![0.0; outputs]).expect("a small batch fits memory");
}

//! Plans keep what they have made of a network's values until these change.

use loupe_engine::optim::SgdOptions;
use loupe_engine::{Context, Isa, Threads};
use loupe_model::{Loss, Network, Normalization, OptimizerOptions, Plan, Trainer, nets};

fn images(batch: usize) -> Vec<f32> {
    (0..batch * 784).map(|i| (i * 37 % 256) as f32 / 255.0).collect()
}

/// What a plan that has not been used before gives.
fn fresh(cx: &Context, network: &Network, batch: usize, mode: Normalization) -> Vec<f32> {
    let mut plan = Plan::new(network, batch).unwrap();
    plan.input_mut().copy_from_slice(&images(batch));
    plan.infer(cx, network, mode).unwrap().to_vec()
}

#[test]
fn a_plan_follows_every_change_of_the_network_the_tier_and_the_mode() {
    for batch in [1, 3, 16, 32] {
        let network = Network::new(nets::mnist_cnn(), 3).unwrap();
        let mut plan = Plan::new(&network, batch).unwrap();
        plan.input_mut().copy_from_slice(&images(batch));
        let mut check = |network: &Network| {
            let mut outputs = Vec::new();
            for isa in Isa::available() {
                let cx = Context::new(isa, Threads::serial());
                for mode in [
                    Normalization::RunningStatistics,
                    Normalization::BatchStatistics,
                    Normalization::RunningStatistics,
                ] {
                    let output = plan.infer(&cx, network, mode).unwrap().to_vec();
                    assert_eq!(
                        output,
                        fresh(&cx, network, batch, mode),
                        "{isa:?} {mode:?} {batch}"
                    );
                    assert_eq!(output, plan.infer(&cx, network, mode).unwrap());
                    outputs.push(output);
                }
            }
            outputs
        };
        let first = check(&network);
        let other = Network::new(nets::mnist_cnn(), 4).unwrap();
        assert_ne!(check(&other), first);
        assert_eq!(check(&network), first);

        let mut changed = network.clone();
        changed.tensor_mut("3.weight").unwrap()[7] += 1.0;
        assert_ne!(check(&changed), first);
        assert_eq!(check(&network), first);
        changed = network.clone();
        changed.tensor_mut("2.running_mean").unwrap()[1] += 1.0;
        assert_ne!(check(&changed), first);

        let adam = OptimizerOptions::default();
        let mut trainer = Trainer::new(Context::serial(), network.clone(), Loss::Bce, adam);
        let mut last = first;
        for _ in 0..2 {
            trainer.step(&images(batch), &vec![0.5; batch * 10]).unwrap();
            let next = check(trainer.network());
            assert_ne!(next, last);
            last = next;
        }
    }
}

/// A batch that holds every image several times has the statistics, the loss and the gradients of a batch
/// that holds each once, however it is cut into units, and whether values are kept or made again.
#[test]
fn repeating_a_batch_changes_neither_loss_nor_gradients() {
    // A step of length 0 leaves the parameters and shows the gradients.
    let still = OptimizerOptions::Sgd(SgdOptions { lr: 0.0, ..SgdOptions::default() });
    let step = |isa, images: &[f32], repeats| {
        let network = Network::new(nets::mnist_cnn(), 3).unwrap();
        let cx = Context::new(isa, Threads::serial());
        let mut trainer = Trainer::new(cx, network, Loss::Bce, still);
        let count = images.len() / 784;
        let targets: Vec<f32> =
            (0..count * 10).map(|i| f32::from(u8::from(i % 10 == i / 10 * 7 % 10))).collect();
        // The plan has seen other values before.
        trainer.step(&vec![0.7; images.len() * repeats], &targets.repeat(repeats)).unwrap();
        let loss = trainer.step(&images.repeat(repeats), &targets.repeat(repeats)).unwrap();
        let gradients: Vec<_> = trainer.gradients().map(|(_, g)| g.to_vec()).collect();
        (loss, gradients)
    };
    for isa in Isa::available() {
        for (count, repeats) in [(4, 4), (4, 5), (4, 25), (16, 25), (7, 60)] {
            let images = images(count);
            let (loss, gradients) = step(isa, &images, 1);
            let (repeated_loss, repeated) = step(isa, &images, repeats);
            let what = format!("{count} images {repeats} times on {isa:?}");
            assert!((loss - repeated_loss).abs() <= 1e-5 * loss, "{what}: {loss} {repeated_loss}");
            for (tensor, (gradient, repeated)) in gradients.iter().zip(&repeated).enumerate() {
                let largest = gradient.iter().fold(0.0_f32, |largest, g| largest.max(g.abs()));
                for (a, b) in gradient.iter().zip(repeated) {
                    assert!(
                        (a - b).abs() <= 1e-4 * largest + 1e-7,
                        "{what}, tensor {tensor}: {a} {b}"
                    );
                }
            }
        }
    }
}

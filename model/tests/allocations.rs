//! A step allocates nothing once its plan stands.

#[path = "support/allocator.rs"]
#[allow(dead_code, reason = "each test program uses a part of it")]
mod allocator;
mod support;

use allocator::allocations;
use loupe_engine::optim::SgdOptions;
use loupe_engine::{Context, Isa, Threads, Tier};
use loupe_model::{Loss, Network, Normalization, OptimizerOptions, Plan, Predictor, Trainer, nets};
use support::mixture::every_layer;

#[test]
fn allocations_are_counted() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 1);
}

#[test]
fn training_steps_allocate_nothing() {
    let sgd =
        OptimizerOptions::Sgd(SgdOptions { lr: 0.01, momentum: 0.9, ..SgdOptions::default() });
    for isa in Isa::available() {
        for spec in [nets::mnist_cnn(), nets::mnist_mlp(), every_layer()] {
            for optimizer in [OptimizerOptions::default(), sgd] {
                for batch in [1, 16, 100] {
                    // There, large products go to `matrixmultiply`, which allocates its packing.
                    if isa.tier() == Tier::Portable && batch > 1 {
                        continue;
                    }
                    let cx = Context::new(isa, Threads::serial());
                    let network = Network::new(spec.clone(), 0).unwrap();
                    let mut trainer = Trainer::new(cx, network, Loss::Bce, optimizer);
                    let (images, targets) = (vec![0.5; batch * 784], vec![0.1; batch * 10]);
                    trainer.step(&images, &targets).unwrap();
                    let count = allocations(|| {
                        for _ in 0..3 {
                            trainer.step(&images, &targets).unwrap();
                        }
                    });
                    assert_eq!(count, 0, "batch size {batch}, {isa:?}");
                }
            }
        }
    }
}

#[test]
fn inference_allocates_nothing() {
    let cx = Context::serial();
    for spec in [nets::mnist_cnn(), nets::mnist_mlp(), every_layer()] {
        let network = Network::new(spec, 0).unwrap();
        let mut plan = Plan::new(&network, 8).unwrap();
        let modes = [Normalization::BatchStatistics, Normalization::RunningStatistics];
        for mode in modes {
            plan.infer(&cx, &network, mode).unwrap();
        }
        let count = allocations(|| {
            for mode in modes {
                plan.infer(&cx, &network, mode).unwrap();
            }
        });
        assert_eq!(count, 0);
    }
}

#[test]
fn predictors_allocate_nothing() {
    for spec in [nets::mnist_cnn(), nets::mnist_mlp(), every_layer()] {
        let network = Network::new(spec, 0).unwrap();
        let predictor = Predictor::new(Context::serial(), &network).unwrap();
        let (images, mut scores) = (vec![0.5; 16 * 784], vec![0.0; 16 * 10]);
        let mut predict = |batch: usize| {
            predictor.predict(&images[..batch * 784], &mut scores[..batch * 10]).unwrap();
        };
        for batch in [1, 16] {
            predict(batch);
        }
        let count = allocations(|| {
            for batch in [16, 1, 1, 16] {
                predict(batch);
            }
        });
        assert_eq!(count, 0);
    }
}

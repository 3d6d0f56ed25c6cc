use super::*;
use crate::loss::Loss;
use crate::nets::{mnist_cnn, mnist_mlp};
use loupe_engine::optim::SgdOptions;

/// Gradients that were left as factors, when they are asked for, are those that moved the parameters.
#[test]
fn a_step_by_factors_has_the_bits_of_one_by_gradients() {
    let sgd =
        OptimizerOptions::Sgd(SgdOptions { lr: 0.01, momentum: 0.9, ..SgdOptions::default() });
    for options in [OptimizerOptions::default(), sgd] {
        let network = Network::new(mnist_mlp(), 3).unwrap();
        let mut expected = network.parameters.clone();
        let mut optimizer = Optimizer::new(options, expected.len());
        let mut trainer = Trainer::new(Context::serial(), network, Loss::Bce, options);
        assert_eq!(trainer.plan(1).unwrap().factors().count(), 1);
        assert_eq!(trainer.plan(2).unwrap().factors().count(), 0);
        // The batch size in the middle writes the gradients of its own.
        for (batch, pixel) in [(1, 0.25), (2, 0.5), (1, 0.75)] {
            let x: Vec<f32> = (0..784 * batch).map(|i| pixel * (i % 3) as f32).collect();
            let mut targets = vec![0.0; 10 * batch];
            targets[3] = 1.0;
            trainer.step(&x, &targets).unwrap();
            assert!(trainer.gradients().all(|(_, g)| g.iter().any(|&g| g != 0.0)));
            optimizer.step(&Context::serial(), &mut expected, &trainer.gradients).unwrap();
            let found = &trainer.network().parameters;
            assert!(found.iter().zip(&expected[..]).all(|(a, b)| a.to_bits() == b.to_bits()));
        }
    }
}

/// Given or written to the trainer's own memory, in a plan of layers and in one of units. Next to other numbers they
/// would be rounded away, so there are no others: only the gradient by the first weight, a sum of products with them,
/// tells them from 0.
#[test]
fn denormal_inputs_count_as_0() {
    for (spec, batch) in [(mnist_mlp(), 1), (mnist_mlp(), 3), (mnist_cnn(), 1), (mnist_cnn(), 20)] {
        let denormal: Vec<f32> = (0..784 * batch).map(|i| -1e-39 * (i % 3) as f32).collect();
        let zeros = vec![0.0; denormal.len()];
        let targets: Vec<f32> = (0..10 * batch).map(|i| (i % 10) as f32 / 10.0).collect();
        let trainer = || {
            let network = Network::new(spec.clone(), 3).unwrap();
            Trainer::new(Context::serial(), network, Loss::Bce, OptimizerOptions::default())
        };
        let gradients = |trainer: &mut Trainer| -> Vec<Vec<u32>> {
            let bits = |gradient: &[f32]| gradient.iter().map(|g| g.to_bits()).collect();
            trainer.gradients().map(|(_, gradient)| bits(gradient)).collect()
        };
        let [mut expected, mut given, mut filled] = [trainer(), trainer(), trainer()];
        let loss = expected.step(&zeros, &targets).unwrap();
        assert_eq!(given.step(&denormal, &targets).unwrap(), loss);
        let fill = |inputs: &mut [f32], to: &mut [f32]| {
            inputs.copy_from_slice(&denormal);
            to.copy_from_slice(&targets);
            Ok(())
        };
        assert_eq!(filled.step_with(batch, fill).unwrap(), loss);
        let expected = gradients(&mut expected);
        assert!(expected.iter().skip(1).flatten().any(|&bits| bits != 0));
        assert!(gradients(&mut given) == expected && gradients(&mut filled) == expected);
    }
}

#[test]
fn clipped_gradients_have_the_norm_that_was_asked_for() {
    let still = OptimizerOptions::Sgd(SgdOptions { lr: 1.0, ..SgdOptions::default() });
    for batch in [1, 2] {
        for max_norm in [1e-3, 1e3] {
            let network = Network::new(mnist_mlp(), 3).unwrap();
            let before = network.parameters.clone();
            let mut trainer = Trainer::new(Context::serial(), network, Loss::Bce, still);
            trainer.set_clip_grad_norm(Some(max_norm));
            let x: Vec<f32> = (0..784 * batch).map(|i| 0.5 * (i % 3) as f32).collect();
            trainer.step(&x, &vec![1.0; 10 * batch]).unwrap();
            let gradients: Vec<f32> =
                trainer.gradients().flat_map(|(_, g)| g.iter().copied()).collect();
            let norm = gradients.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
            assert!((1e-2..1e2).contains(&norm), "{norm}");
            let moved = before.iter().zip(&trainer.network().parameters[..]);
            let moved = moved.map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt();
            let expected = norm.min(max_norm);
            // Steps are rounded to digits of the parameters.
            assert!((moved - expected).abs() < 1e-3 * expected + 1e-5, "{moved} {expected}");
        }
    }
}

#[test]
fn a_norm_without_meaning_is_refused() {
    for max_norm in [-1.0, f64::NAN] {
        let network = Network::new(mnist_mlp(), 3).unwrap();
        let before = network.weights();
        let adam = OptimizerOptions::default();
        let mut trainer = Trainer::new(Context::serial(), network, Loss::Bce, adam);
        trainer.set_clip_grad_norm(Some(max_norm));
        let error = trainer.step(&[0.5; 784], &[0.5; 10]).unwrap_err();
        assert!(matches!(error, Error::Engine(_)), "{error}");
        assert_eq!(trainer.network().weights(), before);
    }
}

//! Scores, classifications and running statistics of whole data sets, against plans that are run by hand.

use loupe_engine::{Context, Isa, Threads};
use loupe_model::data::{Dataset, Order};
use loupe_model::layers::LayerNorm;
use loupe_model::{
    Error, Layer, Loss, Network, NetworkSpec, Normalization, OptimizerOptions, Plan,
    ReestimateOptions, SpecError, Trainer, classify, compare_normalization, evaluate, nets,
    probabilities, reestimate_running_statistics,
};
use std::num::NonZeroUsize;

const MODES: [Normalization; 2] =
    [Normalization::BatchStatistics, Normalization::RunningStatistics];

/// Images of a few grey bars each, with labels that follow from them only in part.
fn bars(items: usize) -> Dataset {
    let mut images = vec![0; items * 784];
    for (item, image) in images.chunks_exact_mut(784).enumerate() {
        for (i, pixel) in image.iter_mut().enumerate() {
            let bar = (i / 28 + item * 7) % (3 + item % 10);
            *pixel = if bar == 0 { (item * 37 + i % 28 * 5) as u8 } else { 0 };
        }
    }
    let labels = (0..items).map(|item| ((item * item + item / 3) % 10) as u8).collect();
    Dataset::new(images, labels, [28, 28], 10).unwrap()
}

/// The tutorial's CNN after some steps, so that its statistics are none that a test could guess.
fn trained(spec: NetworkSpec, data: &Dataset) -> Network {
    let network = Network::new(spec, 5).unwrap();
    let mut trainer =
        Trainer::new(Context::serial(), network, Loss::Bce, OptimizerOptions::default());
    let (mut images, mut targets) = (vec![0.0; 8 * 784], vec![0.0; 80]);
    for step in 0..30 {
        let items: Vec<usize> = (0..8).map(|i| (step * 8 + i) % data.len()).collect();
        data.write_images(&items, &mut images).unwrap();
        data.write_targets(&items, &mut targets).unwrap();
        trainer.step(&images, &targets).unwrap();
    }
    trainer.into_network()
}

fn contexts() -> [Context; 2] {
    [Context::serial(), Context::new(Isa::best(), Threads::new(3).unwrap())]
}

#[test]
fn outputs_are_those_of_a_plan_on_any_number_of_threads() {
    // More than two tasks, the last one ragged.
    let data = bars(523);
    for spec in [nets::mnist_cnn(), nets::mnist_mlp()] {
        let network = trained(spec, &data);
        for mode in MODES {
            let single = mode == Normalization::BatchStatistics && network.has_batch_norm();
            let mut expected = Vec::new();
            let items: Vec<usize> = (0..data.len()).collect();
            for items in items.chunks(if single { 1 } else { 64 }) {
                let mut plan = Plan::new(&network, items.len()).unwrap();
                data.write_images(items, plan.input_mut()).unwrap();
                let cx = Context::serial();
                expected.extend_from_slice(plan.infer(&cx, &network, mode).unwrap());
            }
            for cx in contexts() {
                let all = classify(&cx, &network, &data, mode).unwrap();
                assert_eq!(all.outputs(), expected);
                assert_eq!(all.labels(), data.labels());
                let score = evaluate(&cx, &network, &data, mode).unwrap();
                assert_eq!(all.score(), score);
                assert_eq!(all.confusion().score(), score);
                assert!(score.correct > 0 && score.correct < score.items, "{score:?}");
            }
        }
    }
}

#[test]
fn the_mean_loss_is_that_of_all_items() {
    let data = bars(1500);
    let network = trained(nets::mnist_cnn(), &data);
    let cx = Context::serial();
    let all = classify(&cx, &network, &data, Normalization::RunningStatistics).unwrap();
    let mut sum = 0.0;
    for (row, &label) in all.outputs().chunks_exact(10).zip(all.labels()) {
        for (class, &p) in row.iter().enumerate() {
            let p = f64::from(if class == usize::from(label) { p } else { 1.0 - p });
            sum -= p.ln().max(-100.0);
        }
    }
    let expected = sum / 15_000.0;
    let mean = all.mean_loss(&cx, Loss::Bce).unwrap();
    assert!((mean - expected).abs() < 1e-5 * expected, "{mean} {expected}");
}

#[test]
fn the_most_wrong_come_first() {
    let data = bars(523);
    let network = trained(nets::mnist_cnn(), &data);
    let cx = Context::serial();
    let all = classify(&cx, &network, &data, Normalization::RunningStatistics).unwrap();
    let mistakes = all.mistakes(usize::MAX);
    assert_eq!(mistakes.len(), data.len() - all.score().correct);
    assert_eq!(all.mistakes(3), mistakes[..3]);
    assert!(mistakes.is_sorted_by(|a, b| a.probability >= b.probability));
    for mistake in mistakes {
        let mut row = all.outputs()[mistake.item * 10..][..10].to_vec();
        probabilities(network.spec(), &mut row);
        assert_ne!(mistake.label, mistake.predicted);
        assert_eq!(mistake.label, usize::from(data.labels()[mistake.item]));
        assert_eq!(mistake.probability, row[mistake.predicted]);
        assert_eq!(mistake.label_probability, row[mistake.label]);
        assert!(row.iter().all(|&p| p <= mistake.probability));
    }
}

/// A network whose last normalisation sees images of one pixel.
fn one_pixel() -> NetworkSpec {
    let text = r#"{"input": [1, 28, 28], "layers": [
        {"type": "Conv2d", "in_channels": 1, "out_channels": 4, "kernel_size": 28},
        {"type": "ReLU"},
        {"type": "BatchNorm2d", "num_features": 4},
        {"type": "View", "shape": 4},
        {"type": "Linear", "in_features": 4, "out_features": 10},
        {"type": "Sigmoid"}
    ]}"#;
    serde_json::from_str(text).unwrap()
}

#[test]
fn single_items_without_a_variance_of_their_own() {
    let data = bars(100);
    let mut network = trained(one_pixel(), &data);
    let cx = Context::serial();
    let undefined = |error: &SpecError| {
        assert!(matches!(error, SpecError::OneValuePerChannel { .. }), "{error}");
    };
    undefined(&network.check_single().unwrap_err());
    let error = evaluate(&cx, &network, &data, Normalization::BatchStatistics).unwrap_err();
    let Error::Spec(error) = error else { panic!("{error}") };
    undefined(&error);

    let report = compare_normalization(&cx, &network, &data, &[1, 16, 1000]).unwrap();
    undefined(report.batch.as_ref().unwrap_err());
    assert_eq!(report.recommended(), Normalization::RunningStatistics);
    let sizes: Vec<usize> = report.layers[0].spreads.iter().map(|s| s.batch_size).collect();
    assert_eq!(sizes, [16]);

    let mut options = options(1);
    let before = network.weights();
    let error = reestimate_running_statistics(&cx, &mut network, &data, &options).unwrap_err();
    let Error::Spec(error) = error else { panic!("{error}") };
    undefined(&error);
    assert_eq!(network.weights(), before);
    // 100 = 11 · 9 + 1, and the one that is left over is left out.
    options.batch_size = NonZeroUsize::new(9).unwrap();
    let seen = reestimate_running_statistics(&cx, &mut network, &data, &options).unwrap();
    assert_eq!((seen.batches, seen.items), (11, 99));
}

fn options(batch_size: usize) -> ReestimateOptions {
    let batch_size = NonZeroUsize::new(batch_size).unwrap();
    ReestimateOptions { batch_size, batches: None, order: Order::File }
}

/// The means of what a step with momentum 1 leaves as running statistics: those of its batch.
fn averages(network: &Network, data: &Dataset, size: usize) -> Vec<Vec<f64>> {
    let mut spec = network.spec().clone();
    for layer in &mut spec.layers {
        if let Layer::BatchNorm2d(norm) = layer {
            norm.momentum = 1.0;
        }
    }
    let mut moving = Network::new(spec, 0).unwrap();
    moving.load_weights(&network.weights()).unwrap();
    let mut sums: Vec<Vec<f64>> = network.statistics().map(|(_, v)| vec![0.0; v.len()]).collect();
    let items: Vec<usize> = (0..data.len()).collect();
    let batches = items.chunks(size);
    let count = batches.len() as f64;
    for items in batches {
        let mut images = vec![0.0; items.len() * 784];
        data.write_images(items, &mut images).unwrap();
        let options = OptimizerOptions::default();
        let mut trainer = Trainer::new(Context::serial(), moving.clone(), Loss::Bce, options);
        trainer.step(&images, &vec![0.0; items.len() * 10]).unwrap();
        for (sums, (_, values)) in sums.iter_mut().zip(trainer.network().statistics()) {
            for (sum, &value) in sums.iter_mut().zip(values) {
                *sum += f64::from(value) / count;
            }
        }
    }
    sums
}

/// Of images one by one, blocked ones, interleaved ones, and layer by layer.
#[test]
fn running_statistics_are_averages_over_the_batches() {
    let data = bars(200);
    let mut with_layer_norm = nets::mnist_cnn();
    with_layer_norm.layers.insert(7, LayerNorm::new([250]).into());
    for spec in [nets::mnist_cnn(), with_layer_norm] {
        for size in [1, 7, 16, 64, 1000] {
            let mut network = trained(spec.clone(), &data);
            let parameters: Vec<Vec<f32>> = network.tensors().map(|(_, v)| v.to_vec()).collect();
            let expected = averages(&network, &data, size.min(200));
            for cx in contexts() {
                let seen = reestimate_running_statistics(&cx, &mut network, &data, &options(size));
                assert_eq!(seen.unwrap().items, 200);
                for (expected, (info, values)) in expected.iter().zip(network.statistics()) {
                    for (expected, &value) in expected.iter().zip(values) {
                        let error = (f64::from(value) - expected).abs();
                        let name = &info.name;
                        assert!(
                            error < 1e-5 * expected.abs().max(0.01),
                            "{name} {value} {expected}"
                        );
                    }
                }
            }
            let after: Vec<Vec<f32>> = network.tensors().map(|(_, v)| v.to_vec()).collect();
            assert_eq!(after, parameters);
        }
    }
}

/// What a plan has made of the old statistics is not used any more.
#[test]
fn a_plan_sees_new_running_statistics() {
    let data = bars(64);
    let mut network = trained(nets::mnist_cnn(), &data);
    let cx = Context::serial();
    let running = Normalization::RunningStatistics;
    let mut plan = Plan::new(&network, 1).unwrap();
    data.write_images(&[3], plan.input_mut()).unwrap();
    let before = plan.infer(&cx, &network, running).unwrap().to_vec();
    let mut most = options(4);
    most.batches = NonZeroUsize::new(3);
    let seen = reestimate_running_statistics(&cx, &mut network, &data, &most).unwrap();
    assert_eq!((seen.batches, seen.items), (3, 12));
    assert_ne!(plan.infer(&cx, &network, running).unwrap(), before);
}

/// After averaging over single images, the averages of single images are the running statistics.
#[test]
fn spreads_are_measured_against_the_running_statistics() {
    let data = bars(300);
    let mut network = trained(nets::mnist_cnn(), &data);
    let cx = Context::serial();
    reestimate_running_statistics(&cx, &mut network, &data, &options(1)).unwrap();
    let report = compare_normalization(&cx, &network, &data, &[1, 16]).unwrap();
    assert_eq!(report.layers.iter().map(|layer| &layer.path[..]).collect::<Vec<_>>(), ["2", "5"]);
    for layer in &report.layers {
        let [single, sixteen] = &layer.spreads[..] else { panic!("{layer:?}") };
        assert_eq!((single.batches, sixteen.batches), (300, 18));
        assert!(single.average_mean_distance < 1e-4, "{single:?}");
        assert!((single.average_variance_ratio - 1.0).abs() < 1e-4, "{single:?}");
        // Images differ more among each other than batches do.
        assert!(single.mean_distance > 1.5 * sixteen.mean_distance, "{layer:?}");
        let [low, median, high] = single.variance_ratio;
        assert!(0.0 < low && low < median && median < high);
    }
    assert_eq!(report.running.items, 300);
}

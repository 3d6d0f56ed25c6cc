//! Data sets, trainings and scores.

use crate::{EXTREME, float, size, survive};
use loupe_engine::Context;
use loupe_model::data::{Dataset, Grey, Idx, Order};
use loupe_model::layers::{Flatten, Linear};
use loupe_model::*;
use std::num::NonZeroUsize;

/// Four items of three classes, of 2 × 2 pixels.
fn items() -> Dataset {
    Dataset::new((0..16).collect(), vec![0, 2, 1, 0], [2, 2], 3).unwrap()
}

fn network() -> Network {
    let spec = NetworkSpec::new([1, 2, 2]).add(Flatten).add(Linear::new(4, 3));
    Network::new(spec, 0).unwrap()
}

#[test]
fn data_sets() {
    survive(3000, |_, random| {
        let [height, width, count, classes] = [(); 4].map(|()| size(random));
        let labels = vec![1; count.min(9)];
        let pixels = [count, height, width].iter().fold(1_usize, |n, &size| n.wrapping_mul(size));
        let images = vec![7; if pixels < 1 << 12 { pixels } else { 3 }];
        let Ok(data) = Dataset::new(images, labels, [height, width], classes) else { return };
        let mut out = vec![0.0; data.pixels().min(100)];
        for index in EXTREME {
            let _ = (data.image(index), data.label(index), data.class_name(0));
            let _ = data.write_images(&[index], &mut out);
            let _ = data.write_targets(&[index, 0], &mut out);
            let _ = data.select(&[index]);
        }
        let _ = (data.select(&[]), data.class_counts(), data.pixel_statistics());
        let _ = (data.constant_images(), data.shared_with(&data));
        let _ = Idx::<3>::parse(data.images());
    });
    for classes in [257, 1 << 31, usize::MAX] {
        let error = Dataset::new(vec![0], vec![0], [1, 1], classes).unwrap_err().to_string();
        assert_eq!(error, format!("expected at most 256 classes, found {classes}"));
    }
}

#[test]
fn pictures() {
    survive(300, |_, random| {
        let [height, width] = [size(random), size(random)];
        let len = height.wrapping_mul(width);
        let pixels = (0..if len < 1 << 10 { len } else { 3 }).map(|i| i as u8).collect();
        let Ok(grey) = Grey::new(height, width, pixels) else { return };
        for [height, width] in [[0, 0], [1, 1 << 10], [1 << 10, 0], [28, 28]] {
            let _ = grey.like_mnist(height, width);
            assert!(grey.resized(height, width).pixels().len() >= height * width);
        }
    });
}

#[test]
fn trainings() {
    survive(600, |cx, random| {
        let data = items();
        let schedules = [
            Schedule::Constant,
            Schedule::StepLR { step_size: NonZeroUsize::MAX, gamma: float(random).into() },
            Schedule::LinearLR { start_factor: float(random).into(), end_factor: 0.0 },
            Schedule::CosineAnnealingLR { eta_min: float(random).into() },
            Schedule::OneCycleLR {
                pct_start: float(random).into(),
                div_factor: float(random).into(),
                final_div_factor: 1e4,
            },
        ];
        let shift = float(random);
        let options = TrainOptions {
            epochs: size(random),
            batch_size: NonZeroUsize::new(size(random)).unwrap_or(NonZeroUsize::MAX),
            order: Order::Shuffled { seed: u64::MAX },
            schedule: schedules[random.below(schedules.len())],
            augmentation: Augmentation { shift, rotate: float(random), seed: u64::MAX },
            judged_by: Normalization::RunningStatistics,
            patience: NonZeroUsize::new(size(random)),
        };
        let trainer =
            Trainer::new(cx.clone(), network(), Loss::CrossEntropy, OptimizerOptions::default());
        let scored = Scored { data: &data, selects: true };
        let Ok(mut training) = Training::new(trainer, &data, Some(scored), options) else { return };
        for _ in 0..6 {
            let _ = training.step();
        }
        let _ = (training.end(), training.position(), training.steps_per_epoch());
        let _ = training.diagnose();
        let bytes = training.checkpoint();
        let cut = if random.below(2) == 0 { bytes.len() } else { random.below(bytes.len()) };
        let trainer =
            Trainer::new(cx.clone(), network(), Loss::CrossEntropy, OptimizerOptions::default());
        if let Ok(mut resumed) =
            Training::resume(trainer, &data, Some(scored), options, &bytes[..cut])
        {
            let _ = resumed.step();
        }
    });
}

#[test]
fn scores() {
    let (cx, data) = (Context::serial(), items());
    let mut network = network();
    let small = Dataset::new(vec![0], vec![0], [1, 1], 3).unwrap();
    for normalization in [Normalization::BatchStatistics, Normalization::RunningStatistics] {
        assert!(evaluate(&cx, &network, &small, normalization).is_err());
        let classified = classify(&cx, &network, &data, normalization).unwrap();
        for n in EXTREME {
            assert!(classified.mistakes(n).len() <= 4);
            assert!(classified.confusion().confused(n).len() <= 6);
        }
        for loss in [Loss::Bce, Loss::CrossEntropy] {
            let _ = classified.mean_loss(&cx, loss);
        }
    }
    assert!(compare_normalization(&cx, &network, &data, &EXTREME).is_ok());
    let norm = NetworkSpec::new([1, 2, 2]).add(layers::BatchNorm2d::new(1));
    let norm = norm.add(Flatten).add(Linear::new(4, 3));
    let norm = Network::new(norm, 0).unwrap();
    assert!(compare_normalization(&cx, &norm, &data, &EXTREME[1..]).is_ok());
    assert!(compare_normalization(&cx, &norm, &data, &[0]).is_err());
    let options = ReestimateOptions {
        batch_size: NonZeroUsize::MAX,
        batches: Some(NonZeroUsize::MAX),
        order: Order::File,
    };
    let _ = reestimate_running_statistics(&cx, &mut network, &data, &options);
}

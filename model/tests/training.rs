//! Trainings that are interrupted, scored and resumed.

use loupe_engine::Context;
use loupe_engine::optim::{AdamWOptions, SgdOptions};
use loupe_model::data::{Dataset, Order, Split, open_mnist};
use loupe_model::layers::{Dropout, Flatten, Linear};
use loupe_model::{
    Augmentation, CheckpointError, End, Error, Loss, LossOptions, Network, NetworkSpec,
    Normalization, OptimizerOptions, Reduction, Schedule, Scored, TrainOptions, Trainer, Training,
    nets,
};
use safetensors::SafeTensors;
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::path::Path;

const SGD: OptimizerOptions = OptimizerOptions::Sgd(SgdOptions {
    lr: 0.1,
    momentum: 0.9,
    weight_decay: 0.0,
    nesterov: false,
});

/// So many of the first digits.
fn digits(split: Split, count: usize) -> Dataset {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/mnist");
    let indices: Vec<usize> = (0..count).collect();
    open_mnist(&folder, split, None).unwrap().select(&indices).unwrap()
}

fn trainer(optimizer: OptimizerOptions) -> Trainer {
    let network = Network::new(nets::mnist_cnn(), 1).unwrap();
    Trainer::new(Context::serial(), network, Loss::Bce, optimizer)
}

fn options(epochs: usize, batch_size: usize) -> TrainOptions {
    let batch_size = NonZeroUsize::new(batch_size).unwrap();
    TrainOptions { epochs, batch_size, ..TrainOptions::default() }
}

/// With every option that a loss and an optimiser have.
fn elaborate_trainer() -> Trainer {
    let network = Network::new(nets::mnist_cnn(), 1).unwrap();
    let loss = LossOptions {
        reduction: Reduction::Sum,
        label_smoothing: 0.1,
        weight: Some((1..=10).map(|class| 0.2 * class as f32).collect()),
        ..Loss::CrossEntropy.into()
    };
    let optimizer = OptimizerOptions::AdamW(AdamWOptions::default());
    let mut trainer = Trainer::new(Context::serial(), network, loss, optimizer);
    trainer.set_clip_grad_norm(Some(0.5));
    trainer
}

/// Takes `steps` steps, or all that there are.
fn advance(training: &mut Training<'_>, steps: usize) {
    for _ in 0..steps {
        if training.step().unwrap().is_none() {
            break;
        }
    }
}

#[test]
fn a_resumed_training_is_the_one_that_went_on() {
    let (data, test) = (digits(Split::Train, 70), digits(Split::Test, 40));
    let scored = Some(Scored { data: &test, selects: true });
    let varied = TrainOptions {
        order: Order::Shuffled { seed: 3 },
        schedule: Schedule::OneCycleLR { pct_start: 0.3, div_factor: 25.0, final_div_factor: 1e4 },
        augmentation: Augmentation { shift: 2.0, rotate: 10.0, seed: 4 },
        ..options(4, 16)
    };
    let adam = || trainer(OptimizerOptions::default());
    let cases: [(TrainOptions, &dyn Fn() -> Trainer); 3] =
        [(options(3, 1), &adam), (varied, &|| trainer(SGD)), (varied, &elaborate_trainer)];
    for (options, trainer) in cases {
        let new = || Training::new(trainer(), &data, scored, options).unwrap();
        let mut whole = new();
        advance(&mut whole, usize::MAX);
        let expected = whole.checkpoint();
        let total = whole.history().losses().len();
        // In the middle of an epoch, at the end of one, before the first step and after the last.
        for stop in [0, 1, 3, 5, total / 2, total - 1, total] {
            let mut training = new();
            advance(&mut training, stop);
            let saved = training.checkpoint();
            // What the trainer has learnt before does not matter.
            let mut other = trainer();
            other.step(&[0.5; 784], &[0.0; 10]).unwrap();
            let mut training = Training::resume(other, &data, scored, options, &saved).unwrap();
            assert!(training.checkpoint() == saved, "what is read is what was written");
            advance(&mut training, usize::MAX);
            assert!(training.checkpoint() == expected, "stopped after {stop} steps");
            assert_eq!(training.end(), Some(End::Epochs));
        }
    }
}

#[test]
fn steps_add_up_to_epochs() {
    let (data, test) = (digits(Split::Train, 50), digits(Split::Test, 30));
    let scored = Some(Scored { data: &test, selects: false });
    let mut training = Training::new(trainer(SGD), &data, scored, options(2, 16)).unwrap();
    let mut all = Vec::new();
    while let Some(step) = training.step().unwrap() {
        all.push(step);
    }
    let numbers: Vec<_> = all.iter().map(|step| (step.epoch, step.step, step.items)).collect();
    let epoch = |n| [(n, 1, 16), (n, 2, 16), (n, 3, 16), (n, 4, 2)];
    assert_eq!(numbers, [epoch(1), epoch(2)].concat());
    for (n, steps) in all.chunks(4).enumerate() {
        assert!(steps[..3].iter().all(|step| step.epoch_over.is_none()));
        let record = steps[3].epoch_over.unwrap();
        assert_eq!(record, training.history().epochs()[n]);
        let loss: f64 = steps.iter().map(|step| f64::from(step.loss) * step.items as f64).sum();
        assert_eq!(record.mean_loss, loss / 50.0);
        assert_eq!(record.training.items, 50);
        assert_eq!(record.training.correct, steps.iter().map(|step| step.correct).sum::<usize>());
        assert_eq!(record.running_statistics.unwrap().items, 30);
        assert!(record.batch_statistics.is_some() && !record.best);
    }
    assert!(training.best().is_none(), "test items do not choose");
    assert!(training.step().unwrap().is_none());
}

#[test]
fn the_best_epoch_is_kept_and_patience_ends() {
    let (data, test) = (digits(Split::Train, 60), digits(Split::Test, 50));
    let scored = Some(Scored { data: &test, selects: true });
    // Without learning no epoch is better than the first.
    let still = SGD.with_lr(0.0);
    let two = NonZeroUsize::new(2);
    let options =
        TrainOptions { patience: two, judged_by: Normalization::BatchStatistics, ..options(9, 20) };
    let mut training = Training::new(trainer(still), &data, scored, options).unwrap();
    advance(&mut training, usize::MAX);
    assert_eq!(training.end(), Some(End::Patience));
    let best: Vec<bool> = training.history().epochs().iter().map(|epoch| epoch.best).collect();
    assert_eq!(best, [true, false, false]);
    let saved = training.checkpoint();

    // More patience goes on from there.
    let options = TrainOptions { patience: NonZeroUsize::new(4), ..options };
    let mut training = Training::resume(trainer(still), &data, scored, options, &saved).unwrap();
    advance(&mut training, usize::MAX);
    assert_eq!(training.history().epochs().len(), 5);
    assert_eq!(training.best().unwrap().tensors().count(), 10);

    // The best network is that of the best epoch.
    let mut training = Training::new(trainer(SGD), &data, scored, self::options(6, 20)).unwrap();
    let mut expected = None;
    while let Some(step) = training.step().unwrap() {
        if step.epoch_over.is_some_and(|epoch| epoch.best) {
            expected = Some(training.network().weights());
        }
    }
    assert_eq!(training.best().map(Network::weights), expected);
}

#[test]
fn the_schedule_reaches_the_optimiser() {
    let data = digits(Split::Train, 40);
    let schedule = Schedule::StepLR { step_size: NonZeroUsize::MIN, gamma: 0.0 };
    let options = TrainOptions { schedule, ..options(2, 20) };
    let mut training = Training::new(trainer(SGD), &data, None, options).unwrap();
    advance(&mut training, 2);
    let after_one = training.network().tensors().next().unwrap().1.to_vec();
    assert_eq!(training.step().unwrap().unwrap().lr, 0.0);
    assert_eq!(training.network().tensors().next().unwrap().1, after_one);
}

#[test]
fn a_step_without_a_finite_loss_is_not_taken() {
    let data = digits(Split::Train, 40);
    let network = Network::new(nets::mnist_mlp(), 1).unwrap();
    let trainer = Trainer::new(Context::serial(), network, Loss::Mse, SGD.with_lr(1e38));
    let mut training = Training::new(trainer, &data, None, options(1, 1)).unwrap();
    let before = loop {
        let before = training.network().weights();
        match training.step() {
            Ok(step) => assert!(step.is_some(), "the loss stays finite"),
            Err(Error::NonFiniteLoss { epoch: 1, step, loss }) => {
                assert!(step > 1 && !loss.is_finite());
                break before;
            }
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(training.network().weights(), before);

    // The step before had a finite loss, but moved the parameters too far.
    let diagnosis = training.diagnose().unwrap().unwrap();
    assert_eq!((diagnosis.epoch, diagnosis.lr), (1, 1e38));
    assert!(diagnosis.step <= training.position().1 + 1);
    let text = diagnosis.to_string();
    let start = format!("step {} of epoch 1 (learning rate 1", diagnosis.step);
    assert!(text.starts_with(&start), "{text}");
    assert!(text.contains("layer 1, Linear(784, 200)"), "{text}");
}

/// Clipping refuses gradients that are not finite, and the search finds the layer where they come from.
#[test]
fn gradients_that_are_not_finite_are_traced() {
    let data = digits(Split::Train, 40);
    let weight = Some(vec![f32::MAX / 4.0; 10]);
    let loss = LossOptions { weight, ..Loss::CrossEntropy.into() };
    for batch in [1, 8] {
        let mut network = Network::new(nets::mnist_mlp(), 1).unwrap();
        // The same outputs, but a large way back.
        network.tensor_mut("3.weight").unwrap().fill(1e-3);
        network.tensor_mut("4.weight").unwrap().iter_mut().for_each(|w| *w *= 1e3);
        let mut trainer = Trainer::new(Context::serial(), network, loss.clone(), SGD);
        trainer.set_clip_grad_norm(Some(1.0));
        let mut training = Training::new(trainer, &data, None, options(1, batch)).unwrap();
        let before = training.network().weights();
        let error = training.step().unwrap_err();
        assert!(matches!(error, Error::NonFiniteGradient { .. }), "{error}");
        assert_eq!((training.position(), training.network().weights()), ((0, 0), before));
        let diagnosis = training.diagnose().unwrap().unwrap();
        assert_eq!((diagnosis.epoch, diagnosis.step), (1, 1));
        let text = diagnosis.to_string();
        assert!(text.contains("values are not finite: gradient by "), "{text}");
    }
}

/// The search computes with the options of the loss.
#[test]
fn weights_that_lead_out_of_the_range_are_traced() {
    let data = digits(Split::Train, 40);
    let network = Network::new(nets::mnist_mlp(), 1).unwrap();
    let weight = Some(vec![f32::MAX; 10]);
    let loss = LossOptions { weight, reduction: Reduction::Sum, ..Loss::CrossEntropy.into() };
    let trainer = Trainer::new(Context::serial(), network, loss, SGD);
    let mut training = Training::new(trainer, &data, None, options(1, 8)).unwrap();
    assert!(matches!(training.step(), Err(Error::NonFiniteLoss { .. })));
    let text = training.diagnose().unwrap().unwrap().to_string();
    assert!(
        text.starts_with("step 1 of epoch 1 (learning rate 0.1) was the first: 1 of 1 values"),
        "{text}"
    );
    assert!(text.contains("not finite: loss"), "{text}");
}

#[test]
fn what_does_not_fit_is_refused() {
    let (data, more) = (digits(Split::Train, 40), digits(Split::Train, 41));
    let mut training = Training::new(trainer(SGD), &data, None, options(2, 8)).unwrap();
    advance(&mut training, 7);
    let saved = training.checkpoint();
    let resumed = |optimizer, data, options, bytes: &[u8]| {
        Training::resume(trainer(optimizer), data, None, options, bytes).map(|_| ()).unwrap_err()
    };
    let adam = OptimizerOptions::default();
    for (what, error) in [
        ("optimizer", resumed(adam, &data, options(2, 8), &saved)),
        ("batch size", resumed(SGD, &data, options(2, 9), &saved)),
        ("data", resumed(SGD, &more, options(2, 8), &saved)),
        (
            "order",
            resumed(
                SGD,
                &data,
                TrainOptions { order: Order::Shuffled { seed: 0 }, ..options(2, 8) },
                &saved,
            ),
        ),
    ] {
        match error {
            Error::Checkpoint(CheckpointError::Other { what: found, .. }) => {
                assert_eq!(found, what);
            }
            other => panic!("{other}"),
        }
    }
    let mut clipped = trainer(SGD);
    clipped.set_clip_grad_norm(Some(2.0));
    let error = Training::resume(clipped, &data, None, options(2, 8), &saved).unwrap_err();
    let message = "the checkpoint is of a training with gradients clipped to any norm, not 2";
    assert_eq!(error.to_string(), message);
    // One pixel differs.
    let mut images = data.images().to_vec();
    images[100] ^= 1;
    let other = Dataset::new(images, data.labels().to_vec(), [28, 28], 10).unwrap();
    let error = resumed(SGD, &other, options(2, 8), &saved).to_string();
    assert!(error.contains("a training with data 40 items of 28 × 28"), "{error}");
    let error = resumed(SGD, &data, options(2, 8), b"{}");
    assert!(matches!(error, Error::Checkpoint(CheckpointError::Tensors(_))), "{error}");
    let error = resumed(SGD, &data, options(2, 8), &training.network().weights());
    assert!(matches!(error, Error::Checkpoint(CheckpointError::Version)), "{error}");
    for len in (0..saved.len()).step_by(997) {
        resumed(SGD, &data, options(2, 8), &saved[..len]);
    }
}

/// Where layers draw random numbers, those of another seed are another training; elsewhere no seed matters.
#[test]
fn the_seed_of_random_layers_is_part_of_a_training() {
    let data = digits(Split::Train, 40);
    let trainer = |spec: &NetworkSpec, seed| {
        let network = Network::new(spec.clone(), 1).unwrap();
        let mut trainer = Trainer::new(Context::serial(), network, Loss::CrossEntropy, SGD);
        trainer.set_seed(seed);
        trainer
    };
    let linear = || Linear::new(784, 10);
    let dropped = NetworkSpec::new([1, 28, 28]).add(Flatten).add(Dropout::new(0.5));
    let dropped = dropped.add(linear());
    let plain = NetworkSpec::new([1, 28, 28]).add(Flatten).add(linear());
    for (spec, refused) in [(dropped, true), (plain, false)] {
        let training = Training::new(trainer(&spec, 3), &data, None, options(2, 8)).unwrap();
        let saved = training.checkpoint();
        for seed in [3, 4] {
            let resumed =
                Training::resume(trainer(&spec, seed), &data, None, options(2, 8), &saved);
            match resumed {
                Ok(_) => assert!(!refused || seed == 3),
                Err(error) => {
                    assert!(refused && seed == 4, "{error}");
                    let message =
                        "the checkpoint is of a training with seed of random layers 3, not 4";
                    assert_eq!(error.to_string(), message);
                }
            }
        }
    }
}

/// `checkpoint` with other bytes from place `at` of a tensor on.
fn altered(checkpoint: &[u8], tensor: &str, at: usize, bytes: &[u8]) -> Vec<u8> {
    let file = SafeTensors::deserialize(checkpoint).unwrap();
    let data = file.tensor(tensor).unwrap().data().as_ptr() as usize;
    let start = data - checkpoint.as_ptr() as usize + at;
    let mut altered = checkpoint.to_vec();
    altered[start..start + bytes.len()].copy_from_slice(bytes);
    altered
}

#[test]
fn checkpoints_that_no_training_writes_are_refused() {
    let (data, test) = (digits(Split::Train, 40), digits(Split::Test, 10));
    let scored = Some(Scored { data: &test, selects: true });
    let options = options(3, 8);
    let mut training = Training::new(trainer(SGD), &data, scored, options).unwrap();
    advance(&mut training, 7);
    let saved = training.checkpoint();
    let resumed =
        |bytes: &[u8]| Training::resume(trainer(SGD), &data, scored, options, bytes).map(|_| ());
    resumed(&altered(&saved, "loss_sum", 0, &0.5_f64.to_le_bytes())).unwrap();
    // Steps of the optimiser that no file can count further.
    let most = altered(&saved, "position", 32, &i64::MAX.to_le_bytes());
    let mut most = Training::resume(trainer(SGD), &data, scored, options, &most).unwrap();
    advance(&mut most, 1);
    resumed(&most.checkpoint()).unwrap();

    let double = |n: f64| n.to_le_bytes();
    for (tensor, at, bytes) in [
        // The epoch, times the steps of an epoch, is more than there are numbers.
        ("position", 0, i64::MAX.to_le_bytes()),
        ("position", 0, (i64::MAX / 5 * 2).to_le_bytes()),
        ("position", 0, (-1_i64).to_le_bytes()),
        ("position", 8, 5_i64.to_le_bytes()),
        ("position", 16, 17_i64.to_le_bytes()),
        ("position", 24, 15_i64.to_le_bytes()),
        ("position", 32, i64::MIN.to_le_bytes()),
        ("loss_sum", 0, double(f64::NAN)),
        // Number, loss, correct items, items, rate, score, best.
        ("history.epochs", 0, double(2.0)),
        ("history.epochs", 0, double(f64::NAN)),
        ("history.epochs", 8, double(f64::INFINITY)),
        ("history.epochs", 16, double(41.0)),
        ("history.epochs", 24, double(-1.0)),
        ("history.epochs", 32, double(f64::NAN)),
        ("history.epochs", 40, double(11.0)),
        ("history.epochs", 72, double(0.0)),
    ] {
        let error = resumed(&altered(&saved, tensor, at, &bytes)).unwrap_err();
        let inconsistent = matches!(error, Error::Checkpoint(CheckpointError::Inconsistent { .. }));
        assert!(inconsistent, "{tensor} at {at}: {error}");
    }
    let error = resumed(&altered(&saved, "history.losses", 4, &f32::NAN.to_le_bytes()));
    assert!(matches!(error, Err(Error::Checkpoint(CheckpointError::Inconsistent { .. }))));

    // A checkpoint that says less of its training than it should.
    let (_, header) = SafeTensors::read_metadata(&saved).unwrap();
    let file = SafeTensors::deserialize(&saved).unwrap();
    for (name, text) in header.metadata().as_ref().unwrap() {
        let lines: Vec<&str> = text.lines().collect();
        for count in 0..lines.len() {
            let metadata = HashMap::from([(name.clone(), lines[..count].join("\n"))]);
            let bytes = safetensors::serialize(file.tensors(), Some(metadata)).unwrap();
            let error = resumed(&bytes).unwrap_err();
            assert!(matches!(error, Error::Checkpoint(CheckpointError::Version)), "{error}");
        }
    }
}

#[test]
fn options_without_meaning_are_refused_before_the_first_step() {
    let data = digits(Split::Train, 33);
    let refused = |options| {
        Training::new(trainer(SGD), &data, None, options).map(|_| ()).unwrap_err().to_string()
    };
    let schedule = Schedule::CosineAnnealingLR { eta_min: -1.0 };
    assert_eq!(
        refused(TrainOptions { schedule, ..options(1, 8) }),
        "schedule: eta_min must be a number of at least 0, found -1"
    );
    for (shift, rotate) in [(-1.0, 0.0), (f32::NAN, 0.0), (f32::INFINITY, 0.0), (0.0, 200.0)] {
        let augmentation = Augmentation { shift, rotate, seed: 0 };
        let error = refused(TrainOptions { augmentation, ..options(1, 8) });
        assert!(error.starts_with("augmentation: "), "{error}");
    }

    let network = || Network::new(nets::mnist_cnn(), 1).unwrap();
    let loss = LossOptions { weight: Some(vec![1.0; 9]), ..Loss::CrossEntropy.into() };
    let trainer = Trainer::new(Context::serial(), network(), loss, SGD);
    let error = Training::new(trainer, &data, None, options(1, 8)).unwrap_err().to_string();
    let message = "cross_entropy_probabilities: weight must have 10 elements, found 9";
    assert_eq!(error, message);
    let mut trainer = Trainer::new(Context::serial(), network(), Loss::Bce, SGD);
    trainer.set_clip_grad_norm(Some(-1.0));
    let error = Training::new(trainer, &data, None, options(1, 8)).unwrap_err().to_string();
    assert_eq!(error, "clip_factor: max_norm must be at least 0, found -1");

    // 33 items in batches of 8 leave one for the last.
    let layers = r#"{"input": [1, 28, 28], "layers": [
        {"type": "Conv2d", "in_channels": 1, "out_channels": 10, "kernel_size": 28},
        {"type": "BatchNorm2d", "num_features": 10},
        {"type": "View", "shape": 10},
        {"type": "Sigmoid"}]}"#;
    let trainer = || {
        let network = Network::new(serde_json::from_str(layers).unwrap(), 0).unwrap();
        Trainer::new(Context::serial(), network, Loss::Bce, SGD)
    };
    let error = Training::new(trainer(), &data, None, options(1, 8)).unwrap_err();
    assert!(matches!(error, Error::Spec(_)), "{error}");
    Training::new(trainer(), &data, None, options(1, 11)).unwrap();
}

//! Trainings that are interrupted, scored and resumed.

use loupe_engine::Context;
use loupe_engine::optim::SgdOptions;
use loupe_model::data::{Dataset, Order, Split, open_mnist};
use loupe_model::{
    Augmentation, CheckpointError, End, Error, Loss, Network, Normalization, OptimizerOptions,
    Schedule, Scored, TrainOptions, Trainer, Training, nets,
};
use std::num::NonZeroUsize;
use std::path::Path;

const SGD: OptimizerOptions = OptimizerOptions::Sgd(SgdOptions { lr: 0.1, momentum: 0.9 });

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
    for (options, optimizer) in [(options(3, 1), OptimizerOptions::default()), (varied, SGD)] {
        let new = || Training::new(trainer(optimizer), &data, scored, options).unwrap();
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
            let mut other = trainer(optimizer);
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
    let error = resumed(SGD, &data, options(2, 8), b"{}");
    assert!(matches!(error, Error::Checkpoint(CheckpointError::Format(_))), "{error}");
    let error = resumed(SGD, &data, options(2, 8), &training.network().weights());
    assert!(matches!(error, Error::Checkpoint(CheckpointError::Version)), "{error}");
    for len in (0..saved.len()).step_by(997) {
        resumed(SGD, &data, options(2, 8), &saved[..len]);
    }
}

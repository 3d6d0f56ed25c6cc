//! Bytes as the checkpoint of a training: refused, or it goes on, and can be saved and resumed anywhere.

use crate::Taken;
use loupe_engine::Context;
use loupe_model::data::{Dataset, Order};
use loupe_model::layers::{Dropout, Flatten, Linear};
use loupe_model::{
    AdamOptions, Error, Loss, Network, NetworkSpec, Normalization, OptimizerOptions, Scored,
    TrainOptions, Trainer, Training,
};
use std::num::NonZeroUsize;
use std::sync::LazyLock;

static DATA: LazyLock<Dataset> = LazyLock::new(|| {
    let images = (0..20).map(|i| i * 12).collect();
    Dataset::new(images, vec![0, 1, 1, 0, 1], [2, 2], 2).expect("five images, five labels")
});

/// Resumes the training of some random layers by Adam, two of five items at a time, judged after each epoch.
///
/// # Errors
/// As [`Training::resume`].
pub fn resume(bytes: &[u8]) -> Result<Training<'static>, Error> {
    Training::resume(trainer(), &DATA, Some(scored()), options(), bytes)
}

/// The same from its beginning.
pub fn begin() -> Training<'static> {
    let training = Training::new(trainer(), &DATA, Some(scored()), options());
    training.expect("the data fits the network")
}

fn scored() -> Scored<'static> {
    Scored { data: &DATA, selects: true }
}

fn trainer() -> Trainer {
    let spec = NetworkSpec::new([1, 2, 2])
        .add(Flatten)
        .add(Linear::new(4, 2))
        .add(Dropout::new(0.25))
        .add(Linear::new(2, 2));
    let network = Network::new(spec, 0).expect("the network is sound");
    let adam = OptimizerOptions::Adam(AdamOptions::default());
    Trainer::new(Context::serial(), network, Loss::CrossEntropy, adam)
}

fn options() -> TrainOptions {
    TrainOptions {
        batch_size: NonZeroUsize::new(2).expect("it is 2"),
        order: Order::Shuffled { seed: 1 },
        judged_by: Normalization::RunningStatistics,
        ..TrainOptions::default()
    }
}

/// Goes on with the training that the bytes are of.
pub fn run(bytes: &[u8]) -> Taken {
    let mut training = match resume(bytes) {
        Ok(training) => training,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return None;
        }
    };
    survives(&training);
    // Weights may be any numbers, so a step may fail, but nothing else may.
    for _ in 0..5 {
        match training.step() {
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(Error::NonFiniteLoss { .. } | Error::NonFiniteGradient { .. }) => {
                training.diagnose().expect("the steps can be taken again");
                break;
            }
            Err(error) => panic!("{error}"),
        }
    }
    survives(&training);
    Some(())
}

fn survives(training: &Training<'_>) {
    let written = training.checkpoint();
    let again = resume(&written).unwrap_or_else(|error| panic!("its own checkpoint: {error}"));
    assert_eq!(again.checkpoint(), written);
    assert_eq!((again.position(), again.end()), (training.position(), training.end()));
}

//! What `loupe train` takes.

use crate::args::{Statistics, ThreadArguments, at_least_one};
use crate::recipe::{
    self, AugmentationChanges, Changes, DataChanges, NetworkChoice, OptimizerChanges,
    OptimizerKind, Preset, StopChanges,
};
use clap::{Args, ValueEnum};
use loupe_model::{Loss, Schedule};
use std::num::NonZeroUsize;
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(allow_negative_numbers = true)]
pub(crate) struct TrainArguments {
    /// What to begin with [default: tutorial]
    #[arg(long, value_enum, value_name = "NAME")]
    pub(crate) preset: Option<Preset>,

    /// A TOML file with changes to the preset; flags change what it says
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Print the configuration that the other flags make, with what each key means, and end
    #[arg(long)]
    pub(crate) print_config: bool,

    /// cnn, mlp, or a network file (.toml or .json) [default: cnn]
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) model: Option<String>,

    /// Passes over the training items; 0 leaves the initial weights [default: 3]
    #[arg(long, value_name = "N")]
    pub(crate) epochs: Option<usize>,

    /// Items of a step [default: 1]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(crate) batch_size: Option<NonZeroUsize>,

    /// Learning rate [default: 0.001]
    #[arg(long, value_name = "RATE", value_parser = recipe::rate)]
    pub(crate) lr: Option<f64>,

    /// The optimiser [default: adam]
    #[arg(long, value_enum, value_name = "NAME")]
    pub(crate) optimizer: Option<OptimizerKind>,

    /// Momentum of sgd [default: 0]
    #[arg(long, value_name = "SHARE", value_parser = recipe::share)]
    pub(crate) momentum: Option<f64>,

    /// How the learning rate changes; its numbers can be set in a configuration [default: constant]
    #[arg(long, value_enum, value_name = "NAME")]
    pub(crate) schedule: Option<ScheduleName>,

    /// What is minimised [default: bce]
    #[arg(long, value_enum, value_name = "NAME")]
    pub(crate) loss: Option<LossName>,

    /// Seed of the initial weights and of all that is random [default: 0]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    pub(crate) seed: Option<u64>,

    /// Take the items of each epoch in random order instead of file order
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) shuffle: Option<bool>,

    /// Hold out this share of the training items, score them after each epoch and keep the best weights
    #[arg(long, value_name = "SHARE", value_parser = recipe::share)]
    pub(crate) validation: Option<f64>,

    /// By which statistics of the batch normalisations the network is judged and used [default: batch at batch
    /// size 1, else running]
    #[arg(long, value_enum, value_name = "NAME")]
    pub(crate) statistics: Option<Statistics>,

    /// Move the pictures at random by up to so many pixels
    #[arg(long, value_name = "PIXELS", value_parser = recipe::pixels)]
    pub(crate) shift: Option<f32>,

    /// Turn the pictures at random by up to so many degrees
    #[arg(long, value_name = "DEGREES", value_parser = recipe::angle)]
    pub(crate) rotate: Option<f32>,

    /// Stop after so many epochs without a better score of the items held out
    #[arg(long, value_name = "EPOCHS", value_parser = recipe::patience)]
    pub(crate) patience: Option<NonZeroUsize>,

    /// Stop after so many seconds of training
    #[arg(long, value_name = "SECONDS", value_parser = recipe::seconds)]
    pub(crate) max_seconds: Option<f64>,

    /// Go on with the training of this run folder: the result is that of a training that was never
    /// interrupted
    #[arg(long, value_name = "RUN", conflicts_with_all = [
        "preset", "config", "model", "batch_size", "lr", "optimizer", "momentum", "schedule", "loss",
        "seed", "shuffle", "validation", "statistics", "shift", "rotate", "out",
    ])]
    pub(crate) resume: Option<PathBuf>,

    /// Folder for the result; it must not hold one yet [default: runs/MODEL-N, the first N that is free]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,

    /// Folder of the data set: the four MNIST files, plain or .gz, or a folder of pictures for each class
    /// [default: data/mnist]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) threads: ThreadArguments,
}

/// The schedules, with PyTorch's defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ScheduleName {
    /// One rate throughout
    Constant,
    /// A tenth after every epoch
    Step,
    /// To 0 in a straight line
    Linear,
    /// To 0 along half a cosine wave
    Cosine,
    /// Up for three tenths of the steps, then down to nearly 0
    OneCycle,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LossName {
    /// Binary cross-entropy of outputs from 0 to 1
    Bce,
    /// The same of logits
    BceWithLogits,
    /// Mean squared error
    Mse,
    /// Cross-entropy of logits
    CrossEntropy,
}

impl ScheduleName {
    fn schedule(self) -> Schedule {
        match self {
            ScheduleName::Constant => Schedule::Constant,
            ScheduleName::Step => Schedule::StepLR { step_size: NonZeroUsize::MIN, gamma: 0.1 },
            ScheduleName::Linear => Schedule::LinearLR { start_factor: 1.0, end_factor: 0.0 },
            ScheduleName::Cosine => Schedule::CosineAnnealingLR { eta_min: 0.0 },
            ScheduleName::OneCycle => {
                Schedule::OneCycleLR { pct_start: 0.3, div_factor: 25.0, final_div_factor: 1e4 }
            }
        }
    }
}

impl LossName {
    fn loss(self) -> Loss {
        match self {
            LossName::Bce => Loss::Bce,
            LossName::BceWithLogits => Loss::BceWithLogits,
            LossName::Mse => Loss::Mse,
            LossName::CrossEntropy => Loss::CrossEntropy,
        }
    }
}

impl TrainArguments {
    /// What the flags change of a recipe.
    pub(crate) fn changes(&self) -> Changes {
        Changes {
            preset: None,
            network: self.model.clone().map(NetworkChoice::Named),
            seed: self.seed,
            epochs: self.epochs,
            batch_size: self.batch_size,
            loss: self.loss.map(LossName::loss),
            statistics: self.statistics.map(Into::into),
            data: DataChanges {
                path: self.data.clone(),
                shuffle: self.shuffle,
                validation: self.validation,
            },
            optimizer: OptimizerChanges {
                r#type: self.optimizer,
                lr: self.lr,
                betas: None,
                eps: None,
                momentum: self.momentum,
            },
            schedule: self.schedule.map(ScheduleName::schedule),
            augmentation: AugmentationChanges { shift: self.shift, rotate: self.rotate },
            stop: StopChanges { patience: self.patience, max_seconds: self.max_seconds },
        }
    }
}

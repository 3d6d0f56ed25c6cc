//! A recipe as flags, for all commands that train.

use super::{
    AugmentationChanges, Changes, DataChanges, LossChanges, OptimizerChanges, OptimizerKind,
    Preset, StopChanges, values,
};
use anyhow::Result;
use clap::{Args, ValueEnum};
use loupe_model::{Loss, Normalization, Schedule};
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// What to train by, but for the network.
#[derive(Debug, Args)]
pub(crate) struct RecipeArguments {
    /// What to begin with [default: tutorial]
    #[arg(long, value_enum, value_name = "NAME")]
    pub(crate) preset: Option<Preset>,

    /// A TOML file with changes to the preset; flags change what it says
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Passes over the training items; 0 leaves the initial weights [default: 3]
    #[arg(long, value_name = "N")]
    pub(crate) epochs: Option<usize>,

    /// Items of a step [default: 1]
    #[arg(long, value_name = "N", value_parser = values::at_least_one)]
    pub(crate) batch_size: Option<NonZeroUsize>,

    /// Learning rate [default: 0.001]
    #[arg(long, value_name = "RATE", value_parser = values::rate)]
    pub(crate) lr: Option<f64>,

    /// The optimiser [default: adam]
    #[arg(long, value_enum, value_name = "NAME")]
    pub(crate) optimizer: Option<OptimizerKind>,

    /// Momentum of sgd [default: 0]
    #[arg(long, value_name = "SHARE", value_parser = values::share)]
    pub(crate) momentum: Option<f64>,

    /// Let momentum of sgd look ahead
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) nesterov: Option<bool>,

    /// How strongly the parameters are pulled towards 0 [default: 0, adamw 0.01]
    #[arg(long, value_name = "NUMBER", value_parser = values::decay)]
    pub(crate) weight_decay: Option<f64>,

    /// Scale the gradients of a step down to this norm if theirs is larger
    #[arg(long, value_name = "NORM", value_parser = values::rate)]
    pub(crate) clip_grad_norm: Option<f64>,

    /// How the learning rate changes; its numbers can be set in a configuration [default: constant]
    #[arg(long, value_enum, value_name = "NAME")]
    pub(crate) schedule: Option<ScheduleName>,

    /// What is minimised [default: bce]
    #[arg(long, value_enum, value_name = "NAME")]
    pub(crate) loss: Option<LossName>,

    /// Spread this share of the targets of cross-entropy over all classes; their weights can be set in a
    /// configuration [default: 0]
    #[arg(long, value_name = "SHARE", value_parser = values::smoothing)]
    pub(crate) label_smoothing: Option<f64>,

    /// Seed of the initial weights and of all that is random [default: 0]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    pub(crate) seed: Option<u64>,

    /// Take the items of each epoch in random order instead of file order
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) shuffle: Option<bool>,

    /// By which statistics of the batch normalisations the network is judged and used [default: batch at batch
    /// size 1, else running]
    #[arg(long, value_enum, value_name = "NAME")]
    pub(crate) statistics: Option<Statistics>,

    /// Move the pictures at random by up to so many pixels
    #[arg(long, value_name = "PIXELS", value_parser = values::pixels)]
    pub(crate) shift: Option<f32>,

    /// Turn the pictures at random by up to so many degrees
    #[arg(long, value_name = "DEGREES", value_parser = values::angle)]
    pub(crate) rotate: Option<f32>,

    /// Folder of the data set: the four MNIST files, plain or .gz, or a folder of pictures for each class
    /// [default: data/mnist]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
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
    /// Mean absolute error
    L1,
    /// Cross-entropy of logits
    CrossEntropy,
}

/// What batch normalisations normalise by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Statistics {
    /// Each image's own
    Batch,
    /// The averages that training has kept
    Running,
}

impl From<Statistics> for Normalization {
    fn from(statistics: Statistics) -> Normalization {
        match statistics {
            Statistics::Batch => Normalization::BatchStatistics,
            Statistics::Running => Normalization::RunningStatistics,
        }
    }
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
            LossName::L1 => Loss::L1,
            LossName::CrossEntropy => Loss::CrossEntropy,
        }
    }
}

impl RecipeArguments {
    /// What the flags change of a recipe.
    pub(crate) fn changes(&self) -> Changes {
        Changes {
            preset: None,
            network: None,
            seed: self.seed,
            epochs: self.epochs,
            batch_size: self.batch_size,
            clip_grad_norm: self.clip_grad_norm,
            loss: LossChanges {
                r#type: self.loss.map(LossName::loss),
                label_smoothing: self.label_smoothing,
                ..LossChanges::default()
            },
            statistics: self.statistics.map(Into::into),
            data: DataChanges { path: self.data.clone(), shuffle: self.shuffle, validation: None },
            optimizer: OptimizerChanges {
                r#type: self.optimizer,
                lr: self.lr,
                betas: None,
                eps: None,
                momentum: self.momentum,
                nesterov: self.nesterov,
                weight_decay: self.weight_decay,
            },
            schedule: self.schedule.map(ScheduleName::schedule),
            augmentation: AugmentationChanges { shift: self.shift, rotate: self.rotate },
            stop: StopChanges::default(),
        }
    }

    /// The recipe of these flags and of `changes`, which are made of others.
    pub(crate) fn resolve(&self, changes: Changes) -> Result<super::Recipe> {
        super::Recipe::resolve(self.preset, self.config.as_deref(), changes)
    }
}

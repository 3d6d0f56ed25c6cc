//! What `loupe train` takes.

use crate::args::ThreadArguments;
use crate::recipe::{self, Changes, DataChanges, NetworkChoice, RecipeArguments, StopChanges};
use clap::Args;
use std::num::NonZeroUsize;
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(allow_negative_numbers = true)]
pub(crate) struct TrainArguments {
    /// cnn, mlp, or a network file (.toml or .json) [default: cnn]
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) model: Option<String>,

    #[command(flatten)]
    pub(crate) recipe: RecipeArguments,

    /// Hold out this share of the training items, score them after each epoch and keep the best weights
    #[arg(long, value_name = "SHARE", value_parser = recipe::share)]
    pub(crate) validation: Option<f64>,

    /// Stop after so many epochs without a better score of the items held out
    #[arg(long, value_name = "EPOCHS", value_parser = recipe::at_least_one)]
    pub(crate) patience: Option<NonZeroUsize>,

    /// Stop after so many seconds of training
    #[arg(long, value_name = "SECONDS", value_parser = recipe::seconds)]
    pub(crate) max_seconds: Option<f64>,

    /// Go on with the training of this run folder, also with more --epochs: the result is that of a training
    /// that was never interrupted. Only with a schedule that ends with the training, other epochs mean
    /// other learning rates from here on
    #[arg(long, value_name = "RUN", conflicts_with_all = [
        "preset", "config", "model", "batch_size", "lr", "optimizer", "momentum", "nesterov", "weight_decay",
        "clip_grad_norm", "schedule", "loss", "label_smoothing", "seed", "shuffle", "validation", "statistics", "shift", "rotate", "out",
    ])]
    pub(crate) resume: Option<PathBuf>,

    /// Folder for the result; it must not hold one yet [default: runs/MODEL-N, the first N that is free]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,

    /// Print the configuration that the other flags make, with what each key means, and end
    #[arg(long)]
    pub(crate) print_config: bool,

    #[command(flatten)]
    pub(crate) threads: ThreadArguments,
}

impl TrainArguments {
    /// What the flags change of a recipe.
    pub(crate) fn changes(&self) -> Changes {
        let changes = self.recipe.changes();
        Changes {
            network: self.model.clone().map(NetworkChoice::Named),
            data: DataChanges { validation: self.validation, ..changes.data },
            stop: StopChanges { patience: self.patience, max_seconds: self.max_seconds },
            ..changes
        }
    }
}

//! A recipe as a configuration file.

use super::{NetworkChoice, Optimizer, Recipe};
use loupe_model::{Loss, NetworkSpec, Normalization};
use serde::Serialize;
use std::fmt::Write;

impl Recipe {
    /// A configuration file that says everything, with what each key means.
    pub(crate) fn to_toml(&self) -> String {
        let mut text = String::new();
        self.write(&mut text).expect("a string takes any text");
        text
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        writeln!(
            out,
            "# A training: `loupe train --config FILE`. Flags count more than what stands here."
        )?;
        if let NetworkChoice::Named(name) = &self.network {
            writeln!(
                out,
                "network = {}  # cnn, mlp, a network file, or a table at the end",
                string(name)
            )?;
        }
        // A TOML integer has 63 bits; larger seeds are written all the same, and read.
        writeln!(out, "seed = {}", self.seed)?;
        writeln!(out, "epochs = {}", self.epochs)?;
        writeln!(out, "batch_size = {}", self.batch_size)?;
        writeln!(
            out,
            "loss = \"{}\"  # BCELoss, BCEWithLogitsLoss, MSELoss or CrossEntropyLoss",
            loss_name(self.loss)
        )?;
        let statistics = match self.judged_by() {
            Normalization::BatchStatistics => "batch",
            Normalization::RunningStatistics => "running",
        };
        writeln!(
            out,
            "statistics = \"{statistics}\"  # by which the network is judged and used: batch or running"
        )?;

        writeln!(out, "\n[data]")?;
        writeln!(out, "path = {}", string(&self.data.to_string_lossy()))?;
        writeln!(out, "shuffle = {}", self.shuffle)?;
        writeln!(
            out,
            "validation = {:?}  # share of the training items that is held out",
            self.validation
        )?;

        writeln!(out, "\n[optimizer]")?;
        match self.optimizer {
            Optimizer::Adam { lr, betas, eps } => {
                writeln!(out, "type = \"Adam\"  # or SGD, with lr and momentum")?;
                writeln!(out, "lr = {lr:?}\nbetas = {betas:?}\neps = {eps:?}")?;
            }
            Optimizer::Sgd { lr, momentum } => {
                writeln!(out, "type = \"SGD\"  # or Adam, with lr, betas and eps")?;
                writeln!(out, "lr = {lr:?}\nmomentum = {momentum:?}")?;
            }
        }

        writeln!(
            out,
            "\n[schedule]  # Constant, StepLR, LinearLR, CosineAnnealingLR or OneCycleLR"
        )?;
        write!(out, "{}", toml::to_string(&self.schedule).expect("a flat table"))?;

        writeln!(out, "\n[augmentation]  # at random, by up to so much")?;
        writeln!(out, "shift = {:?}  # pixels", self.shift)?;
        writeln!(out, "rotate = {:?}  # degrees", self.rotate)?;

        writeln!(out, "\n[stop]")?;
        match self.patience {
            Some(epochs) => writeln!(out, "patience = {epochs}  # epochs without a better score")?,
            None => writeln!(out, "# patience = 5  # epochs without a better score")?,
        }
        match self.max_seconds {
            Some(seconds) => writeln!(out, "max_seconds = {seconds:?}")?,
            None => writeln!(out, "# max_seconds = 60.0")?,
        }

        if let NetworkChoice::Inline { spec, .. } = &self.network {
            #[derive(Serialize)]
            struct Table<'a> {
                network: &'a NetworkSpec,
            }
            let table =
                toml::to_string(&Table { network: spec }).expect("numbers, names and lists");
            write!(out, "\n{table}")?;
        }
        Ok(())
    }
}

/// PyTorch's name.
pub(crate) fn loss_name(loss: Loss) -> &'static str {
    match loss {
        Loss::Bce => "BCELoss",
        Loss::BceWithLogits => "BCEWithLogitsLoss",
        Loss::Mse => "MSELoss",
        Loss::CrossEntropy => "CrossEntropyLoss",
        _ => unreachable!("a loss that this program knows"),
    }
}

fn string(text: &str) -> String {
    toml::Value::from(text).to_string()
}

//! A recipe as a configuration file.

use super::{NetworkChoice, Optimizer, Recipe};
use loupe_engine::optim::{AdamOptions, AdamWOptions, SgdOptions};
use loupe_model::{Loss, LossOptions, NetworkSpec, Normalization, Reduction};
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
        match self.clip_grad_norm {
            Some(norm) => {
                writeln!(
                    out,
                    "clip_grad_norm = {norm:?}  # gradients are scaled down to this norm"
                )?;
            }
            None => {
                writeln!(out, "# clip_grad_norm = 1.0  # gradients are scaled down to this norm")?;
            }
        }
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

        let LossOptions { function, reduction, label_smoothing, weight } = &self.loss;
        writeln!(out, "\n[loss]")?;
        writeln!(
            out,
            "type = \"{function}\"  # BCELoss, BCEWithLogitsLoss, MSELoss, L1Loss or CrossEntropyLoss"
        )?;
        let reduction = match reduction {
            Reduction::Mean => "mean",
            Reduction::Sum => "sum",
        };
        writeln!(out, "reduction = \"{reduction}\"  # mean or sum")?;
        if *function == Loss::CrossEntropy {
            writeln!(
                out,
                "label_smoothing = {label_smoothing:?}  # share of the targets that is spread over all classes"
            )?;
            match weight {
                Some(weight) => writeln!(out, "weight = {weight:?}  # how much each class counts")?,
                None => writeln!(out, "# weight = [1.0, 1.0]  # how much each class counts")?,
            }
        }

        writeln!(out, "\n[optimizer]")?;
        match self.optimizer {
            Optimizer::Adam(AdamOptions { lr, betas, eps, weight_decay }) => {
                writeln!(
                    out,
                    "type = \"Adam\"  # or AdamW, with the same keys, or SGD, with lr, momentum, nesterov and weight_decay"
                )?;
                writeln!(out, "lr = {lr:?}\nbetas = {betas:?}\neps = {eps:?}")?;
                writeln!(out, "weight_decay = {weight_decay:?}")?;
            }
            Optimizer::AdamW(AdamWOptions { lr, betas, eps, weight_decay }) => {
                writeln!(
                    out,
                    "type = \"AdamW\"  # or Adam, with the same keys, or SGD, with lr, momentum, nesterov and weight_decay"
                )?;
                writeln!(out, "lr = {lr:?}\nbetas = {betas:?}\neps = {eps:?}")?;
                writeln!(out, "weight_decay = {weight_decay:?}")?;
            }
            Optimizer::Sgd(SgdOptions { lr, momentum, weight_decay, nesterov }) => {
                let others = "or Adam or AdamW, with lr, betas, eps and weight_decay";
                writeln!(out, "type = \"SGD\"  # {others}")?;
                writeln!(out, "lr = {lr:?}\nmomentum = {momentum:?}\nnesterov = {nesterov}")?;
                writeln!(out, "weight_decay = {weight_decay:?}")?;
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

fn string(text: &str) -> String {
    toml::Value::from(text).to_string()
}

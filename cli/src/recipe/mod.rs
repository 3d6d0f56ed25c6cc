//! A training in words: what a configuration file says, and flags over it.

mod arguments;
mod changes;
mod loss;
mod optimizer;
mod toml;
mod values;

pub(crate) use arguments::{RecipeArguments, Statistics};
pub(crate) use changes::{AugmentationChanges, Changes, DataChanges, NetworkChoice, StopChanges};
pub(crate) use loss::LossChanges;
pub(crate) use optimizer::{Optimizer, OptimizerChanges, OptimizerKind};
pub(crate) use values::{at_least_one, seconds, share};

use crate::model::Model;
use anyhow::{Context, Result, bail};
use loupe_engine::Context as EngineContext;
use loupe_engine::optim::SgdOptions;
use loupe_model::data::Order;
use loupe_model::{
    Augmentation, LossOptions, Network, Normalization, Schedule, TrainOptions, Trainer,
};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// The folder where data is looked for unless another is named.
pub(crate) const DATA: &str = "data/mnist";

/// Everything that decides what a training computes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Recipe {
    pub(crate) network: NetworkChoice,
    pub(crate) seed: u64,
    pub(crate) epochs: usize,
    pub(crate) batch_size: NonZeroUsize,
    pub(crate) loss: LossOptions,
    /// The norm that gradients are scaled down to.
    pub(crate) clip_grad_norm: Option<f64>,
    /// Whose score says which epoch is the best; see [`Recipe::judged_by`].
    pub(crate) statistics: Option<Normalization>,
    pub(crate) data: PathBuf,
    pub(crate) shuffle: bool,
    /// The share of the training items that is held out.
    pub(crate) validation: f64,
    pub(crate) optimizer: Optimizer,
    pub(crate) schedule: Schedule,
    /// In pixels.
    pub(crate) shift: f32,
    /// In degrees.
    pub(crate) rotate: f32,
    pub(crate) patience: Option<NonZeroUsize>,
    pub(crate) max_seconds: Option<f64>,
}

/// A recipe to begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Preset {
    /// The tutorial's run: its convolutional network, batch size 1, 3 epochs in file order
    Tutorial,
    /// A larger network that reaches 99.2 % of the MNIST digits in about two seconds
    Fast,
}

impl Default for Recipe {
    /// The tutorial's.
    fn default() -> Recipe {
        let TrainOptions { epochs, batch_size, .. } = TrainOptions::default();
        Recipe {
            network: NetworkChoice::Named("cnn".to_owned()),
            seed: 0,
            epochs,
            batch_size,
            loss: LossOptions::default(),
            clip_grad_norm: None,
            statistics: None,
            data: PathBuf::from(DATA),
            shuffle: false,
            validation: 0.0,
            optimizer: Optimizer::default(),
            schedule: Schedule::Constant,
            shift: 0.0,
            rotate: 0.0,
            patience: None,
            max_seconds: None,
        }
    }
}

impl Recipe {
    /// The preset, what a configuration file changes of it, and what flags change of that. The file may name
    /// the preset itself.
    pub(crate) fn resolve(
        preset: Option<Preset>,
        config: Option<&Path>,
        flags: Changes,
    ) -> Result<Recipe> {
        let file = config.map(Changes::read).transpose()?.unwrap_or_default();
        let mut recipe = Recipe::default();
        if preset.or(file.preset) == Some(Preset::Fast) {
            let fast = Changes::parse(include_str!("presets/fast.toml"), "fast");
            recipe.apply(fast.expect("a preset that is tested"))?;
        }
        let named = |error: anyhow::Error| match config {
            Some(path) => error.context(path.display().to_string()),
            None => error,
        };
        recipe.apply(file).map_err(named)?;
        recipe.apply(flags)?;
        recipe.check()?;
        Ok(recipe)
    }

    fn apply(&mut self, changes: Changes) -> Result<()> {
        let Changes { data, augmentation, stop, optimizer, loss, .. } = changes;
        set(&mut self.network, changes.network);
        set(&mut self.seed, changes.seed);
        set(&mut self.epochs, changes.epochs);
        set(&mut self.batch_size, changes.batch_size);
        self.loss = loss::changed(&self.loss, loss)?;
        self.clip_grad_norm = changes.clip_grad_norm.or(self.clip_grad_norm);
        self.statistics = changes.statistics.or(self.statistics);
        set(&mut self.schedule, changes.schedule);
        set(&mut self.data, data.path);
        set(&mut self.shuffle, data.shuffle);
        set(&mut self.validation, data.validation);
        set(&mut self.shift, augmentation.shift);
        set(&mut self.rotate, augmentation.rotate);
        self.patience = stop.patience.or(self.patience);
        self.max_seconds = stop.max_seconds.or(self.max_seconds);
        self.optimizer = self.optimizer.changed(optimizer)?;
        Ok(())
    }

    /// Refuses numbers that each are possible but contradict each other.
    pub(crate) fn check(&self) -> Result<()> {
        if let Some((field, expected, found)) = self.schedule.fault() {
            bail!("schedule.{field}: expected {expected}, found {found}");
        }
        // Every schedule goes straight from its least to its largest rate, or the other way, or up and down to `lr`.
        let (steps, lr) = (1 << 20, self.optimizer.options().lr());
        let ends = [[0, 0], [self.epochs.saturating_sub(1), steps - 1]];
        let rates = ends.map(|at| self.schedule.rate(lr, at, [self.epochs.max(1), steps]));
        if let Some(rate) = rates.into_iter().find(|rate| !(*rate as f32).is_finite()) {
            bail!(
                "schedule: the learning rate comes to {rate:e}, which a 32-bit float does not hold"
            );
        }
        if let Optimizer::Sgd(SgdOptions { nesterov: true, momentum: 0.0, .. }) = self.optimizer {
            bail!("optimizer.nesterov: Nesterov's momentum needs a momentum above 0");
        }
        if self.patience.is_some() && self.validation == 0.0 {
            bail!(
                "patience needs items to judge by: hold some out with --validation (data.validation)"
            );
        }
        Ok(())
    }

    /// The statistics by which the network works best: unless something else is said, those of the single image
    /// if that is what it is trained with, or else the running ones.
    pub(crate) fn judged_by(&self) -> Normalization {
        self.statistics.unwrap_or(match self.batch_size {
            NonZeroUsize::MIN => Normalization::BatchStatistics,
            _ => Normalization::RunningStatistics,
        })
    }

    /// The network that is to be trained.
    pub(crate) fn model(&self) -> Result<Model> {
        match &self.network {
            NetworkChoice::Named(name) => Model::named(name),
            NetworkChoice::Inline { name, spec } => {
                spec.shapes().context("network")?;
                Ok(Model { name: name.clone(), spec: spec.clone() })
            }
        }
    }

    /// The network, made ready to be trained by this recipe.
    pub(crate) fn trainer(&self, cx: EngineContext, network: Network) -> Trainer {
        let mut trainer = Trainer::new(cx, network, self.loss.clone(), self.optimizer.options());
        trainer.set_clip_grad_norm(self.clip_grad_norm);
        trainer.set_seed(self.seed);
        trainer
    }

    /// The recipe as [`Training`](loupe_model::Training) takes it.
    pub(crate) fn options(&self) -> TrainOptions {
        TrainOptions {
            epochs: self.epochs,
            batch_size: self.batch_size,
            order: match self.shuffle {
                true => Order::Shuffled { seed: self.seed },
                false => Order::File,
            },
            schedule: self.schedule,
            augmentation: Augmentation { shift: self.shift, rotate: self.rotate, seed: self.seed },
            judged_by: self.judged_by(),
            patience: self.patience,
        }
    }
}

fn set<T>(value: &mut T, change: Option<T>) {
    if let Some(change) = change {
        *value = change;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use loupe_engine::optim::AdamWOptions;
    use loupe_model::Loss;

    fn changes(text: &str) -> Changes {
        Changes::parse(text, "test").unwrap_or_else(|error| panic!("{error:#}"))
    }

    fn resolved(preset: Option<Preset>, text: &str) -> Result<Recipe> {
        Recipe::resolve(preset, None, changes(text))
    }

    #[test]
    fn recipes_survive_toml() {
        for preset in [Preset::Tutorial, Preset::Fast] {
            for change in [
                "",
                "seed = 18446744073709551615",
                "network = \"a \\\"b\\\".toml\"\n[stop]\nmax_seconds = 0.5",
                "[optimizer]\ntype = \"SGD\"\nlr = 0.1\nmomentum = 0.9\n[schedule]\ntype = \"OneCycleLR\"",
                "clip_grad_norm = 0.5\nloss = \"L1Loss\"\n[optimizer]\ntype = \"AdamW\"\nweight_decay = 0.2",
                "[loss]\ntype = \"CrossEntropyLoss\"\nreduction = \"sum\"\nlabel_smoothing = 0.1\nweight = [1, 0.1]",
                "[optimizer]\ntype = \"SGD\"\nmomentum = 0.5\nnesterov = true\nweight_decay = 1e-4",
                "[data]\nvalidation = 0.1\n[stop]\npatience = 4\n[augmentation]\nshift = 2\nrotate = 7.5",
            ] {
                let recipe = resolved(Some(preset), change).unwrap();
                let text = recipe.to_toml();
                let again =
                    Changes::parse(&text, "fast").unwrap_or_else(|e| panic!("{e:#}\n{text}"));
                let again = Recipe::resolve(None, None, again).unwrap();
                assert_eq!(again.statistics, Some(recipe.judged_by()));
                assert_eq!(Recipe { statistics: recipe.statistics, ..again }, recipe, "{text}");
            }
        }
    }

    #[test]
    fn a_new_kind_of_optimiser_has_its_own_options() {
        let recipe = resolved(None, "[optimizer]\ntype = \"SGD\"\nlr = 0.1").unwrap();
        assert_eq!(
            recipe.optimizer,
            Optimizer::Sgd(SgdOptions { lr: 0.1, ..SgdOptions::default() })
        );
        let adamw = resolved(None, "[optimizer]\ntype = \"AdamW\"\nlr = 0.1").unwrap();
        let expected = AdamWOptions { lr: 0.1, ..AdamWOptions::default() };
        assert_eq!(adamw.optimizer, Optimizer::AdamW(expected));
        let error = resolved(None, "[optimizer]\nmomentum = 0.1").unwrap_err().to_string();
        assert_eq!(error, "optimizer.momentum: Adam has no momentum");
        let error = resolved(None, "[optimizer]\nnesterov = true").unwrap_err().to_string();
        assert_eq!(error, "optimizer.nesterov: Adam has no nesterov");
        let error =
            resolved(None, "[optimizer]\ntype = \"SGD\"\neps = 0.1").unwrap_err().to_string();
        assert_eq!(error, "optimizer.eps: SGD has no eps");
    }

    #[test]
    fn a_new_loss_has_its_own_options() {
        let text = "[loss]\ntype = \"CrossEntropyLoss\"\nlabel_smoothing = 0.1";
        let mut recipe = resolved(None, text).unwrap();
        recipe.apply(changes("loss = \"CrossEntropyLoss\"")).unwrap();
        assert_eq!(recipe.loss.label_smoothing, 0.1);
        recipe.apply(changes("loss = \"L1Loss\"")).unwrap();
        assert_eq!(recipe.loss, Loss::L1.into());
        for (name, value) in [("label_smoothing", "0.1"), ("weight", "[1.0]")] {
            let error = resolved(None, &format!("loss.{name} = {value}")).unwrap_err().to_string();
            assert_eq!(error, format!("loss.{name}: BCELoss has no {name}"));
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let error = resolved(None, "[stop]\npatience = 2").unwrap_err().to_string();
        assert!(error.contains("--validation"), "{error}");
        let text = "[schedule]\ntype = \"OneCycleLR\"\npct_start = 2";
        let error = resolved(None, text).unwrap_err().to_string();
        assert_eq!(error, "schedule.pct_start: expected a number from 0 to 1, found 2");
        let text = "[optimizer]\ntype = \"SGD\"\nnesterov = true";
        let error = resolved(None, text).unwrap_err().to_string();
        assert_eq!(error, "optimizer.nesterov: Nesterov's momentum needs a momentum above 0");
    }

    /// The message names the key or the value, and the line.
    #[test]
    fn faults_are_named_with_their_line() {
        for (text, parts) in [
            ("epochs = 3\nepoch = 4", ["line 2", "epoch`"]),
            ("epochs = -1", ["line 1", "-1"]),
            ("\n\nbatch_size = 0", ["line 3", "nonzero"]),
            ("seed = 0\n[data]\nvalidation = 1.0", ["line 3", "from 0 to less than 1"]),
            ("[optimizer]\n\nlr = nan", ["line 3", "above 0"]),
            ("[optimizer]\ntype = \"Adagrad\"", ["line 2", "Adagrad"]),
            ("[optimizer]\nbetas = [0.9, 1.0]", ["line 2", "less than 1"]),
            ("loss = \"NLLLoss\"", ["line 1", "NLLLoss"]),
            ("loss = 3", ["line 1", "a name, or a table"]),
            ("[loss]\nlabel_smoothing = 1.5", ["line 2", "from 0 to 1"]),
            ("[loss]\nweights = [1.0]", ["line 2", "unknown field `weights`"]),
            ("[loss]\nweight = [1.0, -1.0]", ["line 2", "at least 0, found -1"]),
            ("[loss]\nreduction = \"none\"", ["line 2", "none"]),
            ("clip_grad_norm = 0", ["line 1", "above 0"]),
            ("[optimizer]\nweight_decay = -1", ["line 2", "weight_decay"]),
            ("[schedule]\ntype = \"StepLR\"", ["line 1", "step_size"]),
            ("[augmentation]\nshift = -1", ["line 2", "from 0 to 10000"]),
            ("[stop]\nmax_seconds = 0", ["line 2", "above 0"]),
            ("preset = \"slow\"", ["line 1", "slow"]),
            ("network = 3", ["line 1", "network"]),
            (
                "[network]\ninput = [4]\nlayers = [\n{ type = \"Conv3d\" }]",
                ["line 3", "layer 0: unknown variant `Conv3d`"],
            ),
        ] {
            let error = format!("{:#}", Changes::parse(text, "test").unwrap_err());
            for part in parts {
                assert!(error.contains(part), "{part}: {error}");
            }
        }
    }
}

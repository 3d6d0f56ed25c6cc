//! The optimiser of a recipe.

use super::values;
use anyhow::{Result, bail};
use loupe_engine::optim::{AdamOptions, AdamWOptions, SgdOptions};
use loupe_model::OptimizerOptions;
use serde::Deserialize;

/// An optimiser with its options.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Optimizer {
    Adam(AdamOptions),
    AdamW(AdamWOptions),
    Sgd(SgdOptions),
}

/// Which optimiser
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Deserialize)]
pub(crate) enum OptimizerKind {
    /// PyTorch's Adam
    Adam,
    /// PyTorch's AdamW: weight decay beside the gradient
    #[value(name = "adamw")]
    AdamW,
    /// PyTorch's SGD, with momentum
    #[serde(rename = "SGD")]
    Sgd,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct OptimizerChanges {
    pub(crate) r#type: Option<OptimizerKind>,
    #[serde(deserialize_with = "values::some_rate")]
    pub(crate) lr: Option<f64>,
    #[serde(deserialize_with = "values::some_betas")]
    pub(crate) betas: Option<[f64; 2]>,
    #[serde(deserialize_with = "values::some_eps")]
    pub(crate) eps: Option<f64>,
    #[serde(deserialize_with = "values::some_share")]
    pub(crate) momentum: Option<f64>,
    pub(crate) nesterov: Option<bool>,
    #[serde(deserialize_with = "values::some_decay")]
    pub(crate) weight_decay: Option<f64>,
}

impl Default for Optimizer {
    /// The tutorial's.
    fn default() -> Optimizer {
        Optimizer::of(OptimizerKind::Adam)
    }
}

impl Optimizer {
    /// With PyTorch's defaults.
    fn of(kind: OptimizerKind) -> Optimizer {
        match kind {
            OptimizerKind::Adam => Optimizer::Adam(AdamOptions::default()),
            OptimizerKind::AdamW => Optimizer::AdamW(AdamWOptions::default()),
            OptimizerKind::Sgd => Optimizer::Sgd(SgdOptions::default()),
        }
    }

    fn kind(self) -> OptimizerKind {
        match self {
            Optimizer::Adam(_) => OptimizerKind::Adam,
            Optimizer::AdamW(_) => OptimizerKind::AdamW,
            Optimizer::Sgd(_) => OptimizerKind::Sgd,
        }
    }

    /// This one changed; one of another kind begins with its own defaults.
    pub(super) fn changed(self, changes: OptimizerChanges) -> Result<Optimizer> {
        let kind = changes.r#type.unwrap_or(self.kind());
        let mut optimizer = if kind == self.kind() { self } else { Optimizer::of(kind) };
        let (of_adam, of_sgd) = (
            [("betas", changes.betas.is_some()), ("eps", changes.eps.is_some())],
            [("momentum", changes.momentum.is_some()), ("nesterov", changes.nesterov.is_some())],
        );
        let (name, others) = match kind {
            OptimizerKind::Adam => ("Adam", of_sgd),
            OptimizerKind::AdamW => ("AdamW", of_sgd),
            OptimizerKind::Sgd => ("SGD", of_adam),
        };
        if let Some((option, _)) = others.into_iter().find(|(_, given)| *given) {
            bail!("optimizer.{option}: {name} has no {option}");
        }
        let (lr, weight_decay) = match &mut optimizer {
            Optimizer::Adam(AdamOptions { lr, betas, eps, weight_decay })
            | Optimizer::AdamW(AdamWOptions { lr, betas, eps, weight_decay }) => {
                super::set(betas, changes.betas);
                super::set(eps, changes.eps);
                (lr, weight_decay)
            }
            Optimizer::Sgd(SgdOptions { lr, momentum, weight_decay, nesterov }) => {
                super::set(momentum, changes.momentum);
                super::set(nesterov, changes.nesterov);
                (lr, weight_decay)
            }
        };
        super::set(lr, changes.lr);
        super::set(weight_decay, changes.weight_decay);
        Ok(optimizer)
    }

    pub(crate) fn options(self) -> OptimizerOptions {
        match self {
            Optimizer::Adam(options) => OptimizerOptions::Adam(options),
            Optimizer::AdamW(options) => OptimizerOptions::AdamW(options),
            Optimizer::Sgd(options) => OptimizerOptions::Sgd(options),
        }
    }
}

//! The optimiser of a recipe.

use super::values;
use anyhow::{Result, bail};
use loupe_engine::optim::{AdamOptions, SgdOptions};
use loupe_model::OptimizerOptions;
use serde::Deserialize;

/// An optimiser with its options.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Optimizer {
    Adam { lr: f64, betas: [f64; 2], eps: f64 },
    Sgd { lr: f64, momentum: f64 },
}

/// Which optimiser
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Deserialize)]
pub(crate) enum OptimizerKind {
    /// PyTorch's Adam
    Adam,
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
        let AdamOptions { lr, betas, eps } = AdamOptions::default();
        match kind {
            OptimizerKind::Adam => Optimizer::Adam { lr, betas, eps },
            OptimizerKind::Sgd => Optimizer::Sgd { lr, momentum: 0.0 },
        }
    }

    fn kind(self) -> OptimizerKind {
        match self {
            Optimizer::Adam { .. } => OptimizerKind::Adam,
            Optimizer::Sgd { .. } => OptimizerKind::Sgd,
        }
    }

    /// This one changed; one of another kind begins with its own defaults.
    pub(super) fn changed(self, changes: OptimizerChanges) -> Result<Optimizer> {
        let kind = changes.r#type.unwrap_or(self.kind());
        let mut optimizer = if kind == self.kind() { self } else { Optimizer::of(kind) };
        match &mut optimizer {
            Optimizer::Adam { lr, betas, eps } => {
                if changes.momentum.is_some() {
                    bail!("optimizer.momentum: Adam has no momentum");
                }
                super::set(lr, changes.lr);
                super::set(betas, changes.betas);
                super::set(eps, changes.eps);
            }
            Optimizer::Sgd { lr, momentum } => {
                for (name, given) in
                    [("betas", changes.betas.is_some()), ("eps", changes.eps.is_some())]
                {
                    if given {
                        bail!("optimizer.{name}: SGD has no {name}");
                    }
                }
                super::set(lr, changes.lr);
                super::set(momentum, changes.momentum);
            }
        }
        Ok(optimizer)
    }

    pub(crate) fn options(self) -> OptimizerOptions {
        match self {
            Optimizer::Adam { lr, betas, eps } => {
                OptimizerOptions::Adam(AdamOptions { lr, betas, eps })
            }
            Optimizer::Sgd { lr, momentum } => OptimizerOptions::Sgd(SgdOptions { lr, momentum }),
        }
    }
}

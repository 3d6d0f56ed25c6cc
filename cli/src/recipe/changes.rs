//! What a configuration file, or flags, say of a recipe. The rest stays as it is.

use super::loss::LossChanges;
use super::optimizer::OptimizerChanges;
use super::{Preset, values};
use crate::text_file::read_text;
use anyhow::{Context, Result};
use loupe_model::{NetworkSpec, Normalization, Schedule};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// The file as a whole.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Changes {
    pub(crate) preset: Option<Preset>,
    pub(crate) network: Option<NetworkChoice>,
    pub(crate) seed: Option<u64>,
    pub(crate) epochs: Option<usize>,
    pub(crate) batch_size: Option<NonZeroUsize>,
    #[serde(deserialize_with = "values::some_norm")]
    pub(crate) clip_grad_norm: Option<f64>,
    pub(crate) loss: LossChanges,
    pub(crate) statistics: Option<Normalization>,
    pub(crate) data: DataChanges,
    pub(crate) optimizer: OptimizerChanges,
    pub(crate) schedule: Option<Schedule>,
    pub(crate) augmentation: AugmentationChanges,
    pub(crate) stop: StopChanges,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DataChanges {
    pub(crate) path: Option<PathBuf>,
    pub(crate) shuffle: Option<bool>,
    #[serde(deserialize_with = "values::some_share")]
    pub(crate) validation: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AugmentationChanges {
    #[serde(deserialize_with = "values::some_pixels")]
    pub(crate) shift: Option<f32>,
    #[serde(deserialize_with = "values::some_angle")]
    pub(crate) rotate: Option<f32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StopChanges {
    pub(crate) patience: Option<NonZeroUsize>,
    #[serde(deserialize_with = "values::some_seconds")]
    pub(crate) max_seconds: Option<f64>,
}

/// Which network.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum NetworkChoice {
    /// By name, or by its file.
    Named(String),
    /// As a table of the configuration; the name is the file's.
    Inline { name: String, spec: NetworkSpec },
}

impl<'de> Deserialize<'de> for NetworkChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<NetworkChoice, D::Error> {
        struct Choice;

        impl<'de> Visitor<'de> for Choice {
            type Value = NetworkChoice;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "network: cnn, mlp, the name of a file, or a table with input and layers",
                )
            }

            fn visit_str<E>(self, name: &str) -> Result<NetworkChoice, E> {
                Ok(NetworkChoice::Named(name.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<NetworkChoice, A::Error> {
                let spec = NetworkSpec::deserialize(MapAccessDeserializer::new(map))?;
                Ok(NetworkChoice::Inline { name: String::new(), spec })
            }
        }

        deserializer.deserialize_any(Choice)
    }
}

impl Changes {
    /// What a configuration file says.
    pub(crate) fn read(path: &Path) -> Result<Changes> {
        let shown = path.display();
        let text =
            read_text(path).with_context(|| format!("{shown}: cannot read the configuration"))?;
        let name = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy();
        let changes = Changes::parse(&text, &name)
            .with_context(|| format!("{shown}: not a configuration"))?;
        if let Some(NetworkChoice::Inline { spec, .. }) = &changes.network {
            spec.shapes().with_context(|| format!("{shown}: network"))?;
        }
        Ok(changes)
    }

    /// What the text says; a network within it is called `name`.
    pub(super) fn parse(text: &str, name: &str) -> Result<Changes> {
        let mut changes: Changes = ::toml::from_str(text)?;
        if let Some(NetworkChoice::Inline { name: empty, .. }) = &mut changes.network {
            name.clone_into(empty);
        }
        Ok(changes)
    }
}

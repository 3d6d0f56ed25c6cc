//! The loss of a recipe.

use super::values;
use anyhow::{Result, bail};
use loupe_model::{Loss, LossOptions, Reduction};
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;

/// A name, or a table.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct LossChanges {
    pub(crate) r#type: Option<Loss>,
    pub(crate) reduction: Option<Reduction>,
    pub(crate) label_smoothing: Option<f64>,
    pub(crate) weight: Option<Vec<f32>>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ReductionName {
    Mean,
    Sum,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Table {
    r#type: Option<Loss>,
    reduction: Option<ReductionName>,
    #[serde(deserialize_with = "values::some_smoothing")]
    label_smoothing: Option<f64>,
    #[serde(deserialize_with = "values::some_class_weights")]
    weight: Option<Vec<f32>>,
}

impl<'de> Deserialize<'de> for LossChanges {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<LossChanges, D::Error> {
        struct NameOrTable;

        impl<'de> Visitor<'de> for NameOrTable {
            type Value = LossChanges;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("loss: a name, or a table with type and options")
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<LossChanges, E> {
                let loss = Loss::deserialize(StrDeserializer::new(name))?;
                Ok(LossChanges { r#type: Some(loss), ..LossChanges::default() })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<LossChanges, A::Error> {
                let Table { r#type, reduction, label_smoothing, weight } =
                    Table::deserialize(MapAccessDeserializer::new(map))?;
                let reduction = reduction.map(|name| match name {
                    ReductionName::Mean => Reduction::Mean,
                    ReductionName::Sum => Reduction::Sum,
                });
                Ok(LossChanges { r#type, reduction, label_smoothing, weight })
            }
        }

        deserializer.deserialize_any(NameOrTable)
    }
}

/// `loss` changed; one of another type begins with its own defaults.
pub(super) fn changed(loss: &LossOptions, changes: LossChanges) -> Result<LossOptions> {
    let function = changes.r#type.unwrap_or(loss.function);
    let mut loss = if function == loss.function { loss.clone() } else { function.into() };
    if function != Loss::CrossEntropy {
        for (name, given) in [
            ("label_smoothing", changes.label_smoothing.is_some()),
            ("weight", changes.weight.is_some()),
        ] {
            if given {
                bail!("loss.{name}: {function} has no {name}");
            }
        }
    }
    super::set(&mut loss.reduction, changes.reduction);
    super::set(&mut loss.label_smoothing, changes.label_smoothing);
    loss.weight = changes.weight.or(loss.weight);
    Ok(loss)
}

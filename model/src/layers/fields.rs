//! Fields of layers: pairs, lists and shapes as they are given, read and printed.

use super::Layer;
use loupe_engine::activation::GeluApproximation;
use loupe_engine::pad::PaddingMode;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serializer};
use std::fmt;

/// Height and width: one number for both, or one for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair(pub [usize; 2]);

impl From<usize> for Pair {
    fn from(both: usize) -> Pair {
        Pair([both; 2])
    }
}

impl From<[usize; 2]> for Pair {
    fn from(pair: [usize; 2]) -> Pair {
        Pair(pair)
    }
}

impl From<(usize, usize)> for Pair {
    fn from((height, width): (usize, usize)) -> Pair {
        Pair([height, width])
    }
}

/// `3`, or `(3, 5)`.
impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [h, w] = self.0;
        if h == w { write!(f, "{h}") } else { write!(f, "({h}, {w})") }
    }
}

/// Reads layers; an error says in which, counted from 0, and what reads them says where the list begins.
pub(crate) fn layers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Layer>, D::Error> {
    struct List;

    impl<'de> Visitor<'de> for List {
        type Value = Vec<Layer>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of layers")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<Layer>, A::Error> {
            let mut layers = Vec::new();
            loop {
                let layer = list.next_element();
                // TOML's reasons end with a line of their own that says in which field.
                let in_layer = |reason: A::Error| {
                    let reason = reason.to_string().trim_end().replace('\n', " ");
                    A::Error::custom(format!("layer {}: {reason}", layers.len()))
                };
                match layer.map_err(in_layer)? {
                    Some(layer) => layers.push(layer),
                    None => return Ok(layers),
                }
            }
        }
    }

    deserializer.deserialize_seq(List)
}

/// `200`, or `10, 12, 12`.
pub(super) struct Shape<'a>(pub(super) &'a [usize]);

impl fmt::Display for Shape<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, size) in self.0.iter().enumerate() {
            write!(f, "{}{size}", if i > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}

/// Writes `, name=value` for each pair that is not the default.
pub(super) fn write_pairs<const N: usize>(
    f: &mut fmt::Formatter<'_>,
    fields: [(&str, [usize; 2], usize); N],
) -> fmt::Result {
    for (name, value, default) in fields {
        if value != [default; 2] {
            write!(f, ", {name}={}", Pair(value))?;
        }
    }
    Ok(())
}

pub(super) fn one() -> usize {
    1
}

pub(super) fn ones() -> [usize; 2] {
    [1, 1]
}

pub(super) fn yes() -> bool {
    true
}

/// A number or a list of numbers.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a whole number or a list of whole numbers")]
enum Numbers {
    One(usize),
    List(Vec<usize>),
}

/// `5` or `[5, 5]`.
pub(super) fn pair<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[usize; 2], D::Error> {
    match Numbers::deserialize(deserializer)? {
        Numbers::One(n) => Ok([n, n]),
        Numbers::List(list) => <[usize; 2]>::try_from(list).map_err(|list| {
            D::Error::custom(format!("expected one number or two, found {}", list.len()))
        }),
    }
}

/// As [`pair`]; a field that is left out is none.
pub(super) fn optional_pair<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<[usize; 2]>, D::Error> {
    pair(deserializer).map(Some)
}

/// `250` or `[10, 5, 5]`.
pub(super) fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<usize>, D::Error> {
    Ok(match Numbers::deserialize(deserializer)? {
        Numbers::One(n) => vec![n],
        Numbers::List(list) => list,
    })
}

/// A type whose values have names in files.
macro_rules! named {
    ($module:ident, $type:ty, $($value:path => $name:literal),*) => {
        pub(super) mod $module {
            use super::*;

            const NAMES: &[&str] = &[$($name),*];

            pub(in crate::layers) fn name(value: &$type) -> &'static str {
                match value {
                    $($value => $name,)*
                }
            }

            pub(in crate::layers) fn serialize<S: Serializer>(
                value: &$type,
                serializer: S,
            ) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(name(value))
            }

            pub(in crate::layers) fn deserialize<'de, D: Deserializer<'de>>(
                deserializer: D,
            ) -> Result<$type, D::Error> {
                let found = String::deserialize(deserializer)?;
                match &found[..] {
                    $($name => Ok($value),)*
                    other => Err(serde::de::Error::unknown_variant(other, NAMES)),
                }
            }
        }
    };
}

named!(
    padding_mode, PaddingMode,
    PaddingMode::Zeros => "zeros",
    PaddingMode::Reflect => "reflect",
    PaddingMode::Replicate => "replicate",
    PaddingMode::Circular => "circular"
);
named!(
    approximation, GeluApproximation,
    GeluApproximation::None => "none",
    GeluApproximation::Tanh => "tanh"
);

//! Which network: one of the tutorial's by name, or a file.

use crate::similar::similar;
use crate::text_file::read_text;
use anyhow::{Context, Result, bail};
use loupe_model::{NetworkSpec, nets};
use std::path::Path;

/// The networks that need no file.
const NAMES: [&str; 2] = ["cnn", "mlp"];

/// A network and what to call it.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) name: String,
    pub(crate) spec: NetworkSpec,
}

impl Model {
    /// The network that `--model` names.
    pub(crate) fn named(name: &str) -> Result<Model> {
        let spec = match name {
            "cnn" => nets::mnist_cnn(),
            "mlp" => nets::mnist_mlp(),
            _ => return Model::from_file(Path::new(name)),
        };
        Ok(Model { name: name.to_owned(), spec })
    }

    /// The network that a TOML or JSON file describes.
    pub(crate) fn from_file(path: &Path) -> Result<Model> {
        let shown = path.display();
        let extension = path.extension().and_then(|extension| extension.to_str());
        let toml = match extension {
            Some("toml") => true,
            Some("json") => false,
            _ => bail!(
                "unknown model {shown}; expected cnn, mlp, or a file whose name ends in .toml or \
                 .json{}",
                similar(&shown.to_string(), &NAMES)
                    .map_or(String::new(), |name| format!("; did you mean {name}?"))
            ),
        };
        let text = read_text(path).with_context(|| format!("{shown}: cannot read the network"))?;
        let spec: NetworkSpec = if toml {
            toml::from_str(&text).with_context(|| format!("{shown}: not a network"))?
        } else {
            serde_json::from_str(&text).with_context(|| format!("{shown}: not a network"))?
        };
        spec.shapes().with_context(|| shown.to_string())?;
        let name = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Ok(Model { name, spec })
    }

    /// The network as a TOML file.
    pub(crate) fn to_toml(&self) -> Result<String> {
        toml::to_string(&self.spec).context("cannot write the network as TOML")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_survive_toml() {
        for name in ["cnn", "mlp"] {
            let model = Model::named(name).unwrap();
            let text = model.to_toml().unwrap();
            let spec: NetworkSpec = toml::from_str(&text).unwrap();
            assert_eq!(spec, model.spec, "{text}");
        }
    }
}

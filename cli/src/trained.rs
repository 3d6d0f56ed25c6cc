//! A trained network: a run's, or that of a weights file.

use crate::model::Model;
use crate::run_folder::RunFolder;
use anyhow::{Result, bail};
use loupe_model::Network;
use std::path::Path;

/// A network with trained values.
#[derive(Debug)]
pub(crate) struct Trained {
    /// What `--model` or the name of the network's file calls it.
    pub(crate) name: String,
    pub(crate) network: Network,
    /// The names of the classes, if the run has kept them.
    pub(crate) classes: Option<Vec<String>>,
}

impl Trained {
    /// Reads the network of `path`, which is a folder that `train` has written or a weights file.
    /// `model` is what `--model` names; a folder knows its network itself.
    pub(crate) fn open(path: &Path, model: Option<&str>) -> Result<Trained> {
        let shown = path.display();
        if !path.exists() {
            bail!(
                "{shown}: not found; expected a folder that train has written, or a weights file"
            );
        }
        let folder = path.is_dir().then(|| RunFolder::open(path));
        let model = match (model, &folder) {
            (Some(name), _) => Model::named(name)?,
            (None, Some(folder)) => Model::from_file(&folder.network())?,
            (None, None) => bail!(
                "{shown}: a weights file does not say of which network it is; name it with --model"
            ),
        };
        let (weights, classes) = match folder {
            Some(folder) => (folder.weights(), folder.classes()?),
            None => (path.to_owned(), None),
        };
        let mut network = Network::new(model.spec, 0)?;
        network.read_weights(&weights)?;
        if let Some(names) = &classes {
            let outputs = network.spec().output_len()?;
            if names.len() != outputs {
                bail!(
                    "{shown}: the network gives {outputs} outputs, but the run has names of {} classes",
                    names.len()
                );
            }
        }
        Ok(Trained { name: model.name, network, classes })
    }
}

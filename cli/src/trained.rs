//! A trained network: a run's, or that of a weights file.

use crate::model::Model;
use crate::recipe::Recipe;
use crate::run_folder::RunFolder;
use anyhow::{Context, Result, bail};
use loupe_model::data::Dataset;
use loupe_model::{Description, Network, NetworkSpec, Normalization};
use std::path::Path;

/// A network with trained values.
#[derive(Debug)]
pub(crate) struct Trained {
    /// What the run folder, `--model` or the name of the network's file calls it.
    pub(crate) name: String,
    pub(crate) network: Network,
    /// The names of the classes, if the run has kept them.
    pub(crate) classes: Option<Vec<String>>,
    /// How it was trained, if the run has kept that.
    pub(crate) recipe: Option<Recipe>,
}

impl Trained {
    /// Reads the network of `path`, which is a folder that `train` has written or a weights file.
    /// `model` is what `--model` names; a folder knows its network itself, and so does a file that `export` has
    /// written.
    pub(crate) fn open(path: &Path, model: Option<&str>) -> Result<Trained> {
        let shown = path.display();
        if !path.exists() {
            bail!(
                "{shown}: not found; expected a folder that train has written, or a weights file"
            );
        }
        let folder = path.is_dir().then(|| RunFolder::open(path));
        let (model, classes) = match (model, &folder) {
            (Some(name), None) => (Model::named(name)?, None),
            (Some(name), Some(folder)) => (Model::named(name)?, folder.classes()?),
            (None, Some(folder)) => (folder.model()?, folder.classes()?),
            (None, None) => described(path, "name it with --model")?,
        };
        let recipe = folder.as_ref().map(RunFolder::recipe).transpose()?.flatten();
        let weights = folder.map_or(path.to_owned(), |folder| folder.weights());
        let network = read_weights(model.spec, &weights)?;
        if let Some(names) = &classes {
            let outputs = network.spec().output_len()?;
            if names.len() != outputs {
                bail!(
                    "{shown}: the network gives {outputs} outputs, but there are names of {} classes",
                    names.len()
                );
            }
        }
        let named = path.file_name().filter(|_| path.is_dir());
        let name = named.map_or(model.name, |name| name.to_string_lossy().into_owned());
        Ok(Trained { name, network, classes, recipe })
    }

    /// By which statistics the run says that it works best.
    pub(crate) fn statistics(&self) -> Option<Normalization> {
        self.recipe.as_ref().map(Recipe::judged_by)
    }

    /// The names of the classes of `data`, which fits the network: those that the run has kept, else those of
    /// the data.
    pub(crate) fn class_names<'a>(&'a self, data: &'a Dataset) -> &'a [String] {
        self.classes.as_deref().unwrap_or(data.class_names())
    }
}

/// The network with the weights of a file with which something can be computed: finite ones, and variances of at
/// least 0.
pub(crate) fn read_weights(spec: NetworkSpec, path: &Path) -> Result<Network> {
    let network = Network::from_file(spec, path)?;
    network.check_values().with_context(|| path.display().to_string())?;
    Ok(network)
}

/// The network that a weights file says it is of, and the names of its classes.
/// `advice` is for the user of one that does not.
fn described(path: &Path, advice: &str) -> Result<(Model, Option<Vec<String>>)> {
    let shown = path.display();
    let Some(Description { network: spec, classes }) = Description::read(path)? else {
        bail!("{shown}: the weights file does not say of which network it is; {advice}");
    };
    spec.shapes().with_context(|| shown.to_string())?;
    let name = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    Ok((Model { name, spec }, classes))
}

/// The network that `named` is the name, the file, the run folder or the weights file of.
pub(crate) fn spec_of(named: &str) -> Result<Model> {
    let path = Path::new(named);
    if path.is_dir() {
        RunFolder::open(path).model()
    } else if path.extension().is_some_and(|extension| extension == "safetensors") {
        Ok(described(path, "name the network itself")?.0)
    } else {
        Model::named(named)
    }
}

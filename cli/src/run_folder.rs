//! The folder that a training writes: `weights.safetensors`, `network.toml` and, unless the classes are
//! the digits, `classes.txt`.

use crate::model::Model;
use anyhow::{Context, Result, bail};
use loupe_model::data::{Dataset, read_class_names};
use loupe_model::write_atomically;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

const WEIGHTS: &str = "weights.safetensors";
const BEST: &str = "best.safetensors";
const NETWORK: &str = "network.toml";
const CLASSES: &str = "classes.txt";

/// A folder that holds, or will hold, a trained network.
#[derive(Debug)]
pub(crate) struct RunFolder {
    path: PathBuf,
    /// Whether [`RunFolder::create`] has made the folder.
    made: bool,
}

impl RunFolder {
    /// Makes the folder of a new training and writes its network. Called before the training, so that
    /// a folder that cannot be written is found out at once.
    pub(crate) fn create(out: Option<&Path>, model: &Model) -> Result<RunFolder> {
        let folder = match out {
            Some(out) => {
                let made = !out.exists();
                fs::create_dir_all(out)
                    .with_context(|| format!("{}: cannot make the folder", out.display()))?;
                RunFolder { path: out.to_owned(), made }
            }
            None => RunFolder { path: first_free(&model.name)?, made: true },
        };
        let network = folder.network();
        // Made only if it is new: it marks the folder as taken.
        let mut file = match fs::File::create_new(&network) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => bail!(
                "{}: the folder holds a run already; name another with --out",
                folder.path.display()
            ),
            result => result.with_context(|| format!("{}: cannot write", network.display()))?,
        };
        file.write_all(model.to_toml()?.as_bytes())
            .with_context(|| format!("{}: cannot write", network.display()))?;
        Ok(folder)
    }

    /// Keeps the names of the classes, unless they are plain numbers.
    pub(crate) fn write_classes(&self, data: &Dataset) -> Result<()> {
        let names = data.class_names();
        if names.iter().enumerate().all(|(class, name)| *name == class.to_string()) {
            return Ok(());
        }
        let path = self.path.join(CLASSES);
        let text: String = names.iter().map(|name| format!("{name}\n")).collect();
        write_atomically(&path, text.as_bytes())
            .with_context(|| format!("{}: cannot write", path.display()))
    }

    /// The names of the classes, if the folder has them.
    pub(crate) fn classes(&self) -> Result<Option<Vec<String>>> {
        Ok(read_class_names(&self.path.join(CLASSES))?)
    }

    /// An existing folder.
    pub(crate) fn open(path: &Path) -> RunFolder {
        RunFolder { path: path.to_owned(), made: false }
    }

    /// Takes back what [`RunFolder::create`] has done, for a training that has failed. What cannot be
    /// removed stays.
    pub(crate) fn discard(self) {
        let _ = fs::remove_file(self.network());
        let _ = fs::remove_file(self.path.join(CLASSES));
        if self.made {
            let _ = fs::remove_dir(&self.path);
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn weights(&self) -> PathBuf {
        self.path.join(WEIGHTS)
    }

    /// The weights that did best on the way, if the training has kept them.
    pub(crate) fn best_weights(&self) -> PathBuf {
        self.path.join(BEST)
    }

    pub(crate) fn network(&self) -> PathBuf {
        self.path.join(NETWORK)
    }
}

/// Makes `runs/<name>-<n>` with the first free n.
fn first_free(name: &str) -> Result<PathBuf> {
    let runs = Path::new("runs");
    fs::create_dir_all(runs).context("runs: cannot make the folder")?;
    for n in 1.. {
        let folder = runs.join(format!("{name}-{n}"));
        match fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => {
                let message = format!("{}: cannot make the folder", folder.display());
                return Err(error).context(message);
            }
        }
    }
    unreachable!("some number is free")
}

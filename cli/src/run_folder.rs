//! The folder that a training writes: `weights.safetensors` and `network.toml`.

use crate::model::Model;
use anyhow::{Context, Result, bail};
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

const WEIGHTS: &str = "weights.safetensors";
const NETWORK: &str = "network.toml";

/// A folder that holds, or will hold, a trained network.
#[derive(Debug)]
pub(crate) struct RunFolder(PathBuf);

impl RunFolder {
    /// Makes the folder of a new training and writes its network. Called before the training, so that
    /// a folder that cannot be written is found out at once.
    pub(crate) fn create(out: Option<&Path>, model: &Model) -> Result<RunFolder> {
        let folder = match out {
            Some(out) => {
                fs::create_dir_all(out)
                    .with_context(|| format!("{}: cannot make the folder", out.display()))?;
                RunFolder(out.to_owned())
            }
            None => RunFolder(first_free(&model.name)?),
        };
        let network = folder.0.join(NETWORK);
        // Made only if it is new: it marks the folder as taken.
        let mut file = match fs::File::create_new(&network) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => bail!(
                "{}: the folder holds a run already; name another with --out",
                folder.0.display()
            ),
            result => result.with_context(|| format!("{}: cannot write", network.display()))?,
        };
        file.write_all(model.to_toml()?.as_bytes())
            .with_context(|| format!("{}: cannot write", network.display()))?;
        Ok(folder)
    }

    /// An existing folder.
    pub(crate) fn open(path: &Path) -> RunFolder {
        RunFolder(path.to_owned())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn weights(&self) -> PathBuf {
        self.0.join(WEIGHTS)
    }

    pub(crate) fn network(&self) -> PathBuf {
        self.0.join(NETWORK)
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

//! The folder that a training writes.
//!
//! | file | what |
//! |---|---|
//! | `network.toml`, `classes.txt` | the network; the names of the classes, unless they are the digits |
//! | `config.toml`, `environment.json` | how, and with what, the network was trained |
//! | `weights.safetensors`, `best.safetensors` | the last weights, and those of the best epoch |
//! | `checkpoint.safetensors` | all that is needed to go on |
//! | [`log::FILES`] and TensorBoard's | losses and scores on the way |
//! | pictures and `report.html` | what has become of it |

use crate::model::Model;
use crate::recipe::{Changes, Recipe};
use crate::{events, log};
use anyhow::{Context, Result, bail};
use loupe_model::data::{Dataset, read_class_names};
use loupe_model::{create_atomically, remove_leftovers, write_atomically};
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

const WEIGHTS: &str = "weights.safetensors";
const BEST: &str = "best.safetensors";
const NETWORK: &str = "network.toml";
const CLASSES: &str = "classes.txt";
const CONFIG: &str = "config.toml";
const ENVIRONMENT: &str = "environment.json";
const CHECKPOINT: &str = "checkpoint.safetensors";

/// Pictures of the results, as SVG and PNG, and the page that shows them.
pub(crate) const LOSS: &str = "loss";
pub(crate) const CONFUSION: &str = "confusion";
pub(crate) const MISTAKES: &str = "mistakes";
pub(crate) const REPORT: &str = "report.html";

/// A folder that holds, or will hold, a trained network.
#[derive(Debug)]
pub(crate) struct RunFolder {
    path: PathBuf,
    /// Whether the run is new, and whether [`RunFolder::create`] has made the folder.
    new: bool,
    made: bool,
    /// The folder, locked for the training that writes to it.
    _lock: Option<File>,
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
                RunFolder { path: out.to_owned(), new: true, made, _lock: locked(out)? }
            }
            None => {
                let path = first_free(&model.name)?;
                RunFolder { _lock: locked(&path)?, path, new: true, made: true }
            }
        };
        let shown = folder.path.display();
        let network = folder.network();
        if network.exists() {
            bail!("{shown}: the folder holds a run already; name another with --out");
        }
        let events = events::files(&folder.path).pop();
        let events = events.and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
        let there = written().find(|name| folder.path.join(name).exists());
        if let Some(name) = there.or(events) {
            bail!(
                "{shown}: the run would replace the {name} there; name another folder with --out"
            );
        }
        // Made only if it is new: it marks the folder as taken.
        match create_atomically(&network, model.to_toml()?.as_bytes()) {
            Ok(()) => Ok(folder),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                bail!("{shown}: the folder holds a run already; name another with --out")
            }
            Err(error) => {
                folder.discard();
                Err(error).with_context(|| format!("{}: cannot write", network.display()))
            }
        }
    }

    /// Keeps the names of the classes, unless they are plain numbers.
    pub(crate) fn write_classes(&self, data: &Dataset) -> Result<()> {
        let names = data.class_names();
        if names.iter().enumerate().all(|(class, name)| *name == class.to_string()) {
            return Ok(());
        }
        let path = self.path.join(CLASSES);
        let text: String = names.iter().map(|name| format!("{name}\n")).collect();
        write(&path, text.as_bytes())
    }

    /// The names of the classes, if the folder has them.
    pub(crate) fn classes(&self) -> Result<Option<Vec<String>>> {
        Ok(read_class_names(&self.path.join(CLASSES))?)
    }

    /// How the network was trained, if the folder holds the configuration of its training.
    pub(crate) fn recipe(&self) -> Result<Option<Recipe>> {
        let config = self.config();
        if !config.exists() {
            return Ok(None);
        }
        Recipe::resolve(None, Some(&config), Changes::default()).map(Some)
    }

    /// An existing folder.
    pub(crate) fn open(path: &Path) -> RunFolder {
        RunFolder { path: path.to_owned(), new: false, made: false, _lock: None }
    }

    /// An existing folder to which a training is to write.
    pub(crate) fn open_locked(path: &Path) -> Result<RunFolder> {
        Ok(RunFolder { _lock: locked(path)?, ..RunFolder::open(path) })
    }

    /// Takes back what a new training has written, for one that has failed before its first checkpoint. What cannot
    /// be removed stays.
    pub(crate) fn discard(&self) {
        if !self.new {
            return;
        }
        for name in written() {
            let _ = fs::remove_file(self.path.join(name));
        }
        for path in events::files(&self.path) {
            let _ = fs::remove_file(path);
        }
        if self.made {
            let _ = fs::remove_dir(&self.path);
        }
    }

    /// Whether a training was begun here, and ended before it had saved anything.
    pub(crate) fn has_learnt_nothing(&self) -> bool {
        let begun = [self.network(), self.config()].iter().all(|path| path.exists());
        let learnt = [self.checkpoint(), self.weights(), self.best_weights()];
        begun && !learnt.iter().any(|path| path.exists())
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

    pub(crate) fn checkpoint(&self) -> PathBuf {
        self.path.join(CHECKPOINT)
    }

    pub(crate) fn report(&self) -> PathBuf {
        self.path.join(REPORT)
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path.join(CONFIG)
    }

    pub(crate) fn environment(&self) -> PathBuf {
        self.path.join(ENVIRONMENT)
    }

    /// The network, with the name of the folder.
    pub(crate) fn model(&self) -> Result<Model> {
        let network = self.network();
        let there = network.try_exists();
        if !there.with_context(|| format!("{}: cannot look", self.path.display()))? {
            bail!(
                "{}: expected a folder that train has written, but it holds no {NETWORK}",
                self.path.display()
            );
        }
        let Model { name, spec } = Model::from_file(&network)?;
        let folder = self.path.file_name().map(|name| name.to_string_lossy().into_owned());
        Ok(Model { name: folder.unwrap_or(name), spec })
    }

    pub(crate) fn network(&self) -> PathBuf {
        self.path.join(NETWORK)
    }
}

/// Writes a file of a run wholly or not at all.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_atomically(path, bytes).with_context(|| format!("{}: cannot write", path.display()))
}

/// Names of the files that a training writes, but for TensorBoard's, whose names hold the time.
fn written() -> impl Iterator<Item = String> {
    let files = [NETWORK, CLASSES, CONFIG, ENVIRONMENT, WEIGHTS, BEST, CHECKPOINT, REPORT];
    let files = files.into_iter().chain(log::FILES).map(str::to_owned);
    let pictures = [LOSS, CONFUSION, MISTAKES].into_iter();
    files.chain(pictures.flat_map(|name| [format!("{name}.svg"), format!("{name}.png")]))
}

/// The folder, locked until it is dropped, without what a training that was killed has left half-written; an error
/// if another training has locked it. None where folders cannot be opened or locked.
fn locked(path: &Path) -> Result<Option<File>> {
    let Ok(folder) = File::open(path) else { return Ok(None) };
    match folder.try_lock() {
        Ok(()) => {
            remove_leftovers(path);
            Ok(Some(folder))
        }
        Err(TryLockError::WouldBlock) => {
            bail!("{}: another training is at work in this folder", path.display())
        }
        Err(TryLockError::Error(_)) => Ok(None),
    }
}

/// Makes `runs/<name>-<n>` with the first free n.
pub(crate) fn first_free(name: &str) -> Result<PathBuf> {
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

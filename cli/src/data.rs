//! The data set, and what the commands compute with.

use crate::args::{CommonArguments, ThreadArguments};
use anyhow::{Context as _, Result};
use etcetera::BaseStrategy;
use loupe_engine::{Context, Threads};
use loupe_model::data::{Dataset, Split, open_mnist};
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// The digits of the folder that `--data` names. Unpacked files are kept in the user's cache folder
/// where there is one.
pub(crate) fn open(arguments: &CommonArguments, split: Split) -> Result<Dataset> {
    Ok(open_mnist(&arguments.data, split, cache_folder().as_deref())?)
}

/// The folder for unpacked files; `None` if the user has none.
pub(crate) fn cache_folder() -> Option<PathBuf> {
    let strategy = etcetera::choose_base_strategy().ok()?;
    Some(strategy.cache_dir().join("loupe"))
}

/// The threads that `--threads` asks for, and the instructions that `LOUPE_ISA` does.
pub(crate) fn context(arguments: &ThreadArguments) -> Result<Context> {
    let cores = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let threads = arguments.threads.unwrap_or_else(cores);
    Context::from_env(Threads::new(threads.get())?).context("LOUPE_ISA")
}

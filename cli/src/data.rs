//! The data set, and what the commands compute with.

use crate::args::ThreadArguments;
use anyhow::{Context as _, Result};
use etcetera::BaseStrategy;
use loupe_engine::{Context, Threads};
use loupe_model::NetworkSpec;
use loupe_model::data::{Dataset, Split, open_dataset};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// The data set of a folder, for a network. Pictures are brought to the size that the network takes. Unpacked files
/// are kept in the user's cache folder where there is one.
pub(crate) fn open(folder: &Path, split: Split, network: &NetworkSpec) -> Result<Dataset> {
    open_folder(folder, split, picture_size(network))
}

/// The data set of a folder; pictures are brought to this size, or must have one already.
pub(crate) fn open_folder(
    folder: &Path,
    split: Split,
    size: Option<[usize; 2]>,
) -> Result<Dataset> {
    Ok(open_dataset(folder, split, size, cache_folder().as_deref())?)
}

/// Height and width of the pictures that a network takes: its input is `[1, H, W]`, `[H, W]` or, for a square,
/// `[H · H]`.
pub(crate) fn picture_size(network: &NetworkSpec) -> Option<[usize; 2]> {
    match network.input[..] {
        [1, height, width] | [height, width] => Some([height, width]),
        [pixels] => Some(pixels.isqrt()).filter(|side| side * side == pixels).map(|side| [side; 2]),
        _ => None,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_that_are_pictures() {
        let size = |input: &[usize]| {
            picture_size(&NetworkSpec { input: input.to_vec(), layers: Vec::new() })
        };
        assert_eq!(size(&[1, 20, 30]), Some([20, 30]));
        assert_eq!(size(&[20, 30]), Some([20, 30]));
        assert_eq!(size(&[784]), Some([28, 28]));
        for input in [&[783][..], &[3, 28, 28], &[1, 1, 28, 28]] {
            assert_eq!(size(input), None);
        }
    }
}

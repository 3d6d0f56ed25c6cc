//! Files that commands write where they are told.

use anyhow::{Context, Result, bail};
use clap::Args;
use loupe_model::write_atomically;
use std::path::{Path, PathBuf};

/// A file to be written.
#[derive(Debug, Args)]
pub(crate) struct NewFile {
    /// The file to write
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,

    /// Replace the file if there is one
    #[arg(long)]
    pub(crate) force: bool,
}

impl NewFile {
    /// An error if there is no place for the file, or a file that is not to be replaced. To be asked before
    /// long work.
    pub(crate) fn check(&self) -> Result<()> {
        let NewFile { out, force } = self;
        let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
            bail!("{}: there is no folder {}", out.display(), folder.display());
        }
        if out.is_dir() {
            bail!("{}: expected the name of a file, found a folder", out.display());
        }
        if out.exists() && !force {
            bail!(
                "{}: there is a file already; name another, or replace it with --force",
                out.display()
            );
        }
        Ok(())
    }
}

/// An error if the name of a file does not end in a dot and `ending`.
pub(crate) fn expect_ending(file: &Path, ending: &str) -> Result<()> {
    if !file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(ending)) {
        bail!("{}: expected a name that ends in .{ending}", file.display());
    }
    Ok(())
}

/// Writes `bytes` wholly or not at all.
pub(crate) fn write_new(file: &NewFile, bytes: &[u8]) -> Result<()> {
    file.check()?;
    write_atomically(&file.out, bytes)
        .with_context(|| format!("{}: cannot write the file", file.out.display()))
}

//! A file that is not complete yet.

use anyhow::{Context, Result, bail};
use std::fs::{self, File, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// `NAME.part`, open and locked for this process.
#[derive(Debug)]
pub(super) struct Part {
    file: File,
    path: PathBuf,
    /// The file's place when it is complete.
    target: PathBuf,
    len: u64,
}

impl Part {
    /// Opens the part of the file `name`, which is empty unless an earlier download was cut short.
    pub(super) fn open(folder: &Path, name: &str) -> Result<Part> {
        let path = folder.join(format!("{name}.part"));
        let shown = path.display();
        let mut options = File::options();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .with_context(|| format!("{shown}: cannot write"))?;
        let taken = match file.try_lock() {
            // It may have been completed, and so have lost this name, since it was opened.
            Ok(()) => !path.exists(),
            // Some file systems have no locks.
            Err(TryLockError::Error(_)) => false,
            Err(TryLockError::WouldBlock) => true,
        };
        if taken {
            bail!("{shown}: another process is receiving this file");
        }
        let len = file.seek(SeekFrom::End(0)).with_context(|| format!("{shown}: cannot write"))?;
        Ok(Part { file, path, target: folder.join(name), len })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The number of bytes that are there.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Starts again from nothing.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.len = 0;
        Ok(())
    }

    /// Gives the file its name, in place of one that has it.
    pub(super) fn keep(self) -> Result<()> {
        self.file
            .sync_all()
            .and_then(|()| fs::rename(&self.path, &self.target))
            .with_context(|| format!("{}: cannot write", self.target.display()))
    }

    /// Removes the file if there is nothing to go on with. What cannot be removed stays.
    pub(super) fn discard_if_empty(self) {
        if self.len == 0 {
            let _ = fs::remove_file(&self.path);
        }
    }
}

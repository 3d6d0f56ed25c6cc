//! Files of known data sets, from the web into a folder.
//!
//! A file is received as `NAME.part` and gets its name only when its checksum is right, so that what has a
//! name is whole. A part that a broken connection or a stopped program has left is gone on with.

mod client;
mod download;
mod part;

pub(crate) use client::{Client, certificates, is_url};

use crate::known::{KnownFile, file_sha256, unpacked_sha256};
use anyhow::{Context, Result};
use download::Failure;
use part::Part;
use std::fmt;
use std::io;
use std::path::Path;

/// A file that was received, or the mirrors' reasons why not.
pub(crate) type Outcome = std::result::Result<String, Vec<MirrorFailure>>;

/// Why one mirror did not give a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MirrorFailure {
    pub(crate) url: String,
    pub(crate) reason: String,
}

impl fmt::Display for MirrorFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.url, self.reason)
    }
}

/// Is told how a download goes on.
pub(crate) trait Observer {
    /// So many bytes are there, of so many if that is known.
    fn received(&mut self, bytes: u64, of: Option<u64>);
    /// A mirror has failed; `more` follow.
    fn failed(&mut self, failure: &MirrorFailure, more: bool);
}

/// Receives the packed file `name` into `folder` from the first of `mirrors` that gives the right one; the
/// URL that it came from.
///
/// # Errors
/// Those of the file system. That no mirror gives the file is an [`Outcome`].
pub(crate) fn fetch(
    client: &Client,
    mirrors: &[String],
    folder: &Path,
    name: &str,
    known: &KnownFile,
    observer: &mut dyn Observer,
) -> Result<Outcome> {
    let mut part = Part::open(folder, name)?;
    let mut failures = Vec::new();
    for (i, mirror) in mirrors.iter().enumerate() {
        let url = format!("{}/{name}", mirror.trim_end_matches('/'));
        let reason = match from(client, &url, &mut part, known, observer) {
            Ok(()) => {
                part.keep()?;
                return Ok(Ok(url));
            }
            Err(Failure::Mirror(reason)) => reason,
            Err(Failure::Disk(error)) => {
                let message = format!("{}: cannot write", part.path().display());
                part.discard_if_empty();
                return Err(error).context(message);
            }
        };
        let failure = MirrorFailure { url, reason };
        observer.failed(&failure, i + 1 < mirrors.len());
        failures.push(failure);
    }
    part.discard_if_empty();
    Ok(Err(failures))
}

/// Completes `part` from one URL and judges it.
fn from(
    client: &Client,
    url: &str,
    part: &mut Part,
    known: &KnownFile,
    observer: &mut dyn Observer,
) -> std::result::Result<(), Failure> {
    // Packed again, a file may be longer than the published one, but not longer than what it holds.
    let limit = known.unpacked_bytes;
    // A part from elsewhere may be of another file. Then the file is received anew, once.
    for resumed in [part.len() > 0, false] {
        download::download(client, url, part, limit, observer)?;
        if is_right(part.path(), known).map_err(Failure::Disk)? {
            return Ok(());
        }
        let found = file_sha256(part.path()).map_err(Failure::Disk)?;
        part.clear().map_err(Failure::Disk)?;
        if !resumed {
            let expected = known.packed;
            return Err(Failure::Mirror(format!(
                "wrong checksum: expected SHA-256 {expected}, found {found}"
            )));
        }
    }
    unreachable!("the second download is no resumed one")
}

/// Whether the packed file at `path` is the published one, or holds the same.
///
/// # Errors
/// Those of the file system.
pub(crate) fn is_right(path: &Path, known: &KnownFile) -> io::Result<bool> {
    if file_sha256(path)? == known.packed {
        return Ok(true);
    }
    let unpacked = unpacked_sha256(path, known.unpacked_bytes)?;
    Ok(unpacked.is_some() && unpacked.as_deref() == known.unpacked)
}

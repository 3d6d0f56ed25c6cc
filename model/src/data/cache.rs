//! Unpacked files, kept for the next run.

use super::bytes::Bytes;
use crate::files::{remove_leftovers, temporary};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// What identifies the content of a gzip file: its last eight bytes (RFC 1952, section 2.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Content {
    /// CRC-32 of the unpacked bytes.
    pub(super) crc32: u32,
    /// Their number, modulo 2³².
    pub(super) len: u32,
}

impl Content {
    /// Reads the trailer of `gzip`. The last bytes of a file that is damaged or no gzip file mean
    /// nothing; no cached file has that content.
    pub(super) fn of(mut gzip: impl Read + Seek) -> io::Result<Content> {
        let mut trailer = [[0; 4]; 2];
        gzip.seek(SeekFrom::End(-8))?;
        gzip.read_exact(trailer.as_flattened_mut())?;
        let [crc32, len] = trailer.map(u32::from_le_bytes);
        Ok(Content { crc32, len })
    }

    /// The place of a file of this content. Its name changes with the content, so that nothing
    /// stale is found.
    fn path(self, folder: &Path, name: &str) -> PathBuf {
        folder.join(format!("{name}-{:08x}-{}", self.crc32, self.len))
    }
}

/// The cached file `name` of this `content`, or nothing if there is none or it is damaged.
///
/// It is read, not mapped: bytes that are mapped change with the file, and those behind the new end of a file that
/// somebody shortens end the process that touches them. A file system cannot promise that nobody does.
pub(super) fn find(folder: &Path, name: &str, content: Content) -> Option<Bytes> {
    let file = File::open(content.path(folder, name)).ok()?;
    let (metadata, len) = (file.metadata().ok()?, u64::from(content.len));
    if !metadata.is_file() || metadata.len() != len {
        return None;
    }
    let bytes = Bytes::read(&file, usize::try_from(len).ok()?).ok()?;
    (crc32fast::hash(&bytes) == content.crc32).then_some(bytes)
}

/// Writes `bytes`, which are of this `content`, into `folder`, which is made if need be.
///
/// The file is written under another name and then renamed, so that it is there wholly or not at all
/// and may be stored by several processes at once. It is not synced to the disk: should a crash of the
/// system tear it, [`find`] sees the wrong checksum and it is written anew. The user alone may read it,
/// since the file that was unpacked may be theirs alone.
pub(super) fn store(folder: &Path, name: &str, content: Content, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    remove_leftovers(folder);
    let mut file = temporary(folder, 0o600)?;
    file.write_all(bytes)?;
    file.persist(content.path(folder, name))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(bytes: &[u8]) -> Content {
        Content { crc32: crc32fast::hash(bytes), len: bytes.len() as u32 }
    }

    #[test]
    fn what_was_stored_is_found() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("made/on/demand");
        let bytes = b"some digits";
        assert!(find(&folder, "digits", content(bytes)).is_none());
        store(&folder, "digits", content(bytes), bytes).unwrap();
        assert_eq!(*find(&folder, "digits", content(bytes)).unwrap(), *bytes);

        assert!(find(&folder, "letters", content(bytes)).is_none());
        assert!(find(&folder, "digits", content(b"some Digits")).is_none());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "no temporary file remains");
    }

    #[test]
    fn what_a_killed_process_has_left_is_removed() {
        let home = tempfile::tempdir().unwrap();
        let bytes = b"some digits";
        temporary(home.path(), 0o600).unwrap().keep().unwrap();
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
        store(home.path(), "digits", content(bytes), bytes).unwrap();
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
        assert_eq!(*find(home.path(), "digits", content(bytes)).unwrap(), *bytes);
    }

    #[test]
    fn other_content_is_not_found() {
        let home = tempfile::tempdir().unwrap();
        let path = content(b"some digits").path(home.path(), "digits");
        let put = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            find(home.path(), "digits", content(b"some digits")).is_some()
        };
        assert!(put(b"some digits"));
        assert!(!put(b"same Digits"), "other content");
        assert!(!put(b"some digit"), "too short");
        assert!(!put(b"some digits."), "too long");
        assert!(!put(b""), "empty");

        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let bytes = b"some digits";
        assert!(find(home.path(), "digits", content(bytes)).is_none(), "a folder");
        assert!(store(home.path(), "digits", content(bytes), bytes).is_err());
    }

    #[test]
    fn the_trailer_is_read() {
        use flate2::{Compression, write::GzEncoder};
        let mut encoder = GzEncoder::new(io::Cursor::new(Vec::new()), Compression::fast());
        encoder.write_all(b"some digits").unwrap();
        assert_eq!(Content::of(encoder.finish().unwrap()).unwrap(), content(b"some digits"));
        assert!(Content::of(io::Cursor::new([0; 7])).is_err());
    }
}

//! Unpacked files, kept for the next run.

use super::mapped::Bytes;
use std::fs;
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
pub(super) fn find(folder: &Path, name: &str, content: Content) -> Option<Bytes> {
    Bytes::map_cached(&content.path(folder, name), content.len.into(), content.crc32)
}

/// Writes `bytes`, which are of this `content`, into `folder`, which is made if need be.
///
/// The file is written under another name, write-protected and then renamed, so that it is there
/// wholly or not at all and may be stored by several processes at once. It is not synced to the
/// disk: should a crash of the system tear it, [`find`] sees the wrong checksum and it is written
/// anew.
pub(super) fn store(folder: &Path, name: &str, content: Content, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    let mut permissions = file.as_file().metadata()?.permissions();
    permissions.set_readonly(true);
    file.as_file().set_permissions(permissions)?;
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
    fn what_was_stored_is_mapped() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("made/on/demand");
        let bytes = b"some digits";
        assert!(find(&folder, "digits", content(bytes)).is_none());
        store(&folder, "digits", content(bytes), bytes).unwrap();
        let found = find(&folder, "digits", content(bytes)).unwrap();
        assert!(found.is_mapped());
        assert_eq!(*found, *bytes);

        assert!(find(&folder, "letters", content(bytes)).is_none());
        assert!(find(&folder, "digits", content(b"some Digits")).is_none());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "no temporary file remains");
    }

    #[test]
    fn what_the_cache_did_not_write_is_not_mapped() {
        let home = tempfile::tempdir().unwrap();
        let path = content(b"some digits").path(home.path(), "digits");
        let put = |bytes: &[u8], readonly: bool| {
            let _ = fs::remove_file(&path);
            fs::write(&path, bytes).unwrap();
            let mut permissions = fs::metadata(&path).unwrap().permissions();
            permissions.set_readonly(readonly);
            fs::set_permissions(&path, permissions).unwrap();
            find(home.path(), "digits", content(b"some digits")).is_some()
        };
        assert!(put(b"some digits", true));
        assert!(!put(b"some digits", false), "not write-protected");
        assert!(!put(b"same Digits", true), "other content");
        assert!(!put(b"some digit", true), "too short");
        assert!(!put(b"some digits.", true), "too long");
        assert!(!put(b"", true), "empty");

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

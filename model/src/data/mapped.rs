//! Bytes of a file: read into memory, or mapped.

use memmap2::MmapOptions;
use std::fmt;
use std::fs::File;
use std::ops::Deref;
use std::path::Path;

/// Bytes that stay where they are and do not change.
pub(super) struct Bytes {
    memory: Memory,
    /// The first bytes of the memory that do not count.
    skipped: usize,
}

enum Memory {
    Owned(Vec<u8>),
    Mapped(memmap2::Mmap),
}

impl Bytes {
    /// Maps a file that the cache wrote, if it is write-protected and holds exactly `len` bytes of
    /// checksum `crc32`.
    ///
    /// A mapped file must not change: Rust's `&[u8]` would not stay what it was, and reading past
    /// the new end of a shortened file kills the process (SIGBUS). So a file of the user, which
    /// may be edited at any time, is never mapped. A file of the cache gets its name only when it
    /// is complete and write-protected, is replaced by renaming another over it (which leaves the
    /// mapped one as it was), and is never opened for writing. Who lifts the protection and writes
    /// to such a file while a data set is open breaks the promise; the folder must therefore
    /// belong to the user and not be one that others can write to.
    #[allow(unsafe_code)]
    pub(super) fn map_cached(path: &Path, len: u64, crc32: u32) -> Option<Bytes> {
        let file = File::open(path).ok()?;
        let metadata = file.metadata().ok()?;
        if !metadata.is_file() || !metadata.permissions().readonly() || metadata.len() != len {
            return None;
        }
        // SAFETY: the file is a write-protected one in the cache folder, to which nobody writes,
        // as the comment above says.
        let map = unsafe { MmapOptions::new().map(&file) }.ok()?;
        // Judging the mapping, not what was read before, leaves no moment in between.
        (crc32fast::hash(&map) == crc32)
            .then_some(Bytes { memory: Memory::Mapped(map), skipped: 0 })
    }

    /// These bytes without the first `count`.
    ///
    /// # Panics
    /// If there are fewer.
    pub(super) fn skip(self, count: usize) -> Bytes {
        assert!(count <= self.len());
        Bytes { skipped: self.skipped + count, ..self }
    }

    #[cfg(test)]
    pub(super) fn is_mapped(&self) -> bool {
        matches!(self.memory, Memory::Mapped(_))
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Bytes {
        Bytes { memory: Memory::Owned(bytes), skipped: 0 }
    }
}

impl Deref for Bytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.memory {
            Memory::Owned(bytes) => &bytes[self.skipped..],
            Memory::Mapped(map) => &map[self.skipped..],
        }
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.memory {
            Memory::Owned(_) => "owned",
            Memory::Mapped(_) => "mapped",
        };
        write!(f, "{} bytes, {kind}", self.len())
    }
}

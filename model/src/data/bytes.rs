//! Bytes of a file behind its header.

use memmap2::MmapMut;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Deref;

/// From so many bytes on, memory of large pages is asked for.
const LARGE: usize = 1 << 21;

/// Bytes of which the first do not count.
pub(super) struct Bytes {
    memory: Memory,
    skipped: usize,
}

enum Memory {
    Heap(Vec<u8>),
    /// Memory of no file.
    Pages(MmapMut),
}

impl Bytes {
    /// Reads the first `len` bytes of a file that has at least as many.
    ///
    /// Large files go into large pages: small ones would take most of the time, to be zeroed and entered one by one.
    pub(super) fn read(mut file: &File, len: usize) -> io::Result<Bytes> {
        if len < LARGE {
            let mut bytes = vec![0; len];
            file.read_exact(&mut bytes)?;
            return Ok(bytes.into());
        }
        let mut pages = MmapMut::map_anon(len)?;
        #[cfg(target_os = "linux")]
        let _ = pages.advise(memmap2::Advice::HugePage);
        file.read_exact(&mut pages)?;
        Ok(Bytes { memory: Memory::Pages(pages), skipped: 0 })
    }

    /// These bytes without the first `count`, which are not moved.
    ///
    /// # Panics
    /// If there are fewer.
    pub(super) fn skip(self, count: usize) -> Bytes {
        assert!(count <= self.len());
        Bytes { skipped: self.skipped + count, ..self }
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Bytes {
        Bytes { memory: Memory::Heap(bytes), skipped: 0 }
    }
}

impl Deref for Bytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.memory {
            Memory::Heap(bytes) => &bytes[self.skipped..],
            Memory::Pages(pages) => &pages[self.skipped..],
        }
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len())
    }
}

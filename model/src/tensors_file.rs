//! Safetensors files, of which no more is read than their headers account for.

use crate::weights::WeightsError;
use safetensors::tensor::{Metadata, SafeTensors};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// Bytes of the header's length, which a file begins with.
const WORD: u64 = 8;
/// The most bytes of a header: it names some hundred thousand tensors.
const MAX_HEADER: u64 = 1 << 24;

/// A safetensors file whose header has been read.
pub(crate) struct TensorsFile {
    file: File,
    /// All that has been read: length and header.
    bytes: Vec<u8>,
    /// None if the header is none.
    metadata: Option<Metadata>,
}

impl TensorsFile {
    /// Reads length and header. That they are damaged is no error yet.
    pub(crate) fn open(path: &Path) -> io::Result<TensorsFile> {
        let mut file = File::open(path)?;
        let mut bytes = Vec::new();
        file.by_ref().take(WORD).read_to_end(&mut bytes)?;
        let len = bytes.first_chunk().map_or(0, |&len| u64::from_le_bytes(len));
        let mut metadata = None;
        if len <= MAX_HEADER {
            file.by_ref().take(len).read_to_end(&mut bytes)?;
            let header = &bytes[bytes.len().min(WORD as usize)..];
            metadata = serde_json::from_slice(header).ok().filter(|_| header.len() as u64 == len);
        }
        Ok(TensorsFile { file, bytes, metadata })
    }

    /// What the header says; none if it is damaged.
    pub(crate) fn metadata(&self) -> Option<&Metadata> {
        self.metadata.as_ref()
    }

    /// Length and header as they are.
    pub(crate) fn header(&self) -> &[u8] {
        &self.bytes
    }

    /// The whole file, as far as its header accounts for it, and one byte more if it goes on, so that whoever reads
    /// the bytes sees that they are too few or too many. Of a file with a damaged header this is the header.
    pub(crate) fn read(self) -> io::Result<Vec<u8>> {
        let TensorsFile { file, mut bytes, metadata } = self;
        let Some(metadata) = metadata else { return Ok(bytes) };
        let len = metadata.data_len() as u64;
        // What the header claims and the file has. A pipe has no length.
        let there = file.metadata()?.len().saturating_sub(bytes.len() as u64);
        let room = usize::try_from(len.min(there)).unwrap_or(usize::MAX);
        bytes.try_reserve_exact(room.saturating_add(1)).map_err(|_| ErrorKind::OutOfMemory)?;
        file.take(len.saturating_add(1)).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// The bytes of a safetensors file: not more than its header accounts for, and one byte if it goes on, so that
/// [`Training::resume`](crate::Training::resume) and others who read the bytes find what is wrong with it. A file
/// without an end, or one that is only long, is not read.
///
/// # Errors
/// Those of the system.
pub fn read_safetensors(path: &Path) -> io::Result<Vec<u8>> {
    TensorsFile::open(path)?.read()
}

/// The tensors of a file's `bytes`.
pub(crate) fn parse(bytes: &[u8]) -> Result<SafeTensors<'_>, WeightsError> {
    let (len, _) = SafeTensors::read_metadata(bytes).map_err(WeightsError::Format)?;
    // The parser takes the last of several tensors with one name.
    let names = serde_json::from_slice::<Names>(&bytes[WORD as usize..][..len]);
    if let Ok(Names { twice: Some(name) }) = names {
        return Err(WeightsError::Duplicate { name });
    }
    SafeTensors::deserialize(bytes).map_err(WeightsError::Format)
}

/// The first name that stands twice in a header.
struct Names {
    twice: Option<String>,
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Names, D::Error> {
        deserializer.deserialize_map(Names { twice: None })
    }
}

impl<'de> Visitor<'de> for Names {
    type Value = Names;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tensors by their names")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Names, A::Error> {
        let mut seen = HashSet::new();
        while let Some((name, IgnoredAny)) = map.next_entry::<String, _>()? {
            if self.twice.is_none() && seen.contains(&name) {
                self.twice = Some(name);
            } else {
                seen.insert(name);
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of one tensor of four bytes.
    fn file() -> Vec<u8> {
        let header = br#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
        [&(header.len() as u64).to_le_bytes(), &header[..], &[1, 2, 3, 4]].concat()
    }

    #[test]
    fn no_more_is_read_than_the_header_says() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("file");
        let whole = file();
        let read = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            read_safetensors(&path).unwrap()
        };
        assert_eq!(read(&whole), whole);
        for len in 0..whole.len() {
            assert_eq!(read(&whole[..len]), whole[..len]);
        }
        assert_eq!(read(&[&whole[..], &[0; 100]].concat()), [&whole[..], &[0]].concat());
        let mut damaged = whole.clone();
        damaged[8] = b'[';
        assert_eq!(read(&damaged), damaged[..damaged.len() - 4]);
        for len in [MAX_HEADER + 1, u64::MAX] {
            damaged[..8].copy_from_slice(&len.to_le_bytes());
            assert_eq!(read(&damaged), damaged[..8]);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_file_without_an_end_is_not_read() {
        assert_eq!(read_safetensors(Path::new("/dev/zero")).unwrap(), [0; 8]);
        assert!(read_safetensors(Path::new("/")).is_err());
    }
}

//! Finding, reading and unpacking one IDX file.

use super::bytes::Bytes;
use super::cache::{self, Content};
use super::error::{DataError, Malformed};
use super::idx::{Idx, check_len};
use flate2::bufread::GzDecoder;
#[cfg(feature = "pictures")]
use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek};
use std::path::{Path, PathBuf};

/// The most bytes that are unpacked from a file: what the trailer of gzip can count.
const MAX_UNPACKED: u64 = u32::MAX as u64;

/// The most bytes that one byte of deflate unpacks to: two bits can stand for 258 bytes.
const MAX_RATIO: u64 = 1032;

/// The bytes of the `D`-dimensional IDX file `name` or `name`.gz in `folder` and the path that was
/// found; `None` if there is neither.
///
/// The second is unpacked, and kept so in the folder `cache` for the next time; that there is no cache, or one that
/// cannot be used, is no error.
pub(super) fn load<const D: usize>(
    folder: &Path,
    name: &str,
    cache: Option<&Path>,
) -> Result<Option<(PathBuf, Bytes)>, DataError> {
    let path = folder.join(name);
    if let Some(file) = open(&path)? {
        let bytes = read_plain::<D>(&path, &file)?;
        return Ok(Some((path, bytes.into())));
    }
    let path = folder.join(format!("{name}.gz"));
    let Some(file) = open(&path)? else {
        return Ok(None);
    };
    let content = Content::of(&file).ok();
    let cache = cache.zip(content);
    if let Some((cache, content)) = cache
        && let Some(bytes) = cache::find(cache, name, content)
    {
        return Ok(Some((path, bytes)));
    }
    let unpacked = unpack::<D>(&path, &file)?;
    if let Some((cache, content)) = cache {
        let _ = cache::store(cache, name, content, &unpacked);
    }
    Ok(Some((path, unpacked.into())))
}

/// Opens a file; `None` if it is not there.
fn open(path: &Path) -> Result<Option<File>, DataError> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(DataError::read(path, &e)),
    }
}

/// Reads a file, whose length must be the one that its header asks for.
fn read_plain<const D: usize>(path: &Path, file: &File) -> Result<Vec<u8>, DataError> {
    let found = file.metadata().map_err(|e| DataError::read(path, &e))?.len();
    read_idx::<D>(path, file, |expected| check_len(expected, found))
}

/// The `D`-dimensional IDX file that `bytes` are, or that gzip has packed into them; errors call them by
/// `name`.
#[cfg(feature = "pictures")]
pub(super) fn decode_idx<'a, const D: usize>(
    name: &Path,
    bytes: &'a [u8],
) -> Result<Cow<'a, [u8]>, DataError> {
    match bytes {
        [0x1f, 0x8b, ..] => unpack_from::<D>(name, bytes, bytes.len() as u64).map(Cow::Owned),
        _ => Ok(Cow::Borrowed(bytes)),
    }
}

/// Unpacks a gzip file, which must hold one member and nothing after it.
fn unpack<const D: usize>(path: &Path, mut file: &File) -> Result<Vec<u8>, DataError> {
    let at = |e: io::Error| DataError::read(path, &e);
    let compressed = file.metadata().map_err(at)?.len();
    file.rewind().map_err(at)?;
    unpack_from::<D>(path, BufReader::new(file), compressed)
}

/// Unpacks `compressed` bytes.
fn unpack_from<const D: usize>(
    path: &Path,
    packed: impl BufRead,
    compressed: u64,
) -> Result<Vec<u8>, DataError> {
    let at = |e: io::Error| DataError::read(path, &e);
    let mut decoder = GzDecoder::new(packed);

    let limit = compressed.saturating_mul(MAX_RATIO).min(MAX_UNPACKED);
    let bytes = read_idx::<D>(path, &mut decoder, |expected| {
        if expected <= limit { Ok(()) } else { Err(Malformed::TooLarge { limit }) }
    })?;
    let after = decoder.into_inner().fill_buf().map_err(at)?.len();
    if after > 0 {
        let reason = "bytes follow the end of the gzip stream".into();
        return Err(DataError::Read { path: path.into(), reason });
    }
    Ok(bytes)
}

/// Reads as many bytes as their header asks for and demands that the reader ends there.
///
/// Memory is taken only after `plausible` has been shown the length of the whole file.
fn read_idx<const D: usize>(
    path: &Path,
    mut reader: impl Read,
    plausible: impl FnOnce(u64) -> Result<(), Malformed>,
) -> Result<Vec<u8>, DataError> {
    let at = |e: io::Error| DataError::read(path, &e);
    let malformed = |fault: Malformed| fault.at(path);

    let mut bytes = Vec::new();
    let header_len = Idx::<D>::HEADER_LEN as u64;
    reader.by_ref().take(header_len).read_to_end(&mut bytes).map_err(at)?;
    let expected = Idx::<D>::dims(&bytes).and_then(Idx::<D>::file_len).map_err(malformed)?;
    plausible(expected).map_err(malformed)?;

    let rest = expected - header_len;
    bytes
        .try_reserve_exact(usize::try_from(rest).unwrap_or(usize::MAX))
        .map_err(|e| DataError::Read { path: path.into(), reason: e.to_string() })?;
    // One byte more would show that the file goes on; of gzip it also makes the checksum be judged.
    reader.take(rest + 1).read_to_end(&mut bytes).map_err(at)?;
    check_len(expected, bytes.len() as u64).map_err(malformed)?;
    Ok(bytes)
}

//! SHA-256 of files and of what is packed in them.

use flate2::bufread::GzDecoder;
use ring::digest::{Context, SHA256};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// SHA-256 in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    let mut sum = Context::new(&SHA256);
    sum.update(bytes);
    hexadecimal(sum)
}

/// SHA-256 of a file, which is read piece by piece.
pub(crate) fn file_sha256(path: &Path) -> io::Result<String> {
    Ok(drain(File::open(path)?)?.0)
}

/// SHA-256 of the one member of a gzip file; `None` if the file is damaged, goes on behind it, or if it
/// unpacks to another number of bytes than `len`.
pub(crate) fn unpacked_sha256(path: &Path, len: u64) -> io::Result<Option<String>> {
    let mut unpacked = GzDecoder::new(BufReader::new(File::open(path)?));
    let Ok((sum, found)) = drain(unpacked.by_ref().take(len + 1)) else {
        return Ok(None);
    };
    let goes_on = !unpacked.into_inner().fill_buf()?.is_empty();
    Ok((found == len && !goes_on).then_some(sum))
}

/// The checksum and the number of the bytes that `reader` gives.
fn drain(mut reader: impl Read) -> io::Result<(String, u64)> {
    let mut sum = Context::new(&SHA256);
    let mut len = 0;
    let mut piece = vec![0; 1 << 16];
    loop {
        let count = match reader.read(&mut piece) {
            Ok(0) => return Ok((hexadecimal(sum), len)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            result => result?,
        };
        sum.update(&piece[..count]);
        len += count as u64;
    }
}

fn hexadecimal(sum: Context) -> String {
    sum.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::fs;
    use std::io::Write;

    /// FIPS 180-2, appendix B.1.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn the_standards_example() {
        assert_eq!(sha256(b"abc"), ABC);
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), b"abc").unwrap();
        assert_eq!(file_sha256(file.path()).unwrap(), ABC);
        assert!(file_sha256(Path::new("no such file")).is_err());
    }

    #[test]
    fn what_is_packed_must_be_whole_and_alone() {
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        packed.write_all(b"abc").unwrap();
        let packed = packed.finish().unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        let judge = |bytes: &[u8], len: u64| {
            fs::write(file.path(), bytes).unwrap();
            unpacked_sha256(file.path(), len).unwrap()
        };
        assert_eq!(judge(&packed, 3).as_deref(), Some(ABC));
        assert_eq!(judge(&packed, 2), None);
        assert_eq!(judge(&packed, 4), None);
        assert_eq!(judge(&packed[..packed.len() - 1], 3), None);
        assert_eq!(judge(&[&packed[..], b"more"].concat(), 3), None);
        assert_eq!(judge(b"abc", 3), None);
        assert_eq!(judge(b"", 3), None);
    }
}

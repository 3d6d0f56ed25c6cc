//! Files of text that are read as a whole: configurations and networks.

use std::fs::File;
use std::io::{self, Error, ErrorKind, Read};
use std::path::Path;

/// The most bytes of such a file.
const MAX_BYTES: u64 = 1 << 22;

/// The text of a file.
///
/// # Errors
/// Those of the system; [`ErrorKind::FileTooLarge`] and [`ErrorKind::InvalidData`] if it is longer than
/// [`MAX_BYTES`] or not UTF-8.
pub(crate) fn read_text(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        let reason = format!("more than the {MAX_BYTES} bytes that are read of such a file");
        return Err(Error::new(ErrorKind::FileTooLarge, reason));
    }
    String::from_utf8(bytes).map_err(|_| Error::new(ErrorKind::InvalidData, "not UTF-8 text"))
}

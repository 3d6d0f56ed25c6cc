//! Files that are there wholly or not at all.

use std::io::{self, Write};
use std::path::Path;

/// Writes `bytes` to `path`: beside it first, then in its place, so that the file is always either the old
/// one or the new one, also after a crash of the system. Whoever may read other new files of this user may
/// read it.
///
/// # Errors
/// Those of the system; a file that was there before is then unchanged.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let write = || {
        let mut file = new_file(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(without_temporary)
}

/// The error without the name of the temporary file, of which nobody knows.
fn without_temporary(error: io::Error) -> io::Error {
    let shown = error.to_string();
    match shown.split_once(" at path ") {
        Some((reason, _)) if error.get_ref().is_some() => io::Error::new(error.kind(), reason),
        _ => error,
    }
}

/// A temporary file that anyone may read whom the user's mask lets, like any other new file.
fn new_file(folder: &Path) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    let builder = {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666))
    };
    builder.tempfile_in(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_no_temporary_file() {
        let folder = tempfile::tempdir().unwrap();
        let error = write_atomically(&folder.path().join("no/file"), b"").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let shown = error.to_string();
        assert!(!shown.contains("tmp") && !shown.contains("path"), "{shown}");
        assert!(shown.contains("(os error "), "{shown}");
    }
}

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
    let mut file = new_file(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
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

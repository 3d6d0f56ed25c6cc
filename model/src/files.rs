//! Files that are there wholly or not at all.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::Path;
use tempfile::{Builder, NamedTempFile, PersistError};

/// How the names of temporary files begin and end.
const NAME: [&str; 2] = [".loupe-", ".tmp"];

/// Writes `bytes` to `path`: beside it first, then in its place, so that the file is always either the old
/// one or the new one, also after a crash of the system. Whoever may read other new files of this user may
/// read it.
///
/// # Errors
/// Those of the system; a file that was there before is then unchanged.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write(path, bytes, |file| file.persist(path))
}

/// As [`write_atomically`], but replaces nothing.
///
/// # Errors
/// Those of the system; [`io::ErrorKind::AlreadyExists`] if there is something of that name.
pub fn create_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write(path, bytes, |file| file.persist_noclobber(path))
}

fn write(
    path: &Path,
    bytes: &[u8],
    persist: impl FnOnce(NamedTempFile) -> Result<File, PersistError>,
) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let write = || {
        let mut file = temporary(folder, 0o666)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        persist(file)?;
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

/// A temporary file, to be renamed. `mode` says on Unix who may do what with it, as far as the user's mask lets
/// them. It is locked until it is closed, so that nobody takes it for a leftover.
pub(crate) fn temporary(folder: &Path, mode: u32) -> io::Result<NamedTempFile> {
    let mut builder = Builder::new();
    let [beginning, end] = NAME;
    builder.prefix(beginning).suffix(end);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(mode));
    }
    #[cfg(not(unix))]
    let _ = mode;
    loop {
        let file = builder.tempfile_in(folder)?;
        let locked = file.as_file().try_lock();
        // Before it was locked, it may have been taken for a leftover and removed.
        if !matches!(locked, Err(TryLockError::WouldBlock)) && file.path().exists() {
            return Ok(file);
        }
    }
}

/// Removes what writers that were ended have left in `folder`: temporary files that nobody has locked. What cannot
/// be removed stays, as on systems without locks.
pub fn remove_leftovers(folder: &Path) {
    let [beginning, end] = NAME;
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let ours =
            name.to_str().is_some_and(|name| name.starts_with(beginning) && name.ends_with(end));
        if !ours || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        // It stays locked while it is removed.
        if let Ok(file) = File::options().append(true).open(entry.path())
            && file.try_lock().is_ok()
        {
            let _ = fs::remove_file(entry.path());
        }
    }
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

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string();
        let mut names: Vec<String> = entries.map(|entry| name(entry).unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_cannot_be_renamed_leaves_nothing() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("taken");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("old"), "old").unwrap();
        write_atomically(&path, b"new").unwrap_err();
        assert_eq!(names(home.path()), ["taken"]);
        assert_eq!(fs::read(path.join("old")).unwrap(), b"old");
    }

    #[test]
    fn a_new_file_replaces_nothing() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("file");
        create_atomically(&path, b"old").unwrap();
        let error = create_atomically(&path, b"new").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        write_atomically(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names(home.path()), ["file"]);
    }

    #[test]
    fn leftovers_are_told_from_files_at_work() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path();
        let at_work = temporary(folder, 0o666).unwrap();
        for name in [".loupe-1.tmp", ".loupe-abc.tmp", ".loupe-mine", ".tmp", "a.loupe-1.tmp"] {
            fs::write(folder.join(name), "left").unwrap();
        }
        fs::create_dir(folder.join(".loupe-folder.tmp")).unwrap();
        remove_leftovers(folder);
        assert!(at_work.path().exists());
        at_work.persist(folder.join("whole")).unwrap();
        let kept = [".loupe-folder.tmp", ".loupe-mine", ".tmp", "a.loupe-1.tmp", "whole"];
        assert_eq!(names(folder), kept);
        remove_leftovers(&folder.join("nowhere"));
    }
}

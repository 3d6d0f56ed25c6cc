//! The names of classes.

use super::error::DataError;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

/// The file beside the images that names their classes.
pub(super) const CLASSES_FILE: &str = "classes.txt";

/// The most classes that a label of one byte tells apart.
pub(super) const MAX_CLASSES: usize = 256;

/// The most bytes of a file of names: 255 bytes for each of 256 names, and their line breaks.
const MAX_BYTES: u64 = 1 << 16;

/// The names of classes that have none: 0, 1, 2, …
pub(super) fn numbers(classes: usize) -> Vec<String> {
    (0..classes).map(|class| class.to_string()).collect()
}

/// Reads a file of UTF-8 text that names a class in each line, from class 0 on; `None` if there is no
/// such file.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::ClassNames`] if there are not 2 to 256 names, if a line is empty, or
/// if two classes have the same name.
pub fn read_class_names(path: &Path) -> Result<Option<Vec<String>>, DataError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(e) => return Err(DataError::read(path, &e)),
    };
    let mut text = String::new();
    file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(|e| DataError::read(path, &e))?;
    let names =
        names(&text).map_err(|reason| DataError::ClassNames { path: path.into(), reason })?;
    Ok(Some(names))
}

/// The names that stand in `text`, line by line.
fn names(text: &str) -> Result<Vec<String>, String> {
    if text.len() as u64 > MAX_BYTES {
        return Err(format!("expected at most {MAX_BYTES} bytes of names, found more"));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let names: Vec<String> = text.trim_end().lines().map(|line| line.trim().to_owned()).collect();
    if let Some(line) = names.iter().position(String::is_empty).filter(|_| names.len() > 1) {
        return Err(format!("expected a name in each line, line {} is empty", line + 1));
    }
    if !(2..=MAX_CLASSES).contains(&names.len()) {
        return Err(format!(
            "expected 2 to {MAX_CLASSES} names, one a line, found {}",
            names.len()
        ));
    }
    for (line, name) in names.iter().enumerate() {
        if let Some(first) = names[..line].iter().position(|other| other == name) {
            return Err(format!("lines {} and {} both name {name}", first + 1, line + 1));
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_name() {
        assert_eq!(names("cat\ndog").unwrap(), ["cat", "dog"]);
        assert_eq!(
            names("\u{feff}T-shirt/top\r\n ankle boot \r\n\n").unwrap(),
            ["T-shirt/top", "ankle boot"]
        );
        for (text, reason) in [
            ("", "expected 2 to 256 names, one a line, found 0"),
            ("\n", "found 0"),
            ("cat\n", "expected 2 to 256 names, one a line, found 1"),
            ("cat\n\ndog\n", "line 2 is empty"),
            ("cat\ndog\ncat\n", "lines 1 and 3 both name cat"),
            (&"x".repeat(70_000), "at most 65536 bytes"),
            (&numbers(257).join("\n"), "found 257"),
        ] {
            let found = names(text).unwrap_err();
            assert!(found.contains(reason), "{found}");
        }
        assert_eq!(names(&numbers(256).join("\n")).unwrap().len(), 256);
    }

    #[test]
    fn no_file_is_no_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(CLASSES_FILE);
        assert_eq!(read_class_names(&path), Ok(None));
        std::fs::write(&path, "no\nyes\n").unwrap();
        assert_eq!(read_class_names(&path), Ok(Some(vec!["no".into(), "yes".into()])));
        std::fs::write(&path, [0xff, b'\n']).unwrap();
        assert!(matches!(read_class_names(&path), Err(DataError::Read { .. })));
        assert!(read_class_names(folder.path()).is_err());
    }
}

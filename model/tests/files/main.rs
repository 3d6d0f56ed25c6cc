//! Files that somebody has damaged or made up: what is said of each, word for word, and how much memory that takes.

#[path = "../support/allocator.rs"]
#[allow(dead_code, reason = "each test program uses a part of it")]
mod allocator;

mod checkpoints;
mod edit;
mod images;
mod weights;

use std::fs;
use std::path::Path;

/// Whatever a file claims, it is refused with less memory than this, its own bytes not counted.
const MEMORY: usize = 1 << 20;

/// A kind of file: its name in a folder that holds what else belongs to it, and who reads it.
struct Kind {
    name: &'static str,
    folder: fn(&Path),
    read: fn(&Path) -> Result<(), String>,
}

/// What the bytes are, the bytes, and the error.
type Row = (&'static str, Vec<u8>, &'static str);

impl Kind {
    /// What is said of these bytes, without the name of the folder, and the most memory that it took.
    fn read(&self, bytes: &[u8]) -> (Result<(), String>, usize) {
        let home = tempfile::tempdir().unwrap();
        (self.folder)(home.path());
        fs::write(home.path().join(self.name), bytes).unwrap();
        let (result, memory) = allocator::peak(|| (self.read)(home.path()));
        let folder = format!("{}/", home.path().display());
        (result.map_err(|error| error.replace(&folder, "")), memory)
    }

    /// Asserts that `whole` is read, and each row refused with its error.
    #[track_caller]
    fn check(&self, whole: &[u8], rows: &[Row]) {
        assert_eq!(self.read(whole).0, Ok(()), "{}: the whole file", self.name);
        let mut failures = String::new();
        for (what, bytes, expected) in rows {
            let (result, memory) = self.read(bytes);
            let error = result.err().unwrap_or_else(|| "no error".to_owned());
            if error != *expected {
                failures += &format!("{what}\n  expected {expected:?}\n  found    {error:?}\n");
            }
            if memory > bytes.len() + MEMORY {
                failures += &format!("{what}: {memory} bytes of memory\n");
            }
        }
        assert!(failures.is_empty(), "{}\n{failures}", self.name);
    }
}

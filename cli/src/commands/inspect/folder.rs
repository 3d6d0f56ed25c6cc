//! The folder of the pictures. What `inspect` has written there it may write again; other files stay.

use anyhow::{Context, Result, bail};
use loupe_model::write_atomically;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Holds the numbers, and under `files` the names of the pictures.
const NUMBERS: &str = "inspect.json";

#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    names: Vec<String>,
    /// What an earlier call has written.
    earlier: BTreeSet<String>,
}

impl Folder {
    /// The folder that files of these names are to be written to. Nothing is made yet.
    ///
    /// # Errors
    /// If it holds a file of such a name that is not by `inspect`.
    pub(super) fn open(path: &Path, names: Vec<String>) -> Result<Folder> {
        if path.exists() && !path.is_dir() {
            bail!("{}: not a folder; name another with --out", path.display());
        }
        let earlier = earlier(&path.join(NUMBERS))?;
        for name in &names {
            let file = path.join(name);
            if file.exists() && !earlier.contains(name) {
                bail!(
                    "{}: a file that inspect has not written; name another folder with --out",
                    file.display()
                );
            }
        }
        Ok(Folder { path: path.to_owned(), names, earlier })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes numbers and pictures, and removes pictures of an earlier call that this one does not make.
    pub(super) fn write(&self, mut numbers: Value, pictures: &[(String, Vec<u8>)]) -> Result<()> {
        fs::create_dir_all(&self.path)
            .with_context(|| format!("{}: cannot make the folder", self.path.display()))?;
        let write = |name: &str, bytes: &[u8]| {
            let file = self.path.join(name);
            write_atomically(&file, bytes)
                .with_context(|| format!("{}: cannot write", file.display()))
        };
        // First the list, so that what is written can be told from what is not even if this fails.
        numbers["files"] = json!(self.names);
        write(NUMBERS, format!("{}\n", numbers).as_bytes())?;
        for name in self.earlier.iter().filter(|name| !self.names.contains(name)) {
            let _ = fs::remove_file(self.path.join(name));
        }
        for (name, bytes) in pictures {
            write(name, bytes)?;
        }
        Ok(())
    }
}

/// The files that an earlier call has written, by its numbers.
fn earlier(numbers: &Path) -> Result<BTreeSet<String>> {
    let text = match fs::read_to_string(numbers) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeSet::new()),
        text => text.with_context(|| format!("{}: cannot read", numbers.display()))?,
    };
    let names = serde_json::from_str::<Value>(&text).ok().and_then(|numbers| {
        let name = |name: &Value| {
            let name = name.as_str()?;
            // Nothing outside the folder.
            (Path::new(name).file_name()? == name && name.ends_with(".png"))
                .then(|| name.to_owned())
        };
        numbers.get("files")?.as_array()?.iter().map(name).collect()
    });
    names.with_context(|| {
        format!(
            "{}: a file that inspect has not written; name another folder with --out",
            numbers.display()
        )
    })
}

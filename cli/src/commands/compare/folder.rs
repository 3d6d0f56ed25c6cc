//! The folder of a comparison: numbers, pictures, and a run folder for each network.

use crate::model::Model;
use crate::run_folder::{RunFolder, first_free};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

pub(super) const NUMBERS: &str = "compare.json";
const PICTURE: &str = "loss";

pub(super) struct Folder {
    path: PathBuf,
    /// Whether [`Folder::create`] has made it.
    made: bool,
    runs: Vec<RunFolder>,
}

impl Folder {
    /// Makes the folder, and in it one for each network, by name.
    pub(super) fn create(out: Option<&Path>, models: &[Model]) -> Result<Folder> {
        let (path, made) = match out {
            Some(out) => {
                let made = !out.exists();
                fs::create_dir_all(out)
                    .with_context(|| format!("{}: cannot make the folder", out.display()))?;
                (out.to_owned(), made)
            }
            None => (first_free("compare")?, true),
        };
        let mut folder = Folder { path, made, runs: Vec::new() };
        if folder.numbers().exists() {
            bail!(
                "{}: the folder holds a comparison already; name another with --out",
                folder.path.display()
            );
        }
        let there = folder.pictures().into_iter().find(|picture| picture.exists());
        if let Some(picture) = there {
            bail!(
                "{}: the comparison would replace it; name another folder with --out",
                picture.display()
            );
        }
        for model in models {
            match RunFolder::create(Some(&folder.path.join(&model.name)), model) {
                Ok(run) => folder.runs.push(run),
                Err(error) => {
                    folder.discard();
                    return Err(error);
                }
            }
        }
        Ok(folder)
    }

    /// Takes back what was written. What cannot be removed stays.
    pub(super) fn discard(&self) {
        self.runs.iter().for_each(RunFolder::discard);
        for file in self.pictures().into_iter().chain([self.numbers()]) {
            let _ = fs::remove_file(file);
        }
        if self.made {
            let _ = fs::remove_dir(&self.path);
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// One folder for each network.
    pub(super) fn runs(&self) -> &[RunFolder] {
        &self.runs
    }

    pub(super) fn numbers(&self) -> PathBuf {
        self.path.join(NUMBERS)
    }

    /// As SVG and as PNG.
    pub(super) fn pictures(&self) -> [PathBuf; 2] {
        ["svg", "png"].map(|extension| self.path.join(PICTURE).with_extension(extension))
    }
}

//! What lies in the folder of a data set.

use crate::known::{Found, KnownSet, file_sha256, identify, sha256};
use anyhow::{Result, bail};
use loupe_model::data::{
    DataError, Dataset, IdxFile, Part, Split, folder_faults, from_files, open_dataset,
    read_class_names,
};
use std::fs;
use std::path::{Path, PathBuf};

/// A file that could be read.
#[derive(Debug)]
pub(super) struct FoundFile {
    pub(super) path: PathBuf,
    /// Its length as it lies there.
    pub(super) bytes: u64,
    /// The length of what it holds.
    pub(super) unpacked_bytes: usize,
    pub(super) dims: Vec<usize>,
    pub(super) found: Found,
}

/// How a data set is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Idx,
    /// Folders of pictures.
    Pictures {
        /// Whether the pictures have several sizes, and were brought to that of the first.
        resized: bool,
    },
}

/// A data set, or as much of it as could be read.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) kind: Kind,
    /// Of IDX files, in the order of `IdxFile::NAMES`; `None` for one that could not be read.
    pub(super) files: [Option<FoundFile>; 4],
    /// The known set of which this is all, or of which it has some files.
    pub(super) known: Option<(&'static KnownSet, [bool; 4])>,
    /// The names of the classes; none if the ones given are no names.
    pub(super) classes: Vec<String>,
    pub(super) train: Option<Dataset>,
    pub(super) test: Option<Dataset>,
    /// Everything that is wrong.
    pub(super) faults: Vec<String>,
}

impl Contents {
    /// Reads the data set in `folder`. What is wrong with one file does not keep the others from being
    /// read. Without a `cache` every byte is read and every checksum judged.
    ///
    /// # Errors
    /// If the folder holds no data set.
    pub(super) fn read(folder: &Path, cache: Option<&Path>) -> Result<Contents> {
        let mut faults = Vec::new();
        let read = [Split::Train, Split::Test].map(|split| {
            [Part::Images, Part::Labels].map(|part| IdxFile::open(folder, split, part, cache))
        });
        let is_missing =
            |file: &Result<_, DataError>| matches!(file, Err(DataError::Missing { .. }));
        if read.as_flattened().iter().all(is_missing) {
            return Contents::pictures(folder);
        }
        let [train, test] = read.map(|files| {
            files.map(|file| file.map_err(|fault| faults.push(fault.to_string())).ok())
        });
        let mut describe = |file: &Option<IdxFile>| {
            let file = file.as_ref()?;
            let described = FoundFile::of(file);
            described.map_err(|e| faults.push(format!("{}: {e}", file.path().display()))).ok()
        };
        let files =
            [describe(&train[0]), describe(&train[1]), describe(&test[0]), describe(&test[1])];
        let known = identify(&files.each_ref().map(|file| Some(file.as_ref()?.found.clone())));
        if let Some((set, belong)) = known {
            faults.extend(strangers(set, belong, &files));
        }

        let names = read_class_names(&folder.join("classes.txt")).unwrap_or_else(|fault| {
            faults.push(fault.to_string());
            None
        });
        let names = names.or_else(|| {
            let (set, _) = known?;
            Some(set.classes.map(String::from).to_vec())
        });
        let mut join = |[images, labels]: [Option<IdxFile>; 2]| {
            let data = from_files(images?, labels?, names.clone());
            data.map_err(|fault| faults.push(fault.to_string())).ok()
        };
        let [train, test] = [join(train), join(test)];
        if let (Some(train), Some(test)) = (&train, &test) {
            let sizes = [train, test].map(|data| [data.height(), data.width()]);
            if let [[h, w], [test_h, test_w]] = sizes
                && sizes[0] != sizes[1]
            {
                faults.push(format!(
                    "the images to learn from have {h} × {w} pixels, those to be judged by \
                     {test_h} × {test_w}"
                ));
            }
        }
        let any = train.as_ref().or(test.as_ref());
        let classes = any.map_or_else(Vec::new, |data| data.class_names().to_vec());
        Ok(Contents { kind: Kind::Idx, files, known, classes, train, test, faults })
    }

    /// Reads folders of pictures.
    fn pictures(folder: &Path) -> Result<Contents> {
        let open = |split, size| open_dataset(folder, split, size, None);
        let (mut train, mut test) = (open(Split::Train, None), open(Split::Test, None));
        let sizes = [&train, &test].map(|half| match half {
            Ok(data) => Some([data.height(), data.width()]),
            Err(DataError::Size { expected, .. }) => Some(*expected),
            Err(_) => None,
        });
        let size = sizes[0].or(sizes[1]);
        let is_of_sizes = |half| matches!(half, &Err(DataError::Size { .. }));
        let resized = is_of_sizes(&train)
            || is_of_sizes(&test)
            || (sizes[0].is_some() && sizes[1].is_some() && sizes[0] != sizes[1]);
        if resized {
            (train, test) = (open(Split::Train, size), open(Split::Test, size));
        }
        let faults = match (&train, &test) {
            (Ok(_), Ok(_)) => Vec::new(),
            // There is no folder, or nothing in it that could be a data set.
            (Err(fault), _) if !has_folders(folder) => bail!(fault.clone()),
            _ => folder_faults(folder).iter().map(DataError::to_string).collect(),
        };
        if let (Err(fault), true) = (&train, faults.is_empty()) {
            bail!(fault.clone());
        }
        let (train, test) = (train.ok(), test.ok());
        let classes = train
            .as_ref()
            .or(test.as_ref())
            .map_or_else(Vec::new, |data| data.class_names().to_vec());
        let files = [const { None }; 4];
        let kind = Kind::Pictures { resized };
        Ok(Contents { kind, files, known: None, classes, train, test, faults })
    }

    /// The known set that this is, file by file.
    pub(super) fn is(&self) -> Option<&'static KnownSet> {
        self.known.filter(|(_, belong)| *belong == [true; 4]).map(|(set, _)| set)
    }

    /// The splits that could be read.
    pub(super) fn splits(&self) -> impl Iterator<Item = (&'static str, &Dataset)> {
        let splits = [("train", &self.train), ("test", &self.test)];
        splits.into_iter().filter_map(|(name, data)| Some((name, data.as_ref()?)))
    }
}

impl FoundFile {
    fn of(file: &IdxFile) -> std::io::Result<FoundFile> {
        let path = file.path();
        let is_packed = path.extension().is_some_and(|extension| extension == "gz");
        let packed = if is_packed { Some(file_sha256(path)?) } else { None };
        Ok(FoundFile {
            path: path.into(),
            bytes: fs::metadata(path)?.len(),
            unpacked_bytes: file.bytes().len(),
            dims: file.dims().to_vec(),
            found: Found { packed, unpacked: sha256(file.bytes()) },
        })
    }

    /// The name without the folder.
    pub(super) fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

fn has_folders(folder: &Path) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.flatten().any(|entry| entry.path().is_dir())
}

/// A fault for each file that is not one of `set`, to which the others belong.
fn strangers(
    set: &'static KnownSet,
    belong: [bool; 4],
    files: &[Option<FoundFile>; 4],
) -> impl Iterator<Item = String> {
    let files = files.iter().zip(belong).zip(&set.files);
    files.filter_map(|((file, belongs), known)| {
        let file = file.as_ref().filter(|_| !belongs)?;
        let (path, title) = (file.path.display(), set.title);
        let (expected, found) = match known.unpacked {
            Some(expected) => (expected, &file.found.unpacked),
            None => (known.packed, file.found.packed.as_ref().unwrap_or(&file.found.unpacked)),
        };
        Some(format!(
            "{path}: not the file of {title}, to which other files here belong: expected SHA-256 \
             {expected}, found {found}"
        ))
    })
}

//! A data set of picture files: a folder for each class.

use super::super::classes::MAX_CLASSES;
use super::super::dataset::{Dataset, check_size};
use super::super::error::DataError;
use super::super::mnist::Split;
use super::decode::{MAX_PIXELS, read_picture};
use super::natural;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// How the names of pictures end, in small or large letters.
const ENDINGS: [&str; 7] = ["png", "jpg", "jpeg", "pgm", "ppm", "pbm", "pnm"];

/// The most bytes of all pictures of a data set.
const MAX_BYTES: usize = u32::MAX as usize;

/// Of a class that is not split by folders, one of so many pictures belongs to the test half.
const HELD_OUT: usize = 5;

const TRAIN: &str = "train";
const TEST: &str = "test";

/// Opens one half of a data set of picture files (PNG, JPEG, Netpbm; see
/// [`decode_picture`](super::decode_picture)).
///
/// `folder` holds either `train/CLASS/FILE` and `test/CLASS/FILE`, or `CLASS/FILE` alone. Of the second the
/// first picture of each class, and from there every fifth, belong to the test half, and the others to
/// the training half. Folders name the classes, which are numbered in natural order (`2` before `10`), as
/// are the files of a class. The items of all classes are mixed evenly, so that a training in this order sees
/// each class all the time. Hidden files and folders, and files whose names do not end as pictures' do, are
/// skipped.
///
/// Pictures are taken as they are, or brought to `size` (height, width; 0 counts as 1) by
/// [`resized`](super::super::Grey::resized); without a size all must have the same one.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Layout`] if there are not 2 to 256 classes, if one has no pictures or
/// too few to be split, if the halves have other classes, or if the pictures take 4 GiB or more;
/// [`DataError::Picture`]; [`DataError::Size`].
pub fn open_folder(
    folder: &Path,
    split: Split,
    size: Option<[usize; 2]>,
) -> Result<Dataset, DataError> {
    let size = size.map(|sides| sides.map(|side| side.max(1)));
    let (names, files) = classes_of(folder, split)?;
    let files = mixed(&files);
    let (mut images, mut labels) = (Vec::new(), Vec::with_capacity(files.len()));
    // The first picture and its size.
    let mut first: Option<(&Path, [usize; 2])> = None;
    for &(label, path) in &files {
        let picture = read_picture(path)?;
        let found = size.unwrap_or([picture.height(), picture.width()]);
        match first {
            None => {
                first = Some((path, found));
                reserve(&mut images, files.len(), found)
                    .map_err(|reason| layout(folder, reason))?;
            }
            Some((first, expected)) if found != expected => {
                let (path, first) = (path.to_owned(), first.to_owned());
                return Err(DataError::Size { path, found, first, expected });
            }
            Some(_) => {}
        }
        images.extend_from_slice(picture.resized(found[0], found[1]).pixels());
        labels.push(label);
    }
    let size = first.map_or([0; 2], |(_, size)| size);
    check_size(labels.len(), size).map_err(|fault| fault.at(folder))?;
    Ok(Dataset::checked(images.into(), labels.into(), size, names))
}

/// Everything that keeps [`open_folder`] from opening both halves, but for sizes: each file that cannot be
/// read as a picture, or what is wrong with the folders.
pub fn folder_faults(folder: &Path) -> Vec<DataError> {
    let mut faults = Vec::new();
    for split in [Split::Train, Split::Test] {
        match classes_of(folder, split) {
            Ok((_, files)) => {
                faults.extend(files.iter().flatten().filter_map(|path| read_picture(path).err()));
            }
            // A fault of the folders is often one of both halves.
            Err(fault) if faults.contains(&fault) => {}
            Err(fault) => faults.push(fault),
        }
    }
    faults
}

/// The files of all classes with their labels, each class spread evenly over all places: file i of n lies at
/// (i + 1/2) / n.
fn mixed(files: &[Vec<PathBuf>]) -> Vec<(u8, &Path)> {
    let mut placed = Vec::new();
    for (label, files) in (0..=u8::MAX).zip(files) {
        let n = files.len() as u128;
        placed.extend(files.iter().zip(0..).map(|(file, i)| ((2 * i + 1, n), label, &**file)));
    }
    // Fractions by their products; equal ones by class.
    placed.sort_by(|((a, n), a_label, _), ((b, m), b_label, _)| {
        (a * m).cmp(&(b * n)).then(a_label.cmp(b_label))
    });
    placed.into_iter().map(|(_, label, file)| (label, file)).collect()
}

/// Whether `folder` has sub-folders that are not hidden.
pub(super) fn has_folders(folder: &Path) -> Result<bool, DataError> {
    Ok(!list(folder, Path::is_dir)?.is_empty())
}

fn layout(path: &Path, reason: impl Into<String>) -> DataError {
    DataError::Layout { path: path.into(), reason: reason.into() }
}

/// Makes room for `count` pictures.
fn reserve(images: &mut Vec<u8>, count: usize, [height, width]: [usize; 2]) -> Result<(), String> {
    let pixels = height.checked_mul(width).filter(|&pixels| pixels as u64 <= MAX_PIXELS);
    let pixels = pixels.ok_or_else(|| {
        format!("pictures cannot be brought to {height} × {width} pixels; at most {MAX_PIXELS} are possible")
    })?;
    let bytes = pixels.checked_mul(count).filter(|&bytes| bytes <= MAX_BYTES);
    let bytes = bytes.ok_or_else(|| {
        format!("{count} pictures of {height} × {width} pixels take more than {MAX_BYTES} bytes")
    })?;
    images.try_reserve_exact(bytes).map_err(|e| e.to_string())
}

/// The names of the classes, and the files of each in this half.
fn classes_of(folder: &Path, split: Split) -> Result<(Vec<String>, Vec<Vec<PathBuf>>), DataError> {
    let [train, test] = [TRAIN, TEST].map(|name| folder.join(name));
    let split_by_folders = |half: &Path| Ok(half.is_dir() && has_folders(half)?);
    if !split_by_folders(&train)? && !split_by_folders(&test)? {
        let classes = class_folders(folder)?;
        let files = classes.iter().map(|class| held_out(class, pictures(class)?, split));
        let files = files.collect::<Result<_, _>>()?;
        return Ok((names(&classes), files));
    }
    let (half, other) = match split {
        Split::Train => (train, test),
        Split::Test => (test, train),
    };
    if !half.is_dir() {
        let reason = "not found; the folder of a data set with one half has the other, too";
        return Err(layout(&half, reason));
    }
    let classes = class_folders(&half)?;
    if other.is_dir() {
        let [found, expected] = [&classes, &class_folders(&other)?].map(|classes| names(classes));
        let lacks = |these: &[String], those: &[String]| {
            these.iter().find(|name| !those.contains(name)).cloned()
        };
        if let Some(name) = lacks(&expected, &found) {
            return Err(layout(
                &half,
                format!("has no class {name}, which {} has", other.display()),
            ));
        }
        if let Some(name) = lacks(&found, &expected) {
            return Err(layout(
                &other,
                format!("has no class {name}, which {} has", half.display()),
            ));
        }
    }
    let files = classes.iter().map(|class| pictures(class)).collect::<Result<_, _>>()?;
    Ok((names(&classes), files))
}

/// The folders of the classes.
fn class_folders(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let classes = list(folder, Path::is_dir)?;
    if !(2..=MAX_CLASSES).contains(&classes.len()) {
        let found = classes.len();
        let reason =
            format!("expected 2 to {MAX_CLASSES} folders, one for each class, found {found}");
        return Err(layout(folder, reason));
    }
    let nameless =
        |class: &&PathBuf| !class.file_name().and_then(OsStr::to_str).is_some_and(is_name);
    match classes.iter().find(nameless) {
        None => Ok(classes),
        Some(class) => {
            let named = class.file_name().unwrap_or_default();
            let reason = format!(
                "a folder is called {named:?}; expected the name of a class: one line of text without \
                 spaces around it"
            );
            Err(layout(folder, reason))
        }
    }
}

/// Whether the name can stand in a line of a file of names.
fn is_name(name: &str) -> bool {
    name.trim() == name && !name.contains(char::is_control)
}

fn names(classes: &[PathBuf]) -> Vec<String> {
    classes.iter().map(|class| name(class)).collect()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The pictures of a class.
fn pictures(class: &Path) -> Result<Vec<PathBuf>, DataError> {
    let is_picture = |path: &Path| {
        let ending = path.extension().and_then(OsStr::to_str).map(str::to_ascii_lowercase);
        ending.is_some_and(|ending| ENDINGS.contains(&&*ending)) && !path.is_dir()
    };
    let files = list(class, is_picture)?;
    if files.is_empty() {
        let endings = ENDINGS.join(", .");
        let reason = format!("expected pictures of a class (.{endings}), found none");
        return Err(layout(class, reason));
    }
    Ok(files)
}

/// The pictures of one half of a class.
fn held_out(class: &Path, files: Vec<PathBuf>, split: Split) -> Result<Vec<PathBuf>, DataError> {
    if files.len() < 2 {
        let reason =
            "expected at least 2 pictures, one to learn from and one to be judged by, found 1";
        return Err(layout(class, reason));
    }
    let files = files.into_iter().enumerate();
    let in_half = |i: usize| i.is_multiple_of(HELD_OUT) == (split == Split::Test);
    Ok(files.filter(|&(i, _)| in_half(i)).map(|(_, file)| file).collect())
}

/// What a folder holds that is wanted and not hidden, in natural order of the names.
fn list(folder: &Path, wanted: impl Fn(&Path) -> bool) -> Result<Vec<PathBuf>, DataError> {
    let at = |e: std::io::Error| DataError::read(folder, &e);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(at)? {
        let path = entry.map_err(at)?.path();
        if !name(&path).starts_with('.') && wanted(&path) {
            found.push((name(&path), path));
        }
    }
    found.sort_by(|(a, a_path), (b, b_path)| {
        natural::compare(a, b).then_with(|| a_path.cmp(b_path))
    });
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

#[cfg(test)]
mod tests;

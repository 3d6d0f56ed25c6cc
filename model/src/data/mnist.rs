//! The four files of MNIST, and of the data sets that took over its format.

use super::classes::{self, CLASSES_FILE, read_class_names};
use super::dataset::{self, Dataset};
use super::error::DataError;
use super::file;
use super::idx::Idx;
use super::mapped::Bytes;
use std::path::{Path, PathBuf};

/// The classes of a set that does not name them: the digits 0 to 9.
const CLASSES: usize = 10;

/// Images and labels of each split.
pub(super) const FILES: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];

/// The images to learn from or the images to be judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// 60,000 digits in MNIST.
    Train,
    /// 10,000 digits in MNIST.
    Test,
}

/// Opens one half of MNIST, or of another set in its format (Fashion-MNIST), of any count and image
/// size.
///
/// `folder` holds `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte`
/// and `t10k-labels-idx1-ubyte`; where such a file is missing, the same with `.gz` at its end is
/// taken. A plain file is read into memory. A gzip file is unpacked once into the folder `cache`
/// and memory-mapped from there; without a cache, or where it cannot be written, it is unpacked
/// into memory, which is no error. A file `classes.txt` there names the classes, one a line; without it
/// they are the ten digits.
///
/// The files in `cache` are write-protected and named by their content. They may be deleted at any
/// time, but must not be changed while a data set is open; no one but the user should be able to
/// write to that folder.
///
/// # Errors
/// [`DataError::Missing`], [`DataError::Read`], [`DataError::Malformed`], [`DataError::Counts`] if there
/// are not as many labels as images, or [`DataError::ClassNames`].
pub fn open_mnist(folder: &Path, split: Split, cache: Option<&Path>) -> Result<Dataset, DataError> {
    let [images, labels] = match split {
        Split::Train => [FILES[0], FILES[1]],
        Split::Test => [FILES[2], FILES[3]],
    };
    let names = read_class_names(&folder.join(CLASSES_FILE))?;
    let names = names.unwrap_or_else(|| classes::numbers(CLASSES));
    let (image_path, [count, height, width], images) = open::<3>(folder, images, cache)?;
    dataset::check_size(count, [height, width]).map_err(|fault| fault.at(&image_path))?;
    let (label_path, [label_count], labels) = open::<1>(folder, labels, cache)?;
    if count != label_count {
        return Err(DataError::Counts {
            images: image_path,
            image_count: count,
            labels: label_path,
            label_count,
        });
    }
    dataset::check_labels(&labels, names.len()).map_err(|fault| fault.at(&label_path))?;
    Ok(Dataset::checked(images, labels, [height, width], names))
}

/// Whether `folder` has one of the files.
#[cfg(feature = "pictures")]
pub(super) fn is_there(folder: &Path) -> bool {
    FILES
        .iter()
        .any(|name| ["", ".gz"].iter().any(|end| folder.join(format!("{name}{end}")).exists()))
}

/// The path, dimensions and elements of one file.
fn open<const D: usize>(
    folder: &Path,
    name: &'static str,
    cache: Option<&Path>,
) -> Result<(PathBuf, [usize; D], Bytes), DataError> {
    let (path, bytes) = file::load::<D>(folder, name, cache)?
        .ok_or_else(|| DataError::Missing { folder: folder.into(), file: name, all: FILES })?;
    let dims = Idx::<D>::parse(&bytes).map_err(|fault| fault.at(&path))?.dims;
    Ok((path, dims.map(|dim| dim as usize), bytes.skip(Idx::<D>::HEADER_LEN)))
}

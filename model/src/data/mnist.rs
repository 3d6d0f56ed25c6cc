//! The four files of MNIST, and of the data sets that took over its format.

use super::classes::{self, CLASSES_FILE, read_class_names};
use super::dataset::{self, Dataset};
use super::error::{DataError, Malformed};
use super::idx_file::{IdxFile, Part};
use std::path::Path;

/// The digits 0 to 9.
const CLASSES: usize = 10;

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
/// taken. A gzip file is unpacked once into the folder `cache` and read from there; without a cache,
/// or where it cannot be written, it is unpacked each time, which is no error. A file `classes.txt`
/// there names the classes, one a line; without it they are the ten digits.
///
/// All is read before this returns: what becomes of the files afterwards does not matter. Those in `cache`
/// are named by their content, and their checksums are checked.
///
/// # Errors
/// [`DataError::Missing`], [`DataError::Read`], [`DataError::Malformed`], [`DataError::Counts`] if there
/// are not as many labels as images, or [`DataError::ClassNames`].
pub fn open_mnist(folder: &Path, split: Split, cache: Option<&Path>) -> Result<Dataset, DataError> {
    let names = read_class_names(&folder.join(CLASSES_FILE))?;
    let images = IdxFile::open(folder, split, Part::Images, cache)?;
    let labels = IdxFile::open(folder, split, Part::Labels, cache)?;
    from_files(images, labels, names)
}

/// The half of a data set whose images and labels are in these two files. Without `names` its classes are
/// the ten digits.
///
/// # Errors
/// [`DataError::Counts`] if there are not as many labels as images, [`DataError::Malformed`] if there are
/// no images, or if a label names no class.
///
/// # Panics
/// If the files do not hold [`Part::Images`] and [`Part::Labels`].
pub fn from_files(
    images: IdxFile,
    labels: IdxFile,
    names: Option<Vec<String>>,
) -> Result<Dataset, DataError> {
    let names = names.unwrap_or_else(|| classes::numbers(CLASSES));
    let (&[count, height, width], &[label_count]) = (images.dims(), labels.dims()) else {
        panic!("expected a file of images and one of labels");
    };
    let malformed = |file: &IdxFile, fault: Malformed| fault.at(file.path());
    dataset::check_size(count, [height, width]).map_err(|fault| malformed(&images, fault))?;
    if count != label_count {
        return Err(DataError::Counts {
            images: images.path().into(),
            image_count: count,
            labels: labels.path().into(),
            label_count,
        });
    }
    dataset::check_labels(labels.elements(), names.len())
        .map_err(|fault| malformed(&labels, fault))?;
    let (images, labels) = (images.into_elements(), labels.into_elements());
    Ok(Dataset::checked(images, labels, [height, width], names))
}

/// Whether `folder` has one of the files.
#[cfg(feature = "pictures")]
pub(super) fn is_there(folder: &Path) -> bool {
    IdxFile::NAMES
        .iter()
        .any(|name| ["", ".gz"].iter().any(|end| folder.join(format!("{name}{end}")).exists()))
}

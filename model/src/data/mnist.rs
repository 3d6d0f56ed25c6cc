//! The four files of MNIST, and of the data sets that took over its format.

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

/// Opens one half of MNIST, or of another set of 10 classes in its format (Fashion-MNIST), of any
/// count and image size.
///
/// `folder` holds `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte`
/// and `t10k-labels-idx1-ubyte`; where such a file is missing, the same with `.gz` at its end is
/// taken. A plain file is read into memory. A gzip file is unpacked once into the folder `cache`
/// and memory-mapped from there; without a cache, or where it cannot be written, it is unpacked
/// into memory, which is no error.
///
/// The files in `cache` are write-protected and named by their content. They may be deleted at any
/// time, but must not be changed while a data set is open; no one but the user should be able to
/// write to that folder.
///
/// # Errors
/// [`DataError::Missing`], [`DataError::Read`], [`DataError::Malformed`], or
/// [`DataError::Counts`] if there are not as many labels as images.
pub fn open_mnist(folder: &Path, split: Split, cache: Option<&Path>) -> Result<Dataset, DataError> {
    let images = IdxFile::open(folder, split, Part::Images, cache)?;
    let labels = IdxFile::open(folder, split, Part::Labels, cache)?;
    from_files(images, labels)
}

/// The half of a data set of 10 classes whose images and labels are in these two files.
///
/// # Errors
/// [`DataError::Counts`] if there are not as many labels as images, [`DataError::Malformed`] if there are
/// no images, or a label is 10 or more.
///
/// # Panics
/// If the files do not hold [`Part::Images`] and [`Part::Labels`].
pub fn from_files(images: IdxFile, labels: IdxFile) -> Result<Dataset, DataError> {
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
    dataset::check_labels(labels.elements(), CLASSES).map_err(|fault| malformed(&labels, fault))?;
    let (images, labels) = (images.into_elements(), labels.into_elements());
    Ok(Dataset::checked(images, labels, [height, width], CLASSES))
}

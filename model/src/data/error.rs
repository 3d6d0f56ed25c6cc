//! What can be wrong with a data set.

use std::io;
use std::path::{Path, PathBuf};

/// A data set that cannot be opened, or a request that it cannot serve.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The folder lacks a file, or is not there.
    #[error(
        "{}: found neither {file} nor {file}.gz; the folder of a data set holds {}, each as it is \
         or with .gz at its end",
        .folder.display(),
        .all.join(", ")
    )]
    Missing {
        /// The folder.
        folder: PathBuf,
        /// The file that was looked for.
        file: &'static str,
        /// All the files of the data set.
        all: [&'static str; 4],
    },
    /// The system, or the decompressor, could not read a file.
    #[error("{}: {reason}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason that was given.
        reason: String,
    },
    /// A file was read but does not hold what it should.
    #[error("{}: {fault}", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: Malformed,
    },
    /// The two files of a data set do not belong together.
    #[error(
        "{} holds {image_count} images but {} holds {label_count} labels",
        .images.display(),
        .labels.display()
    )]
    Counts {
        /// The file of the images.
        images: PathBuf,
        /// How many it holds.
        image_count: usize,
        /// The file of the labels.
        labels: PathBuf,
        /// How many it holds.
        label_count: usize,
    },
    /// A file that should be a picture.
    #[error("{}: {fault}", .path.display())]
    Picture {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: PictureError,
    },
    /// A folder that should hold a folder of pictures for each class.
    #[error("{}: {reason}", .path.display())]
    Layout {
        /// The folder.
        path: PathBuf,
        /// What was expected and found.
        reason: String,
    },
    /// A picture that has another size than the first of its data set.
    #[error(
        "{}: {} × {} pixels (height × width), but {} has {} × {}; a size must be given to which \
         pictures of several sizes are brought",
        .path.display(), .found[0], .found[1], .first.display(), .expected[0], .expected[1]
    )]
    Size {
        /// The picture.
        path: PathBuf,
        /// Its height and width.
        found: [usize; 2],
        /// The first picture.
        first: PathBuf,
        /// The height and width of the first.
        expected: [usize; 2],
    },
    /// A file of class names that is none.
    #[error("{}: {reason}", .path.display())]
    ClassNames {
        /// The file.
        path: PathBuf,
        /// What is wrong, with its line.
        reason: String,
    },
    /// The data set has no item of this index.
    #[error("the data set has {count} items, there is none with index {index}")]
    Index {
        /// The index.
        index: usize,
        /// The number of items.
        count: usize,
    },
    /// A data set must hold an item.
    #[error("a data set must hold at least one item")]
    Nothing,
    /// A slice does not have the length that the items ask for.
    #[error("{what} must have {items} × {size} elements, found {found}")]
    Length {
        /// The argument.
        what: &'static str,
        /// The number of items.
        items: usize,
        /// The elements of one item.
        size: usize,
        /// The length of the slice.
        found: usize,
    },
}

impl DataError {
    pub(super) fn read(path: &Path, error: &io::Error) -> DataError {
        DataError::Read { path: path.into(), reason: error.to_string() }
    }
}

/// Bytes that are not a picture that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PictureError {
    /// The first bytes are those of another format.
    #[error("not a picture that can be read; expected PNG, JPEG or Netpbm (PGM, PPM, PBM)")]
    Format,
    /// The first bytes are those of neither a picture nor IDX images.
    #[error(
        "neither a picture (PNG, JPEG or Netpbm: PGM, PPM, PBM) nor an IDX file of images, plain or .gz"
    )]
    Unknown,
    /// The file is too long.
    #[error("a picture file of more than {limit} bytes is not read")]
    File {
        /// The most bytes.
        limit: u64,
    },
    /// There are too many pixels.
    #[error("{height} × {width} pixels (height × width) are more than the {limit} that are read")]
    Pixels {
        /// The height.
        height: u32,
        /// The width.
        width: u32,
        /// The most pixels.
        limit: u64,
    },
    /// The decoder does not understand the bytes.
    #[error("damaged or not supported: {reason}")]
    Decode {
        /// What the decoder says.
        reason: String,
    },
}

impl PictureError {
    #[cfg(feature = "pictures")]
    pub(super) fn at(self, path: &Path) -> DataError {
        DataError::Picture { path: path.into(), fault: self }
    }
}

/// Bytes that are not the images or labels that they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// An IDX file starts with two zero bytes.
    #[error("not an IDX file: expected it to start with bytes 00 00, found {:02x} {:02x}", .found[0], .found[1])]
    Magic {
        /// The first two bytes.
        found: [u8; 2],
    },
    /// The elements are not unsigned bytes.
    #[error("expected elements of type unsigned byte (0x08), found {} ({found:#04x})", type_name(*.found))]
    ElementType {
        /// The third byte.
        found: u8,
    },
    /// The number of dimensions is not the one asked for.
    #[error("expected {expected} dimensions, found {found}")]
    Dimensions {
        /// The number asked for.
        expected: usize,
        /// The fourth byte.
        found: usize,
    },
    /// The dimensions ask for more bytes than there can be.
    #[error("its dimensions ask for more than the {limit} bytes that it can hold at most")]
    TooLarge {
        /// The highest number of bytes that is possible.
        limit: u64,
    },
    /// The bytes end early.
    #[error("truncated: expected {expected} bytes, found {found}")]
    Truncated {
        /// The number of bytes that the header, or the number of items, asks for.
        expected: u64,
        /// The number of bytes there are.
        found: u64,
    },
    /// Bytes follow the last element.
    #[error("expected {expected} bytes, found more")]
    Trailing {
        /// The number of bytes that the header, or the number of items, asks for.
        expected: u64,
    },
    /// There are no items, or they have no pixels.
    #[error("expected images, found {count} of {height} × {width} pixels")]
    Empty {
        /// The number of images.
        count: usize,
        /// Their height.
        height: usize,
        /// Their width.
        width: usize,
    },
    /// More classes than labels of one byte tell apart.
    #[error("expected at most {limit} classes, found {found}")]
    Classes {
        /// The number of classes.
        found: usize,
        /// 256.
        limit: usize,
    },
    /// A label names no class.
    #[error("expected labels below {classes}, found {label} at index {index}")]
    Label {
        /// The index of the first such label.
        index: usize,
        /// The label.
        label: u8,
        /// The number of classes.
        classes: usize,
    },
}

impl Malformed {
    pub(super) fn at(self, path: &Path) -> DataError {
        DataError::Malformed { path: path.into(), fault: self }
    }
}

/// The IDX name of an element type.
fn type_name(code: u8) -> &'static str {
    match code {
        0x08 => "unsigned byte",
        0x09 => "signed byte",
        0x0b => "16-bit integer",
        0x0c => "32-bit integer",
        0x0d => "32-bit float",
        0x0e => "64-bit float",
        _ => "an unknown type",
    }
}

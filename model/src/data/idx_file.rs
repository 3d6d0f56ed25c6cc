//! One of the four files of a data set in MNIST's format.

use super::bytes::Bytes;
use super::error::DataError;
use super::file;
use super::idx::Idx;
use super::mnist::Split;
use std::path::{Path, PathBuf};

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// `[N, H, W]` pixels.
    Images,
    /// `[N]` labels.
    Labels,
}

/// A file that has been read and unpacked, and whose length is the one that its header asks for.
#[derive(Debug)]
pub struct IdxFile {
    path: PathBuf,
    /// Header and elements.
    bytes: Bytes,
    dims: Vec<usize>,
    header_len: usize,
}

impl IdxFile {
    /// The names of the four files, without `.gz`: images and labels to learn from, then those to be judged
    /// by.
    pub const NAMES: [&str; 4] = [
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
    ];

    /// The name of the file that holds this part of this split, without `.gz`.
    pub fn name(split: Split, part: Part) -> &'static str {
        IdxFile::NAMES[match (split, part) {
            (Split::Train, Part::Images) => 0,
            (Split::Train, Part::Labels) => 1,
            (Split::Test, Part::Images) => 2,
            (Split::Test, Part::Labels) => 3,
        }]
    }

    /// Opens the file as it is or, where there is none, the same with `.gz` at its end; see
    /// [`open_mnist`](super::open_mnist), also for `cache`. Without a cache every byte of the file is read.
    ///
    /// # Errors
    /// [`DataError::Missing`], [`DataError::Read`] or [`DataError::Malformed`].
    pub fn open(
        folder: &Path,
        split: Split,
        part: Part,
        cache: Option<&Path>,
    ) -> Result<IdxFile, DataError> {
        let name = IdxFile::name(split, part);
        match part {
            Part::Images => open::<3>(folder, name, cache),
            Part::Labels => open::<1>(folder, name, cache),
        }
    }

    /// Where the file was found.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The dimensions, outermost first: N, H, W of images, N of labels.
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// All unpacked bytes, the header included.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The unpacked bytes behind the header.
    pub fn elements(&self) -> &[u8] {
        &self.bytes[self.header_len..]
    }

    pub(super) fn into_elements(self) -> Bytes {
        self.bytes.skip(self.header_len)
    }
}

fn open<const D: usize>(
    folder: &Path,
    name: &'static str,
    cache: Option<&Path>,
) -> Result<IdxFile, DataError> {
    let (path, bytes) = file::load::<D>(folder, name, cache)?.ok_or_else(|| {
        DataError::Missing { folder: folder.into(), file: name, all: IdxFile::NAMES }
    })?;
    let dims = Idx::<D>::parse(&bytes).map_err(|fault| fault.at(&path))?.dims;
    let dims = dims.iter().map(|&dim| dim as usize).collect();
    Ok(IdxFile { path, bytes, dims, header_len: Idx::<D>::HEADER_LEN })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Malformed;
    use std::fs;

    #[test]
    fn header_and_elements_are_told_apart() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("t10k-labels-idx1-ubyte");
        let bytes = [0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9];
        fs::write(&path, bytes).unwrap();
        let file = IdxFile::open(home.path(), Split::Test, Part::Labels, None).unwrap();
        assert_eq!(file.path(), path);
        assert_eq!(
            (file.dims(), file.bytes(), file.elements()),
            (&[3][..], &bytes[..], &[7, 8, 9][..])
        );
        assert_eq!(*file.into_elements(), [7, 8, 9]);

        fs::write(&path, [0, 0, 8, 3]).unwrap();
        let fault = IdxFile::open(home.path(), Split::Test, Part::Labels, None).unwrap_err();
        let DataError::Malformed { fault, .. } = fault else { panic!("{fault}") };
        assert_eq!(fault, Malformed::Dimensions { expected: 1, found: 3 });

        let missing = IdxFile::open(home.path(), Split::Test, Part::Images, None).unwrap_err();
        assert!(matches!(missing, DataError::Missing { file: "t10k-images-idx3-ubyte", .. }));
    }
}

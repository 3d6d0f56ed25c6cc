//! Data sets and pictures of any kind that is known.

use super::super::dataset::Dataset;
use super::super::error::{DataError, PictureError};
use super::super::file::decode_idx;
use super::super::grey::Grey;
use super::super::idx::Idx;
use super::super::mnist::{self, Split, open_mnist};
use super::decode::{decode_picture, read_bounded};
use super::folder::{has_folders, open_folder};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Opens one half of the data set in `folder`: its IDX files as [`open_mnist`] does if it has one of them,
/// else its folders of pictures as [`open_folder`] does. `size` counts for pictures, `cache` for IDX files.
///
/// # Errors
/// As those two; [`DataError::Layout`] if the folder has neither.
pub fn open_dataset(
    folder: &Path,
    split: Split,
    size: Option<[usize; 2]>,
    cache: Option<&Path>,
) -> Result<Dataset, DataError> {
    if mnist::is_there(folder) {
        return open_mnist(folder, split, cache);
    }
    if folder.is_dir() && has_folders(folder)? {
        return open_folder(folder, split, size);
    }
    let files = mnist::FILES.join(", ");
    let found = match folder.metadata() {
        Ok(metadata) if metadata.is_dir() => "neither",
        Ok(_) => "a file",
        Err(_) => "nothing",
    };
    let reason = format!(
        "found {found}; expected the folder of a data set, which holds either the files {files}, \
         each as it is or with .gz at its end, or folders of pictures: train/CLASS/FILE and \
         test/CLASS/FILE, or CLASS/FILE, of which a fifth is held out for the test"
    );
    Err(DataError::Layout { path: folder.into(), reason })
}

/// What a file of pictures holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pictures {
    /// A picture file.
    One(Grey),
    /// The images of an IDX file; at least one.
    Idx(Vec<Grey>),
}

/// Reads a picture (see [`decode_picture`]) or the images of an IDX file, plain or packed by gzip; which it is
/// follows from the first bytes.
///
/// # Errors
/// [`DataError::Read`], [`DataError::Picture`], [`DataError::Malformed`].
pub fn read_pictures(path: &Path) -> Result<Pictures, DataError> {
    read_pictures_from(path, File::open(path).map_err(|e| DataError::read(path, &e))?)
}

/// Reads what [`read_pictures`] does from any reader, which errors call by `name`.
///
/// # Errors
/// As [`read_pictures`].
pub fn read_pictures_from(name: &Path, reader: impl Read) -> Result<Pictures, DataError> {
    let bytes = &read_bounded(name, reader)?[..];
    if !matches!(bytes, [0x1f, 0x8b, ..] | [0, 0, _, _, ..]) {
        let picture = decode_picture(bytes).map_err(|fault| match fault {
            PictureError::Format => PictureError::Unknown,
            other => other,
        });
        return picture.map(Pictures::One).map_err(|fault| fault.at(name));
    }
    let unpacked = decode_idx::<3>(name, bytes)?;
    let at = |fault: super::super::Malformed| fault.at(name);
    let Idx { dims, data } = Idx::<3>::parse(&unpacked).map_err(at)?;
    let [count, height, width] = dims.map(|dim| dim as usize);
    super::super::dataset::check_size(count, [height, width]).map_err(at)?;
    let images = data.chunks_exact(height * width);
    let images = images.map(|image| Grey::new(height, width, image.to_vec()));
    images.collect::<Result<_, _>>().map(Pictures::Idx).map_err(at)
}

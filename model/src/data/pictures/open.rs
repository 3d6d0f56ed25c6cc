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

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::fs;
    use std::io::Write;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn the_first_bytes_say_what_it_is() {
        let of = |bytes: &[u8]| read_pictures_from(Path::new("it"), bytes);
        let idx = [&[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2][..], &[1, 2, 3, 4]].concat();
        let grey = |pixels: &[u8]| Grey::new(1, 2, pixels.to_vec()).unwrap();
        let images = Pictures::Idx(vec![grey(&[1, 2]), grey(&[3, 4])]);
        assert_eq!(of(&idx).unwrap(), images);
        assert_eq!(of(&packed(&idx)).unwrap(), images);
        assert_eq!(of(b"P2 2 1 255 7 8").unwrap(), Pictures::One(grey(&[7, 8])));

        let unknown = DataError::Picture { path: "it".into(), fault: PictureError::Unknown };
        assert_eq!(of(b"text"), Err(unknown.clone()));
        assert_eq!(of(b""), Err(unknown));
        let labels = [&[0, 0, 8, 1, 0, 0, 0, 1][..], &[7]].concat();
        for (bytes, part) in [
            (&labels[..], "expected 3 dimensions, found 1"),
            (&idx[..19], "truncated: expected 20 bytes, found 19"),
            (&packed(&idx[..19])[..], "truncated"),
            (&packed(&idx)[..20], "it: "),
            (&packed(b"some text, long enough"), "not an IDX file"),
            (&[0, 0, 8, 3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1], "expected images, found 0"),
        ] {
            let error = of(bytes).unwrap_err().to_string();
            assert!(error.starts_with("it: ") && error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_folder_is_of_either_kind() {
        let folder = tempfile::tempdir().unwrap();
        let open = || open_dataset(folder.path(), Split::Train, None, None);
        let error = open().unwrap_err().to_string();
        for part in ["found neither", "train-images-idx3-ubyte", "train/CLASS/FILE", "a fifth"] {
            assert!(error.contains(part), "{error}");
        }
        for class in ["no", "yes"] {
            fs::create_dir(folder.path().join(class)).unwrap();
            for file in ["1.pbm", "2.pbm"] {
                fs::write(folder.path().join(class).join(file), "P1 1 1 0").unwrap();
            }
        }
        assert_eq!(open().unwrap().class_names(), ["no", "yes"]);
        // One of the files makes it a folder of IDX files, of which the others are missing.
        fs::write(folder.path().join("t10k-labels-idx1-ubyte.gz"), "").unwrap();
        assert!(matches!(open(), Err(DataError::Missing { .. })));

        let file = folder.path().join("no/1.pbm");
        let error = open_dataset(&file, Split::Test, None, None).unwrap_err().to_string();
        assert!(error.contains("found a file; expected the folder"), "{error}");
        let error = open_dataset(&folder.path().join("x"), Split::Test, None, None).unwrap_err();
        assert!(error.to_string().contains("found nothing; expected"), "{error}");
    }

    #[test]
    fn classes_of_idx_files_may_have_names() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
        put("train-images-idx3-ubyte", &[0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 9]);
        put("train-labels-idx1-ubyte", &[0, 0, 8, 1, 0, 0, 0, 1, 2]);
        let open = || open_dataset(folder.path(), Split::Train, None, None);
        assert_eq!(open().unwrap().classes(), 10);
        put("classes.txt", b"ant\nbee\ncat\n");
        let data = open().unwrap();
        assert_eq!((data.classes(), data.class_name(2)), (3, "cat"));
        put("classes.txt", b"ant\nbee\n");
        assert!(open().unwrap_err().to_string().contains("expected labels below 2, found 2"));
        put("classes.txt", b"ant\n\nbee\n");
        assert!(open().unwrap_err().to_string().contains("classes.txt: expected a name in each"));
    }
}

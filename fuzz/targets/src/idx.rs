//! Bytes as an IDX file: refused, or every byte accounted for, plain or packed, by every way in.

use crate::Taken;
use flate2::Compression;
use flate2::write::GzEncoder;
use loupe_model::data::{Idx, IdxFile, Part, Pictures, Split, read_pictures_from};
use std::fs;
use std::io::Write;
use std::path::Path;

/// Reads bytes as labels and as images.
pub fn run(bytes: &[u8]) -> Taken {
    let labels = read::<1>(bytes, Part::Labels);
    let images = read::<3>(bytes, Part::Images);
    labels.or(images)
}

fn read<const D: usize>(bytes: &[u8], part: Part) -> Taken {
    let folder = tempfile::tempdir().expect("a folder for files");
    let path = folder.path().join(IdxFile::name(Split::Test, part));
    let parsed = Idx::<D>::parse(bytes).ok();
    if let Some(idx) = parsed {
        let elements: u128 = idx.dims.iter().map(|&dim| u128::from(dim)).product();
        assert_eq!(elements, idx.data.len() as u128);
        assert_eq!(idx.data, &bytes[4 + 4 * D..]);
    }
    let expected = parsed.map(|idx| (idx.dims.map(|dim| dim as usize), idx.data));

    let open = |what: &str| {
        let file = IdxFile::open(folder.path(), Split::Test, part, None);
        match (&file, expected) {
            (Ok(file), Some((dims, data))) => {
                assert_eq!((file.dims(), file.elements()), (&dims[..], data), "{what}");
            }
            (Err(error), None) => assert!(!error.to_string().is_empty()),
            other => panic!("{what}: {other:?}"),
        }
    };
    fs::write(&path, bytes).expect("room for a file");
    open("plain");
    fs::remove_file(&path).expect("it is there");
    let path = path.with_extension("gz");
    fs::write(&path, packed(bytes)).expect("room for a file");
    open("packed");
    if D == 3 {
        pictures(bytes, expected.map(|(_, data)| data));
    }

    // As a gzip file itself.
    fs::write(&path, bytes).expect("room for a file");
    let unpacked = IdxFile::open(folder.path(), Split::Test, part, None).ok();
    if let Some(file) = &unpacked {
        assert_eq!(file.dims().iter().product::<usize>(), file.elements().len());
    }
    expected.map(drop).or(unpacked.map(drop))
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory takes all bytes")
}

/// The images as pictures that are to be recognised, packed and not.
fn pictures(bytes: &[u8], data: Option<&[u8]>) {
    let packed = packed(bytes);
    for bytes in [bytes, &packed] {
        let pictures = read_pictures_from(Path::new("it"), bytes);
        if let (Ok(Pictures::Idx(images)), Some(data)) = (pictures, data) {
            let pixels: Vec<u8> = images.iter().flat_map(|image| image.pixels()).copied().collect();
            assert_eq!(pixels, data);
        }
    }
}

//! A small MNIST: the first digits of the real one.

use flate2::read::GzDecoder;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

/// Digits to learn from.
pub(crate) const TRAIN_ITEMS: usize = 64;
/// Digits to be judged by.
pub(crate) const TEST_ITEMS: usize = 32;

/// Writes the four files into `folder`.
pub(super) fn write(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    for (split, items) in [("train", TRAIN_ITEMS), ("t10k", TEST_ITEMS)] {
        let images = first(&format!("{split}-images-idx3-ubyte.gz"), 16, items * 784);
        let labels = first(&format!("{split}-labels-idx1-ubyte.gz"), 8, items);
        let images = idx(&[items, 28, 28], &images);
        fs::write(folder.join(format!("{split}-images-idx3-ubyte")), images).unwrap();
        fs::write(folder.join(format!("{split}-labels-idx1-ubyte")), idx(&[items], &labels))
            .unwrap();
    }
}

/// An IDX file of bytes.
pub(crate) fn idx(dims: &[usize], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, dims.len() as u8];
    bytes.extend(dims.iter().flat_map(|&dim| (dim as u32).to_be_bytes()));
    bytes.extend(data);
    bytes
}

/// A PGM picture.
pub(crate) fn pgm([height, width]: [usize; 2], pixels: &[u8]) -> Vec<u8> {
    assert_eq!(pixels.len(), height * width);
    [format!("P5 {width} {height} 255\n").as_bytes(), pixels].concat()
}

/// The first bytes of a packed file of the real MNIST, behind its header.
fn first(name: &str, header: usize, len: usize) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/mnist").join(name);
    let file = File::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut bytes = vec![0; header + len];
    GzDecoder::new(file).read_exact(&mut bytes).unwrap();
    bytes.split_off(header)
}

//! Pictures as data: files, and folders of them.

mod decode;

pub use decode::{decode_picture, read_picture};

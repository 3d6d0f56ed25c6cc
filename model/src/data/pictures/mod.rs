//! Pictures as data: files, and folders of them.

mod decode;
mod folder;
mod natural;
mod open;

pub use decode::{decode_picture, read_picture};
pub use folder::open_folder;
pub use open::{Pictures, open_dataset, read_pictures, read_pictures_from};

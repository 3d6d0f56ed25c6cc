//! Labelled images: IDX files, their cache, what is in them, and the order in which an epoch visits them.
//!
//! ```no_run
//! use loupe_model::data::{Epoch, Order, Split, open_mnist};
//! use std::num::NonZeroUsize;
//! use std::path::Path;
//!
//! let train = open_mnist(Path::new("data/mnist"), Split::Train, None)?;
//! let batch_size = NonZeroUsize::new(16).unwrap();
//! for batch in Epoch::new(Order::File, train.len(), 0).batches(batch_size) {
//!     let mut images = vec![0.0; batch.len() * train.pixels()];
//!     train.write_images(batch, &mut images)?;
//! }
//! # Ok::<(), loupe_model::data::DataError>(())
//! ```

mod batches;
mod bytes;
mod cache;
mod classes;
mod dataset;
mod error;
mod file;
mod grey;
mod idx;
mod idx_file;
mod ink;
mod mnist;
#[cfg(feature = "pictures")]
mod pictures;
mod resize;
mod statistics;

pub use batches::{Epoch, Order};
pub use classes::read_class_names;
pub use dataset::Dataset;
pub use error::{DataError, Malformed, PictureError};
pub use grey::Grey;
pub use idx::Idx;
pub use idx_file::{IdxFile, Part};
pub use ink::{LikeMnist, NoInk};
pub use mnist::{Split, from_files, open_mnist};
#[cfg(feature = "pictures")]
pub use pictures::{
    Pictures, decode_picture, folder_faults, open_dataset, open_folder, read_picture,
    read_pictures, read_pictures_from,
};
pub use statistics::{PixelStatistics, Shared};

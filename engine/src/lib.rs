//! SIMD, multithreaded CPU kernels for convolutional networks.

mod context;
mod error;
mod simd;
mod threads;

pub use context::Context;
pub use error::Error;
pub use simd::{Isa, LANES, Tier};
pub use threads::Threads;

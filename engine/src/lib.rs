//! SIMD, multithreaded CPU kernels for convolutional networks.

pub mod activation;
mod buffer;
mod context;
pub mod conv;
mod error;
pub mod gemm;
pub mod linear;
pub mod loss;
mod moments;
pub mod norm;
pub mod optim;
#[cfg(feature = "reference")]
pub mod reference;
mod simd;
mod threads;

pub use buffer::Buffer;
pub use context::Context;
pub use error::Error;
pub use simd::{Isa, LANES, Tier};
pub use threads::Threads;

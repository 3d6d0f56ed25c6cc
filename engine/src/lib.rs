//! SIMD, multithreaded CPU kernels for convolutional networks: operations on slices of `f32`, forward
//! and backward.
//!
//! Every operation takes a [`Context`]: the instructions ([`Isa`]) and the [`Threads`] to run with. All
//! tiers of instructions are compiled in; an [`Isa`] is obtained by asking the CPU, so it proves that
//! its tier can run. For one tier the number of threads does not change a bit of a result, because work
//! is cut by the problem's size only and partial sums are added in order.
//!
//! Tensors are row-major: images `[N, C, H, W]`, convolution weights `[O, C / groups, Kh, Kw]`, linear
//! weights `[out, in]`. Outputs and gradients are overwritten. Lengths, sizes and options that do not
//! fit are an [`Error`] that names the argument. Nothing is kept between calls but scratch memory.
//!
//! ```
//! use loupe_engine::Context;
//! use loupe_engine::conv::{Conv2d, Conv2dOptions, Conv2dParameters, conv2d};
//!
//! // One image of one channel, 3 × 3 pixels, under one kernel of 2 × 2.
//! let geometry = Conv2d::new(Conv2dOptions::new(1, 1, [2, 2]), [3, 3])?;
//! let x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0];
//! let parameters = Conv2dParameters { weight: &[1.0, 0.0, 0.0, 1.0], bias: Some(&[0.5]) };
//! let mut y = [0.0; 4];
//! conv2d(&Context::serial(), &geometry, &x, parameters, &mut y)?;
//! assert_eq!(y, [6.5, 8.5, 12.5, 14.5]);
//! # Ok::<(), loupe_engine::Error>(())
//! ```
//!
//! The feature `reference` adds the module `reference`: the same operations in `f64` and plain loops, by
//! which the kernels are judged.

pub mod activation;
mod buffer;
mod context;
pub mod conv;
mod disjoint;
pub mod dropout;
pub mod elementwise;
mod error;
pub mod gemm;
pub mod linear;
pub mod loss;
pub mod measure;
mod moments;
pub mod norm;
pub mod optim;
pub mod pad;
mod planes;
pub mod pool;
#[cfg(feature = "reference")]
pub mod reference;
mod simd;
mod threads;
pub mod upsample;

pub use buffer::{Buffer, with_scratch};
pub use context::Context;
pub use error::Error;
pub use simd::{Isa, LANES, Tier};
pub use threads::{Loop, Threads, Watch};

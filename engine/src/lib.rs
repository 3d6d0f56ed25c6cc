//! SIMD, multithreaded CPU kernels for convolutional networks: operations on slices of `f32`, forward
//! and backward.
//!
//! It is for those who write layers, solvers or whole networks of their own and want their products,
//! convolutions, normalisations, losses and optimisers fast on CPUs. It knows no layers, names or files; the
//! crate `loupe-model` adds these. Each room stands alone: who needs a matrix product uses [`gemm`] and nothing
//! else.
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
//! # Instructions and threads
//!
//! Every operation takes a [`Context`]: the instructions ([`Isa`]) and the [`Threads`] to run with. It is made
//! once, and cloned where it is needed; clones share the threads.
//!
//! - [`Context::serial`] is the best tier of this CPU on the calling thread. No thread is started. For small
//!   problems, and for servers whose threads each have work of their own, it is the best choice.
//! - [`Threads::new`] makes a pool that helps the calling thread, [`Threads::from_pool`] takes an existing rayon
//!   pool. Lists of less than [`Threads::MIN_PARALLEL_WORK`] operations stay on the calling thread all the same.
//! - All tiers are compiled in, so an ordinary build is enough. An [`Isa`] is obtained by asking the CPU and so
//!   proves that its tier can run. [`Isa::of`] gives a chosen one; [`Context::from_env`] lets the user choose by
//!   `LOUPE_ISA`. No other function reads the environment.
//!
//! ```
//! use loupe_engine::{Context, Isa, Threads, Tier};
//! use std::sync::Arc;
//!
//! let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
//! let cx = Context::new(Isa::best(), Threads::from_pool(Arc::new(pool)));
//! assert_eq!(cx.threads().count(), 2);
//!
//! // The same numbers on every CPU of an architecture, for tests of one's own.
//! let portable = Isa::of(Tier::Portable).expect("it is always there");
//! let cx = Context::new(portable, Threads::serial());
//! # assert_eq!(cx.isa().tier(), Tier::Portable);
//! ```
//!
//! # Shapes, results, memory
//!
//! Tensors are row-major slices: images `[N, C, H, W]`, convolution weights `[O, C / groups, Kh, Kw]`, linear
//! weights `[out, in]`. N follows from the length of the input. Sizes that stay the same are checked once, when a
//! geometry such as [`conv::Conv2d`] is made. Outputs and gradients are overwritten; what was in them does not
//! matter. A backward function stands below its forward function and takes what that saved as arguments.
//!
//! Nothing is kept between calls but scratch memory, which belongs to the thread: a repeated call allocates
//! nothing on the tiers `avx2` and `avx512`. Running statistics, moments of an optimiser and the like belong to the
//! caller. A [`Buffer`] is memory that begins on a cache line.
//!
//! A step of training by hand, for y = 2 x + 1:
//!
//! ```
//! use loupe_engine::Context;
//! use loupe_engine::linear::{Linear, linear, linear_backward_weight};
//! use loupe_engine::loss::{Reduction, mse};
//! use loupe_engine::optim::{Gradient, SgdOptions, sgd_step};
//!
//! let cx = Context::serial();
//! let layer = Linear { batch: 4, in_features: 1, out_features: 1 };
//! let (x, target) = ([-1.0, 0.0, 1.0, 2.0], [-1.0, 1.0, 3.0, 5.0]);
//! let (mut y, mut dy) = ([0.0; 4], [0.0; 4]);
//! // Weight and bias; their gradients and velocities.
//! let (mut parameters, mut gradient, mut velocity) = ([0.0; 2], [0.0; 2], [0.0; 2]);
//! let options = SgdOptions { lr: 0.1, momentum: 0.5, ..SgdOptions::default() };
//! for _ in 0..100 {
//!     let (weight, bias) = parameters.split_at(1);
//!     linear(&cx, &layer, &x, weight, Some(bias), &mut y)?;
//!     mse(&cx, Reduction::Mean, &y, &target, Some(&mut dy))?;
//!     let (dweight, dbias) = gradient.split_at_mut(1);
//!     linear_backward_weight(&cx, &layer, &x, &dy, dweight, Some(dbias))?;
//!     sgd_step(&cx, &options, &mut parameters, Gradient::dense(&gradient), &mut velocity)?;
//! }
//! let [weight, bias] = parameters;
//! assert!((weight - 2.0).abs() < 1e-4 && (bias - 1.0).abs() < 1e-4);
//! # Ok::<(), loupe_engine::Error>(())
//! ```
//!
//! # The same bits
//!
//! Work is cut by the problem's size only and partial sums are added in order, so the number of threads does not
//! change a bit of a result. The tiers `avx2` and `avx512` give the same bits as each other; `portable` may round
//! otherwise, by the tolerances that the tests hold it to. Random choices ([`dropout`]) follow from a key of the
//! caller.
//!
//! # Errors
//!
//! Lengths, sizes and options that do not fit are an [`Error`] that names the operation, the argument, and what
//! was expected and found. It is returned before anything is written, unless a function says otherwise.
//!
//! # Numbers out of the ordinary
//!
//! NaN, infinite and denormal values are numbers like others: none is an error, and none is taken for another, but
//! by [`optim`].
//!
//! | operations | what happens |
//! |---|---|
//! | [`gemm`](mod@gemm), [`linear`](mod@linear) | IEEE 754, so 0 · ∞ is NaN. A NaN in A reaches its row of C, one in B its column. The old C counts only with a beta other than 0 |
//! | [`conv`] | as products: a value that is not finite reaches the outputs whose window it lies in, and the gradients of weights that it meets. Whether padding meets a weight (0 · ∞) depends on the sizes |
//! | [`pool`], [`pad`], [`upsample`] | values are passed on; a mean or maximum of a window with NaN is NaN |
//! | [`norm`] | values of no variance become the bias. What is normalised together becomes NaN together: if a value is not finite, or so far from the mean (1.8 · 10¹⁹) that squares are beyond f32 |
//! | [`activation`], [`dropout`], [`elementwise`] | each element by itself, as the function says |
//! | softmax, [`loss`] | a row with NaN or +∞ becomes NaN, and the loss with it. The sum of exponentials cannot overflow |
//! | [`optim`] | a gradient that is not finite spoils its own parameter only. One whose square is beyond f32 moves no parameter by Adam. Moments below the normal numbers are 0. [`clip_factor`](optim::clip_factor) refuses a norm that is not finite |
//!
//! The tiers agree on which results are NaN, infinite and finite, with one exception: a sum that overflows may be ±∞ on
//! one tier and NaN on another, since only some round each product. Denormal numbers are computed with as such:
//! results are those of IEEE 754, at the speed at which the CPU does it. [`elementwise::flush_denormals`] takes them out.
//!
//! # Features
//!
//! `reference`, off by default, adds the module `reference`: the same operations in `f64` and plain loops, by
//! which the kernels are judged, with a comparator and finite differences, for tests.

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

/// Compiles and runs the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

//! Two-dimensional convolution, forward and backward.
//!
//! The method is im2col: all three directions are matrix products with the patch matrix, whose rows
//! are what the positions of the kernel see through one of its elements. The matrix never exists. The
//! image is copied, cut into planes in which every row of the patch matrix is a contiguous run,
//! and the kernels read the rows from there; or, with many channels, into pixels whose channels are a
//! contiguous run. [`im2col()`] and [`col2im`] make the matrix for those who
//! want to look at it.

mod axis;
mod band;
mod blocked;
mod channels;
mod classes;
mod conv2d;
mod geometry;
mod gradient;
mod im2col;
mod interleaved;
mod kernel;
mod pixel;
mod planes;
mod then;
mod transpose;

pub use blocked::{BlockedConv2d, BlockedInput, block, unblock};
pub use conv2d::{
    Conv2dFused, Conv2dParameters, conv2d, conv2d_backward_input, conv2d_backward_weight,
    conv2d_fused,
};
pub use geometry::{Conv2d, Conv2dOptions};
pub use im2col::{col2im, im2col};
pub use interleaved::{InterleavedConv2d, deinterleave, interleave};
pub use then::Then;
pub use transpose::{
    ConvTranspose2d, ConvTranspose2dOptions, conv_transpose2d, conv_transpose2d_backward_input,
    conv_transpose2d_backward_weight,
};

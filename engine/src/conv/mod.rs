//! Two-dimensional convolution, forward and backward.
//!
//! All three directions are matrix products over the patch matrix (im2col), which is gathered block
//! by block while the product packs its operands and never exists as a whole. [`im2col`] and
//! [`col2im`] make it for those who want to look at it.

mod axis;
mod conv2d;
mod geometry;
mod im2col;
mod patches;

pub use conv2d::{
    Conv2dFused, Conv2dParameters, conv2d, conv2d_backward_input, conv2d_backward_weight,
    conv2d_fused,
};
pub use geometry::{Conv2d, Conv2dOptions};
pub use im2col::{col2im, im2col};

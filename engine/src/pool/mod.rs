//! Pooling: every plane of an image becomes smaller, each output the largest or the mean of a window.
//!
//! Planes are the channels of images `[N, C, H, W]`; which planes belong to which image does not matter
//! here, so the number of planes follows from the length of a slice.
//!
//! Sixteen planes are worked on side by side, `[H, W, 16]`: a vector is one pixel of 16 planes. So windows
//! of any size, step and place are read in whole vectors, and at the edges there are no vectors to be
//! filled up. The planes are turned to that layout, band of rows by band of rows, and the results back.
//!
//! Windows lie where they do in PyTorch without `ceil_mode`, which there is none of: what does not fill a
//! last window is not looked at.

mod adaptive;
mod average;
mod backward;
mod forward;
mod global;
mod grid;
mod max;
mod rows;
mod window;

pub use adaptive::{AdaptiveAvgPool2d, adaptive_avg_pool2d, adaptive_avg_pool2d_backward};
pub use average::{AvgPool2d, AvgPool2dOptions, avg_pool2d, avg_pool2d_backward};
pub use max::{MaxPool2d, MaxPool2dOptions, max_pool2d, max_pool2d_backward};

//! Two-dimensional convolution, forward and backward.

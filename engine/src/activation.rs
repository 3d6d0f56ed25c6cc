//! Elementwise activations, forward and backward.

//! Fully connected layers, forward and backward.

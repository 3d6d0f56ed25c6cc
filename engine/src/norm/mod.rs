//! Normalisation, forward and backward.

pub mod batch;
pub mod layer;

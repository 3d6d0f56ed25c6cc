//! What an operation is handed besides values.

use crate::parameters::LayerTensors;
use loupe_engine::{Context, with_scratch};

/// By which statistics batch normalisations normalise.
#[derive(Debug)]
pub(crate) enum Statistics<'a> {
    /// Those of the batch, which then move the running ones.
    Training(&'a mut [f32]),
    Batch,
    Running(&'a [f32]),
}

impl Statistics<'_> {
    pub(crate) fn reborrow(&mut self) -> Statistics<'_> {
        match self {
            Statistics::Training(running) => Statistics::Training(running),
            Statistics::Batch => Statistics::Batch,
            Statistics::Running(running) => Statistics::Running(running),
        }
    }

    /// Whether the batch's own statistics are needed.
    pub(crate) fn are_of_batch(&self) -> bool {
        !matches!(self, Statistics::Running(_))
    }
}

/// A layer's forward pass.
#[derive(Debug)]
pub struct Forward<'a> {
    pub(crate) cx: &'a Context,
    /// Of all layers.
    pub(crate) parameters: &'a [f32],
    pub(crate) tensors: &'a LayerTensors,
    pub(crate) statistics: Statistics<'a>,
    pub(crate) random_key: Option<u64>,
}

impl<'a> Forward<'a> {
    /// Instructions and threads to compute with.
    pub fn context(&self) -> &'a Context {
        self.cx
    }

    /// The values of the layer's tensor number `index`.
    ///
    /// # Panics
    /// If it has fewer.
    pub fn parameter(&self, index: usize) -> &'a [f32] {
        &self.parameters[self.tensors.parameters[index].clone()]
    }

    /// In a step of training, a number for the layer's random choices that no other layer and no other step
    /// of the run has; otherwise none.
    pub fn random_key(&self) -> Option<u64> {
        self.random_key
    }
}

/// A layer's backward pass.
#[derive(Debug)]
pub struct Backward<'a> {
    pub(crate) cx: &'a Context,
    /// Of all layers.
    pub(crate) parameters: &'a [f32],
    /// By all parameters.
    pub(crate) gradients: &'a mut [f32],
    pub(crate) tensors: &'a LayerTensors,
    pub(crate) random_key: Option<u64>,
}

impl<'a> Backward<'a> {
    /// Instructions and threads to compute with.
    pub fn context(&self) -> &'a Context {
        self.cx
    }

    /// The values of the layer's tensor number `index`.
    ///
    /// # Panics
    /// If it has fewer.
    pub fn parameter(&self, index: usize) -> &'a [f32] {
        &self.parameters[self.tensors.parameters[index].clone()]
    }

    /// The gradients by the layer's first N tensors, to be written.
    ///
    /// # Panics
    /// If it has fewer.
    pub fn gradients<const N: usize>(&mut self) -> [&mut [f32]; N] {
        self.tensors.split(self.gradients)
    }

    /// As [`Forward::random_key`], and the same number.
    pub fn random_key(&self) -> Option<u64> {
        self.random_key
    }
}

impl Backward<'_> {
    /// The gradients by the weight and by the bias, if there is one.
    pub(crate) fn weight_and_bias(&mut self) -> (&mut [f32], Option<&mut [f32]>) {
        self.tensors.weight_and_bias(self.gradients)
    }
}

/// Calls `f` with `dx`, or with as much memory to be thrown away, for operations that always write it.
pub(super) fn with_room<R>(
    dx: Option<&mut [f32]>,
    len: usize,
    f: impl FnOnce(&mut [f32]) -> R,
) -> R {
    match dx {
        Some(dx) => f(dx),
        None => with_scratch(len, f),
    }
}

//! What each step of a training works on.

use super::TrainOptions;
use crate::Error;
use crate::data::{Dataset, Epoch};
use loupe_engine::Context;

/// The batches of a data set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Batches<'d> {
    pub(super) data: &'d Dataset,
    pub(super) options: TrainOptions,
}

impl Batches<'_> {
    /// Steps of an epoch.
    pub(super) fn steps(&self) -> usize {
        self.data.len().div_ceil(self.options.batch_size.get())
    }

    /// The sizes of the batches that there are: of all but the last, and of the last.
    pub(super) fn sizes(&self) -> impl Iterator<Item = usize> {
        let (all, batch) = (self.data.len(), self.options.batch_size.get());
        let sizes = [if all < batch { 0 } else { batch }, all % batch];
        sizes.into_iter().filter(move |&size| size > 0 && self.options.epochs > 0)
    }

    /// The order of the items in an epoch, counted from 0.
    pub(super) fn order(&self, epoch: usize) -> Epoch {
        Epoch::new(self.options.order, self.data.len(), epoch as u64)
    }

    /// The items of a step, counted from 0.
    pub(super) fn items<'a>(&self, order: &'a Epoch, step: usize) -> &'a [usize] {
        let size = self.options.batch_size.get();
        let rest = &order.indices()[step * size..];
        &rest[..rest.len().min(size)]
    }

    /// Writes inputs and targets of these items, as they are in this epoch.
    pub(super) fn write(
        &self,
        cx: &Context,
        items: &[usize],
        epoch: usize,
        images: &mut [f32],
        targets: &mut [f32],
    ) -> Result<(), Error> {
        let augmentation = &self.options.augmentation;
        match augmentation.is_none() {
            true => self.data.write_images(items, images)?,
            false => augmentation.write_images(cx, self.data, items, epoch, images)?,
        }
        Ok(self.data.write_targets(items, targets)?)
    }

    /// The learning rate of step `at`, `[epoch, step]` counted from 0, where `lr` is the optimiser's.
    pub(super) fn rate(&self, lr: f64, at: [usize; 2]) -> f64 {
        self.options.schedule.rate(lr, at, [self.options.epochs, self.steps()])
    }
}

//! Rounds over the units of a batch.

use super::values::Values;
use super::{Part, Step};
use crate::Error;
use loupe_engine::{Context, with_scratch};
use std::ops::Range;

/// How a batch is cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// Operations of a forward pass.
    pub(super) work: usize,
    /// N.
    pub(super) batch: usize,
    /// Images of a unit; the last unit may have fewer.
    pub(super) images: usize,
    pub(super) units: usize,
    /// Units of a run; the last run may have fewer.
    pub(super) run: usize,
    /// Floats of a unit that are kept from round to round.
    pub(super) kept_len: usize,
    /// Floats of a unit that are not.
    pub(super) passing_len: usize,
    /// Kept floats of a unit that are gradients.
    pub(super) gradient_len: usize,
    /// Sums of a run.
    pub(super) sums_len: usize,
    /// Elements of one input and of one output.
    pub(super) image: [usize; 2],
}

/// What a task of a round works on.
pub(super) struct Task<'a> {
    pub(super) unit: Values<'a>,
    /// The unit's part of the outputs.
    pub(super) output: &'a mut [f32],
    /// The run's sums.
    pub(super) sums: &'a mut [f32],
    /// The unit's images, of those of the batch.
    pub(super) images: Range<usize>,
    /// Whether images are missing: their lanes hold something, but no gradients.
    pub(super) is_partial: bool,
    /// Whether the unit is the first of its run.
    pub(super) is_first: bool,
}

/// The steps from `first` on that can be taken before all units must be known.
pub(super) fn next_round(steps: &[Step], first: usize, by_batch: bool) -> Range<usize> {
    let waits = |step: &Step| by_batch && step.part == Part::Second;
    let more = steps[first..].iter().skip(1).take_while(|step| !waits(step)).count();
    first..(first + 1 + more).min(steps.len())
}

impl Sizes {
    pub(super) fn runs(&self) -> usize {
        self.units.div_ceil(self.run)
    }

    /// Calls `f` for every unit, and returns an error if one of the calls did. Without `units` nothing is
    /// kept: all values of a unit are such as pass.
    pub(super) fn for_each_unit(
        &self,
        cx: &Context,
        units: Option<&mut [f32]>,
        [sums, output]: [&mut [f32]; 2],
        f: impl Fn(Task<'_>) -> Result<(), Error> + Sync,
    ) -> Result<(), Error> {
        let output_len = self.image[1] * self.images;
        let failure = std::sync::Mutex::new(None);
        let visit =
            |run: usize, mut kept: Option<&mut [f32]>, sums: &mut [f32], output: &mut [f32]| {
                let own_len = if kept.is_some() { 0 } else { self.kept_len };
                with_scratch(self.passing_len + own_len, |scratch| {
                    let (passing, own) = scratch.split_at_mut(self.passing_len);
                    for (n, output) in output.chunks_mut(output_len).enumerate() {
                        let kept = match &mut kept {
                            Some(kept) => &mut kept[n * self.kept_len..][..self.kept_len],
                            None => &mut *own,
                        };
                        let unit = Values { kept, passing: &mut *passing };
                        let first = (run * self.run + n) * self.images;
                        let images = first..self.batch.min(first + self.images);
                        let is_partial = images.len() < self.images;
                        let sums = &mut *sums;
                        let task =
                            Task { unit, output, sums, images, is_partial, is_first: n == 0 };
                        if let Err(error) = f(task) {
                            failure.lock().expect("no panic in between").get_or_insert(error);
                        }
                    }
                });
            };
        let (runs, sums) = (self.runs(), (sums, self.sums_len));
        let output = (output, self.run * output_len);
        match units {
            Some(units) => {
                let units = (units, self.run * self.kept_len);
                let chunks = [units, sums, output];
                cx.threads().for_each_chunk(
                    runs,
                    self.work,
                    chunks,
                    |run, [kept, sums, output]| {
                        visit(run, Some(kept), sums, output);
                    },
                );
            }
            None => cx.threads().for_each_chunk(
                runs,
                self.work,
                [sums, output],
                |run, [sums, output]| visit(run, None, sums, output),
            ),
        }
        failure.into_inner().expect("no panic in between").map_or(Ok(()), Err)
    }
}

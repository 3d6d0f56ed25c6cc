//! Forward and both gradients for many channels: images with the channels innermost.

mod ahead;
mod band;
mod correlate;
mod gradient;
mod layout;
mod pointwise;
mod tile;
mod unit;
mod weights;

use super::axis::{Axis, Positions};
use crate::simd::LANES;

pub(super) use correlate::Correlation;
pub(super) use gradient::backward_weight;
use layout::{Layout, Sight};
pub(super) use pointwise::{Pointwise, task_pixels};
pub(super) use weights::Weights;

/// Grids of positions that look at images with the channels innermost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Channels {
    layout: Layout,
    /// One for each grid of the view.
    sights: Vec<Sight>,
    /// Where the rows of positions of a band begin, in pixels.
    lines: Vec<usize>,
}

/// More floats than these are not taken for a band.
const MAX_LEN: usize = 1 << 24;

/// Whether the gradient by so many weights is shared out by its elements; otherwise units of the batch are,
/// and their sums are added.
fn is_large(weights: usize) -> bool {
    weights >= 1 << 16
}

impl Channels {
    /// For forward and the gradient by the input, if that is worth it: from `channels` of images with
    /// these axes to `lanes` channels of results on grids of these rows and columns.
    pub(super) fn correlation(
        axes: [Axis; 2],
        [channels, lanes]: [usize; 2],
        grids: [&[Positions]; 2],
        kernel_width: usize,
    ) -> Option<Channels> {
        // With few channels the runs of whole kernel rows must do, and only full panels are worth it.
        let are_many = channels >= LEAST;
        let is_full = if are_many {
            4 * lanes >= 3 * lanes.next_multiple_of(LANES)
        } else {
            lanes.is_multiple_of(2 * LANES) && channels * kernel_width >= LEAST
        };
        is_full.then(|| Channels::new(axes, channels, grids, kernel_width, BAND_LEN))?.filter(
            |found| are_many || found.sights.iter().all(|sight| sight.run * channels >= LEAST),
        )
    }

    /// For the gradient by the weight of so many elements, if that is worth it.
    pub(super) fn gradient(
        axes: [Axis; 2],
        channels: usize,
        positions: [&Positions; 2],
        kernel_width: usize,
        weights: usize,
    ) -> Option<Channels> {
        let grids = positions.map(std::slice::from_ref);
        let band_len = if is_large(weights) { 4 * BAND_LEN } else { BAND_LEN };
        (channels >= LEAST).then(|| Channels::new(axes, channels, grids, kernel_width, band_len))?
    }

    fn new(
        axes: [Axis; 2],
        channels: usize,
        [rows, cols]: [&[Positions]; 2],
        kernel_width: usize,
        band_len: usize,
    ) -> Option<Channels> {
        let most = rows.iter().map(|rows| rows.count).max().unwrap_or(0);
        let layout = Layout::new(axes, channels, most, band_len);
        if !layout.is_at_most(MAX_LEN) {
            return None;
        }
        let grids = rows.iter().flat_map(|rows| cols.iter().map(move |cols| (rows, cols)));
        let sights = grids.map(|(rows, cols)| layout.sight(rows, cols, kernel_width)).collect();
        let lines = (0..layout.band).map(|i| i * layout.steps()[1]).collect();
        Some(Channels { layout, sights, lines })
    }

    /// Rows of positions of a band, and bands.
    pub(super) fn bands(&self) -> (usize, usize) {
        (self.layout.band, self.layout.bands)
    }
}

/// Floats of a run, and channels of images for the gradient by the weight, from which on this layout is used.
const LEAST: usize = 16;

/// Floats of a band: they stay in the second-level cache beside the weights of a panel.
const BAND_LEN: usize = 40 << 10;

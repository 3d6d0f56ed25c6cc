//! The windows on a plane, and the bands of rows in which sixteen planes are worked on.

use super::window::{Axis, Window};
use crate::planes::{invalid, planes_len};
use crate::simd::LANES;
use crate::{Context, Error};
use std::ops::Range;

/// Floats of the inputs and outputs of a band, if a single row of windows does not take more: they stay in
/// a core's own cache.
const BAND_LEN: usize = 1 << 14;

/// More pixels than these are not taken for one row of windows, sixteen times over.
const MAX_PIXELS: usize = 1 << 20;

/// Elements of a task: enough to make up for handing it to another thread.
const TASK: usize = 1 << 14;

/// The windows on planes `[H, W]` for outputs `[Ho, Wo]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Grid {
    pub(super) rows: Axis,
    pub(super) columns: Axis,
    pub(super) bands: Vec<Band>,
}

/// Some rows of outputs, and the rows of inputs between the edges of their windows. From one band to the
/// next, neither edge of the inputs becomes smaller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Band {
    pub(super) outputs: Range<usize>,
    pub(super) inputs: Range<usize>,
}

impl Grid {
    /// # Errors
    /// [`Error::Overflow`] if sixteen planes do not fit the address space, [`Error::Invalid`] if a row of
    /// windows covers more than 2²⁰ pixels.
    pub(super) fn new(op: &'static str, rows: Axis, columns: Axis) -> Result<Grid, Error> {
        let mut grid = Grid { rows, columns, bands: Vec::new() };
        grid.check_lengths(op)?;
        grid.bands = grid.cut(op)?;
        Ok(grid)
    }

    /// The same for means, for which a single window of all pixels may have any number of them: then there are
    /// no bands.
    pub(super) fn of_means(op: &'static str, rows: Axis, columns: Axis) -> Result<Grid, Error> {
        if !(rows.sees_all() && columns.sees_all()) {
            return Grid::new(op, rows, columns);
        }
        let grid = Grid { rows, columns, bands: Vec::new() };
        grid.check_lengths(op)?;
        Ok(grid)
    }

    /// Whether there is one window of all pixels.
    pub(super) fn is_global(&self) -> bool {
        self.rows.sees_all() && self.columns.sees_all()
    }

    fn check_lengths(&self, op: &'static str) -> Result<(), Error> {
        planes_len(op, "the input", LANES, self.input_size())?;
        planes_len(op, "the output", LANES, self.output_size()).map(|_| ())
    }

    fn cut(&self, op: &'static str) -> Result<Vec<Band>, Error> {
        let Grid { rows, columns, .. } = self;
        let (width, out_width) = (columns.size, columns.windows.len());
        // Pixels of the inputs and outputs of some rows of windows.
        let pixels = |windows: &[Window]| {
            let (first, last) = (windows[0], windows[windows.len() - 1]);
            let inputs = (last.end - first.begin).saturating_mul(width);
            inputs.saturating_add(windows.len().saturating_mul(out_width))
        };
        let (mut bands, mut begin) = (Vec::new(), 0);
        while begin < rows.windows.len() {
            let windows = &rows.windows[begin..];
            let found = pixels(&windows[..1]);
            if found > MAX_PIXELS {
                return Err(invalid(op, "a row of windows", "at most 2^20 pixels", found));
            }
            let mut count = 1;
            while count < windows.len() && pixels(&windows[..count + 1]) <= BAND_LEN / LANES {
                count += 1;
            }
            let inputs = windows[0].begin..windows[count - 1].end;
            bands.push(Band { outputs: begin..begin + count, inputs });
            begin += count;
        }
        Ok(bands)
    }

    /// H, W.
    pub(super) fn input_size(&self) -> [usize; 2] {
        [self.rows.size, self.columns.size]
    }

    /// Ho, Wo.
    pub(super) fn output_size(&self) -> [usize; 2] {
        [self.rows.windows.len(), self.columns.windows.len()]
    }

    /// H · W.
    pub(super) fn input_len(&self) -> usize {
        self.rows.size * self.columns.size
    }

    /// Ho · Wo.
    pub(super) fn output_len(&self) -> usize {
        self.rows.windows.len() * self.columns.windows.len()
    }

    /// Floats of the inputs and of the outputs of the largest band of sixteen planes.
    pub(super) fn band_len(&self) -> [usize; 2] {
        let most = |rows: fn(&Band) -> usize| self.bands.iter().map(rows).max().unwrap_or(0);
        [
            most(|band| band.inputs.len()) * self.columns.size * LANES,
            most(|band| band.outputs.len()) * self.columns.windows.len() * LANES,
        ]
    }

    /// The number of planes of a task: whole units of sixteen.
    fn planes_per_task(&self) -> usize {
        let unit = LANES * self.input_len().max(self.output_len());
        (TASK / unit).max(1) * LANES
    }

    /// Calls `f` with the planes of each task and their part of `output`, whose planes have `len` elements.
    pub(super) fn for_each_task(
        &self,
        cx: &Context,
        (output, len): (&mut [f32], usize),
        f: impl Fn(Range<usize>, &mut [f32]) + Sync,
    ) {
        let per_task = self.planes_per_task();
        let planes = output.len() / len;
        // Elements that are read and written, with a few operations for each.
        let work = planes.saturating_mul(2 * (self.input_len() + self.output_len()));
        let (tasks, chunk) = (planes.div_ceil(per_task), per_task * len);
        cx.threads().for_each_chunk(tasks, work, [(output, chunk)], |task, [output]| {
            let first = task * per_task;
            f(first..first + output.len() / len, output);
        });
    }
}

//! The outputs of windows, for whatever is made of the pixels of a window.

use super::grid::Grid;
use super::rows::{Rows, gather, spread};
use super::window::Window;
use crate::Context;
use crate::buffer::with_scratch;
use crate::simd::{Kernel, LANES, Simd, load, map, store, update};

/// What is made of the pixels of a window.
pub(super) trait Reduction: Copy + Sync {
    /// What becomes of no pixels.
    const NONE: f32;

    /// The result of some pixels and a further one, or of some and some others.
    fn combine<S: Simd>(self, simd: S, some: S::Vector, further: S::Vector) -> S::Vector;

    /// The output of all pixels, of which there are `count`.
    fn finish<S: Simd>(self, simd: S, all: S::Vector, count: usize) -> S::Vector;
}

/// Writes the outputs of all windows on the planes of x to y.
pub(super) fn forward<R: Reduction>(
    cx: &Context,
    grid: &Grid,
    reduction: R,
    x: &[f32],
    y: &mut [f32],
) {
    let [inputs, outputs] = grid.band_len();
    let column_len = grid.columns.size * LANES;
    grid.for_each_task(cx, (y, grid.output_len()), |planes, y| {
        let x = &x[planes.start * grid.input_len()..planes.end * grid.input_len()];
        with_scratch(inputs + column_len + outputs, |scratch| {
            let (inputs, scratch) = scratch.split_at_mut(inputs);
            let (columns, outputs) = scratch.split_at_mut(column_len);
            let scratch = [inputs, columns, outputs];
            cx.isa().run(Forward { grid, reduction, x, y, scratch });
        });
    });
}

struct Forward<'a, R> {
    grid: &'a Grid,
    reduction: R,
    x: &'a [f32],
    y: &'a mut [f32],
    /// For the inputs of a band, for the columns of a row of windows, for the outputs of a band.
    scratch: [&'a mut [f32]; 3],
}

impl<R: Reduction> Kernel for Forward<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Forward { grid, reduction, x, y, scratch: [inputs, columns, outputs] } = self;
        let [_, width] = grid.input_size();
        let out_row = grid.columns.windows.len() * LANES;
        let x = x.chunks(LANES * grid.input_len());
        for (x, y) in x.zip(y.chunks_mut(LANES * grid.output_len())) {
            let mut rows = Rows::new(&mut *inputs, width);
            for band in &grid.bands {
                let (new, lanes) = rows.slide(band.inputs.clone());
                gather(simd, x, grid.input_size(), new, lanes);
                let outputs = &mut outputs[..band.outputs.len() * out_row];
                for (row, out) in band.outputs.clone().zip(outputs.chunks_exact_mut(out_row)) {
                    let window = grid.rows.windows[row];
                    let columns = &mut *columns;
                    let columns = reduce_columns(simd, grid, reduction, window, &rows, columns);
                    reduce_rows(simd, grid, reduction, columns, window.count, out);
                }
                spread(simd, outputs, band.outputs.clone(), y, grid.output_size());
            }
        }
    }
}

/// What is made of the pixels of each column that a row of windows looks at; `[W, 16]`, in `columns` if it is
/// no row of the plane.
#[inline(always)]
fn reduce_columns<'a, S: Simd, R: Reduction>(
    simd: S,
    grid: &Grid,
    reduction: R,
    window: Window,
    rows: &'a Rows<'_>,
    columns: &'a mut [f32],
) -> &'a [f32] {
    let row = |t: usize| rows.row(window.first + t * grid.rows.dilation);
    match window.count {
        0 => columns.fill(R::NONE),
        1 => return row(0),
        _ => map(
            simd,
            [row(0), row(1)],
            columns,
            #[inline(always)]
            |[a, b]| reduction.combine(simd, a, b),
        ),
    }
    for t in 2..window.count {
        update(
            simd,
            [row(t)],
            [&mut *columns],
            #[inline(always)]
            |[x], [some]| [reduction.combine(simd, some, x)],
        );
    }
    columns
}

/// The outputs of a row of windows, `[Wo, 16]`, of which each column has been reduced from `height` pixels.
#[inline(always)]
fn reduce_rows<S: Simd, R: Reduction>(
    simd: S,
    grid: &Grid,
    reduction: R,
    columns: &[f32],
    height: usize,
    out: &mut [f32],
) {
    let step = grid.columns.dilation * LANES;
    for (window, out) in grid.columns.windows.iter().zip(out.chunks_exact_mut(LANES)) {
        let mut all = simd.splat(R::NONE);
        let mut at = window.first * LANES;
        for _ in 0..window.count {
            all = reduction.combine(simd, all, load(simd, &columns[at..]));
            at += step;
        }
        store(simd, reduction.finish(simd, all, height * window.count), out);
    }
}

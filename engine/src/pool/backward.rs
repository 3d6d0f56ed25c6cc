//! Gradients by the inputs, for whatever has been made of the pixels of a window.
//!
//! What the windows of a band give to their pixels is added up beside each other, in the order of the
//! windows. Rows that windows of the next band cover too stay until that has given its part.

use super::grid::Grid;
use super::rows::{Rows, gather, spread};
use super::window::Window;
use crate::Context;
use crate::buffer::with_scratch;
use crate::simd::{Kernel, LANES, Simd};

/// How the gradients by outputs become gradients by the pixels of their windows.
pub(super) trait Gradient: Copy + Sync {
    /// Adds what a row of windows gives to its pixels, by the gradients `dy` `[Wo, 16]` of its outputs.
    fn add<S: Simd>(self, simd: S, grid: &Grid, window: Window, dy: &[f32], band: Inputs<'_, '_>);
}

/// The rows that a band of windows covers.
pub(super) struct Inputs<'a, 'b> {
    /// Written only if x is looked at.
    pub(super) x: &'a Rows<'b>,
    /// What the windows have given so far.
    pub(super) dx: &'a mut Rows<'b>,
    /// Room for a row, `[W, 16]`.
    pub(super) columns: &'a mut [f32],
}

/// Writes the gradients by the planes of x to dx, by those of their outputs; x is looked at if it is there.
pub(super) fn backward<G: Gradient>(
    cx: &Context,
    grid: &Grid,
    gradient: G,
    x: Option<&[f32]>,
    dy: &[f32],
    dx: &mut [f32],
) {
    let (input_len, output_len) = (grid.input_len(), grid.output_len());
    let ([inputs, outputs], columns) = (grid.band_len(), grid.columns.size * LANES);
    grid.for_each_task(cx, (dx, input_len), |planes, dx| {
        let x = x.map(|x| &x[planes.start * input_len..planes.end * input_len]);
        let dy = &dy[planes.start * output_len..planes.end * output_len];
        with_scratch(2 * inputs + columns + outputs, |scratch| {
            let (x_rows, scratch) = scratch.split_at_mut(inputs);
            let (dx_rows, scratch) = scratch.split_at_mut(inputs);
            let (columns, dy_rows) = scratch.split_at_mut(columns);
            let scratch = [x_rows, dx_rows, columns, dy_rows];
            cx.isa().run(Backward { grid, gradient, x, dy, dx, scratch });
        });
    });
}

struct Backward<'a, G> {
    grid: &'a Grid,
    gradient: G,
    x: Option<&'a [f32]>,
    dy: &'a [f32],
    dx: &'a mut [f32],
    /// For the rows of a band of x and of dx, for a row of x, for the rows of a band of dy.
    scratch: [&'a mut [f32]; 4],
}

impl<G: Gradient> Kernel for Backward<'_, G> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Backward { grid, gradient, x, dy, dx, scratch } = self;
        let [x_rows, dx_rows, columns, dy_rows] = scratch;
        let [height, width] = grid.input_size();
        let (unit, out_row) = (LANES * grid.input_len(), grid.columns.windows.len() * LANES);
        let dy = dy.chunks(LANES * grid.output_len());
        for (n, (dy, dx)) in dy.zip(dx.chunks_mut(unit)).enumerate() {
            let x = x.map(|x| &x[n * unit..][..dx.len()]);
            let mut x_rows = Rows::new(&mut *x_rows, width);
            let mut dx_rows = Rows::new(&mut *dx_rows, width);
            for (b, band) in grid.bands.iter().enumerate() {
                if let Some(x) = x {
                    let (new, lanes) = x_rows.slide(band.inputs.clone());
                    gather(simd, x, [height, width], new, lanes);
                }
                dx_rows.slide(band.inputs.clone()).1.fill(0.0);
                let dy_rows = &mut dy_rows[..band.outputs.len() * out_row];
                gather(simd, dy, grid.output_size(), band.outputs.clone(), dy_rows);
                for (row, dy) in band.outputs.clone().zip(dy_rows.chunks_exact(out_row)) {
                    let (x, dx, columns) = (&x_rows, &mut dx_rows, &mut *columns);
                    let window = grid.rows.windows[row];
                    gradient.add(simd, grid, window, dy, Inputs { x, dx, columns });
                }
                // The rows before the next band are complete. Between the two there may be some that no
                // window covers.
                let next = grid.bands.get(b + 1).map_or(height, |next| next.inputs.start);
                let (rows, lanes) = dx_rows.until(next);
                spread(simd, lanes, rows.clone(), dx, [height, width]);
                if rows.end < next {
                    for plane in dx.chunks_exact_mut(height * width) {
                        plane[rows.end * width..next * width].fill(0.0);
                    }
                }
            }
        }
    }
}

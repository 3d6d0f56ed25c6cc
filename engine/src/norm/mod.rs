//! Normalisation, forward and backward.

pub mod batch;
mod columns;
pub mod group;
pub mod layer;
mod rows;
mod run;

use crate::simd::SumRows;
use crate::{Context, Error};

/// Elements of a task: enough to make up for handing it to another thread.
const TASK: usize = 1 << 14;
/// Columns of a task that walks down the rows of a matrix.
const COLUMNS: usize = 64;

/// What follows the normalisation: y = z · weight + bias.
#[derive(Clone, Copy, Debug)]
pub struct Affine<'a> {
    /// Scale of each channel or feature.
    pub weight: &'a [f32],
    /// Offset of each channel or feature.
    pub bias: &'a [f32],
}

/// The sums of the columns of matrices `[rows, columns]`, for outputs `[columns]`; rows in order.
fn sum_rows<const A: usize>(
    cx: &Context,
    rows: usize,
    matrices: [&[f32]; A],
    outputs: [&mut [f32]; A],
) {
    let columns = outputs[0].len();
    let work = A * rows.saturating_mul(columns);
    let outputs = outputs.map(|output| (output, COLUMNS));
    cx.threads().for_each_chunk(columns.div_ceil(COLUMNS), work, outputs, |task, outputs| {
        let matrices = matrices.map(|matrix| &matrix[(task * COLUMNS).min(matrix.len())..]);
        cx.isa().run(SumRows { rows, stride: columns, matrices, outputs });
    });
}

fn check_eps(op: &'static str, eps: f32) -> Result<(), Error> {
    if eps >= 0.0 && eps.is_finite() {
        return Ok(());
    }
    Err(Error::Invalid {
        op,
        what: "eps",
        expected: "a number of at least 0",
        found: eps.to_string(),
    })
}

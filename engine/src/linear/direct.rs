//! Products of few rows, which are read where they lie.

use super::Linear;
use crate::Context;
use crate::gemm::Matrix;
use crate::simd::{Kernel, LANES, Simd, fold, update};

/// Multiplications of a task.
const TASK: usize = 1 << 14;
/// Rows that are read side by side.
const ROWS: usize = 5;

/// y `[N, out]` = x `[N, in]` · weightᵀ + bias, row by row of the weight `[out, in]`. y is not empty.
pub(super) fn dot_rows(
    cx: &Context,
    layer: &Linear,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    y: &mut [f32],
) {
    let Linear { batch, in_features, out_features } = *layer;
    let chunk = chunk([batch, out_features], in_features, ROWS);
    let (tasks, work) = (y.len().div_ceil(chunk), weight.len().saturating_mul(2 * batch));
    cx.threads().for_each_chunk(tasks, work, [(y, chunk)], |task, [y]| {
        // Whole rows of y, or a part of its only one.
        let (row, column) = (task * chunk / out_features, task * chunk % out_features);
        let x = &x[row * in_features..];
        let weight = &weight[column * in_features..];
        let bias = bias.map(|bias| &bias[column..]);
        cx.isa().run(Dots { in_features, outputs: y.len().min(out_features), x, weight, bias, y });
    });
}

/// The elements of a task for a result of `[rows, columns]` that takes `depth` multiplications each:
/// whole rows, or a part of the row if there is but one, a multiple of `group`.
fn chunk([rows, columns]: [usize; 2], depth: usize, group: usize) -> usize {
    let elements = TASK / depth.max(1);
    match rows {
        1 => elements.max(1).next_multiple_of(group),
        _ => (elements / columns).max(1) * columns,
    }
}

/// y = x · weightᵀ + bias for as many rows as y has, with the first `outputs` rows of the weight.
struct Dots<'a> {
    in_features: usize,
    outputs: usize,
    x: &'a [f32],
    weight: &'a [f32],
    bias: Option<&'a [f32]>,
    y: &'a mut [f32],
}

impl Kernel for Dots<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Dots { in_features, outputs, x, weight, bias, y } = self;
        for (n, y) in y.chunks_exact_mut(outputs).enumerate() {
            let x = &x[n * in_features..][..in_features];
            for (i, y) in y.chunks_mut(ROWS).enumerate() {
                let weight = &weight[i * ROWS * in_features..];
                match y.len() {
                    5 => dots::<S, 5, 6>(simd, x, weight, y),
                    4 => dots::<S, 4, 5>(simd, x, weight, y),
                    3 => dots::<S, 3, 4>(simd, x, weight, y),
                    2 => dots::<S, 2, 3>(simd, x, weight, y),
                    _ => dots::<S, 1, 2>(simd, x, weight, y),
                }
            }
            if let Some(bias) = bias {
                for (y, bias) in y.iter_mut().zip(bias) {
                    *y += bias;
                }
            }
        }
    }
}

/// The products of x with the first R rows of the weight; `I` is R + 1.
#[inline(always)]
fn dots<S: Simd, const R: usize, const I: usize>(
    simd: S,
    x: &[f32],
    weight: &[f32],
    y: &mut [f32],
) {
    let inputs: [&[f32]; I] =
        std::array::from_fn(|i| if i < R { &weight[i * x.len()..][..x.len()] } else { x });
    let sums = fold::<S, I, R>(
        simd,
        inputs,
        #[inline(always)]
        |mut sums, inputs| {
            for r in 0..R {
                sums[r] = simd.mul_add(inputs[r], inputs[R], sums[r]);
            }
            sums
        },
    );
    for r in 0..R {
        y[r] = simd.sum(sums[r]);
    }
}

/// C `[M, N]` = A `[M, K]` · B `[K, N]`, row-major and packed nowhere. C is not empty.
pub(super) fn multiply(cx: &Context, a: Matrix<'_>, b: &[f32], c: &mut [f32]) {
    let columns = c.len() / a.rows;
    let chunk = chunk([a.rows, columns], a.cols, LANES);
    let (tasks, work) = (c.len().div_ceil(chunk), c.len().saturating_mul(2 * a.cols));
    cx.threads().for_each_chunk(tasks, work, [(c, chunk)], |task, [c]| {
        let (row, column) = (task * chunk / columns, task * chunk % columns);
        // Without a depth there is no B to begin anywhere in.
        let b = b.get(column..).unwrap_or_default();
        cx.isa().run(RowSums { a, row, b, stride: columns, c });
    });
}

/// Each row of C is a sum of rows of B, which begin `stride` floats apart, times a row of A.
struct RowSums<'a> {
    a: Matrix<'a>,
    /// The row of A that belongs to the first row of C.
    row: usize,
    b: &'a [f32],
    stride: usize,
    c: &'a mut [f32],
}

impl Kernel for RowSums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let RowSums { a, row, b, stride, c } = self;
        let columns = stride.min(c.len());
        for (i, c) in c.chunks_exact_mut(columns).enumerate() {
            if a.cols == 0 {
                c.fill(0.0);
            }
            for first in (0..a.cols).step_by(ROWS) {
                let rows = SomeRows { a, row: row + i, first, b: &b[first * stride..], stride };
                match a.cols - first {
                    1 => rows.add::<S, 1>(simd, c),
                    2 => rows.add::<S, 2>(simd, c),
                    3 => rows.add::<S, 3>(simd, c),
                    4 => rows.add::<S, 4>(simd, c),
                    _ => rows.add::<S, ROWS>(simd, c),
                }
            }
        }
    }
}

/// Rows of B from number `first` on, of which some are added to a row of C.
struct SomeRows<'a> {
    a: Matrix<'a>,
    row: usize,
    first: usize,
    b: &'a [f32],
    stride: usize,
}

impl SomeRows<'_> {
    /// Adds R rows to `c`; the first ones replace what it held.
    #[inline(always)]
    fn add<S: Simd, const R: usize>(&self, simd: S, c: &mut [f32]) {
        let SomeRows { a, row, first, b, stride } = *self;
        let b: [&[f32]; R] = std::array::from_fn(|r| &b[r * stride..][..c.len()]);
        let a: [S::Vector; R] = std::array::from_fn(|r| {
            simd.splat(a.data[row * a.row_stride + (first + r) * a.col_stride])
        });
        update(
            simd,
            b,
            [c],
            #[inline(always)]
            |b, [c]| {
                let mut sum = if first == 0 { simd.zero() } else { c };
                for r in 0..R {
                    sum = simd.mul_add(a[r], b[r], sum);
                }
                [sum]
            },
        );
    }
}

//! How the lines of classes are shared out to threads and lanes.
//!
//! | lines | a task | lanes |
//! |---|---|---|
//! | inner = 1, many classes | some rows | classes of a row |
//! | inner = 1, few classes | some rows | 16 rows, turned in scratch memory of the thread |
//! | inner > 1, small items | some items `[classes, inner]` | neighbours along `inner` |
//! | inner > 1, large items | some columns of an item | the same |

use super::Softmax;
use crate::Context;
use crate::buffer::with_scratch;
use crate::disjoint::Columns;
use crate::simd::{Kernel, LANES, Simd, lanes_to_rows, rows_to_lanes};

/// Elements of a task, about.
const TASK: usize = 1 << 14;
/// Operations for one element.
const WORK: usize = 32;
/// Columns that are worked on at a time.
pub(super) const WIDTH: usize = 128;
/// Rows of up to so many classes are turned, so that the lanes are rows.
const FEW: usize = 64;
/// Fewer rows than this are not: most lanes would be empty.
const MIN_TURNED: usize = 4;

/// Something to compute of each line of I inputs.
pub(super) trait Pass<const I: usize>: Copy + Sync {
    /// Of one line whose classes are neighbours.
    fn line<S: Simd>(self, simd: S, inputs: [&[f32]; I], output: &mut [f32]);
    /// Of neighbouring lines.
    fn columns<S: Simd>(self, simd: S, classes: usize, block: Block<'_, '_, I>);
}

/// At most [`WIDTH`] columns of the inputs and the output.
pub(super) struct Block<'a, 'b, const I: usize> {
    /// From the first element of the block on; rows begin `stride` elements apart.
    inputs: [&'a [f32]; I],
    stride: usize,
    output: &'a mut Columns<'b, f32>,
    /// The first column of the output.
    first: usize,
    width: usize,
}

impl<'a, const I: usize> Block<'a, '_, I> {
    #[inline(always)]
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// A class of all columns.
    #[inline(always)]
    pub(super) fn row(&mut self, class: usize) -> ([&'a [f32]; I], &mut [f32]) {
        let mut rows = self.inputs;
        for row in &mut rows {
            *row = &row[class * self.stride..][..self.width];
        }
        (rows, &mut self.output.row(class)[self.first..][..self.width])
    }
}

/// Runs `pass` over all lines of tensors `[outer, classes, inner]`, whose lengths have been checked.
pub(super) fn along<P: Pass<I>, const I: usize>(
    cx: &Context,
    dims: &Softmax,
    pass: P,
    inputs: [&[f32]; I],
    output: &mut [f32],
) {
    if output.is_empty() {
        return;
    }
    let &Softmax { outer, classes, inner } = dims;
    let work = output.len().saturating_mul(WORK);
    let item = classes * inner;
    if inner > 1 && item > TASK {
        let width = (TASK / classes).next_multiple_of(WIDTH).max(WIDTH);
        let size = [outer, classes, inner];
        cx.threads().for_each_columns(size, width, work, output, |matrix, first, output| {
            let inputs = inputs.map(|input| &input[matrix * item + first..]);
            cx.isa().run(OfColumns { pass, classes, inputs, stride: inner, output });
        });
        return;
    }
    // Turned rows come in groups of 16.
    let items = (TASK / item).max(1).next_multiple_of(if inner == 1 { LANES } else { 1 });
    let chunk = items.min(outer) * item;
    cx.threads().for_each_chunk(
        output.len().div_ceil(chunk),
        work,
        [(output, chunk)],
        |task, [output]| {
            let inputs = inputs.map(|input| &input[task * chunk..][..output.len()]);
            if inner > 1 {
                cx.isa().run(OfItems { pass, classes, inner, inputs, output });
            } else if classes > FEW {
                cx.isa().run(OfRows { pass, classes, inputs, output });
            } else {
                with_scratch((I + 1) * classes * LANES, |scratch| {
                    cx.isa().run(OfShortRows { pass, classes, inputs, output, scratch });
                });
            }
        },
    );
}

/// Columns of an item.
struct OfColumns<'a, P, const I: usize> {
    pass: P,
    classes: usize,
    /// From the first column on.
    inputs: [&'a [f32]; I],
    stride: usize,
    output: Columns<'a, f32>,
}

impl<P: Pass<I>, const I: usize> Kernel for OfColumns<'_, P, I> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let all = self.output.width();
        for first in (0..all).step_by(WIDTH) {
            let mut inputs = self.inputs;
            for input in &mut inputs {
                *input = &input[first..];
            }
            let width = WIDTH.min(all - first);
            let output = &mut self.output;
            let block = Block { inputs, stride: self.stride, output, first, width };
            self.pass.columns(simd, self.classes, block);
        }
    }
}

/// Whole items `[classes, inner]`.
struct OfItems<'a, P, const I: usize> {
    pass: P,
    classes: usize,
    inner: usize,
    inputs: [&'a [f32]; I],
    output: &'a mut [f32],
}

impl<P: Pass<I>, const I: usize> Kernel for OfItems<'_, P, I> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let OfItems { pass, classes, inner, inputs, output } = self;
        let item = classes * inner;
        for (n, output) in output.chunks_exact_mut(item).enumerate() {
            let mut inputs = inputs;
            for input in &mut inputs {
                *input = &input[n * item..][..item];
            }
            let output = Columns::all(output, inner);
            OfColumns { pass, classes, inputs, stride: inner, output }.run(simd);
        }
    }
}

/// Rows of classes.
struct OfRows<'a, P, const I: usize> {
    pass: P,
    classes: usize,
    inputs: [&'a [f32]; I],
    output: &'a mut [f32],
}

impl<P: Pass<I>, const I: usize> Kernel for OfRows<'_, P, I> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let classes = self.classes;
        for (n, output) in self.output.chunks_exact_mut(classes).enumerate() {
            let mut inputs = self.inputs;
            for input in &mut inputs {
                *input = &input[n * classes..][..classes];
            }
            self.pass.line(simd, inputs, output);
        }
    }
}

/// Rows of at most [`FEW`] classes.
struct OfShortRows<'a, P, const I: usize> {
    pass: P,
    classes: usize,
    inputs: [&'a [f32]; I],
    output: &'a mut [f32],
    /// Room for 16 rows of the output and of each input.
    scratch: &'a mut [f32],
}

impl<P: Pass<I>, const I: usize> Kernel for OfShortRows<'_, P, I> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let OfShortRows { pass, classes, inputs, output, scratch } = self;
        let len = classes * LANES;
        let (results, turned) = scratch.split_at_mut(len);
        for (n, output) in output.chunks_mut(len).enumerate() {
            let rows = output.len() / classes;
            let mut inputs = inputs;
            for input in &mut inputs {
                *input = &input[n * len..][..rows * classes];
            }
            if rows < MIN_TURNED {
                OfRows { pass, classes, inputs, output }.run(simd);
                continue;
            }
            for (input, turned) in inputs.iter().zip(turned.chunks_exact_mut(len)) {
                rows_to_lanes(simd, input, classes, [1, rows, classes], turned, LANES);
            }
            for (input, turned) in inputs.iter_mut().zip(turned.chunks_exact(len)) {
                *input = turned;
            }
            let mut columns = Columns::all(results, LANES);
            let (output_columns, width) = (&mut columns, LANES);
            let block = Block { inputs, stride: width, output: output_columns, first: 0, width };
            pass.columns(simd, classes, block);
            lanes_to_rows(simd, results, LANES, [classes, rows], output, classes);
        }
    }
}

//! All results of a unit, class by class.

use super::Direction;
use super::multiply::{Finish, Multiply};
use crate::simd::{Kernel, Simd};

/// What forward and the gradient by the input have in common.
pub(super) struct Product<'a> {
    pub(super) direction: &'a Direction,
    pub(super) groups: usize,
    /// Channels of the results, of one group.
    pub(super) rows: usize,
    /// `[classes, groups · rows]`, or empty.
    pub(super) biases: &'a [f32],
    /// For each class and group one for each offset, or empty.
    pub(super) centres: &'a [f32],
    pub(super) packed: &'a [f32],
    pub(super) finish: Finish<'a>,
    pub(super) x: &'a [f32],
    /// `[groups, rows, results, 16]`
    pub(super) out: &'a mut [f32],
    pub(super) moments: Option<[&'a mut [f32]; 2]>,
}

impl Kernel for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Product { direction, groups, rows, biases, mut centres, mut packed, .. } = self;
        let Product { finish, x, out, moments, .. } = self;
        let (x_len, out_len) = (x.len() / groups, out.len() / groups);
        let Direction { classes, offsets } = direction;
        for (i, (class, offsets)) in classes.iter().zip(offsets).enumerate() {
            for group in 0..groups {
                let (a, rest) = packed.split_at(rows * offsets.len());
                packed = rest;
                let (own, rest) = centres.split_at(offsets.len().min(centres.len()));
                centres = rest;
                let rows_of = group * rows..(group + 1) * rows;
                let bias = biases.get(i * groups * rows..).unwrap_or_default();
                let bias = bias.get(rows_of.clone()).unwrap_or_default();
                Multiply {
                    class,
                    offsets,
                    rows,
                    a,
                    x: &x[group * x_len..][..x_len],
                    centres: own,
                    bias,
                    finish: finish.of(rows_of),
                    out: &mut out[group * out_len..][..out_len],
                }
                .run(simd);
            }
        }
        if let Some([means, squares]) = moments {
            for (row, out) in out.chunks_exact(out_len / rows).enumerate() {
                (means[row], squares[row]) = crate::moments::moments(simd, out);
            }
        }
    }
}

//! Mean and variance of the channels of one image, as [`crate::moments`] computes them, down the lanes.

use crate::simd::{Kernel, LANES, Simd, fold};

/// Vectors that are summed side by side, so that an addition need not wait for the one before.
const CHAINS: usize = 4;

/// For each channel of x `[width / 16, positions, 16]` the mean and the sum of the squares about it, both
/// `[width]`.
pub(super) struct ChannelMoments<'a> {
    pub(super) x: &'a [f32],
    pub(super) mean: &'a mut [f32],
    pub(super) squares: &'a mut [f32],
}

impl Kernel for ChannelMoments<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let ChannelMoments { x, mean, squares } = self;
        let blocks = mean.len() / LANES;
        let outputs = mean.chunks_exact_mut(LANES).zip(squares.chunks_exact_mut(LANES));
        for (x, (mean, squares)) in x.chunks_exact(x.len() / blocks).zip(outputs) {
            let moments = moments(simd, x);
            mean.copy_from_slice(&simd.to_array(moments[0]));
            squares.copy_from_slice(&simd.to_array(moments[1]));
        }
    }
}

/// The corrected two-pass algorithm of [`crate::moments::moments`], for each lane by itself.
#[inline(always)]
fn moments<S: Simd>(simd: S, x: &[f32]) -> [S::Vector; 2] {
    let count = simd.splat((x.len() / LANES) as f32);
    // The vectors cut into chains of equal length, and those that are left.
    let chain = x.len() / LANES / CHAINS * LANES;
    let (even, rest) = x.split_at(CHAINS * chain);
    let (a, b) = even.split_at(2 * chain);
    let ((a, b), (c, d)) = (a.split_at(chain), b.split_at(chain));

    let sums = fold(
        simd,
        [a, b, c, d],
        #[inline(always)]
        |sums: [S::Vector; CHAINS], x| {
            let mut next = sums;
            for i in 0..CHAINS {
                next[i] = simd.add(sums[i], x[i]);
            }
            next
        },
    );
    let [more] = fold(
        simd,
        [rest],
        #[inline(always)]
        |[sum], [x]| [simd.add(sum, x)],
    );
    let rough = simd.div(simd.add(tree(simd, sums), more), count);

    let half = x.len() / LANES / 2 * LANES;
    let (even, rest) = x.split_at(2 * half);
    let (a, b) = even.split_at(half);
    let parts = fold(
        simd,
        [a, b],
        #[inline(always)]
        |[s0, q0, s1, q1], [a, b]| {
            let (a, b) = (simd.sub(a, rough), simd.sub(b, rough));
            let sums = [simd.add(s0, a), simd.add(s1, b)];
            let squares = [simd.mul_add(a, a, q0), simd.mul_add(b, b, q1)];
            [sums[0], squares[0], sums[1], squares[1]]
        },
    );
    let [more, more_squares] = fold(
        simd,
        [rest],
        #[inline(always)]
        |[sum, squares], [x]| {
            let d = simd.sub(x, rough);
            [simd.add(sum, d), simd.mul_add(d, d, squares)]
        },
    );
    let sum = simd.add(simd.add(parts[0], parts[2]), more);
    let squares = simd.add(simd.add(parts[1], parts[3]), more_squares);
    let shift = simd.div(sum, count);
    let corrected = simd.sub(squares, simd.mul(sum, shift));
    let negative = simd.gt(simd.zero(), corrected);
    [simd.add(rough, shift), simd.select(negative, simd.zero(), corrected)]
}

#[inline(always)]
fn tree<S: Simd>(simd: S, [a, b, c, d]: [S::Vector; CHAINS]) -> S::Vector {
    simd.add(simd.add(a, b), simd.add(c, d))
}

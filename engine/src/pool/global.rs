//! The mean of each whole plane.

use crate::Context;
use crate::simd::{Kernel, Simd, fold};

/// Elements of a task.
const TASK: usize = 1 << 14;

/// The sum of a plane, divided by a number.
#[derive(Clone, Copy)]
pub(super) struct PlaneMean {
    /// Elements of a plane.
    pub(super) len: usize,
    /// As many, or more if padding counts.
    pub(super) divisor: f32,
}

/// Writes the mean of each plane of x to y.
pub(super) fn means(cx: &Context, mean: PlaneMean, x: &[f32], y: &mut [f32]) {
    let len = mean.len;
    let planes = (TASK / len).max(1);
    let (tasks, work) = (y.len().div_ceil(planes), x.len());
    cx.threads().for_each_chunk(tasks, work, [(y, planes)], |task, [y]| {
        let x = &x[task * planes * len..][..y.len() * len];
        cx.isa().run(Means { mean, x, y });
    });
}

struct Means<'a> {
    mean: PlaneMean,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Kernel for Means<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let PlaneMean { len, divisor } = self.mean;
        for (x, y) in self.x.chunks_exact(len).zip(self.y) {
            let [sum] = fold(
                simd,
                [x],
                #[inline(always)]
                |[sum], [x]| [simd.add(sum, x)],
            );
            *y = simd.sum(sum) / divisor;
        }
    }
}

/// Gradient of [`means`]: each element of a plane of dx is dy / divisor.
pub(super) fn means_backward(cx: &Context, mean: PlaneMean, dy: &[f32], dx: &mut [f32]) {
    let PlaneMean { len, divisor } = mean;
    let planes = (TASK / len).max(1);
    let (tasks, work) = (dy.len().div_ceil(planes), dx.len());
    cx.threads().for_each_chunk(tasks, work, [(dx, planes * len)], |task, [dx]| {
        for (dx, dy) in dx.chunks_exact_mut(len).zip(&dy[task * planes..]) {
            dx.fill(dy / divisor);
        }
    });
}

//! What is computed of a line of classes, forward and backward, for softmax and for its logarithm.

use super::along::{Block, Pass, WIDTH};
use crate::simd::{LANES, Simd, exp, exp_not_positive, fold, largest, ln, update, update_fold};

/// What softmax and its logarithm do differently. With `shifted` = x − max and e = exp(`shifted`):
pub(super) trait Form: Copy + Sync {
    /// What is kept of an element until the sum of all e is known.
    fn kept<S: Simd>(simd: S, shifted: S::Vector, e: S::Vector) -> S::Vector;
    /// What `finished` needs of that sum.
    fn of_sum<S: Simd>(simd: S, sum: S::Vector) -> S::Vector;
    /// y
    fn finished<S: Simd>(simd: S, kept: S::Vector, of_sum: S::Vector) -> S::Vector;

    /// What the gradient's sum is added up from.
    fn term<S: Simd>(simd: S, y: S::Vector, dy: S::Vector) -> S::Vector;
    /// dx
    fn gradient<S: Simd>(simd: S, y: S::Vector, dy: S::Vector, sum: S::Vector) -> S::Vector;
}

/// Softmax: y = e / Σ e and dx = y · (dy − Σ y · dy).
#[derive(Clone, Copy)]
pub(super) struct Plain;

impl Form for Plain {
    #[inline(always)]
    fn kept<S: Simd>(_: S, _: S::Vector, e: S::Vector) -> S::Vector {
        e
    }

    #[inline(always)]
    fn of_sum<S: Simd>(simd: S, sum: S::Vector) -> S::Vector {
        simd.div(simd.splat(1.0), sum)
    }

    #[inline(always)]
    fn finished<S: Simd>(simd: S, kept: S::Vector, of_sum: S::Vector) -> S::Vector {
        simd.mul(kept, of_sum)
    }

    #[inline(always)]
    fn term<S: Simd>(simd: S, y: S::Vector, dy: S::Vector) -> S::Vector {
        simd.mul(y, dy)
    }

    #[inline(always)]
    fn gradient<S: Simd>(simd: S, y: S::Vector, dy: S::Vector, sum: S::Vector) -> S::Vector {
        simd.mul(y, simd.sub(dy, sum))
    }
}

/// Its logarithm: y = `shifted` − ln Σ e and dx = dy − eʸ · Σ dy.
#[derive(Clone, Copy)]
pub(super) struct Log;

impl Form for Log {
    #[inline(always)]
    fn kept<S: Simd>(_: S, shifted: S::Vector, _: S::Vector) -> S::Vector {
        shifted
    }

    #[inline(always)]
    fn of_sum<S: Simd>(simd: S, sum: S::Vector) -> S::Vector {
        ln(simd, sum)
    }

    #[inline(always)]
    fn finished<S: Simd>(simd: S, kept: S::Vector, of_sum: S::Vector) -> S::Vector {
        simd.sub(kept, of_sum)
    }

    #[inline(always)]
    fn term<S: Simd>(_: S, _: S::Vector, dy: S::Vector) -> S::Vector {
        dy
    }

    #[inline(always)]
    fn gradient<S: Simd>(simd: S, y: S::Vector, dy: S::Vector, sum: S::Vector) -> S::Vector {
        simd.sub(dy, simd.mul(exp(simd, y), sum))
    }
}

/// x to y.
#[derive(Clone, Copy)]
pub(super) struct Forward<F>(pub(super) F);

impl<F: Form> Pass<1> for Forward<F> {
    #[inline(always)]
    fn line<S: Simd>(self, simd: S, [x]: [&[f32]; 1], y: &mut [f32]) {
        let offset = simd.splat(largest_lane(simd.to_array(largest(simd, x))));
        let [sum] = update_fold(
            simd,
            [x],
            [&mut *y],
            #[inline(always)]
            |[sum], [x], [_]| {
                let shifted = simd.sub(x, offset);
                let e = exp_not_positive(simd, shifted);
                ([simd.add(sum, e)], [F::kept(simd, shifted, e)])
            },
        );
        let of_sum = F::of_sum(simd, simd.splat(simd.sum(sum)));
        update(
            simd,
            [],
            [y],
            #[inline(always)]
            |[], [kept]| [F::finished(simd, kept, of_sum)],
        );
    }

    #[inline(always)]
    fn columns<S: Simd>(self, simd: S, classes: usize, mut block: Block<'_, '_, 1>) {
        let (mut largest, mut sums) = ([f32::NEG_INFINITY; WIDTH], [0.0; WIDTH]);
        let width = block.width();
        let (largest, sums) = (&mut largest[..width], &mut sums[..width]);
        for class in 0..classes {
            let ([x], _) = block.row(class);
            // In this order, because max returns its second argument for NaN, as `largest` does.
            update(
                simd,
                [x],
                [&mut *largest],
                #[inline(always)]
                |[x], [largest]| [simd.max(x, largest)],
            );
        }
        for class in 0..classes {
            let ([x], y) = block.row(class);
            update(
                simd,
                [x, largest],
                [y, &mut *sums],
                #[inline(always)]
                |[x, largest], [_, sum]| {
                    let shifted = simd.sub(x, largest);
                    let e = exp_not_positive(simd, shifted);
                    [F::kept(simd, shifted, e), simd.add(sum, e)]
                },
            );
        }
        update(
            simd,
            [],
            [&mut *sums],
            #[inline(always)]
            |[], [sum]| [F::of_sum(simd, sum)],
        );
        for class in 0..classes {
            let (_, y) = block.row(class);
            update(
                simd,
                [&*sums],
                [y],
                #[inline(always)]
                |[of_sum], [kept]| [F::finished(simd, kept, of_sum)],
            );
        }
    }
}

/// The largest of numbers of which none is NaN.
#[inline(always)]
fn largest_lane(mut lanes: [f32; LANES]) -> f32 {
    // Halves that are compared as vectors.
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            let [a, b] = [lanes[i], lanes[i + half]];
            lanes[i] = if a > b { a } else { b };
        }
    }
    lanes[0]
}

/// y and dy to dx.
#[derive(Clone, Copy)]
pub(super) struct Backward<F>(pub(super) F);

impl<F: Form> Pass<2> for Backward<F> {
    #[inline(always)]
    fn line<S: Simd>(self, simd: S, inputs: [&[f32]; 2], dx: &mut [f32]) {
        let [sum] = fold(
            simd,
            inputs,
            #[inline(always)]
            |[sum], [y, dy]| [simd.add(sum, F::term(simd, y, dy))],
        );
        let sum = simd.splat(simd.sum(sum));
        update(
            simd,
            inputs,
            [dx],
            #[inline(always)]
            |[y, dy], _| [F::gradient(simd, y, dy, sum)],
        );
    }

    #[inline(always)]
    fn columns<S: Simd>(self, simd: S, classes: usize, mut block: Block<'_, '_, 2>) {
        let mut sums = [0.0; WIDTH];
        let sums = &mut sums[..block.width()];
        for class in 0..classes {
            let (inputs, _) = block.row(class);
            update(
                simd,
                inputs,
                [&mut *sums],
                #[inline(always)]
                |[y, dy], [sum]| [simd.add(sum, F::term(simd, y, dy))],
            );
        }
        for class in 0..classes {
            let ([y, dy], dx) = block.row(class);
            update(
                simd,
                [y, dy, sums],
                [dx],
                #[inline(always)]
                |[y, dy, sum], _| [F::gradient(simd, y, dy, sum)],
            );
        }
    }
}

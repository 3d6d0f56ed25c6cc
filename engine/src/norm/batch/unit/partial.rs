//! Units in which images are missing: the last of a batch that is no multiple of 16.

use super::{OP, UnitLayout, UnitNorm};
use crate::Error;
use crate::moments::corrected;
use crate::simd::{Isa, Kernel, LANE, LANES, Simd, fold, load, update_fold};

impl UnitNorm {
    /// [`UnitNorm::moments`] of the first `images` of 16 interleaved images.
    ///
    /// # Errors
    /// As [`UnitNorm::moments`]; [`Error::Invalid`] for other layouts and numbers of images.
    pub fn partial_moments(
        &self,
        isa: Isa,
        images: usize,
        x: &[f32],
        means: &mut [f32],
        squares: &mut [f32],
    ) -> Result<(), Error> {
        self.check_partial(images, x.len(), [means.len(), squares.len()])?;
        isa.run(PartialMoments { row: self.spatial, images, x, means, squares });
        Ok(())
    }

    /// Sets the gradients by the images from number `images` of 16 on to 0, after
    /// [`UnitNorm::backward_input`], and `sums` to those of the others.
    ///
    /// # Errors
    /// As [`UnitNorm::partial_moments`].
    pub fn clear_missing(
        &self,
        isa: Isa,
        images: usize,
        dx: &mut [f32],
        sums: &mut [f32],
    ) -> Result<(), Error> {
        self.check_partial(images, dx.len(), [sums.len()])?;
        isa.run(ClearMissing { row: self.spatial, images, dx, sums });
        Ok(())
    }

    fn check_partial<const N: usize>(
        &self,
        images: usize,
        len: usize,
        constants: [usize; N],
    ) -> Result<(), Error> {
        let invalid = |what, expected, found| Err(Error::Invalid { op: OP, what, expected, found });
        if self.layout != UnitLayout::Rows || !self.spatial.is_multiple_of(LANES) {
            let found = format!("{self:?}");
            return invalid("the unit", "16 interleaved images", found);
        }
        if !(1..=LANES).contains(&images) {
            return invalid("the number of images", "1 to 16", images.to_string());
        }
        self.check(&[len], &constants)
    }
}

/// The mask of the first `images` lanes.
#[inline(always)]
fn present<S: Simd>(simd: S, images: usize) -> S::Mask {
    simd.gt(simd.splat(images as f32), load(simd, &LANE))
}

struct PartialMoments<'a> {
    /// Floats of a channel.
    row: usize,
    images: usize,
    x: &'a [f32],
    means: &'a mut [f32],
    squares: &'a mut [f32],
}

impl Kernel for PartialMoments<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let PartialMoments { row, images, x, means, squares } = self;
        let (present, zero) = (present(simd, images), simd.zero());
        let count = (row / LANES * images) as f32;
        for ((x, mean), square) in x.chunks_exact(row.max(1)).zip(means).zip(squares) {
            let [sum] = fold(
                simd,
                [x],
                #[inline(always)]
                |[sum], [x]| [simd.add(sum, simd.select(present, x, zero))],
            );
            let rough = simd.sum(sum) / count;
            let center = simd.splat(rough);
            let [sum, squares] = fold(
                simd,
                [x],
                #[inline(always)]
                |[sum, squares], [x]| {
                    let d = simd.select(present, simd.sub(x, center), zero);
                    [simd.add(sum, d), simd.mul_add(d, d, squares)]
                },
            );
            let sum = simd.sum(sum);
            *mean = rough + sum / count;
            *square = corrected(simd.sum(squares), sum, count);
        }
    }
}

struct ClearMissing<'a> {
    /// Floats of a channel.
    row: usize,
    images: usize,
    dx: &'a mut [f32],
    sums: &'a mut [f32],
}

impl Kernel for ClearMissing<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let ClearMissing { row, images, dx, sums } = self;
        let (present, zero) = (present(simd, images), simd.zero());
        for (dx, sum) in dx.chunks_exact_mut(row.max(1)).zip(sums) {
            let [total] = update_fold(
                simd,
                [],
                [dx],
                #[inline(always)]
                |[sum], [], [dx]| {
                    let dx = simd.select(present, dx, zero);
                    ([simd.add(sum, dx)], [dx])
                },
            );
            *sum = simd.sum(total);
        }
    }
}

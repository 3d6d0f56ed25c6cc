//! Between one image behind the other and 16 images side by side.

use crate::Error;
use crate::conv::geometry::OP;
use crate::error::expect_len;
use crate::simd::{Isa, Kernel, LANES, Simd, transpose};

/// Up to 16 images `[N, len]` to a unit `[len, 16]`; the lanes of images that are missing become 0.
///
/// # Errors
/// [`Error::Invalid`] if the images are empty, or x is not 1 to 16 of them; [`Error::Length`] if `unit`
/// is not 16 images long.
pub fn interleave(isa: Isa, image_len: usize, x: &[f32], unit: &mut [f32]) -> Result<(), Error> {
    let images = check(image_len, x.len(), unit.len())?;
    isa.run(Transpose { x, size: [images, image_len], out: unit, width: LANES });
    Ok(())
}

/// The first images of a unit `[len, 16]`, as many as `out` `[N, len]` holds: undoes [`interleave`].
///
/// # Errors
/// As [`interleave`].
pub fn deinterleave(
    isa: Isa,
    image_len: usize,
    unit: &[f32],
    out: &mut [f32],
) -> Result<(), Error> {
    let images = check(image_len, out.len(), unit.len())?;
    isa.run(Transpose { x: unit, size: [image_len, images], out, width: image_len });
    Ok(())
}

/// A matrix of `size` with rows and columns exchanged. The source's rows are as long as those of the
/// wider of both layouts of a unit.
struct Transpose<'a> {
    x: &'a [f32],
    size: [usize; 2],
    out: &'a mut [f32],
    width: usize,
}

impl Kernel for Transpose<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Transpose { x, size, out, width } = self;
        let stride = x.len() / size[0];
        transpose(simd, x, stride, size, out, width);
    }
}

/// The number of images.
fn check(image_len: usize, images_len: usize, unit_len: usize) -> Result<usize, Error> {
    let expected =
        image_len.checked_mul(LANES).ok_or(Error::Overflow { op: OP, what: "a unit" })?;
    expect_len(OP, "a unit of 16 images", expected, unit_len)?;
    let whole = image_len > 0 && images_len.is_multiple_of(image_len);
    if whole && (1..=LANES).contains(&(images_len / image_len)) {
        return Ok(images_len / image_len);
    }
    let found = format!("{images_len} elements for images of {image_len}");
    Err(Error::Invalid { op: OP, what: "the images", expected: "1 to 16 whole images", found })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interleaving_turns_images_and_pixels_round() {
        for isa in Isa::available() {
            for (len, images) in [(1, 16), (15, 16), (16, 3), (17, 1), (50, 16), (50, 7)] {
                let x: Vec<f32> = (0..images * len).map(|i| 1.0 + i as f32).collect();
                let (mut unit, mut back) = (vec![f32::NAN; 16 * len], vec![f32::NAN; x.len()]);
                interleave(isa, len, &x, &mut unit).unwrap();
                for image in 0..16 {
                    for pixel in 0..len {
                        let expected = x.get(image * len + pixel).copied().unwrap_or(0.0);
                        assert_eq!(unit[pixel * 16 + image], expected);
                    }
                }
                deinterleave(isa, len, &unit, &mut back).unwrap();
                assert_eq!(back, x);
            }
        }
    }

    #[test]
    fn units_and_images_of_other_sizes_are_refused() {
        let (isa, x, mut out) = (Isa::best(), [0.0; 34], [0.0; 32]);
        assert!(matches!(interleave(isa, 2, &x, &mut out), Err(Error::Invalid { .. })));
        assert!(matches!(interleave(isa, 2, &x[..3], &mut out), Err(Error::Invalid { .. })));
        assert!(matches!(interleave(isa, 2, &[], &mut out), Err(Error::Invalid { .. })));
        assert!(matches!(interleave(isa, 0, &x, &mut []), Err(Error::Invalid { .. })));
        assert!(matches!(interleave(isa, 2, &x[..4], &mut out[1..]), Err(Error::Length { .. })));
        assert!(matches!(deinterleave(isa, 2, &x, &mut out), Err(Error::Length { .. })));
    }
}

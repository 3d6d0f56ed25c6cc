//! Between one image behind the other and 16 images side by side.

use crate::conv::geometry::OP;
use crate::error::expect_len;
use crate::simd::{Kernel, LANES, Simd, transpose};
use crate::{Context, Error};

/// Images `[N, len]` to `[N / 16, len, 16]`.
///
/// # Errors
/// [`Error::Invalid`] if x is not a whole number of groups of 16 images, or the images are empty;
/// [`Error::Length`] if `out` is not as long as x.
pub fn interleave(cx: &Context, image_len: usize, x: &[f32], out: &mut [f32]) -> Result<(), Error> {
    let unit = check(image_len, x, out)?;
    cx.threads().for_each_chunk(out.len() / unit, out.len(), [(out, unit)], |task, [out]| {
        let x = &x[task * unit..][..unit];
        cx.isa().run(Transpose { x, size: [LANES, image_len], out });
    });
    Ok(())
}

/// Images `[N / 16, len, 16]` to `[N, len]`: undoes [`interleave`].
///
/// # Errors
/// As [`interleave`].
pub fn deinterleave(
    cx: &Context,
    image_len: usize,
    x: &[f32],
    out: &mut [f32],
) -> Result<(), Error> {
    let unit = check(image_len, x, out)?;
    cx.threads().for_each_chunk(out.len() / unit, out.len(), [(out, unit)], |task, [out]| {
        let x = &x[task * unit..][..unit];
        cx.isa().run(Transpose { x, size: [image_len, LANES], out });
    });
    Ok(())
}

/// One group: a matrix of `size` with rows and columns exchanged.
struct Transpose<'a> {
    x: &'a [f32],
    size: [usize; 2],
    out: &'a mut [f32],
}

impl Kernel for Transpose<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Transpose { x, size, out } = self;
        transpose(simd, x, size[1], size, out, size[0]);
    }
}

/// The length of 16 images.
fn check(image_len: usize, x: &[f32], out: &[f32]) -> Result<usize, Error> {
    expect_len(OP, "the output", x.len(), out.len())?;
    match image_len.checked_mul(LANES) {
        Some(unit) if unit > 0 && x.len().is_multiple_of(unit) => Ok(unit),
        _ => Err(Error::Invalid {
            op: OP,
            what: "x",
            expected: "a whole number of groups of 16 images",
            found: format!("{} elements for images of {image_len}", x.len()),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Isa, Threads};

    #[test]
    fn interleaving_turns_images_and_pixels_round() {
        for (isa, len) in Isa::available().flat_map(|isa| [1, 15, 16, 17, 50].map(|n| (isa, n))) {
            let cx = Context::new(isa, Threads::serial());
            let x: Vec<f32> = (0..32 * len).map(|i| i as f32).collect();
            let (mut out, mut back) = (vec![f32::NAN; x.len()], vec![f32::NAN; x.len()]);
            interleave(&cx, len, &x, &mut out).unwrap();
            for image in 0..32 {
                for pixel in 0..len {
                    let at = (image / 16 * len + pixel) * 16 + image % 16;
                    assert_eq!(out[at], x[image * len + pixel]);
                }
            }
            deinterleave(&cx, len, &out, &mut back).unwrap();
            assert_eq!(back, x);
        }
    }

    #[test]
    fn groups_that_are_not_full_are_refused() {
        let (cx, x, mut out) = (Context::serial(), [0.0; 24], [0.0; 24]);
        assert!(matches!(interleave(&cx, 2, &x, &mut out), Err(Error::Invalid { .. })));
        assert!(matches!(interleave(&cx, 0, &x, &mut out), Err(Error::Invalid { .. })));
        assert!(matches!(deinterleave(&cx, 1, &x, &mut out[1..]), Err(Error::Length { .. })));
    }
}

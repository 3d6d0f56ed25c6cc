//! Channels to lanes and back: of images, of weights, of the weights' gradients.

use crate::conv::geometry::OP;
use crate::error::expect_len;
use crate::simd::{Kernel, LANES, Simd, lanes_to_rows, rows_to_lanes};
use crate::{Error, Isa};

/// An image `[C, H, W]` to `[ceil(C / 16), H, W, 16]`. Missing channels become zeros.
///
/// # Errors
/// [`Error::Invalid`] if x is not a whole number of planes for `channels`, or `channels` is 0;
/// [`Error::Length`] if `out` does not have its shape's length.
pub fn block(isa: Isa, channels: usize, x: &[f32], out: &mut [f32]) -> Result<(), Error> {
    let plane = plane_of("x", channels, x.len())?;
    expect_len(OP, "the output", blocked_len(channels, plane), out.len())?;
    if plane > 0 {
        let chunks = out.chunks_exact_mut(plane * LANES);
        for (source, target) in x.chunks(plane * LANES).zip(chunks) {
            let size = [1, source.len() / plane, plane];
            isa.run(ToLanes { source, size, target, width: LANES });
        }
    }
    Ok(())
}

/// An image `[ceil(C / 16), H, W, 16]` to `[C, H, W]`: undoes [`block`].
///
/// # Errors
/// [`Error::Invalid`] if `out` is not a whole number of planes for `channels`, or `channels` is 0;
/// [`Error::Length`] if x does not have its shape's length.
pub fn unblock(isa: Isa, channels: usize, x: &[f32], out: &mut [f32]) -> Result<(), Error> {
    let plane = plane_of("the output", channels, out.len())?;
    expect_len(OP, "x", blocked_len(channels, plane), x.len())?;
    if plane > 0 {
        let chunks = out.chunks_mut(plane * LANES);
        for (source, target) in x.chunks_exact(plane * LANES).zip(chunks) {
            let size = [plane, target.len() / plane];
            isa.run(FromLanes { source, stride: LANES, size, target });
        }
    }
    Ok(())
}

/// Floats of a plane, of which there are `channels`.
fn plane_of(what: &'static str, channels: usize, len: usize) -> Result<usize, Error> {
    if channels > 0 && len.is_multiple_of(channels) {
        return Ok(len / channels);
    }
    let found = format!("{len} elements for {channels} channels");
    Err(Error::Invalid { op: OP, what, expected: "a whole number of planes of channels", found })
}

/// Floats of an image whose plain form exists. One that is longer than any slice can be is `usize::MAX`.
fn blocked_len(channels: usize, plane: usize) -> usize {
    let lanes = channels.checked_next_multiple_of(LANES).unwrap_or(usize::MAX);
    lanes.saturating_mul(plane)
}

/// [`rows_to_lanes`] of matrices without gaps.
pub(super) struct ToLanes<'a> {
    pub(super) source: &'a [f32],
    /// Matrices, rows and columns.
    pub(super) size: [usize; 3],
    pub(super) target: &'a mut [f32],
    pub(super) width: usize,
}

impl Kernel for ToLanes<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let ToLanes { source, size, target, width } = self;
        rows_to_lanes(simd, source, size[2], size, target, width);
    }
}

/// [`lanes_to_rows`]
pub(super) struct FromLanes<'a> {
    pub(super) source: &'a [f32],
    pub(super) stride: usize,
    /// Rows and columns of the source.
    pub(super) size: [usize; 2],
    pub(super) target: &'a mut [f32],
}

impl Kernel for FromLanes<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let FromLanes { source, stride, size, target } = self;
        lanes_to_rows(simd, source, stride, size, target, size[0]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocking_puts_channels_side_by_side() {
        for isa in Isa::available() {
            for (channels, plane) in [1_usize, 10, 15, 16, 17, 33]
                .into_iter()
                .flat_map(|c| [1, 7, 16, 25].map(|p| (c, p)))
            {
                let x: Vec<f32> = (0..channels * plane).map(|i| i as f32 + 1.0).collect();
                let mut out = vec![f32::NAN; channels.next_multiple_of(LANES) * plane];
                block(isa, channels, &x, &mut out).unwrap();
                for (i, &value) in out.iter().enumerate() {
                    let channel = i / (plane * LANES) * LANES + i % LANES;
                    let pixel = i / LANES % plane;
                    let expected =
                        if channel < channels { x[channel * plane + pixel] } else { 0.0 };
                    assert_eq!(value, expected, "{isa:?} {channels} × {plane}, float {i}");
                }
                let mut back = vec![f32::NAN; x.len()];
                unblock(isa, channels, &out, &mut back).unwrap();
                assert_eq!(back, x, "{isa:?} {channels} × {plane}");
            }
        }
    }

    #[test]
    fn images_that_do_not_fit_are_refused() {
        let (isa, x, mut out) = (Isa::best(), [0.0; 12], [0.0; 64]);
        assert!(matches!(block(isa, 0, &x, &mut out), Err(Error::Invalid { .. })));
        assert!(matches!(block(isa, 5, &x, &mut out), Err(Error::Invalid { .. })));
        let error = block(isa, 3, &x, &mut out[1..]).unwrap_err();
        assert_eq!(error, Error::Length { op: OP, what: "the output", expected: 64, found: 63 });
        let error = unblock(isa, 3, &out[1..], &mut [0.0; 12]).unwrap_err();
        assert_eq!(error, Error::Length { op: OP, what: "x", expected: 64, found: 63 });
        assert!(matches!(unblock(isa, 5, &out, &mut [0.0; 12]), Err(Error::Invalid { .. })));
        assert_eq!(block(isa, 3, &[], &mut []), Ok(()));
        assert_eq!(unblock(isa, 3, &[], &mut []), Ok(()));
    }
}

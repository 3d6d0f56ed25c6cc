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
        let chunks = [plane * LANES, plane * LANES];
        isa.run(ToLanes { source: x, columns: plane, target: out, width: LANES, chunks });
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
        let chunks = [plane * LANES, plane * LANES];
        isa.run(FromLanes { source: x, stride: LANES, rows: plane, target: out, chunks });
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
    channels.next_multiple_of(LANES).saturating_mul(plane)
}

/// Matrices one behind the other, of `columns` columns each. Their rows become lanes of a target of
/// `width` lanes, and lanes that are too many zeros.
pub(super) struct ToLanes<'a> {
    pub(super) source: &'a [f32],
    pub(super) columns: usize,
    pub(super) target: &'a mut [f32],
    pub(super) width: usize,
    /// Floats of a matrix in the source, of which the last may have fewer, and in the target.
    pub(super) chunks: [usize; 2],
}

impl Kernel for ToLanes<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let ToLanes { source, columns, target, width, chunks } = self;
        for (source, target) in source.chunks(chunks[0]).zip(target.chunks_mut(chunks[1])) {
            let size = [source.len() / columns, columns];
            rows_to_lanes(simd, source, columns, size, target, width);
        }
    }
}

/// Undoes [`ToLanes`] for matrices whose columns have `rows` elements.
pub(super) struct FromLanes<'a> {
    pub(super) source: &'a [f32],
    /// From one row of lanes to the next.
    pub(super) stride: usize,
    pub(super) rows: usize,
    pub(super) target: &'a mut [f32],
    /// As in [`ToLanes`], but the last of the target may have fewer.
    pub(super) chunks: [usize; 2],
}

impl Kernel for FromLanes<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let FromLanes { source, stride, rows, target, chunks } = self;
        for (source, target) in source.chunks(chunks[0]).zip(target.chunks_mut(chunks[1])) {
            let size = [rows, target.len() / rows];
            lanes_to_rows(simd, source, stride, size, target);
        }
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

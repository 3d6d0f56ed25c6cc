//! What goes into the gradient by the weight, and how its sums come out.

use super::Channels;
use super::gradient::Gradient;
use crate::gemm::Cut;
use crate::simd::{Kernel, Simd, transpose};

/// Copies a unit: the input to its layout, the output's gradients to panels `[position][rows]`.
pub(super) struct Copy<'a> {
    pub(super) gradient: &'a Gradient<'a>,
    pub(super) group: usize,
    pub(super) unit: usize,
    pub(super) x: &'a mut [f32],
    pub(super) dy: &'a mut [f32],
}

impl Kernel for Copy<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Copy { gradient: &Gradient { geometry, channels, x: images, dy: gradients }, .. } =
            self;
        let Copy { gradient, group, unit, x, dy } = self;
        let layout = &channels.layout;
        let (image, band) = (unit / layout.bands, unit % layout.bands);
        let (rows, group_len) = (gradient.rows(), layout.image_len());
        let channels = &images[image * geometry.input_len() + group * group_len..][..group_len];
        layout.split(simd, channels, band, x);
        let [height, width] = geometry.output_size();
        let band_rows = layout.band_rows(band, height);
        let (plane, positions) = (height * width, band_rows.len() * width);
        let first = image * geometry.output_len() + group * rows * plane;
        let cut = Cut::new(rows, S::TILE_ROWS);
        for rows in (0..cut.panels()).map(|panel| cut.lanes_of(panel)) {
            let from = &gradients[first + rows.start * plane + band_rows.start * width..];
            let out = &mut dy[rows.start * positions..][..rows.len() * positions];
            transpose(simd, from, plane, [rows.len(), positions], out, rows.len());
        }
    }
}

/// Puts the sums of an output channel into the order of the weights, `[C, Kh, Kw]`.
pub(super) struct Unpack<'a> {
    pub(super) gradient: &'a Gradient<'a>,
    pub(super) sums: &'a [f32],
    pub(super) out: &'a mut [f32],
}

impl Kernel for Unpack<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Unpack { gradient, sums, out } = self;
        let Channels { layout, sights, .. } = gradient.channels;
        // In forward direction taps are in the order of the kernel.
        let taps = sights[0].kernels.len();
        for segment in layout.segments() {
            for block in 0..segment.blocks {
                let (channel, width) = (segment.channel + block * segment.width, segment.width);
                let range = channel * taps..(channel + width) * taps;
                let (sums, out) = (&sums[range.clone()], &mut out[range]);
                transpose(simd, sums, width, [taps, width], out, taps);
            }
        }
    }
}

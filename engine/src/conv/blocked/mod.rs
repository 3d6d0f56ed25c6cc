//! Convolution of one image with the channels innermost, in blocks of 16: `[ceil(C / 16), H, W, 16]`
//! (oneDNN's `nChw16c`). Channels that a last block lacks are lanes of zeros.
//!
//! A vector holds 16 output channels of one pixel, so a single image fills whole vectors, and nothing is
//! summed across lanes. For batches that are too small to be interleaved. A call computes one image on the
//! calling thread; the weights are packed once for any number of images.

mod kernel;
mod layout;
mod table;

pub use layout::{block, unblock};

use super::classes;
use super::geometry::OP;
use super::{Conv2d, Then};
use crate::error::expect_len;
use crate::moments::lane_moments;
use crate::simd::{Kernel, LANES, Simd};
use crate::{Error, Isa};
use kernel::{Accumulate, Multiply};
use layout::{FromLanes, ToLanes};
use table::{Sources, Table};

/// How the image lies that a convolution reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BlockedInput {
    /// `[C, H, W]`
    Plain,
    /// `[ceil(C / 16), H, W, 16]`
    Blocked,
}

/// A [`Conv2d`] of one image at a time, from x as [`BlockedInput`] says to y `[ceil(O / 16), Ho, Wo, 16]`.
#[derive(Clone, Debug)]
pub struct BlockedConv2d {
    geometry: Conv2d,
    /// C · Kh · Kw
    depth: usize,
    forward: Vec<Table>,
    /// Only of blocked images.
    backward: Option<Vec<Table>>,
    /// Floats of a pixel of y: O, and the lanes that are missing.
    width: usize,
    /// The same of dx.
    backward_width: usize,
    input_len: usize,
    output_len: usize,
}

impl BlockedConv2d {
    /// The convolution of `geometry`, for images that lie as `input` says.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the channels are in groups; [`Error::Overflow`] if the image or the kernel is
    /// so large that the tables of what meets what would have more than 2²² entries, or a tensor with its
    /// missing lanes would not fit the address space.
    pub fn new(geometry: Conv2d, input: BlockedInput) -> Result<BlockedConv2d, Error> {
        let options = geometry.options();
        if options.groups != 1 {
            let (what, found) = ("the number of groups", options.groups.to_string());
            return Err(Error::Invalid { op: OP, what, expected: "1 for blocked images", found });
        }
        let (channels, outputs) = (options.in_channels, options.out_channels);
        let kernel_len = geometry.kernel_len();
        let plane = |size: [usize; 2]| size[0] * size[1];
        let (input_plane, output_plane) =
            (plane(geometry.input_size()), plane(geometry.output_size()));
        let [width, backward_width] =
            [outputs, channels].map(|channels| channels.next_multiple_of(LANES));
        let blocked = input == BlockedInput::Blocked;
        let depth = channels * kernel_len;
        let input_len =
            floats("x", &[if blocked { backward_width } else { channels }, input_plane])?;
        let output_len = floats("y", &[width, output_plane])?;
        floats("the packed weights", &[depth + 1, width])?;
        floats("the packed weights", &[outputs, kernel_len, backward_width])?;

        let sources = Sources { channels, plane: input_plane, blocked };
        let table = |class| Table::new(class, kernel_len, sources, width);
        let forward = classes::forward(&geometry)?.iter().map(table).collect();
        let sources = Sources { channels: outputs, plane: output_plane, blocked: true };
        let table = |class| Table::new(class, kernel_len, sources, backward_width);
        let backward = match input {
            BlockedInput::Plain => None,
            BlockedInput::Blocked => {
                Some(classes::backward(&geometry)?.iter().map(table).collect())
            }
        };
        Ok(BlockedConv2d {
            geometry,
            depth,
            forward,
            backward,
            width,
            backward_width,
            input_len,
            output_len,
        })
    }

    /// The sizes.
    pub fn geometry(&self) -> &Conv2d {
        &self.geometry
    }

    /// Floats of x in its layout, missing lanes included.
    pub fn input_len(&self) -> usize {
        self.input_len
    }

    /// Floats of y in its layout, missing lanes included.
    pub fn output_len(&self) -> usize {
        self.output_len
    }

    /// Floats of what [`pack_forward`](Self::pack_forward) writes.
    pub fn packed_forward_len(&self) -> usize {
        (self.depth + 1) * self.width
    }

    /// Floats of what [`pack_backward`](Self::pack_backward) writes.
    pub fn packed_backward_len(&self) -> usize {
        let options = self.geometry.options();
        options.out_channels * self.geometry.kernel_len() * self.backward_width
    }

    /// Floats of the sums that [`backward_weight`](Self::backward_weight) adds to.
    pub fn sums_len(&self) -> usize {
        self.depth * self.width
    }

    /// Weights `[O, C, Kh, Kw]` and bias `[O]` in the order in which [`forward`](Self::forward) reads them.
    ///
    /// # Errors
    /// [`Error::Length`] if a slice does not have its shape's length.
    pub fn pack_forward(
        &self,
        isa: Isa,
        weight: &[f32],
        bias: Option<&[f32]>,
        packed: &mut [f32],
    ) -> Result<(), Error> {
        let outputs = self.geometry.options().out_channels;
        expect_len(OP, "the weight", self.geometry.weight_len(), weight.len())?;
        if let Some(bias) = bias {
            expect_len(OP, "the bias", outputs, bias.len())?;
        }
        expect_len(OP, "the packed weight", self.packed_forward_len(), packed.len())?;
        // [C, Kh, Kw, width], and behind it the bias, [width].
        let (target, packed_bias) = packed.split_at_mut(self.sums_len());
        packed_bias.fill(0.0);
        if let Some(bias) = bias {
            packed_bias[..outputs].copy_from_slice(bias);
        }
        let size = [1, outputs, self.depth];
        isa.run(ToLanes { source: weight, size, target, width: self.width });
        Ok(())
    }

    /// Weights `[O, C, Kh, Kw]` in the order in which [`backward_input`](Self::backward_input) reads them.
    ///
    /// # Errors
    /// [`Error::Length`] if a slice does not have its shape's length.
    pub fn pack_backward(&self, isa: Isa, weight: &[f32], packed: &mut [f32]) -> Result<(), Error> {
        expect_len(OP, "the weight", self.geometry.weight_len(), weight.len())?;
        expect_len(OP, "the packed weight", self.packed_backward_len(), packed.len())?;
        // [O, Kh, Kw, backward_width]
        let options = self.geometry.options();
        let size = [options.out_channels, options.in_channels, self.geometry.kernel_len()];
        isa.run(ToLanes { source: weight, size, target: packed, width: self.backward_width });
        Ok(())
    }

    /// y = LeakyReLU(conv(x) + bias) of one image, for a `negative_slope` of 1 without LeakyReLU. `packed`
    /// is what [`pack_forward`](Self::pack_forward) has written.
    ///
    /// What `then` measures or normalises by is `[16 · ceil(O / 16)]`. Missing lanes of all outputs are 0 if
    /// x is finite and the constants there are 0.
    ///
    /// # Errors
    /// [`Error::Length`] if a slice does not have its shape's length.
    pub fn forward(
        &self,
        isa: Isa,
        packed: &[f32],
        x: &[f32],
        negative_slope: f32,
        y: &mut [f32],
        then: Then<'_>,
    ) -> Result<(), Error> {
        expect_len(OP, "the packed weight", self.packed_forward_len(), packed.len())?;
        expect_len(OP, "x", self.input_len, x.len())?;
        expect_len(OP, "y", self.output_len, y.len())?;
        let (moments, normalize) = then.parts(OP, self.width)?;
        let (packed, bias) = packed.split_at(self.sums_len());
        isa.run(Multiply {
            tables: &self.forward,
            packed,
            bias,
            width: self.width,
            x,
            negative_slope,
            normalize,
            out: y,
        });
        if let Some([mean, squares]) = moments {
            isa.run(Moments { y, means: mean, squares });
        }
        Ok(())
    }

    /// dx `[ceil(C / 16), H, W, 16]` of dz `[ceil(O / 16), Ho, Wo, 16]`, the gradient by what
    /// [`forward`](Self::forward) computes before LeakyReLU. Every element of dx is written; missing lanes
    /// become 0 if dz is finite. `packed` is what [`pack_backward`](Self::pack_backward) has written.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the input of the convolution is [`BlockedInput::Plain`], [`Error::Length`] if a
    /// slice does not have its shape's length.
    pub fn backward_input(
        &self,
        isa: Isa,
        packed: &[f32],
        dz: &[f32],
        dx: &mut [f32],
    ) -> Result<(), Error> {
        let Some(tables) = &self.backward else {
            let (what, expected) = ("the input", "blocked for its gradient");
            return Err(Error::Invalid { op: OP, what, expected, found: "plain".into() });
        };
        expect_len(OP, "the packed weight", self.packed_backward_len(), packed.len())?;
        expect_len(OP, "dz", self.output_len, dz.len())?;
        expect_len(OP, "dx", self.input_len, dx.len())?;
        isa.run(Multiply {
            tables,
            packed,
            bias: &[],
            width: self.backward_width,
            x: dz,
            negative_slope: 1.0,
            normalize: None,
            out: dx,
        });
        Ok(())
    }

    /// Adds the gradient by the weight of x and dz `[ceil(O / 16), Ho, Wo, 16]` to `sums`, which start as
    /// zeros and are read by [`unpack_weight`](Self::unpack_weight).
    ///
    /// # Errors
    /// [`Error::Length`] if a slice does not have its shape's length.
    pub fn backward_weight(
        &self,
        isa: Isa,
        x: &[f32],
        dz: &[f32],
        sums: &mut [f32],
    ) -> Result<(), Error> {
        expect_len(OP, "x", self.input_len, x.len())?;
        expect_len(OP, "dz", self.output_len, dz.len())?;
        expect_len(OP, "the sums", self.sums_len(), sums.len())?;
        isa.run(Accumulate { tables: &self.forward, dz, width: self.width, x, sums });
        Ok(())
    }

    /// The sums of [`backward_weight`](Self::backward_weight) as `[O, C, Kh, Kw]`.
    ///
    /// # Errors
    /// [`Error::Length`] if a slice does not have its shape's length.
    pub fn unpack_weight(&self, isa: Isa, sums: &[f32], dweight: &mut [f32]) -> Result<(), Error> {
        expect_len(OP, "the sums", self.sums_len(), sums.len())?;
        expect_len(OP, "dweight", self.geometry.weight_len(), dweight.len())?;
        let size = [self.depth, self.geometry.options().out_channels];
        isa.run(FromLanes { source: sums, stride: self.width, size, target: dweight });
        Ok(())
    }
}

/// The moments of each channel of y `[width / 16, positions, 16]`.
struct Moments<'a> {
    y: &'a [f32],
    /// `[width]`
    means: &'a mut [f32],
    squares: &'a mut [f32],
}

impl Kernel for Moments<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Moments { y, means, squares } = self;
        let block_len = y.len() / means.len() * LANES;
        let moments = means.chunks_exact_mut(LANES).zip(squares.chunks_exact_mut(LANES));
        for (y, (means, squares)) in y.chunks_exact(block_len).zip(moments) {
            lane_moments(simd, y, means, squares);
        }
    }
}

/// The product of `sizes`, if so many floats fit the address space.
fn floats(what: &'static str, sizes: &[usize]) -> Result<usize, Error> {
    let bytes = sizes.iter().try_fold(size_of::<f32>(), |n, &size| n.checked_mul(size));
    match bytes.filter(|&bytes| isize::try_from(bytes).is_ok()) {
        Some(bytes) => Ok(bytes / size_of::<f32>()),
        None => Err(Error::Overflow { op: OP, what }),
    }
}

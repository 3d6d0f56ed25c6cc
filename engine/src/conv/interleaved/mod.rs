//! Convolution of interleaved images: units of 16, the images innermost, `[C, H, W, 16]`.
//!
//! A vector holds one pixel of 16 images. So patches need no copies at all, no vector has a tail, and
//! whatever works on `[C, H · W]` works on `[C, H · W · 16]` unchanged: activations, batch normalisation,
//! losses. Where a batch has enough images this is the fastest layout for few channels.
//!
//! Every function works on one unit, on the calling thread, so that a caller can do all that a step has
//! to do with a unit while it is in the cache.

mod kernel;
mod layout;
mod weights;

pub use layout::{deinterleave, interleave};

use super::Conv2d;
use super::classes::{self, Class};
use super::geometry::OP;
use crate::buffer::with_scratch;
use crate::error::expect_len;
use crate::gemm::{GemmOptions, Matrix, MatrixMut, gemm};
use crate::simd::{Isa, Kernel, LANES, Simd};
use crate::{Context, Error, Threads};
use kernel::{Accumulate, Multiply};
use weights::{Pack, Weights};
/// A [`Conv2d`] of interleaved images.
#[derive(Clone, Debug)]
pub struct InterleavedConv2d {
    geometry: Conv2d,
    forward: Direction,
    backward: Direction,
    /// For each forward class: where its kernel elements lie in `[C, Kh, Kw]`.
    columns: Vec<Vec<usize>>,
}

/// Results that are sums over sources.
#[derive(Clone, Debug)]
struct Direction {
    classes: Vec<Class>,
    /// The classes' offsets in floats.
    offsets: Vec<Vec<usize>>,
}

impl Direction {
    fn new(classes: Vec<Class>) -> Direction {
        let floats = |class: &Class| class.offsets.iter().map(|offset| offset * LANES).collect();
        let offsets = classes.iter().map(floats).collect();
        Direction { classes, offsets }
    }

    /// The products of a result, over all classes.
    fn depth(&self) -> usize {
        self.offsets.iter().map(Vec::len).sum()
    }
}

impl InterleavedConv2d {
    /// The convolution of `geometry`, for interleaved images.
    ///
    /// # Errors
    /// [`Error::Overflow`] if the image or the kernel is so large that the tables of what meets what
    /// would have more than 2²² entries.
    pub fn new(geometry: Conv2d) -> Result<InterleavedConv2d, Error> {
        let (forward, backward) = (classes::forward(&geometry)?, classes::backward(&geometry)?);
        let kernel_len = geometry.kernel_len();
        let columns = |class: &Class| {
            let channels = 0..geometry.group_inputs();
            let of =
                |channel| class.kernels.iter().map(move |kernel| channel * kernel_len + kernel);
            channels.flat_map(of).collect()
        };
        let columns = forward.iter().map(columns).collect();
        let (forward, backward) = (Direction::new(forward), Direction::new(backward));
        for len in [geometry.input_len(), geometry.output_len()] {
            len.checked_mul(LANES)
                .ok_or(Error::Overflow { op: OP, what: "a unit of 16 images" })?;
        }
        Ok(InterleavedConv2d { geometry, forward, backward, columns })
    }

    /// The sizes.
    pub fn geometry(&self) -> &Conv2d {
        &self.geometry
    }

    /// Floats of a unit of x, `[C, H, W, 16]`.
    pub fn input_len(&self) -> usize {
        self.geometry.input_len() * LANES
    }

    /// Floats of a unit of y, `[O, Ho, Wo, 16]`.
    pub fn output_len(&self) -> usize {
        self.geometry.output_len() * LANES
    }

    /// Floats that [`InterleavedConv2d::pack_forward`] writes.
    pub fn packed_forward_len(&self) -> usize {
        let channels = self.geometry.options().out_channels;
        channels * (1 + self.forward.depth())
    }

    /// Floats that [`InterleavedConv2d::pack_backward`] writes.
    pub fn packed_backward_len(&self) -> usize {
        self.geometry.options().in_channels * self.backward.depth()
    }

    /// Bias and weights `[O, C / groups, Kh, Kw]` in the order in which [`InterleavedConv2d::forward`]
    /// reads them with the same `isa`.
    ///
    /// # Errors
    /// [`Error::Length`].
    pub fn pack_forward(
        &self,
        isa: Isa,
        weight: &[f32],
        bias: Option<&[f32]>,
        packed: &mut [f32],
    ) -> Result<(), Error> {
        let channels = self.geometry.options().out_channels;
        expect_len(OP, "the weight", self.geometry.weight_len(), weight.len())?;
        expect_len(OP, "the packed weight", self.packed_forward_len(), packed.len())?;
        let (packed_bias, packed) = packed.split_at_mut(channels);
        match bias {
            Some(bias) => {
                expect_len(OP, "the bias", channels, bias.len())?;
                packed_bias.copy_from_slice(bias);
            }
            None => packed_bias.fill(0.0),
        }
        let rows = self.geometry.group_outputs();
        let weights = Weights {
            weight,
            group_stride: rows * (self.geometry.weight_len() / channels),
            lane_stride: self.geometry.weight_len() / channels,
            channel_stride: self.geometry.kernel_len(),
        };
        let (classes, groups) = (&self.forward.classes, self.geometry.options().groups);
        isa.run(Pack { classes, groups, rows, weights, packed });
        Ok(())
    }

    /// Weights `[O, C / groups, Kh, Kw]` in the order in which [`InterleavedConv2d::backward_input`]
    /// reads them with the same `isa`.
    ///
    /// # Errors
    /// [`Error::Length`].
    pub fn pack_backward(&self, isa: Isa, weight: &[f32], packed: &mut [f32]) -> Result<(), Error> {
        expect_len(OP, "the weight", self.geometry.weight_len(), weight.len())?;
        expect_len(OP, "the packed weight", self.packed_backward_len(), packed.len())?;
        let (rows, outputs) = (self.geometry.group_inputs(), self.geometry.group_outputs());
        let kernel_len = self.geometry.kernel_len();
        let weights = Weights {
            weight,
            group_stride: outputs * rows * kernel_len,
            lane_stride: kernel_len,
            channel_stride: rows * kernel_len,
        };
        let (classes, groups) = (&self.backward.classes, self.geometry.options().groups);
        isa.run(Pack { classes, groups, rows, weights, packed });
        Ok(())
    }

    /// y = LeakyReLU(convolution of x + bias) of one unit, for the weights of
    /// [`InterleavedConv2d::pack_forward`]; slope 1 for no activation. x `[C, H, W, 16]`, y
    /// `[O, Ho, Wo, 16]`. Products with padding are left out, so they are 0 even for a weight that is NaN
    /// or infinite.
    ///
    /// With `moments` the mean of each channel of y and the sum of the squares of its distances from it,
    /// both `[O]`.
    ///
    /// # Errors
    /// [`Error::Length`].
    pub fn forward(
        &self,
        isa: Isa,
        packed: &[f32],
        x: &[f32],
        negative_slope: f32,
        y: &mut [f32],
        moments: Option<[&mut [f32]; 2]>,
    ) -> Result<(), Error> {
        let channels = self.geometry.options().out_channels;
        expect_len(OP, "the packed weight", self.packed_forward_len(), packed.len())?;
        expect_len(OP, "x", self.input_len(), x.len())?;
        expect_len(OP, "y", self.output_len(), y.len())?;
        for moments in moments.iter().flatten() {
            expect_len(OP, "the moments", channels, moments.len())?;
        }
        let (bias, packed) = packed.split_at(channels);
        isa.run(Product {
            direction: &self.forward,
            groups: self.geometry.options().groups,
            rows: self.geometry.group_outputs(),
            packed,
            bias,
            negative_slope,
            x,
            out: y,
            moments,
        });
        Ok(())
    }

    /// The gradient dx `[C, H, W, 16]` of one unit by x, of dy `[O, Ho, Wo, 16]`, for the weights of
    /// [`InterleavedConv2d::pack_backward`].
    ///
    /// # Errors
    /// [`Error::Length`].
    pub fn backward_input(
        &self,
        isa: Isa,
        packed: &[f32],
        dy: &[f32],
        dx: &mut [f32],
    ) -> Result<(), Error> {
        expect_len(OP, "the packed weight", self.packed_backward_len(), packed.len())?;
        expect_len(OP, "dy", self.output_len(), dy.len())?;
        expect_len(OP, "dx", self.input_len(), dx.len())?;
        isa.run(Product {
            direction: &self.backward,
            groups: self.geometry.options().groups,
            rows: self.geometry.group_inputs(),
            packed,
            bias: &[],
            negative_slope: 1.0,
            x: dy,
            out: dx,
            moments: None,
        });
        Ok(())
    }

    /// Adds the gradient by the weight `[O, C / groups, Kh, Kw]` of one unit, x `[C, H, W, 16]` and dy
    /// `[O, Ho, Wo, 16]`, to `sums`.
    ///
    /// # Errors
    /// [`Error::Length`].
    pub fn backward_weight(
        &self,
        isa: Isa,
        x: &[f32],
        dy: &[f32],
        sums: &mut [f32],
    ) -> Result<(), Error> {
        expect_len(OP, "x", self.input_len(), x.len())?;
        expect_len(OP, "dy", self.output_len(), dy.len())?;
        expect_len(OP, "the sums", self.geometry.weight_len(), sums.len())?;
        if self.is_linear() {
            return self.backward_linear(isa, x, dy, sums);
        }
        let groups = self.geometry.options().groups;
        let (x_len, dy_len, len) = (x.len() / groups, dy.len() / groups, sums.len() / groups);
        for group in 0..groups {
            isa.run(Accumulate {
                classes: &self.forward.classes,
                offsets: &self.forward.offsets,
                columns: &self.columns,
                rows: self.geometry.group_outputs(),
                dy: &dy[group * dy_len..][..dy_len],
                x: &x[group * x_len..][..x_len],
                out: &mut sums[group * len..][..len],
            });
        }
        Ok(())
    }
}

impl InterleavedConv2d {
    /// Whether every output meets every input once, in the order of the weights.
    fn is_linear(&self) -> bool {
        let options = self.geometry.options();
        let whole = options.kernel_size == self.geometry.input_size();
        whole && options.padding == [0, 0] && options.groups == 1
    }

    /// [`InterleavedConv2d::backward_weight`] of a linear layer, as the product of dy `[O, 16]` and x
    /// `[16, features]`: with the images along the depth no sums across lanes are needed.
    fn backward_linear(
        &self,
        isa: Isa,
        x: &[f32],
        dy: &[f32],
        sums: &mut [f32],
    ) -> Result<(), Error> {
        let (features, outputs) = (x.len() / LANES, dy.len() / LANES);
        with_scratch(x.len(), |images| {
            deinterleave(isa, features, x, images)?;
            gemm(
                &Context::new(isa, Threads::serial()),
                Matrix::row_major(dy, [outputs, LANES])?,
                Matrix::row_major(images, [LANES, features])?,
                MatrixMut::row_major(sums, [outputs, features])?,
                GemmOptions { beta: 1.0, ..GemmOptions::default() },
            )
        })
    }
}

/// What forward and the gradient by the input have in common.
struct Product<'a> {
    direction: &'a Direction,
    groups: usize,
    /// Channels of the results, of one group.
    rows: usize,
    packed: &'a [f32],
    bias: &'a [f32],
    negative_slope: f32,
    x: &'a [f32],
    /// `[groups, rows, results, 16]`
    out: &'a mut [f32],
    moments: Option<[&'a mut [f32]; 2]>,
}

impl Kernel for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Product { direction, groups, rows, mut packed, bias, negative_slope, .. } = self;
        let Product { x, out, moments, .. } = self;
        let (x_len, out_len) = (x.len() / groups, out.len() / groups);
        let Direction { classes, offsets } = direction;
        for (class, offsets) in classes.iter().zip(offsets) {
            for group in 0..groups {
                let (a, rest) = packed.split_at(rows * offsets.len());
                packed = rest;
                Multiply {
                    class,
                    offsets,
                    rows,
                    a,
                    x: &x[group * x_len..][..x_len],
                    bias: bias.get(group * rows..(group + 1) * rows).unwrap_or_default(),
                    negative_slope,
                    out: &mut out[group * out_len..][..out_len],
                }
                .run(simd);
            }
        }
        if let Some([means, squares]) = moments {
            for (row, out) in out.chunks_exact(out_len / rows).enumerate() {
                (means[row], squares[row]) = crate::moments::moments(simd, out);
            }
        }
    }
}

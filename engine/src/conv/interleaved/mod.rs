//! Convolution of interleaved images: units of 16, the images innermost, `[C, H, W, 16]`.
//!
//! A vector holds one pixel of 16 images. So patches need no copies at all, no vector has a tail, and
//! whatever works on `[C, H · W]` works on `[C, H · W · 16]` unchanged: activations, batch normalisation,
//! losses. Where a batch has enough images this is the fastest layout for few channels.
//!
//! Every function works on one unit, on the calling thread, so that a caller can do all that a step has
//! to do with a unit while it is in the cache.

mod accumulate;
mod layout;
mod multiply;
mod normalized;
mod packing;
mod product;
mod weights;

pub use layout::{deinterleave, interleave};

use super::classes::{self, Class};
use super::geometry::OP;
use super::{Conv2d, Conv2dOptions, Then};
use crate::buffer::with_scratch;
use crate::error::expect_len;
use crate::gemm::{GemmOptions, Matrix, MatrixMut, gemm};
use crate::simd::{Isa, LANES};
use crate::{Context, Error, Threads};
use accumulate::Accumulate;
use multiply::Finish;
use product::Product;

/// A [`Conv2d`] of interleaved images.
#[derive(Clone, Debug)]
pub struct InterleavedConv2d {
    geometry: Conv2d,
    forward: Direction,
    backward: Direction,
    /// For each forward class: where its kernel elements lie in `[C, Kh, Kw]`.
    columns: Vec<Vec<usize>>,
    /// x is to be normalised first.
    normalizes: bool,
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
        InterleavedConv2d::build(geometry, false)
    }

    /// The convolution of what a batch normalisation makes of interleaved images, which are normalised as
    /// they are read: the mean is subtracted from x, the rest is done to weights, bias and sums. That is
    /// the same but for rounding, and saves a pass over the images and memory for what it would write.
    ///
    /// # Errors
    /// As [`InterleavedConv2d::new`].
    pub fn of_normalized(geometry: Conv2d) -> Result<InterleavedConv2d, Error> {
        InterleavedConv2d::build(geometry, true)
    }

    fn build(geometry: Conv2d, normalizes: bool) -> Result<InterleavedConv2d, Error> {
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
        let Conv2dOptions { in_channels, out_channels, .. } = *geometry.options();
        for (what, len, factor) in [
            ("a unit of 16 images", geometry.input_len(), LANES),
            ("a unit of 16 images", geometry.output_len(), LANES),
            ("the packed weight", in_channels, backward.depth()),
            // And a bias for each class, or at least one, and means.
            ("the packed weight", out_channels, forward.depth() + forward.classes.len() + 1),
            ("the packed weight", in_channels, forward.depth() + forward.classes.len() + 1),
        ] {
            let bytes = len.checked_mul(factor).and_then(|len| len.checked_mul(size_of::<f32>()));
            if bytes.is_none_or(|bytes| isize::try_from(bytes / 2).is_err()) {
                return Err(Error::Overflow { op: OP, what });
            }
        }
        Ok(InterleavedConv2d { geometry, forward, backward, columns, normalizes })
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

    /// y = LeakyReLU(convolution of x + bias) of one unit, for the weights of
    /// [`InterleavedConv2d::pack_forward`]; slope 1 for no activation. x `[C, H, W, 16]`, y
    /// `[O, Ho, Wo, 16]`. Products with padding are left out, so they are 0 even for a weight that is NaN
    /// or infinite, and padding is 0 also where x is normalised.
    ///
    /// What `then` measures or normalises by is `[O]`.
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
        then: Then<'_>,
    ) -> Result<(), Error> {
        let channels = self.geometry.options().out_channels;
        expect_len(OP, "the packed weight", self.packed_forward_len(), packed.len())?;
        expect_len(OP, "x", self.input_len(), x.len())?;
        expect_len(OP, "y", self.output_len(), y.len())?;
        let (moments, normalize) = then.parts(OP, channels)?;
        let (biases, packed) = packed.split_at(self.biases_len());
        let (centres, packed) = packed.split_at(self.centres_len());
        isa.run(Product {
            direction: &self.forward,
            groups: self.geometry.options().groups,
            rows: self.geometry.group_outputs(),
            biases,
            centres,
            packed,
            finish: Finish { negative_slope, normalize },
            x,
            out: y,
            moments,
        });
        Ok(())
    }

    /// The gradient dx `[C, H, W, 16]` of one unit by x (by what x becomes when it is normalised), of dy `[O, Ho, Wo, 16]`, for the weights of
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
            biases: &[],
            centres: &[],
            packed,
            finish: Finish { negative_slope: 1.0, normalize: None },
            x: dy,
            out: dx,
            moments: None,
        });
        Ok(())
    }

    /// Adds what the gradient by the weight is made of, of one unit, x `[C, H, W, 16]` and dy
    /// `[O, Ho, Wo, 16]`, to `sums`, which start as zeros. `mean` `[C]` is that of the normalisation, for
    /// convolutions [of normalised images](InterleavedConv2d::of_normalized).
    ///
    /// # Errors
    /// As [`InterleavedConv2d::pack_forward`].
    pub fn backward_weight(
        &self,
        isa: Isa,
        x: &[f32],
        mean: Option<&[f32]>,
        dy: &[f32],
        sums: &mut [f32],
    ) -> Result<(), Error> {
        expect_len(OP, "x", self.input_len(), x.len())?;
        expect_len(OP, "dy", self.output_len(), dy.len())?;
        expect_len(OP, "the sums", self.sums_len(), sums.len())?;
        self.check_input(mean.map(|mean| [mean]))?;
        let (sums, dy_sums) = sums.split_at_mut(self.geometry.weight_len());
        if mean.is_some() {
            let classes = &self.forward.classes;
            isa.run(normalized::SumResults { classes, dy, sums: dy_sums });
        } else if self.is_linear() {
            return self.backward_linear(isa, x, dy, sums);
        }
        let groups = self.geometry.options().groups;
        let means = mean.unwrap_or_default();
        let (x_len, dy_len, len) = (x.len() / groups, dy.len() / groups, sums.len() / groups);
        let inputs = means.len() / groups;
        for group in 0..groups {
            isa.run(Accumulate {
                classes: &self.forward.classes,
                offsets: &self.forward.offsets,
                columns: &self.columns,
                rows: self.geometry.group_outputs(),
                dy: &dy[group * dy_len..][..dy_len],
                x: &x[group * x_len..][..x_len],
                means: &means[group * inputs..][..inputs],
                kernel_len: self.geometry.kernel_len(),
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

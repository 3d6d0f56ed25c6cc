//! Convolution of interleaved images: groups of 16, the images innermost, `[N / 16, C, H, W, 16]`.
//!
//! A vector holds one pixel of 16 images. So patches need no copies at all, no vector has a tail, and
//! whatever works on `[N, C, H · W]` works on `[N / 16, C, H · W · 16]` unchanged: activations, batch
//! normalisation, losses. Where a batch has enough images this is the fastest layout for few channels.

mod classes;
mod kernel;
mod layout;

pub use layout::{deinterleave, interleave};

use super::geometry::OP;
use super::{Conv2d, Conv2dFused, Conv2dParameters};
use crate::buffer::with_scratch;
use crate::error::{expect_len, expect_values_per_channel};
use crate::gemm::{Blocks, PackedA, Source, with_packed};
use crate::moments::Runs;
use crate::simd::{Kernel, LANES, Simd};
use crate::{Context, Error};
use classes::{Class, Place};
use kernel::{Accumulate, Multiply};
use std::ops::Range;

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
        Ok(InterleavedConv2d { geometry, forward, backward, columns })
    }

    /// The sizes.
    pub fn geometry(&self) -> &Conv2d {
        &self.geometry
    }

    /// [`conv2d_fused`](super::conv2d_fused) of x `[N / 16, C, H, W, 16]`, to y `[N / 16, O, Ho, Wo, 16]`.
    ///
    /// # Errors
    /// [`Error::Invalid`] if x is not a whole number of groups of 16 images, or statistics are asked
    /// for of no images; [`Error::Length`] if another slice does not have its shape's length.
    pub fn forward(
        &self,
        cx: &Context,
        x: &[f32],
        parameters: Conv2dParameters<'_>,
        fused: Conv2dFused<'_>,
        y: &mut [f32],
    ) -> Result<(), Error> {
        let geometry = &self.geometry;
        let units = units_of("x", x.len(), geometry.input_len())?;
        parameters.check(geometry)?;
        expect_len(OP, "y", units * geometry.output_len() * LANES, y.len())?;
        let channels = geometry.options().out_channels;
        let run_len = geometry.output_len() / channels * LANES;
        if let Some((mean, variance)) = &fused.statistics {
            expect_len(OP, "the mean", channels, mean.len())?;
            expect_len(OP, "the variance", channels, variance.len())?;
            expect_values_per_channel(OP, units * run_len)?;
        }
        let rows = geometry.group_outputs();
        let product = Product {
            direction: &self.forward,
            groups: geometry.options().groups,
            rows,
            images: x,
            image_len: geometry.input_len() * LANES,
            bias: parameters.bias.unwrap_or(&[]),
            negative_slope: fused.negative_slope,
        };
        let weights = Weights {
            weight: parameters.weight,
            group_stride: rows * (geometry.weight_len() / channels),
            lane_stride: geometry.weight_len() / channels,
            channel_stride: geometry.kernel_len(),
        };
        let Some((mean, variance)) = fused.statistics else {
            product.run(cx, weights, y, None);
            return Ok(());
        };
        let runs = units * channels;
        with_scratch(2 * runs + 2 * channels, |scratch| {
            let (means, rest) = scratch.split_at_mut(runs);
            let (squares, rest) = rest.split_at_mut(runs);
            product.run(cx, weights, y, Some([&mut *means, &mut *squares]));
            let runs = Runs { run_len, runs: units, stride: channels, means, squares };
            runs.merge(cx, [&mut *mean, &mut *variance], rest);
            let count = (units * run_len) as f32;
            variance.iter_mut().for_each(|squares| *squares /= count);
        });
        Ok(())
    }

    /// [`conv2d_backward_input`](super::conv2d_backward_input) of dy `[N / 16, O, Ho, Wo, 16]`, to dx
    /// `[N / 16, C, H, W, 16]`.
    ///
    /// # Errors
    /// [`Error::Invalid`] if dy is not a whole number of groups of 16 images, [`Error::Length`] if
    /// another slice does not have its shape's length.
    pub fn backward_input(
        &self,
        cx: &Context,
        weight: &[f32],
        dy: &[f32],
        dx: &mut [f32],
    ) -> Result<(), Error> {
        let geometry = &self.geometry;
        let units = units_of("dy", dy.len(), geometry.output_len())?;
        expect_len(OP, "the weight", geometry.weight_len(), weight.len())?;
        expect_len(OP, "dx", units * geometry.input_len() * LANES, dx.len())?;
        let (inputs, outputs) = (geometry.group_inputs(), geometry.group_outputs());
        let kernel_len = geometry.kernel_len();
        let product = Product {
            direction: &self.backward,
            groups: geometry.options().groups,
            rows: inputs,
            images: dy,
            image_len: geometry.output_len() * LANES,
            bias: &[],
            negative_slope: 1.0,
        };
        let weights = Weights {
            weight,
            group_stride: outputs * inputs * kernel_len,
            lane_stride: kernel_len,
            channel_stride: inputs * kernel_len,
        };
        product.run(cx, weights, dx, None);
        Ok(())
    }

    /// [`conv2d_backward_weight`](super::conv2d_backward_weight) of x `[N / 16, C, H, W, 16]` and dy
    /// `[N / 16, O, Ho, Wo, 16]`.
    ///
    /// # Errors
    /// [`Error::Invalid`] if x is not a whole number of groups of 16 images, [`Error::Length`] if
    /// another slice does not have its shape's length.
    pub fn backward_weight(
        &self,
        cx: &Context,
        x: &[f32],
        dy: &[f32],
        dweight: &mut [f32],
        dbias: Option<&mut [f32]>,
    ) -> Result<(), Error> {
        let geometry = &self.geometry;
        let units = units_of("x", x.len(), geometry.input_len())?;
        expect_len(OP, "dy", units * geometry.output_len() * LANES, dy.len())?;
        expect_len(OP, "dweight", geometry.weight_len(), dweight.len())?;
        if let Some(dbias) = dbias {
            expect_len(OP, "dbias", geometry.options().out_channels, dbias.len())?;
            super::conv2d::plane_sums(cx, units, geometry.output_len() * LANES, dy, dbias);
        }
        let groups = geometry.options().groups;
        let positions = geometry.output_len() / geometry.options().out_channels;
        let factors = [2 * LANES, units, positions, dweight.len()];
        let work = factors.into_iter().fold(1, usize::saturating_mul);
        super::conv2d::add_runs(cx, groups, units, work, dweight, |group, units, out| {
            out.fill(0.0);
            let (x_len, dy_len) = (geometry.input_len() * LANES, geometry.output_len() * LANES);
            cx.isa().run(Accumulate {
                classes: &self.forward.classes,
                offsets: &self.forward.offsets,
                columns: &self.columns,
                units: units.len(),
                rows: geometry.group_outputs(),
                dy: &dy[units.start * dy_len + group * (dy_len / groups)..],
                dy_stride: dy_len,
                plane_stride: positions * LANES,
                x: &x[units.start * x_len + group * (x_len / groups)..],
                x_stride: x_len,
                out,
            });
        });
        Ok(())
    }
}

/// How many groups of 16 images of `image_len` floats `len` floats are.
fn units_of(what: &'static str, len: usize, image_len: usize) -> Result<usize, Error> {
    let unit = image_len.checked_mul(LANES).ok_or(Error::Overflow { op: OP, what })?;
    if len.is_multiple_of(unit) {
        return Ok(len / unit);
    }
    let found = format!("{len} elements for images of {image_len}");
    Err(Error::Invalid { op: OP, what, expected: "a whole number of groups of 16 images", found })
}

/// Weights whose element (group, lane, channel, kernel element) lies at `group · group_stride + lane ·
/// lane_stride + channel · channel_stride + kernel element`.
#[derive(Clone, Copy)]
struct Weights<'a> {
    weight: &'a [f32],
    group_stride: usize,
    lane_stride: usize,
    channel_stride: usize,
}

/// Weights of one class and group as the operand A: the depth runs over channels and the class's kernel
/// elements.
struct ClassWeights<'a> {
    weights: Weights<'a>,
    group: usize,
    lanes: usize,
    class: &'a Class,
}

impl Source for ClassWeights<'_> {
    #[inline(always)]
    fn lanes(&self) -> usize {
        self.lanes
    }

    #[inline(always)]
    fn depth(&self) -> usize {
        self.class.offsets.len()
    }

    #[inline(always)]
    fn pack<S: Simd>(
        &self,
        _: S,
        lanes: Range<usize>,
        depth: Range<usize>,
        width: usize,
        out: &mut [f32],
    ) {
        let Weights { weight, group_stride, lane_stride, channel_stride } = self.weights;
        let kernels = &self.class.kernels;
        for (k, out) in depth.zip(out.chunks_exact_mut(width)) {
            let (channel, kernel) = (k / kernels.len(), kernels[k % kernels.len()]);
            let first = self.group * group_stride + channel * channel_stride + kernel;
            for (out, lane) in out.iter_mut().zip(lanes.clone()) {
                *out = weight[first + lane * lane_stride];
            }
            out[lanes.len()..].fill(0.0);
        }
    }
}

/// What forward and the gradient by the input have in common.
struct Product<'a> {
    direction: &'a Direction,
    groups: usize,
    /// Channels of the results, of one group.
    rows: usize,
    images: &'a [f32],
    /// Floats of one group of 16 images.
    image_len: usize,
    bias: &'a [f32],
    negative_slope: f32,
}

impl Product<'_> {
    /// Writes the results `[N / 16, groups, rows, results, 16]` and, if wanted, the mean of each row of
    /// each unit and the squares about it, both `[N / 16, groups, rows]`.
    fn run(
        &self,
        cx: &Context,
        weights: Weights<'_>,
        out: &mut [f32],
        moments: Option<[&mut [f32]; 2]>,
    ) {
        let Direction { classes, .. } = self.direction;
        let source = |n: usize| ClassWeights {
            weights,
            group: n % self.groups,
            lanes: self.rows,
            class: &classes[n / self.groups],
        };
        let units = self.images.len() / self.image_len;
        let tasks = units * self.groups;
        let Some(chunk) = out.len().checked_div(tasks) else { return };
        let depth = classes.iter().map(|class| class.offsets.len()).max().unwrap_or(0);
        let work = [2, out.len(), depth].into_iter().fold(1_usize, usize::saturating_mul);
        with_packed(cx, Blocks::default(), classes.len() * self.groups, source, |packed| {
            let run = |task: usize, out: &mut [f32], moments: Option<[&mut [f32]; 2]>| {
                cx.isa().run(Unit { product: self, task, packed, out, moments });
            };
            match moments {
                None => cx.threads().for_each_chunk(tasks, work, [(out, chunk)], |task, [out]| {
                    run(task, out, None);
                }),
                Some([means, squares]) => {
                    let outputs = [(out, chunk), (means, self.rows), (squares, self.rows)];
                    cx.threads().for_each_chunk(tasks, work, outputs, |task, outputs| {
                        let [out, means, squares] = outputs;
                        run(task, out, Some([means, squares]));
                    });
                }
            }
        });
    }
}

/// One task: one group of channels of 16 images.
struct Unit<'a> {
    product: &'a Product<'a>,
    task: usize,
    /// `[classes][groups]`
    packed: &'a [PackedA],
    /// `[rows, results, 16]`
    out: &'a mut [f32],
    moments: Option<[&'a mut [f32]; 2]>,
}

impl Kernel for Unit<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Unit { product, task, packed, out, moments } = self;
        let (unit, group) = (task / product.groups, task % product.groups);
        let group_len = product.image_len / product.groups;
        let x = &product.images[unit * product.image_len + group * group_len..][..group_len];
        let bias = match product.bias {
            [] => &[],
            bias => &bias[group * product.rows..][..product.rows],
        };
        let Direction { classes, offsets } = product.direction;
        for (n, (class, offsets)) in classes.iter().zip(offsets).enumerate() {
            Multiply {
                class,
                offsets,
                a: &packed[n * product.groups + group],
                x,
                bias,
                negative_slope: product.negative_slope,
                out: &mut *out,
            }
            .run(simd);
        }
        if let Some([means, squares]) = moments {
            for (row, out) in out.chunks_exact(out.len() / product.rows).enumerate() {
                (means[row], squares[row]) = crate::moments::moments(simd, out);
            }
        }
    }
}

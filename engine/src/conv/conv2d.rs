//! Forward, and below it the gradients by the input and by the weight.

use super::band::Band;
use super::channels::{self, Pointwise, Weights, task_pixels};
use super::geometry::{Conv2d, Grid, OP, View};
use super::gradient::{WeightGradient, add_runs, plane_sums};
use crate::buffer::with_scratch;
use crate::disjoint::Disjoint;
use crate::error::{expect_len, expect_values_per_channel};
use crate::gemm::{Blocks, Dense, Source, with_packed};
use crate::moments::{Runs, merge_parts};
use crate::simd::Simd;
use crate::{Context, Error};
use std::ops::Range;

/// Parameters of a convolution.
#[derive(Clone, Copy, Debug)]
pub struct Conv2dParameters<'a> {
    /// `[O, C / groups, Kh, Kw]`
    pub weight: &'a [f32],
    /// `[O]`
    pub bias: Option<&'a [f32]>,
}

impl Conv2dParameters<'_> {
    pub(super) fn check(&self, geometry: &Conv2d) -> Result<(), Error> {
        expect_len(OP, "the weight", geometry.weight_len(), self.weight.len())?;
        let outputs = geometry.options().out_channels;
        self.bias.map_or(Ok(()), |bias| expect_len(OP, "the bias", outputs, bias.len()))
    }
}

/// `y[n, o, ho, wo] = bias[o] + Σ x[n, c, ho·Sh + kh·Dh − Ph, wo·Sw + kw·Dw − Pw] · weight[o, c, kh, kw]`,
/// the sum running over the channels `c` of the group of `o` and over `kh` and `kw`, with x zero
/// outside the image.
///
/// x `[N, C, H, W]`, y `[N, O, Ho, Wo]`; N is what x holds. y is overwritten.
///
/// # Errors
/// [`Error::Invalid`] if x is not a whole number of images, [`Error::Length`] if another slice does
/// not have its shape's length.
pub fn conv2d(
    cx: &Context,
    geometry: &Conv2d,
    x: &[f32],
    parameters: Conv2dParameters<'_>,
    y: &mut [f32],
) -> Result<(), Error> {
    conv2d_fused(cx, geometry, x, parameters, Conv2dFused::default(), y)
}

/// What is done to the output of a convolution while it is in the cache.
#[derive(Debug)]
pub struct Conv2dFused<'a> {
    /// Negative outputs are multiplied by this: LeakyReLU, or ReLU for 0. 1 leaves them.
    pub negative_slope: f32,
    /// Mean and biased variance `[O]` over the batch and the image of what is written to y: the
    /// statistics that a batch normalisation behind it needs.
    pub statistics: Option<(&'a mut [f32], &'a mut [f32])>,
}

impl Default for Conv2dFused<'_> {
    fn default() -> Self {
        Conv2dFused { negative_slope: 1.0, statistics: None }
    }
}

/// [`conv2d`] fused with LeakyReLU and the statistics of a batch normalisation.
///
/// The moments of each image (of each band of its rows, if it is large) are taken while it is in the
/// cache, and merged in order.
///
/// # Errors
/// As [`conv2d`], and [`Error::Invalid`] if statistics are asked for of one value per channel.
pub fn conv2d_fused(
    cx: &Context,
    geometry: &Conv2d,
    x: &[f32],
    parameters: Conv2dParameters<'_>,
    fused: Conv2dFused<'_>,
    y: &mut [f32],
) -> Result<(), Error> {
    let batch = geometry.batch_of("x", x.len(), geometry.input_len())?;
    parameters.check(geometry)?;
    expect_len(OP, "y", geometry.batch_len("y", batch, geometry.output_len())?, y.len())?;
    let channels = geometry.options().out_channels;
    let [height, width] = geometry.output_size();
    if let Some((mean, variance)) = &fused.statistics {
        expect_len(OP, "the mean", channels, mean.len())?;
        expect_len(OP, "the variance", channels, variance.len())?;
        expect_values_per_channel(OP, batch * height * width)?;
    }

    let view = &geometry.forward;
    let (rows, depth) = (geometry.group_outputs(), geometry.weight_len() / channels);
    let weights = |group: usize| Dense {
        data: &parameters.weight[group * rows * depth..],
        lanes: rows,
        depth,
        lane_stride: depth,
        depth_stride: 1,
    };
    let sums = Correlation {
        view,
        groups: geometry.options().groups,
        rows,
        images: x,
        bias: parameters.bias.unwrap_or(&[]),
        negative_slope: fused.negative_slope,
    };
    let (groups, inputs) = (geometry.options().groups, geometry.group_inputs());
    let run = |y: &mut [f32], moments: Option<[&mut [f32]; 2]>| {
        let (bias, negative_slope) = (sums.bias, fused.negative_slope);
        if let Some(pixels) = geometry.pointwise() {
            let (channels, lanes, images) = (inputs, rows, x);
            let product =
                Pointwise { groups, channels, lanes, pixels, images, bias, negative_slope };
            return product.run(cx, weights, y, moments);
        }
        let Some(channels) = &view.channels else { return sums.run(cx, weights, y, moments) };
        let (weight, kernel) = (parameters.weight, geometry.kernel_len());
        let weights = Weights { weight, outputs: rows, inputs, kernel, is_backward: false };
        let images = x;
        channels::Correlation { view, channels, groups, images, weights, bias, negative_slope }
            .run(cx, y, moments);
    };
    // Elements of a part whose moments are taken at a time, and parts.
    let (part_len, bands) = match (geometry.pointwise(), &view.channels) {
        (Some(pixels), _) => {
            let part = task_pixels(inputs, pixels);
            (part, pixels.div_ceil(part))
        }
        (None, Some(channels)) => (channels.bands().0 * width, channels.bands().1),
        (None, None) => (view.planes.band * width, view.planes.bands),
    };
    let Some((mean, variance)) = fused.statistics else {
        run(y, None);
        return Ok(());
    };
    let runs = batch * channels;
    let len = runs * bands;
    with_scratch(2 * len + 2 * channels, |scratch| {
        let (means, rest) = scratch.split_at_mut(len);
        let (squares, rest) = rest.split_at_mut(len);
        run(y, Some([&mut *means, &mut *squares]));
        merge_parts([&mut *means, &mut *squares], rows, part_len, height * width);
        let (means, squares) = (&means[..runs], &squares[..runs]);
        let runs = Runs { run_len: height * width, runs: batch, stride: channels, means, squares };
        runs.merge(cx, [&mut *mean, &mut *variance], rest);
        let count = (batch * height * width) as f32;
        variance.iter_mut().for_each(|squares| *squares /= count);
    });
    Ok(())
}

/// Gradient by the input of [`conv2d`]: `dx[n, c, h, w] = Σ weight[o, c, kh, kw] · dy[n, o, ho, wo]` over
/// all products `x[n, c, h, w] · weight[o, c, kh, kw]` that were added to `y[n, o, ho, wo]`.
///
/// weight `[O, C / groups, Kh, Kw]`, dy `[N, O, Ho, Wo]`, dx `[N, C, H, W]`; N is what dy holds. dx is
/// overwritten.
///
/// Pixels whose coordinates leave the same rest under the stride meet the same kernel elements, so
/// each such phase is a convolution of dy with stride 1: every pixel is one sum, and nothing is
/// scattered.
///
/// # Errors
/// [`Error::Invalid`] if dy is not a whole number of images, [`Error::Length`] if another slice does
/// not have its shape's length.
pub fn conv2d_backward_input(
    cx: &Context,
    geometry: &Conv2d,
    weight: &[f32],
    dy: &[f32],
    dx: &mut [f32],
) -> Result<(), Error> {
    let batch = geometry.batch_of("dy", dy.len(), geometry.output_len())?;
    expect_len(OP, "the weight", geometry.weight_len(), weight.len())?;
    expect_len(OP, "dx", geometry.batch_len("dx", batch, geometry.input_len())?, dx.len())?;

    backward_input(cx, geometry, Conv2dParameters { weight, bias: None }, dy, dx);
    Ok(())
}

/// [`conv2d_backward_input`] of slices whose lengths have been checked, plus a bias `[C]`. Pixels that meet
/// no kernel element are the bias alone.
pub(super) fn backward_input(
    cx: &Context,
    geometry: &Conv2d,
    parameters: Conv2dParameters<'_>,
    dy: &[f32],
    dx: &mut [f32],
) {
    let Conv2dParameters { weight, bias } = parameters;
    let bias = bias.unwrap_or(&[]);
    let (inputs, outputs) = (geometry.group_inputs(), geometry.group_outputs());
    let (groups, kernel) = (geometry.options().groups, geometry.options().kernel_size);
    let view = &geometry.backward;
    if view.grids.is_empty() {
        let [height, width] = view.target_size;
        for (n, plane) in dx.chunks_exact_mut(height * width).enumerate() {
            plane.fill(bias.get(n % (groups * inputs)).copied().unwrap_or(0.0));
        }
        return;
    }
    if let Some(pixels) = geometry.pointwise() {
        let weights = |group: usize| Dense {
            data: &weight[group * outputs * inputs..],
            lanes: inputs,
            depth: outputs,
            lane_stride: 1,
            depth_stride: inputs,
        };
        let product = Pointwise {
            groups,
            channels: outputs,
            lanes: inputs,
            pixels,
            images: dy,
            bias,
            negative_slope: 1.0,
        };
        return product.run(cx, weights, dx, None);
    }
    if let Some(channels) = &view.channels {
        let kernel = geometry.kernel_len();
        let weights = Weights { weight, outputs, inputs, kernel, is_backward: true };
        let sums = channels::Correlation {
            view,
            channels,
            groups,
            images: dy,
            weights,
            bias,
            negative_slope: 1.0,
        };
        return sums.run(cx, dx, None);
    }
    let weights = |n: usize| {
        let (grid, group) = (&view.grids[n / groups], n % groups);
        let weight = &weight[group * outputs * inputs * kernel[0] * kernel[1]..];
        GridWeights { weight, outputs, inputs, kernel, grid }
    };
    let sums = Correlation { view, groups, rows: inputs, images: dy, bias, negative_slope: 1.0 };
    sums.run(cx, weights, dx, None);
}

/// Weights `[O, C, Kh, Kw]` of one group as the operand A of the gradient by the input: lanes are input
/// channels, the depth runs over output channels and the taps of a grid.
struct GridWeights<'a> {
    weight: &'a [f32],
    outputs: usize,
    inputs: usize,
    kernel: [usize; 2],
    grid: &'a Grid,
}

impl Source for GridWeights<'_> {
    #[inline(always)]
    fn lanes(&self) -> usize {
        self.inputs
    }

    #[inline(always)]
    fn depth(&self) -> usize {
        self.outputs * self.grid.rows.taps.len() * self.grid.cols.taps.len()
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
        let [kh, kw] = self.kernel;
        let (rows, cols) = (&self.grid.rows.taps, &self.grid.cols.taps);
        for (k, out) in depth.zip(out.chunks_exact_mut(width)) {
            let (rest, col) = (k / cols.len(), k % cols.len());
            let (output, row) = (rest / rows.len(), rest % rows.len());
            let element = rows[row].kernel * kw + cols[col].kernel;
            for (out, input) in out.iter_mut().zip(lanes.clone()) {
                *out = self.weight[(output * self.inputs + input) * kh * kw + element];
            }
            out[lanes.len()..].fill(0.0);
        }
    }
}

/// What forward and the gradient by the input have in common: a sum for each position of each grid.
pub(super) struct Correlation<'a> {
    pub(super) view: &'a View,
    pub(super) groups: usize,
    /// Channels of the results, of one group.
    pub(super) rows: usize,
    /// `[N, groups, channels, …]`
    pub(super) images: &'a [f32],
    /// One for each row of each group, or none.
    pub(super) bias: &'a [f32],
    /// 1 if there are results that belong to no position: they are the bias alone.
    pub(super) negative_slope: f32,
}

impl Correlation<'_> {
    /// Writes the results `[N, groups, rows, height, width]` and, if wanted, the mean of each row of
    /// each band and the squares about it, both `[N, groups, bands, rows]`. `weights(g · groups + n)`
    /// are those of grid `g` for group `n`.
    fn run<A: Source>(
        &self,
        cx: &Context,
        weights: impl Fn(usize) -> A + Sync,
        out: &mut [f32],
        moments: Option<[&mut [f32]; 2]>,
    ) {
        let view = self.view;
        let image_len = view.planes.image_len();
        let plane = view.target_size[0] * view.target_size[1];
        let bands = view.planes.bands;
        let tasks = out.len() / (self.rows * plane) * bands;
        let depth: usize = view.grids.iter().map(|grid| grid.offsets.len()).sum();
        let work = [2, out.len(), depth].into_iter().fold(1_usize, usize::saturating_mul);
        let scratch = view.planes.len() + self.rows * view.longest_band();
        let out = Disjoint::new(out);
        with_packed(cx, Blocks::default(), view.grids.len() * self.groups, weights, |weights| {
            let run = |task: usize, moments: Option<[&mut [f32]; 2]>| {
                let (item, band) = (task / bands, task % bands);
                with_scratch(scratch, |scratch| {
                    cx.isa().run(Band {
                        sums: self,
                        group: item % self.groups,
                        image: &self.images[item * image_len..][..image_len],
                        band,
                        weights,
                        out: &out,
                        first: item * self.rows * plane,
                        moments,
                        scratch,
                    });
                });
            };
            match moments {
                None => cx.threads().for_each_chunk::<f32, 0>(tasks, work, [], |task, []| {
                    run(task, None);
                }),
                Some(moments) => {
                    let parts = moments.map(|moments| (moments, self.rows));
                    cx.threads().for_each_chunk(tasks, work, parts, |task, parts| {
                        run(task, Some(parts));
                    });
                }
            }
        });
    }
}

/// Gradients by the parameters of [`conv2d`]: `dweight[o, c, kh, kw] = Σ x[n, c, h, w] · dy[n, o, ho, wo]`
/// over all products `x[n, c, h, w] · weight[o, c, kh, kw]` that were added to `y[n, o, ho, wo]`, and
/// `dbias[o] = Σ dy[n, o, ho, wo]`.
///
/// x `[N, C, H, W]`, dy `[N, O, Ho, Wo]`, dweight `[O, C / groups, Kh, Kw]`, dbias `[O]`; N is what x
/// holds. dweight and dbias are overwritten.
///
/// The batch is cut into at most 16 runs of images or of bands of their rows, whose sums are added in
/// order; or, with many weights and input channels, dweight is cut into parts. An element of x that is not finite can make elements of dweight NaN that do not meet it,
/// but only within its channel.
///
/// # Errors
/// [`Error::Invalid`] if x is not a whole number of images, [`Error::Length`] if another slice does
/// not have its shape's length.
pub fn conv2d_backward_weight(
    cx: &Context,
    geometry: &Conv2d,
    x: &[f32],
    dy: &[f32],
    dweight: &mut [f32],
    dbias: Option<&mut [f32]>,
) -> Result<(), Error> {
    let batch = geometry.batch_of("x", x.len(), geometry.input_len())?;
    expect_len(OP, "dy", geometry.batch_len("dy", batch, geometry.output_len())?, dy.len())?;
    expect_len(OP, "dweight", geometry.weight_len(), dweight.len())?;
    if let Some(dbias) = dbias {
        expect_len(OP, "dbias", geometry.options().out_channels, dbias.len())?;
        plane_sums(cx, batch, geometry.output_len(), dy, dbias);
    }
    if let Some(channels) = &geometry.gradient {
        channels::backward_weight(cx, geometry, channels, x, dy, dweight);
        return Ok(());
    }
    let units = batch * geometry.forward.planes.bands;
    let positions = geometry.output_size()[0] * geometry.output_size()[1];
    let work = [2, batch, positions, dweight.len()].into_iter().fold(1, usize::saturating_mul);
    add_runs(cx, geometry.options().groups, units, work, dweight, |group, units, out| {
        WeightGradient { geometry, group, x, dy }.run(cx, units, out);
    });
    Ok(())
}

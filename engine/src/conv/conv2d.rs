//! Forward, and below it the gradients by the input and by the weight.

use super::axis::Axis;
use super::geometry::{Conv2d, OP};
use super::patches::{OutputGradients, Patches, PhaseWeights, TransposedPatches, View};
use crate::buffer::with_scratch;
use crate::error::{expect_len, expect_values_per_channel};
use crate::gemm::{Blocks, Columns, Dense, Output, Product, with_packed};
use crate::moments::{Runs, merge_parts};
use crate::simd::{self, Kernel, Simd};
use crate::{Context, Error};

/// Parameters of a convolution.
#[derive(Clone, Copy, Debug)]
pub struct Conv2dParameters<'a> {
    /// `[O, C / groups, Kh, Kw]`
    pub weight: &'a [f32],
    /// `[O]`
    pub bias: Option<&'a [f32]>,
}

impl Conv2dParameters<'_> {
    fn check(&self, geometry: &Conv2d) -> Result<(), Error> {
        expect_len(OP, "the weight", geometry.weight_len(), self.weight.len())?;
        match self.bias {
            Some(bias) => expect_len(OP, "the bias", geometry.options().out_channels, bias.len()),
            None => Ok(()),
        }
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
/// The moments of each image (of each block of its pixels, if it is large) are taken while it is in
/// the cache, and merged in order.
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
    let groups = geometry.options().groups;
    let view = View { axes: axes(&geometry.forward), channels: geometry.group_inputs() };
    let (rows, positions) = (geometry.group_outputs(), view.positions());
    if let Some((mean, variance)) = &fused.statistics {
        expect_len(OP, "the mean", channels, mean.len())?;
        expect_len(OP, "the variance", channels, variance.len())?;
        expect_values_per_channel(OP, batch * positions)?;
    }
    let planes = geometry.input_len() / groups;
    let weights = |group: usize| Dense {
        data: &parameters.weight[group * rows * view.taps()..],
        lanes: rows,
        depth: view.taps(),
        lane_stride: view.taps(),
        depth_stride: 1,
    };
    with_packed(cx, Blocks::default(), groups, weights, |weights| {
        let product = Product {
            a: weights,
            items: batch * groups,
            b: |item| Patches { view, planes: &x[item * planes..][..planes] },
            alpha: 1.0,
            beta: 0.0,
            bias: parameters.bias.unwrap_or(&[]),
            negative_slope: fused.negative_slope,
        };
        let output = Output {
            data: y,
            origin: 0,
            item_stride: rows * positions,
            row_stride: positions,
            layout: Columns::Contiguous,
            moments: None,
        };
        let Some((mean, variance)) = fused.statistics else {
            return product.run(cx, output);
        };
        let runs = batch * channels;
        let len = runs * positions.div_ceil(product.part_len());
        with_scratch(2 * len + 2 * channels, |scratch| {
            let (means, rest) = scratch.split_at_mut(len);
            let (squares, rest) = rest.split_at_mut(len);
            product.run(cx, Output { moments: Some([&mut *means, &mut *squares]), ..output });
            merge_parts([&mut *means, &mut *squares], rows, product.part_len(), positions);
            let (means, squares) = (&means[..runs], &squares[..runs]);
            let runs = Runs { run_len: positions, runs: batch, means, squares };
            runs.merge(cx, [&mut *mean, &mut *variance], rest);
            let count = (batch * positions) as f32;
            variance.iter_mut().for_each(|squares| *squares /= count);
        });
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
/// each such phase is a convolution of dy with stride 1 (see [`Conv2d`]): every pixel is one sum, and
/// nothing is scattered.
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

    let options = geometry.options();
    let groups = options.groups;
    let (inputs, outputs) = (geometry.group_inputs(), geometry.group_outputs());
    let [height, width] = geometry.input_size();
    let [row_step, col_step] = [options.stride[0] * width, options.stride[1]];
    let planes = geometry.output_len() / groups;
    for (first_row, rows) in &geometry.backward[0] {
        for (first_col, cols) in &geometry.backward[1] {
            let axes = [rows, cols];
            let view = View { axes, channels: outputs };
            let weights = |group: usize| PhaseWeights {
                weight: &weight[group * outputs * inputs * geometry.kernel_len()..],
                outputs,
                inputs,
                kernel_size: options.kernel_size,
                axes,
            };
            let layout = if options.stride == [1, 1] {
                Columns::Contiguous
            } else {
                Columns::Grid { width: cols.positions, row_step, col_step }
            };
            with_packed(cx, Blocks::default(), groups, weights, |weights| {
                let product = Product {
                    a: weights,
                    items: batch * groups,
                    b: |item| Patches { view, planes: &dy[item * planes..][..planes] },
                    alpha: 1.0,
                    beta: 0.0,
                    bias: &[],
                    negative_slope: 1.0,
                };
                product.run(
                    cx,
                    Output {
                        data: dx,
                        origin: first_row * width + first_col,
                        item_stride: inputs * height * width,
                        row_stride: height * width,
                        layout,
                        moments: None,
                    },
                );
            });
        }
    }
    Ok(())
}

/// Gradients by the parameters of [`conv2d`]: `dweight[o, c, kh, kw] = Σ x[n, c, h, w] · dy[n, o, ho, wo]`
/// over all products `x[n, c, h, w] · weight[o, c, kh, kw]` that were added to `y[n, o, ho, wo]`, and
/// `dbias[o] = Σ dy[n, o, ho, wo]`.
///
/// x `[N, C, H, W]`, dy `[N, O, Ho, Wo]`, dweight `[O, C / groups, Kh, Kw]`, dbias `[O]`; N is what x
/// holds. dweight and dbias are overwritten.
///
/// The batch is cut into at most 16 runs of images; their sums are added in order.
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
    if batch == 0 {
        dweight.fill(0.0);
        return Ok(());
    }

    let groups = geometry.options().groups;
    let (inputs, outputs) = (geometry.group_inputs(), geometry.group_outputs());
    let view = View { axes: axes(&geometry.forward), channels: inputs };
    let positions = view.positions();
    let (image_in, image_out) = (geometry.input_len(), geometry.output_len());

    let image_work = 2 * geometry.weight_len() * positions;
    let runs = weight_runs(batch, image_work, geometry.weight_len());
    let run_len = batch.div_ceil(runs);
    let runs = batch.div_ceil(run_len);

    // Item `i` of the product is group `i % groups` of run `i / groups`.
    let images = |item: usize| {
        let first = item / groups * run_len;
        (first, run_len.min(batch - first))
    };
    let gradients = |item: usize| {
        let (first, count) = images(item);
        OutputGradients {
            images: &dy[first * image_out + item % groups * outputs * positions..],
            image_stride: image_out,
            count,
            channels: outputs,
            positions,
        }
    };
    let patches = |item: usize| {
        let (first, count) = images(item);
        TransposedPatches {
            view,
            images: &x[first * image_in + item % groups * (image_in / groups)..],
            image_stride: image_in,
            count,
        }
    };
    // All items of a product have the same depth, and the last run may be shorter.
    let multiply = |runs: std::ops::Range<usize>, out: &mut [f32]| {
        let first = runs.start * groups;
        let items = runs.len() * groups;
        with_packed(
            cx,
            Blocks::default(),
            items,
            |i| gradients(first + i),
            |a| {
                let product = Product {
                    a,
                    items,
                    b: |i| patches(first + i),
                    alpha: 1.0,
                    beta: 0.0,
                    bias: &[],
                    negative_slope: 1.0,
                };
                product.run(
                    cx,
                    Output {
                        data: out,
                        origin: 0,
                        item_stride: outputs * view.taps(),
                        row_stride: view.taps(),
                        layout: Columns::Contiguous,
                        moments: None,
                    },
                );
            },
        );
    };
    if runs == 1 {
        multiply(0..1, dweight);
        return Ok(());
    }
    let len = dweight.len();
    with_scratch(runs * len, |partial| {
        let whole = batch / run_len;
        multiply(0..whole, &mut partial[..whole * len]);
        if whole < runs {
            multiply(whole..runs, &mut partial[whole * len..]);
        }
        cx.isa().run(AddRuns { partial, out: dweight });
    });
    Ok(())
}

/// Into how many runs of images the gradient by the weight is cut: a function of the problem alone.
/// Each run is some work, and the sums of all runs together are no more than a few megabytes.
fn weight_runs(batch: usize, image_work: usize, weight_len: usize) -> usize {
    const RUN_WORK: usize = 1 << 20;
    const PARTIAL_LEN: usize = 1 << 20;
    let by_work = batch.saturating_mul(image_work) / RUN_WORK;
    let by_memory = PARTIAL_LEN / weight_len.max(1);
    by_work.min(by_memory).min(batch).clamp(1, 16)
}

/// `out = Σ partial[i · len..][..len]`, in the order of `i`.
struct AddRuns<'a> {
    partial: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for AddRuns<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let AddRuns { partial, out } = self;
        let (first, rest) = partial.split_at(out.len());
        out.copy_from_slice(first);
        for run in rest.chunks_exact(out.len()) {
            simd::update(
                simd,
                [run],
                [&mut *out],
                #[inline(always)]
                |[run], [out]| [simd.add(out, run)],
            );
        }
    }
}

/// `sums[o] = Σ dy[n, o, ..]` for dy `[N, O, positions]`, `image_len` = O · positions.
fn plane_sums(cx: &Context, batch: usize, image_len: usize, dy: &[f32], sums: &mut [f32]) {
    /// Images of a task.
    const RUN: usize = 8;
    let channels = sums.len();
    with_scratch(batch * channels, |planes| {
        let outputs = [(&mut *planes, RUN * channels)];
        cx.threads().for_each_chunk(batch.div_ceil(RUN), dy.len(), outputs, |run, [sums]| {
            let dy = &dy[run * RUN * image_len..];
            cx.isa().run(PlaneSums { dy, plane_len: image_len / channels, sums });
        });
        sums.fill(0.0);
        for image in planes.chunks_exact(channels) {
            for (sum, plane) in sums.iter_mut().zip(image) {
                *sum += plane;
            }
        }
    });
}

/// `sums[i]` = the sum of the `i`-th plane of dy.
struct PlaneSums<'a> {
    dy: &'a [f32],
    plane_len: usize,
    sums: &'a mut [f32],
}

impl Kernel for PlaneSums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for (sum, plane) in self.sums.iter_mut().zip(self.dy.chunks_exact(self.plane_len)) {
            let [total] = simd::fold(
                simd,
                [plane],
                #[inline(always)]
                |[total], [x]| [simd.add(total, x)],
            );
            *sum = simd.sum(total);
        }
    }
}

fn axes(axes: &[Axis; 2]) -> [&Axis; 2] {
    axes.each_ref()
}

//! Convolution of normalised images without a pass that normalises.
//!
//! Of x a batch normalisation makes (x - mean) · scale + bias, channel by channel. So with w' = w · scale,
//! Σ w · ((x - mean) · scale + bias) = Σ w' · (x - mean) + Σ w · bias: the kernels subtract the mean from what
//! they read, and the last sum belongs to the bias of a class of results, which all meet the same kernel
//! elements. Likewise the gradient by w is scale · Σ dy · (x - mean) + bias · Σ dy.

use crate::conv::Conv2d;
use crate::conv::classes::Class;
use crate::norm::batch::UnitConstants;
use crate::simd::{Kernel, LANES, Simd, load};

/// A convolution's classes, and by what its inputs are normalised.
pub(super) struct Inputs<'a> {
    pub(super) geometry: &'a Conv2d,
    pub(super) classes: &'a [Class],
    /// All `[C]`.
    pub(super) input: UnitConstants<'a>,
}

impl Inputs<'_> {
    /// The first input channel of an output channel's group.
    fn first_input(&self, output: usize) -> usize {
        output / self.geometry.group_outputs() * self.geometry.group_inputs()
    }

    /// `[classes, O]`: the bias plus Σ w · bias of the input, over what the class meets.
    pub(super) fn biases(&self, weight: &[f32], bias: Option<&[f32]>, out: &mut [f32]) {
        let kernel_len = self.geometry.kernel_len();
        let (inputs, outputs) =
            (self.geometry.group_inputs(), self.geometry.options().out_channels);
        for (class, out) in self.classes.iter().zip(out.chunks_exact_mut(outputs)) {
            for (o, out) in out.iter_mut().enumerate() {
                let weight = &weight[o * inputs * kernel_len..][..inputs * kernel_len];
                let shifts = &self.input.bias[self.first_input(o)..][..inputs];
                *out = bias.map_or(0.0, |bias| bias[o]);
                for (weight, shift) in weight.chunks_exact(kernel_len).zip(shifts) {
                    *out += class.kernels.iter().map(|&kernel| weight[kernel]).sum::<f32>() * shift;
                }
            }
        }
    }

    /// For each class and group: the mean of each source's channel.
    pub(super) fn centres(&self, mut out: &mut [f32]) {
        for class in self.classes {
            for means in self.input.mean.chunks_exact(self.geometry.group_inputs()) {
                for mean in means {
                    let (own, rest) = out.split_at_mut(class.kernels.len());
                    own.fill(*mean);
                    out = rest;
                }
            }
        }
    }

    /// w · scale, in the order of w.
    pub(super) fn scale(&self, weight: &[f32], out: &mut [f32]) {
        let (kernel_len, inputs) = (self.geometry.kernel_len(), self.geometry.group_inputs());
        let row_len = inputs * kernel_len;
        let rows = weight.chunks_exact(row_len).zip(out.chunks_exact_mut(row_len));
        for (o, (weight, out)) in rows.enumerate() {
            let scales = &self.input.scale[self.first_input(o)..][..inputs];
            let channels = weight.chunks_exact(kernel_len).zip(out.chunks_exact_mut(kernel_len));
            for ((weight, out), scale) in channels.zip(scales) {
                for (weight, out) in weight.iter().zip(out) {
                    *out = weight * scale;
                }
            }
        }
    }

    /// The gradient by w from Σ dy · (x - mean) `[O, C / groups, Kh, Kw]` and Σ dy of each class's results,
    /// `[classes, O]`.
    pub(super) fn gradient(&self, sums: &[f32], dweight: &mut [f32]) {
        let (products, dy_sums) = sums.split_at(dweight.len());
        let (kernel_len, inputs) = (self.geometry.kernel_len(), self.geometry.group_inputs());
        let (row_len, outputs) = (inputs * kernel_len, self.geometry.options().out_channels);
        self.scale(products, dweight);
        for (class, dy_sums) in self.classes.iter().zip(dy_sums.chunks_exact(outputs)) {
            for (o, (dweight, sum)) in dweight.chunks_exact_mut(row_len).zip(dy_sums).enumerate() {
                let shifts = &self.input.bias[self.first_input(o)..][..inputs];
                for (dweight, shift) in dweight.chunks_exact_mut(kernel_len).zip(shifts) {
                    for &kernel in &class.kernels {
                        dweight[kernel] += shift * sum;
                    }
                }
            }
        }
    }
}

/// Adds Σ dy over the results of each class and all images to `[classes, O]`.
pub(super) struct SumResults<'a> {
    pub(super) classes: &'a [Class],
    /// `[O, Ho, Wo, 16]`
    pub(super) dy: &'a [f32],
    pub(super) sums: &'a mut [f32],
}

impl Kernel for SumResults<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let SumResults { classes, dy, sums } = self;
        let outputs = sums.len() / classes.len().max(1);
        if outputs == 0 {
            return;
        }
        for (class, sums) in classes.iter().zip(sums.chunks_exact_mut(outputs)) {
            for (dy, total) in dy.chunks_exact(dy.len() / outputs).zip(sums) {
                let mut sum = simd.zero();
                for place in &class.results {
                    sum = simd.add(sum, load(simd, &dy[place.result * LANES..]));
                }
                *total += simd.sum(sum);
            }
        }
    }
}

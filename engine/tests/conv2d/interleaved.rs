//! Units of interleaved images.

use crate::problem::{Inputs, Problem, Results, options};
use loupe_engine::conv::{Conv2dOptions, InterleavedConv2d, Then, deinterleave, interleave};
use loupe_engine::norm::batch::{UnitConstants, UnitLayout, UnitNorm};
use loupe_engine::reference::batch_norm::{BatchNorm, batch_statistics};
use loupe_engine::reference::compare::{Tolerance, assert_bits, assert_close, widen};
use loupe_engine::{Context, Error, Isa, Threads};
use proptest::prelude::*;

impl Problem {
    /// [`Problem::run`] on interleaved images.
    fn run_interleaved(&self, cx: &Context, inputs: &Inputs) -> Results {
        let conv = InterleavedConv2d::new(self.geometry()).unwrap();
        self.run_units(cx, &conv, inputs, None)
    }

    /// The same, for images that a normalisation makes of others.
    fn run_normalized(&self, cx: &Context, inputs: &Inputs) -> Results {
        let conv = InterleavedConv2d::of_normalized(self.geometry()).unwrap();
        let of = |first: f32, second: f32| {
            let channel = |c| if c % 2 == 0 { first } else { second };
            (0..self.options.in_channels).map(channel).collect::<Vec<f32>>()
        };
        // Powers of 2 cost no digits.
        let (mean, scale, bias) = (of(0.25, -0.5), of(2.0, -0.5), of(-0.25, 0.5));
        let input = UnitConstants { mean: &mean, scale: &scale, bias: &bias };
        let mut before = inputs.x.clone();
        let plane = self.size[0] * self.size[1];
        for (i, x) in before.chunks_exact_mut(plane).enumerate() {
            let c = i % mean.len();
            x.iter_mut().for_each(|x| *x = (*x - bias[c]) / scale[c] + mean[c]);
        }
        self.run_units(cx, &conv, &Inputs { x: before, ..inputs.clone() }, Some(input))
    }

    fn run_units(
        &self,
        cx: &Context,
        conv: &InterleavedConv2d,
        inputs: &Inputs,
        input: Option<UnitConstants<'_>>,
    ) -> Results {
        let Inputs { x, weight, bias, dy } = inputs;
        let [image_in, image_out] = [conv.geometry().input_len(), conv.geometry().output_len()];
        let isa = cx.isa();
        let turned = |values: &[f32], len: usize| {
            let mut out = vec![f32::NAN; values.len()];
            for (values, unit) in values.chunks(16 * len).zip(out.chunks_mut(16 * len)) {
                interleave(isa, len, values, unit).unwrap();
            }
            out
        };
        let back = |values: &[f32], len: usize| {
            let mut out = vec![f32::NAN; values.len()];
            for (unit, out) in values.chunks(16 * len).zip(out.chunks_mut(16 * len)) {
                deinterleave(isa, len, unit, out).unwrap();
            }
            out
        };
        let (x, dy) = (turned(x, image_in), turned(dy, image_out));
        let (mut y, mut dx) = (vec![f32::NAN; dy.len()], vec![f32::NAN; x.len()]);
        let (mut sums, mut dweight) = (vec![0.0; conv.sums_len()], vec![f32::NAN; weight.len()]);
        let mut forward = vec![f32::NAN; conv.packed_forward_len()];
        let mut backward = vec![f32::NAN; conv.packed_backward_len()];
        conv.pack_forward(isa, weight, self.bias.then_some(bias), input, &mut forward).unwrap();
        conv.pack_backward(isa, weight, &mut backward).unwrap();
        let (input_len, output_len) = (conv.input_len(), conv.output_len());
        let x_units = x.chunks(input_len).zip(dx.chunks_mut(input_len));
        let y_units = dy.chunks(output_len).zip(y.chunks_mut(output_len));
        for ((x, dx), (dy, y)) in x_units.zip(y_units) {
            conv.forward(isa, &forward, x, 1.0, y, Then::Nothing).unwrap();
            conv.backward_input(isa, &backward, dy, dx).unwrap();
            conv.backward_weight(isa, x, input.map(|input| input.mean), dy, &mut sums).unwrap();
        }
        conv.unpack_weight(&sums, input, &mut dweight).unwrap();
        let (y, dx) = (back(&y, image_out), back(&dx, image_in));
        Results { y, dx, dweight, dbias: Vec::new() }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn any_geometry_interleaved(
        (options, size) in options(1..5, 1..8),
        units in 0_usize..3,
        bias in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let problem = Problem { batch: units * 16, options, size, bias, seed };
        problem.check_with(&Threads::serial(), 0.0, Problem::run_interleaved);
        // x, mean and bias: n = (x - mean) · scale + bias, both at most 1/2.
        problem.check_with(&Threads::serial(), 2.0, Problem::run_normalized);
    }
}

#[test]
fn large_interleaved_problems() {
    let plain = Conv2dOptions::new;
    let cases = [
        (48, Conv2dOptions { stride: [2, 2], ..plain(1, 10, [5, 5]) }, [28, 28]),
        (64, Conv2dOptions { stride: [2, 2], ..plain(10, 10, [3, 3]) }, [12, 12]),
        // More than one block of the depth.
        (16, Conv2dOptions { padding: [1, 1], ..plain(33, 20, [3, 3]) }, [7, 8]),
        // A linear layer.
        (80, plain(250, 10, [1, 1]), [1, 1]),
    ];
    for (n, (batch, options, size)) in cases.into_iter().enumerate() {
        let problem = Problem { batch, options, size, bias: true, seed: n as u64 };
        problem.check_with(&Threads::serial(), 0.0, Problem::run_interleaved);
        // x, mean and bias: n = (x - mean) · scale + bias, both at most 1/2.
        problem.check_with(&Threads::serial(), 2.0, Problem::run_normalized);
    }
}

/// The same for a unit of interleaved images: the moments are those of y.
#[test]
fn fused_activation_and_moments_of_interleaved_images() {
    let options = Conv2dOptions { stride: [2, 2], ..Conv2dOptions::new(3, 10, [3, 3]) };
    let problem = Problem { batch: 16, options, size: [12, 11], bias: true, seed: 8 };
    let (geometry, mut inputs) = (problem.geometry(), problem.inputs());
    inputs.bias.iter_mut().for_each(|bias| *bias += 100.0);
    let conv = InterleavedConv2d::new(geometry.clone()).unwrap();
    for isa in Isa::available() {
        let mut packed = vec![f32::NAN; conv.packed_forward_len()];
        conv.pack_forward(isa, &inputs.weight, Some(&inputs.bias), None, &mut packed).unwrap();
        let mut x = vec![f32::NAN; inputs.x.len()];
        interleave(isa, geometry.input_len(), &inputs.x, &mut x).unwrap();
        let (mut y, mut mean, mut squares) =
            (vec![f32::NAN; inputs.dy.len()], [f32::NAN; 10], [f32::NAN; 10]);
        let moments = Then::Measure([&mut mean[..], &mut squares[..]]);
        conv.forward(isa, &packed, &x, 0.02, &mut y, moments).unwrap();
        let mut plain = vec![f32::NAN; y.len()];
        conv.forward(isa, &packed, &x, 1.0, &mut plain, Then::Nothing).unwrap();
        let leaky: Vec<f32> = plain.iter().map(|&x| if x > 0.0 { x } else { x * 0.02 }).collect();
        assert_bits("y", &y, &leaky);

        let spatial = y.len() / 16 / 10;
        let (weight, bias) = (&vec![1.0; 10], &vec![0.0; 10]);
        let norm = BatchNorm { batch: 16, channels: 10, spatial, weight, bias, eps: 1e-5 };
        deinterleave(isa, geometry.output_len(), &y, &mut plain).unwrap();
        let expected = batch_statistics(&norm, &widen(&plain));
        let variance = squares.map(|squares| squares / (16 * spatial) as f32);
        assert_close("mean", &mean, &expected.mean, &Tolerance::abs_rel(0.0, 1e-6));
        assert_close("variance", &variance, &expected.variance, &Tolerance::abs_rel(0.0, 2e-5));

        // Normalising at once gives the bits of a pass of its own.
        let constants = UnitConstants {
            mean: &mean,
            scale: &[0.5, 2.0].repeat(5),
            bias: &[-1.0, 3.0].repeat(5),
        };
        let mut normalized = vec![f32::NAN; y.len()];
        conv.forward(isa, &packed, &x, 0.02, &mut normalized, Then::Normalize(constants)).unwrap();
        let unit = UnitNorm { layout: UnitLayout::Rows, channels: 10, spatial: 16 * spatial };
        unit.normalize(isa, &y, constants, &mut plain).unwrap();
        assert_bits("normalised", &normalized, &plain);
        let short = UnitConstants { scale: &[1.0; 9], ..constants };
        let error = conv.forward(isa, &packed, &x, 0.02, &mut y, Then::Normalize(short));
        assert!(matches!(error, Err(Error::Length { expected: 10, found: 9, .. })));
    }
}

//! Convolutions and their layouts.

use crate::{Fit, fit, floats, pair, size, survive};
use loupe_engine::Isa;
use loupe_engine::conv::*;
use loupe_engine::norm::batch::UnitConstants;
use proptest::prelude::*;

fn options() -> impl Strategy<Value = (Conv2dOptions, [usize; 2])> {
    let channels = prop_oneof![3 => (size(), size()), 7 => (1_usize..40, 1_usize..40)];
    let steps = prop_oneof![2 => (pair(), pair(), pair()), 3 => Just(([1; 2], [1; 2], [1; 2]))];
    let groups = prop_oneof![4 => Just(Some(1)), 1 => size().prop_map(Some), 1 => Just(None)];
    (channels, pair(), steps, groups, pair()).prop_map(
        |((in_channels, outputs), kernel_size, (stride, padding, dilation), groups, image)| {
            // Or each channel by itself.
            let (out_channels, groups) =
                groups.map_or((in_channels, in_channels), |g| (outputs, g));
            let options = Conv2dOptions {
                in_channels,
                out_channels,
                kernel_size,
                stride,
                padding,
                dilation,
                groups,
            };
            (options, image)
        },
    )
}

/// Tables may be long for sizes that nothing refuses, so there are fewer cases.
const CASES: u32 = 300;

#[test]
fn convolutions() {
    let values = (options(), 0_usize..3, [fit(), fit(), fit(), fit()]);
    survive(CASES, values, |contexts, ((options, size), batch, fits)| {
        let Ok(geometry) = Conv2d::new(options, size) else { return };
        let images = |len: usize, fit| floats(&[batch, len], fit);
        let (x, mut y) =
            (images(geometry.input_len(), fits[0]), images(geometry.output_len(), fits[1]));
        let weight = floats(&[geometry.weight_len()], fits[2]);
        let mut bias = floats(&[options.out_channels], fits[3]);
        for cx in contexts {
            let parameters = Conv2dParameters { weight: &weight, bias: Some(&bias) };
            let _ = conv2d(cx, &geometry, &x, parameters, &mut y);
            let (mut mean, mut variance) = (bias.clone(), bias.clone());
            let statistics = Some((&mut mean[..], &mut variance[..]));
            let fused = Conv2dFused { negative_slope: f32::NAN, statistics };
            let _ = conv2d_fused(cx, &geometry, &x, parameters, fused, &mut y);
            let (mut dx, mut dweight) = (x.clone(), weight.clone());
            let _ = conv2d_backward_input(cx, &geometry, &weight, &y, &mut dx);
            let _ = conv2d_backward_weight(cx, &geometry, &x, &y, &mut dweight, Some(&mut bias));
        }
        let mut image = floats(&[geometry.input_len()], fits[0]);
        let [ho, wo] = geometry.output_size();
        let [kh, kw] = options.kernel_size;
        let mut patches = floats(&[options.in_channels, kh, kw, ho, wo], fits[1]);
        let _ = im2col(&geometry, &image, &mut patches);
        let _ = col2im(&geometry, &patches, &mut image);
    });
}

#[test]
fn transposed_convolutions() {
    let values = (options(), pair(), 0_usize..3, [fit(), fit(), fit(), fit()]);
    survive(CASES, values, |contexts, ((o, size), output_padding, batch, fits)| {
        let options = ConvTranspose2dOptions {
            in_channels: o.in_channels,
            out_channels: o.out_channels,
            kernel_size: o.kernel_size,
            stride: o.stride,
            padding: o.padding,
            output_padding,
            dilation: o.dilation,
            groups: o.groups,
        };
        for options in [options, ConvTranspose2dOptions { output_padding: [0, 0], ..options }] {
            let Ok(geometry) = ConvTranspose2d::new(options, size) else { continue };
            let images = |len: usize, fit| floats(&[batch, len], fit);
            let x = images(geometry.input_len(), fits[0]);
            let mut y = images(geometry.output_len(), fits[1]);
            let weight = floats(&[geometry.weight_len()], fits[2]);
            let mut bias = floats(&[options.out_channels], fits[3]);
            for cx in contexts {
                let parameters = Conv2dParameters { weight: &weight, bias: Some(&bias) };
                let _ = conv_transpose2d(cx, &geometry, &x, parameters, &mut y);
                let (mut dx, mut dw) = (x.clone(), weight.clone());
                let _ = conv_transpose2d_backward_input(cx, &geometry, &weight, &y, &mut dx);
                let db = Some(&mut bias[..]);
                let _ = conv_transpose2d_backward_weight(cx, &geometry, &x, &y, &mut dw, db);
            }
        }
    });
}

#[test]
fn layouts() {
    let values = (size(), [fit(), fit()], 0_usize..20);
    survive(1000, values, |_, (size, fits, images)| {
        let mut x = floats(&[images, size], fits[0]);
        let mut unit = floats(&[16, size], fits[1]);
        let mut blocks = floats(&[size.checked_next_multiple_of(16).unwrap_or(0), images], fits[1]);
        for isa in Isa::available() {
            let _ = interleave(isa, size, &x, &mut unit);
            let _ = deinterleave(isa, size, &unit, &mut x);
            let _ = block(isa, size, &x, &mut blocks);
            let _ = unblock(isa, size, &blocks, &mut x);
        }
    });
}

/// Each tier, and the one whose packed weights it is given: that of another gives other numbers, no more.
fn pairs() -> impl Iterator<Item = [Isa; 2]> {
    Isa::available().flat_map(|isa| Isa::available().map(move |packing| [isa, packing]))
}

#[test]
fn interleaved_convolutions() {
    survive(CASES, (options(), [fit(), fit(), fit(), fit()]), |_, ((options, size), fits)| {
        let Ok(geometry) = Conv2d::new(options, size) else { return };
        let bias = floats(&[options.out_channels], Fit::Right);
        let means = floats(&[options.in_channels], Fit::Right);
        let input = UnitConstants { mean: &means, scale: &means, bias: &means };
        for new in [InterleavedConv2d::new, InterleavedConv2d::of_normalized] {
            let Ok(conv) = new(geometry.clone()) else { continue };
            let x = floats(&[conv.input_len()], fits[0]);
            let mut y = floats(&[conv.output_len()], fits[1]);
            let mut weight = floats(&[geometry.weight_len()], fits[2]);
            for (input, mean) in [(None, None), (Some(input), Some(&means[..]))] {
                for [isa, packing] in pairs() {
                    let mut packed = floats(&[conv.packed_forward_len()], fits[3]);
                    let _ = conv.pack_forward(packing, &weight, Some(&bias), input, &mut packed);
                    let [mut mean_of_y, mut squares] = [bias.clone(), bias.clone()];
                    let constants = UnitConstants { mean: &bias, scale: &means, bias: &bias };
                    for then in [
                        Then::Nothing,
                        Then::Measure([&mut mean_of_y, &mut squares]),
                        Then::Normalize(constants),
                    ] {
                        let _ = conv.forward(isa, &packed, &x, f32::NAN, &mut y, then);
                    }
                    let mut packed = floats(&[conv.packed_backward_len()], fits[3]);
                    let _ = conv.pack_backward(packing, &weight, &mut packed);
                    let _ = conv.backward_input(isa, &packed, &y, &mut x.clone());
                    let mut sums = floats(&[conv.sums_len()], fits[3]);
                    let _ = conv.backward_weight(isa, &x, mean, &y, &mut sums);
                    let _ = conv.unpack_weight(&sums, input, &mut weight);
                }
            }
        }
    });
}

#[test]
fn blocked_convolutions() {
    survive(CASES, (options(), [fit(), fit(), fit(), fit()]), |_, ((options, size), fits)| {
        let Ok(geometry) = Conv2d::new(options, size) else { return };
        let bias = floats(&[options.out_channels], Fit::Right);
        let lanes = options.out_channels.checked_next_multiple_of(16).unwrap_or(0);
        let lanes = floats(&[lanes], Fit::Right);
        for input in [BlockedInput::Plain, BlockedInput::Blocked] {
            let Ok(conv) = BlockedConv2d::new(geometry.clone(), input) else { continue };
            let x = floats(&[conv.input_len()], fits[0]);
            let mut y = floats(&[conv.output_len()], fits[1]);
            let mut weight = floats(&[geometry.weight_len()], fits[2]);
            for [isa, packing] in pairs() {
                let mut packed = floats(&[conv.packed_forward_len()], fits[3]);
                let _ = conv.pack_forward(packing, &weight, Some(&bias), &mut packed);
                let [mut mean, mut squares] = [lanes.clone(), lanes.clone()];
                let constants = UnitConstants { mean: &lanes, scale: &lanes, bias: &bias };
                for constants in [constants, UnitConstants { bias: &lanes, ..constants }] {
                    for then in [
                        Then::Nothing,
                        Then::Measure([&mut mean, &mut squares]),
                        Then::Normalize(constants),
                    ] {
                        let _ = conv.forward(isa, &packed, &x, 0.5, &mut y, then);
                    }
                }
                let mut packed = floats(&[conv.packed_backward_len()], fits[3]);
                let _ = conv.pack_backward(packing, &weight, &mut packed);
                let mut dx = x.clone();
                let _ = conv.backward_input(isa, &packed, &y, &mut dx);
                let mut sums = floats(&[conv.sums_len()], fits[3]);
                let _ = conv.backward_weight(isa, &x, &y, &mut sums);
                let _ = conv.unpack_weight(isa, &sums, &mut weight);
            }
        }
    });
}

//! Operations on images.

use crate::numbers::{Numbers, Results, batch, between, floats, poison};
use loupe_engine::Context;
use loupe_engine::conv::*;
use loupe_engine::pad::*;
use loupe_engine::pool::*;
use loupe_engine::upsample::*;

fn convolution(random: &mut Numbers) -> (Conv2dOptions, [usize; 2]) {
    let groups = between(random, 1, 2);
    let [inputs, outputs] = [(); 2].map(|()| groups * between(random, 1, 18));
    let kernel_size = [(); 2].map(|()| between(random, 1, 3));
    let options = Conv2dOptions {
        stride: [(); 2].map(|()| between(random, 1, 2)),
        padding: [(); 2].map(|()| random.below(2)),
        groups,
        ..Conv2dOptions::new(inputs, outputs, kernel_size)
    };
    (options, [(); 2].map(|()| between(random, 4, 20)))
}

pub(crate) fn convolutions(cx: &Context, random: &mut Numbers) -> Results {
    let (options, size) = convolution(random);
    let geometry = Conv2d::new(options, size).unwrap();
    let n = batch(random);
    let x = floats(random, n * geometry.input_len());
    let dy = floats(random, n * geometry.output_len());
    let weight = floats(random, geometry.weight_len());
    let bias = floats(random, options.out_channels);
    let [mut y, mut fused] = [(); 2].map(|()| poison(dy.len()));
    let (mut dx, mut dweight) = (poison(x.len()), poison(weight.len()));
    let [mut dbias, mut mean, mut variance] = [(); 3].map(|()| poison(bias.len()));
    let parameters = Conv2dParameters { weight: &weight, bias: Some(&bias) };
    conv2d(cx, &geometry, &x, parameters, &mut y).unwrap();
    let statistics = Some((&mut mean[..], &mut variance[..]));
    let then = Conv2dFused { negative_slope: 0.1, statistics };
    conv2d_fused(cx, &geometry, &x, parameters, then, &mut fused).unwrap();
    conv2d_backward_input(cx, &geometry, &weight, &dy, &mut dx).unwrap();
    conv2d_backward_weight(cx, &geometry, &x, &dy, &mut dweight, Some(&mut dbias)).unwrap();
    vec![y, fused, mean, variance, dx, dweight, dbias]
}

pub(crate) fn transposed_convolutions(cx: &Context, random: &mut Numbers) -> Results {
    let (o, size) = convolution(random);
    let options = ConvTranspose2dOptions {
        stride: o.stride,
        groups: o.groups,
        ..ConvTranspose2dOptions::new(o.in_channels, o.out_channels, o.kernel_size)
    };
    let geometry = ConvTranspose2d::new(options, size).unwrap();
    let n = batch(random);
    let x = floats(random, n * geometry.input_len());
    let dy = floats(random, n * geometry.output_len());
    let weight = floats(random, geometry.weight_len());
    let bias = floats(random, options.out_channels);
    let (mut y, mut dx) = (poison(dy.len()), poison(x.len()));
    let (mut dweight, mut dbias) = (poison(weight.len()), poison(bias.len()));
    let parameters = Conv2dParameters { weight: &weight, bias: Some(&bias) };
    conv_transpose2d(cx, &geometry, &x, parameters, &mut y).unwrap();
    conv_transpose2d_backward_input(cx, &geometry, &weight, &dy, &mut dx).unwrap();
    let db = Some(&mut dbias[..]);
    conv_transpose2d_backward_weight(cx, &geometry, &x, &dy, &mut dweight, db).unwrap();
    vec![y, dx, dweight, dbias]
}

pub(crate) fn pools_padding_and_upsampling(cx: &Context, random: &mut Numbers) -> Results {
    let planes = if random.below(3) == 0 { 2 } else { between(random, 60, 200) };
    let size = [(); 2].map(|()| between(random, 8, 40));
    let kernel_size = [(); 2].map(|()| between(random, 1, 3));
    let stride = [(); 2].map(|()| between(random, 1, 3));
    let max = MaxPool2dOptions { stride, ..MaxPool2dOptions::new(kernel_size) };
    let max = MaxPool2d::new(max, size).unwrap();
    let average = AvgPool2dOptions { stride, ..AvgPool2dOptions::new(kernel_size) };
    let average = AvgPool2d::new(average, size).unwrap();
    let x = floats(random, planes * size[0] * size[1]);
    let dy = floats(random, planes * max.output_len());
    let [mut y, mut mean] = [(); 2].map(|()| poison(dy.len()));
    let [mut dx, mut mean_dx, mut adaptive_dx] = [(); 3].map(|()| poison(x.len()));
    max_pool2d(cx, &max, &x, &mut y).unwrap();
    max_pool2d_backward(cx, &max, &x, &dy, &mut dx).unwrap();
    avg_pool2d(cx, &average, &x, &mut mean).unwrap();
    avg_pool2d_backward(cx, &average, &dy, &mut mean_dx).unwrap();
    let mut results = vec![y, mean, dx, mean_dx];

    let to = [[1, 1], [3, 5]][random.below(2)];
    let adaptive = AdaptiveAvgPool2d::new(size, to).unwrap();
    let mut y = poison(planes * adaptive.output_len());
    adaptive_avg_pool2d(cx, &adaptive, &x, &mut y).unwrap();
    adaptive_avg_pool2d_backward(cx, &adaptive, &y, &mut adaptive_dx).unwrap();
    results.extend([y, adaptive_dx]);

    let up = UpsampleNearest2d::new(stride, size).unwrap();
    let (mut y, mut dx) = (poison(planes * up.output_len()), poison(x.len()));
    upsample_nearest2d(cx, &up, &x, &mut y).unwrap();
    upsample_nearest2d_backward(cx, &up, &y, &mut dx).unwrap();
    results.extend([y, dx]);

    for mode in
        [PaddingMode::Zeros, PaddingMode::Reflect, PaddingMode::Replicate, PaddingMode::Circular]
    {
        let pad = Pad2d::new(mode, size, [1, 2, 3, 0]).unwrap();
        let [height, width] = pad.output_size();
        let (mut y, mut dx) = (poison(planes * height * width), poison(x.len()));
        pad2d(cx, &pad, &x, &mut y).unwrap();
        pad2d_backward(cx, &pad, &y, &mut dx).unwrap();
        results.extend([y, dx]);
    }
    results
}

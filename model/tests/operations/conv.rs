//! Convolutions, transposed ones, and padding modes.

use crate::case::{Case, Operation, check_file, poison};
use loupe_engine::conv::{
    Conv2d, Conv2dOptions, Conv2dParameters, ConvTranspose2d, ConvTranspose2dOptions,
    conv_transpose2d, conv_transpose2d_backward_input, conv_transpose2d_backward_weight, conv2d,
    conv2d_backward_input, conv2d_backward_weight,
};
use loupe_engine::pad::{Pad2d, PaddingMode, pad2d, pad2d_backward};
use loupe_engine::reference::compare::Tolerance;

/// PyTorch's largest distances are 3.0e-7 and 5.9e-8.
const OPERATIONS: [Operation; 2] =
    [("conv_transpose2d", 12, check_conv_transpose2d), ("pad2d", 4, check_pad2d)];

#[test]
fn transposed_convolutions_and_padding_agree_with_pytorch() {
    check_file("conv.safetensors.gz", &OPERATIONS);
}

pub(crate) fn check_conv2d(case: &Case<'_>) {
    let [_, in_channels, height, width] = case.shape("x");
    let [out_channels, _, kh, kw] = case.shape("weight");
    let [sh, sw, ph, pw, dh, dw, groups] = numbers(case, "geometry");
    let options = Conv2dOptions {
        stride: [sh, sw],
        padding: [ph, pw],
        dilation: [dh, dw],
        groups,
        ..Conv2dOptions::new(in_channels, out_channels, [kh, kw])
    };
    let geometry = Conv2d::new(options, [height, width]).unwrap();
    let (cx, x, weight, dy) = (&case.cx, case.f32("x"), case.f32("weight"), case.f32("dy"));
    let bias = case.optional("bias");

    let mut y = poison(dy.len());
    let parameters = Conv2dParameters { weight: &weight, bias: bias.as_deref() };
    conv2d(cx, &geometry, &x, parameters, &mut y).unwrap();
    case.near("y", &y, 1.2e-6);

    let mut dx = poison(x.len());
    conv2d_backward_input(cx, &geometry, &weight, &dy, &mut dx).unwrap();
    case.near("dx", &dx, 1.2e-6);

    let mut dweight = poison(weight.len());
    let mut dbias = bias.map(|bias| poison(bias.len()));
    conv2d_backward_weight(cx, &geometry, &x, &dy, &mut dweight, dbias.as_deref_mut()).unwrap();
    case.near("dweight", &dweight, 1.2e-6);
    if let Some(dbias) = dbias {
        case.near("dbias", &dbias, 1.2e-6);
    }
}

fn check_conv_transpose2d(case: &Case<'_>) {
    let [_, in_channels, height, width] = case.shape("x");
    let [_, group_outputs, kh, kw] = case.shape("weight");
    let [sh, sw, ph, pw, oh, ow, dh, dw, groups] = numbers(case, "geometry");
    let options = ConvTranspose2dOptions {
        stride: [sh, sw],
        padding: [ph, pw],
        output_padding: [oh, ow],
        dilation: [dh, dw],
        groups,
        ..ConvTranspose2dOptions::new(in_channels, groups * group_outputs, [kh, kw])
    };
    let geometry = ConvTranspose2d::new(options, [height, width]).unwrap();
    let [_, _, out_height, out_width] = case.shape("y");
    assert_eq!(geometry.output_size(), [out_height, out_width]);
    let (cx, x, weight, dy) = (&case.cx, case.f32("x"), case.f32("weight"), case.f32("dy"));
    let bias = case.optional("bias");

    let mut y = poison(dy.len());
    let parameters = Conv2dParameters { weight: &weight, bias: bias.as_deref() };
    conv_transpose2d(cx, &geometry, &x, parameters, &mut y).unwrap();
    case.near("y", &y, 1.2e-6);

    let mut dx = poison(x.len());
    conv_transpose2d_backward_input(cx, &geometry, &weight, &dy, &mut dx).unwrap();
    case.near("dx", &dx, 1.2e-6);

    let mut dweight = poison(weight.len());
    let mut dbias = bias.map(|bias| poison(bias.len()));
    let sums = dbias.as_deref_mut();
    conv_transpose2d_backward_weight(cx, &geometry, &x, &dy, &mut dweight, sums).unwrap();
    case.near("dweight", &dweight, 1.2e-6);
    if let Some(dbias) = dbias {
        case.near("dbias", &dbias, 1.2e-6);
    }
}

fn check_pad2d(case: &Case<'_>) {
    let mode = match case.case {
        "zeros" => PaddingMode::Zeros,
        "reflect" => PaddingMode::Reflect,
        "replicate" => PaddingMode::Replicate,
        "circular" => PaddingMode::Circular,
        other => panic!("pad2d/{other}: unknown mode"),
    };
    let [_, _, height, width] = case.shape("x");
    let pad = Pad2d::new(mode, [height, width], numbers(case, "padding")).unwrap();
    let (cx, x, dy) = (&case.cx, case.f32("x"), case.f32("dy"));

    let mut y = poison(dy.len());
    pad2d(cx, &pad, &x, &mut y).unwrap();
    case.close("y", &y, &Tolerance::exact());

    let mut dx = poison(x.len());
    pad2d_backward(cx, &pad, &dy, &mut dx).unwrap();
    case.near("dx", &dx, 3e-7);
}

/// The whole numbers of a tensor.
fn numbers<const N: usize>(case: &Case<'_>, tensor: &str) -> [usize; N] {
    let numbers = case.fixture.i64(&case.name(tensor));
    let numbers: Vec<usize> = numbers.into_iter().map(|n| n.try_into().unwrap()).collect();
    numbers.try_into().unwrap_or_else(|numbers| panic!("{tensor} is {numbers:?}"))
}

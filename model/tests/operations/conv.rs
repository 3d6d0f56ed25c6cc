//! Convolutions.

use crate::case::{Case, poison};
use loupe_engine::conv::{
    Conv2d, Conv2dOptions, Conv2dParameters, conv2d, conv2d_backward_input, conv2d_backward_weight,
};

pub(crate) fn check_conv2d(case: &Case<'_>) {
    let [_, in_channels, height, width] = case.shape("x");
    let [out_channels, _, kh, kw] = case.shape("weight");
    let numbers: Vec<usize> = (case.fixture.i64(&case.name("geometry")).into_iter())
        .map(|number| number.try_into().unwrap())
        .collect();
    let &[sh, sw, ph, pw, dh, dw, groups] = &numbers[..] else {
        panic!("geometry {numbers:?}");
    };
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

//! Pooling and upsampling.
//!
//! Maxima and pixels that are repeated are the same numbers. Other tolerances are four times the largest distance
//! in `fixtures/pool.md`, of f32 from f64, as in `main.rs`: 1.3e-7 of a tensor's largest element.

use crate::case::{Case, check_file, poison};
use loupe_engine::pool::{
    AdaptiveAvgPool2d, AvgPool2d, AvgPool2dOptions, MaxPool2d, MaxPool2dOptions,
    adaptive_avg_pool2d, adaptive_avg_pool2d_backward, avg_pool2d, avg_pool2d_backward, max_pool2d,
    max_pool2d_backward,
};
use loupe_engine::reference::compare::Tolerance;
use loupe_engine::upsample::{UpsampleNearest2d, upsample_nearest2d, upsample_nearest2d_backward};

#[test]
fn pooling_and_upsampling_agree_with_pytorch() {
    check_file(
        "pool.safetensors.gz",
        &[
            ("adaptive_avg_pool2d", 4, check_adaptive_avg_pool2d),
            ("avg_pool2d", 6, check_avg_pool2d),
            ("max_pool2d", 8, check_max_pool2d),
            ("upsample_nearest2d", 3, check_upsample_nearest2d),
        ],
    );
}

/// Kernel, stride, padding and dilation, `[height, width]`.
fn geometry(case: &Case<'_>) -> [[usize; 2]; 4] {
    let numbers = case.fixture.i64(&case.name("geometry"));
    let pairs: Vec<[usize; 2]> =
        numbers.chunks(2).map(|pair| [0, 1].map(|axis| pair[axis].try_into().unwrap())).collect();
    pairs.try_into().unwrap()
}

/// H, W of a tensor.
fn size(case: &Case<'_>, tensor: &str) -> [usize; 2] {
    let [_, _, height, width] = case.shape(tensor);
    [height, width]
}

fn check_max_pool2d(case: &Case<'_>) {
    let [kernel_size, stride, padding, dilation] = geometry(case);
    let options = MaxPool2dOptions { kernel_size, stride, padding, dilation };
    let pool = MaxPool2d::new(options, size(case, "x")).unwrap();
    assert_eq!(pool.output_size(), size(case, "y"));
    let (cx, x, dy) = (&case.cx, case.f32("x"), case.f32("dy"));
    let (mut y, mut dx) = (poison(dy.len()), poison(x.len()));
    max_pool2d(cx, &pool, &x, &mut y).unwrap();
    case.close("y", &y, &Tolerance::exact());
    max_pool2d_backward(cx, &pool, &x, &dy, &mut dx).unwrap();
    case.near("dx", &dx, 5.2e-7);
}

fn check_avg_pool2d(case: &Case<'_>) {
    let [kernel_size, stride, padding, _] = geometry(case);
    let count_include_pad = case.scalar("count_include_pad") != 0.0;
    let options = AvgPool2dOptions { kernel_size, stride, padding, count_include_pad };
    let pool = AvgPool2d::new(options, size(case, "x")).unwrap();
    assert_eq!(pool.output_size(), size(case, "y"));
    let (cx, x, dy) = (&case.cx, case.f32("x"), case.f32("dy"));
    let (mut y, mut dx) = (poison(dy.len()), poison(x.len()));
    avg_pool2d(cx, &pool, &x, &mut y).unwrap();
    case.near("y", &y, 5.2e-7);
    avg_pool2d_backward(cx, &pool, &dy, &mut dx).unwrap();
    case.near("dx", &dx, 5.2e-7);
}

fn check_adaptive_avg_pool2d(case: &Case<'_>) {
    let pool = AdaptiveAvgPool2d::new(size(case, "x"), size(case, "y")).unwrap();
    let (cx, x, dy) = (&case.cx, case.f32("x"), case.f32("dy"));
    let (mut y, mut dx) = (poison(dy.len()), poison(x.len()));
    adaptive_avg_pool2d(cx, &pool, &x, &mut y).unwrap();
    case.near("y", &y, 5.2e-7);
    adaptive_avg_pool2d_backward(cx, &pool, &dy, &mut dx).unwrap();
    case.near("dx", &dx, 5.2e-7);
}

fn check_upsample_nearest2d(case: &Case<'_>) {
    let (from, to) = (size(case, "x"), size(case, "y"));
    let up = UpsampleNearest2d::new([0, 1].map(|axis| to[axis] / from[axis]), from).unwrap();
    let (cx, x, dy) = (&case.cx, case.f32("x"), case.f32("dy"));
    let (mut y, mut dx) = (poison(dy.len()), poison(x.len()));
    upsample_nearest2d(cx, &up, &x, &mut y).unwrap();
    case.close("y", &y, &Tolerance::exact());
    upsample_nearest2d_backward(cx, &up, &dy, &mut dx).unwrap();
    case.near("dx", &dx, 5.2e-7);
}

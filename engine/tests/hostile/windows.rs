//! Pooling, padding and upsampling.

use crate::{fit, floats, pair, size, survive};
use loupe_engine::pad::*;
use loupe_engine::pool::*;
use loupe_engine::upsample::*;
use proptest::prelude::*;

/// Half of all cases have sizes of windows and images alone.
fn steps() -> impl Strategy<Value = ([usize; 2], [usize; 2], [usize; 2])> {
    prop_oneof![(pair(), pair(), pair()), Just(([2; 2], [0; 2], [1; 2]))]
}

const CASES: u32 = 1000;

#[test]
fn pools() {
    let values = (pair(), steps(), pair(), any::<bool>(), 0_usize..4, [fit(), fit(), fit()]);
    survive(CASES, values, |contexts, (kernel_size, steps, size, include, planes, fits)| {
        let (stride, padding, dilation) = steps;
        for cx in contexts {
            let options = MaxPool2dOptions { kernel_size, stride, padding, dilation };
            if let Ok(pool) = MaxPool2d::new(options, size) {
                let x = floats(&[planes, pool.input_len()], fits[0]);
                let mut y = floats(&[planes, pool.output_len()], fits[1]);
                let _ = max_pool2d(cx, &pool, &x, &mut y);
                let mut dx = floats(&[planes, pool.input_len()], fits[2]);
                let _ = max_pool2d_backward(cx, &pool, &x, &y, &mut dx);
            }
            let options =
                AvgPool2dOptions { kernel_size, stride, padding, count_include_pad: include };
            if let Ok(pool) = AvgPool2d::new(options, size) {
                let x = floats(&[planes, pool.input_len()], fits[0]);
                let mut y = floats(&[planes, pool.output_len()], fits[1]);
                let _ = avg_pool2d(cx, &pool, &x, &mut y);
                let mut dx = floats(&[planes, pool.input_len()], fits[2]);
                let _ = avg_pool2d_backward(cx, &pool, &y, &mut dx);
            }
            if let Ok(pool) = AdaptiveAvgPool2d::new(size, kernel_size) {
                let x = floats(&[planes, pool.input_len()], fits[0]);
                let mut y = floats(&[planes, pool.output_len()], fits[1]);
                let _ = adaptive_avg_pool2d(cx, &pool, &x, &mut y);
                let mut dx = floats(&[planes, pool.input_len()], fits[2]);
                let _ = adaptive_avg_pool2d_backward(cx, &pool, &y, &mut dx);
            }
        }
    });
}

#[test]
fn upsampling() {
    let values = (pair(), pair(), 0_usize..4, [fit(), fit(), fit()]);
    survive(CASES, values, |contexts, (scale, size, planes, fits)| {
        let Ok(up) = UpsampleNearest2d::new(scale, size) else { return };
        let x = floats(&[planes, up.input_len()], fits[0]);
        let mut y = floats(&[planes, up.output_len()], fits[1]);
        let mut dx = floats(&[planes, up.input_len()], fits[2]);
        for cx in contexts {
            let _ = upsample_nearest2d(cx, &up, &x, &mut y);
            let _ = upsample_nearest2d_backward(cx, &up, &y, &mut dx);
        }
    });
}

#[test]
fn padding() {
    const MODES: [PaddingMode; 4] =
        [PaddingMode::Zeros, PaddingMode::Reflect, PaddingMode::Replicate, PaddingMode::Circular];
    let padding = prop_oneof![[size(), size(), size(), size()], [0_usize..3, 0..3, 0..3, 0..3]];
    let values = (prop::sample::select(&MODES[..]), pair(), padding, 0_usize..4, [fit(), fit()]);
    survive(CASES, values, |contexts, (mode, size, padding, planes, fits)| {
        let Ok(pad) = Pad2d::new(mode, size, padding) else { return };
        let [height, width] = pad.output_size();
        let mut x = floats(&[planes, size[0], size[1]], fits[0]);
        let mut y = floats(&[planes, height, width], fits[1]);
        for cx in contexts {
            let _ = pad2d(cx, &pad, &x, &mut y);
            let _ = pad2d_backward(cx, &pad, &y, &mut x);
        }
    });
}

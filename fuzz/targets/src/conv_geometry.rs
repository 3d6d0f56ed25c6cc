//! Any numbers as a convolution: refused, or, if it is small, computed exactly as the oracle does.

use crate::Taken;
use crate::number::{Number, get, poison};
use arbitrary::Arbitrary;
use loupe_engine::conv::{
    Conv2d, Conv2dOptions, Conv2dParameters, conv2d, conv2d_backward_input, conv2d_backward_weight,
};
use loupe_engine::reference::compare::{Tolerance, assert_close, widen};
use loupe_engine::reference::conv2d as oracle;
use loupe_engine::reference::random::Random;
use loupe_engine::{Context, Isa, Threads};

/// Convolutions with a tensor of more elements are not computed.
pub(crate) const MAX_LEN: usize = 20_000;
/// Nor are those of more products. Each is a whole number of at most 16, so every sum is exact.
pub(crate) const MAX_PRODUCTS: usize = 500_000;

/// A convolution.
#[derive(Arbitrary, Debug)]
pub struct Problem {
    batch: u8,
    channels: [Number; 2],
    size: [Number; 2],
    kernel: [Number; 2],
    stride: [Number; 2],
    padding: [Number; 2],
    dilation: [Number; 2],
    groups: Number,
    bias: bool,
    seed: u64,
}

/// Computes the convolution in all directions.
pub fn run(problem: &Problem) -> Taken {
    let [in_channels, out_channels] = get(&problem.channels);
    let options = Conv2dOptions {
        in_channels,
        out_channels,
        kernel_size: get(&problem.kernel),
        stride: get(&problem.stride),
        padding: get(&problem.padding),
        dilation: get(&problem.dilation),
        groups: problem.groups.get(),
    };
    let geometry = Conv2d::new(options, get(&problem.size)).ok()?;
    let batch = usize::from(problem.batch % 4);
    let lens = [geometry.input_len(), geometry.output_len(), geometry.weight_len()];
    let products = (lens[1].max(lens[0])).saturating_mul(lens[2] / out_channels);
    let is_small =
        lens.iter().all(|&len| len <= MAX_LEN) && products.saturating_mul(4) <= MAX_PRODUCTS;
    is_small.then(|| compute(&geometry, batch, problem.bias, problem.seed))
}

fn compute(geometry: &Conv2d, batch: usize, has_bias: bool, seed: u64) {
    let o = geometry.options();
    let [height, width] = geometry.input_size();
    let dims = oracle::Conv2dDims {
        batch,
        in_channels: o.in_channels,
        height,
        width,
        out_channels: o.out_channels,
        kernel: o.kernel_size,
        stride: o.stride,
        padding: o.padding,
        dilation: o.dilation,
        groups: o.groups,
    };
    assert_eq!(geometry.output_size(), [dims.out_height(), dims.out_width()]);
    let mut random = Random::new(seed);
    let x = random.whole_f32(batch * geometry.input_len(), 4);
    let weight = random.whole_f32(geometry.weight_len(), 4);
    let bias = random.whole_f32(o.out_channels, 4);
    let dy = random.whole_f32(batch * geometry.output_len(), 4);
    let bias = has_bias.then_some(&bias[..]);

    let wide_bias = bias.map(widen);
    let (wide_x, wide_weight) = (widen(&x), widen(&weight));
    let expected_y = oracle::conv2d(&dims, &wide_x, &wide_weight, wide_bias.as_deref());
    let expected = oracle::conv2d_backward(&dims, &wide_x, &wide_weight, &widen(&dy));

    for isa in Isa::available() {
        let cx = Context::new(isa, Threads::serial());
        let (mut y, mut dx) = (poison(dy.len()), poison(x.len()));
        let (mut dweight, mut dbias) = (poison(weight.len()), poison(o.out_channels));
        conv2d(&cx, geometry, &x, Conv2dParameters { weight: &weight, bias }, &mut y)
            .and_then(|()| conv2d_backward_input(&cx, geometry, &weight, &dy, &mut dx))
            .and_then(|()| {
                let dbias = Some(&mut dbias[..]);
                conv2d_backward_weight(&cx, geometry, &x, &dy, &mut dweight, dbias)
            })
            .expect("all lengths are right");
        for (what, actual, expected) in [
            ("y", &y, &expected_y),
            ("dx", &dx, &expected.input),
            ("dweight", &dweight, &expected.weight),
            ("dbias", &dbias, &expected.bias),
        ] {
            assert_exact(what, actual, expected);
        }
    }
}

/// Equal, if there is anything: the comparator refuses to call nothing equal.
pub(crate) fn assert_exact(what: &str, actual: &[f32], expected: &[f64]) {
    if !expected.is_empty() {
        assert_close(what, actual, expected, &Tolerance::exact());
    }
}

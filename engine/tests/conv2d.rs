//! Convolution on every tier and on one and three threads, against the f64 oracle.

use loupe_engine::conv::{
    Conv2d, Conv2dFused, Conv2dOptions, Conv2dParameters, InterleavedConv2d, Then, conv2d,
    conv2d_backward_input, conv2d_backward_weight, conv2d_fused, deinterleave, interleave,
};
use loupe_engine::norm::batch::{UnitConstants, UnitLayout, UnitNorm};
use loupe_engine::reference::batch_norm::{BatchNorm, batch_statistics};
use loupe_engine::reference::compare::{
    Tolerance, assert_bits, assert_close, check_bits, magnitudes, widen,
};
use loupe_engine::reference::conv2d as oracle;
use loupe_engine::reference::random::Random;
use loupe_engine::{Context, Error, Isa, Threads, Tier};
use proptest::prelude::*;

#[derive(Clone, Debug)]
struct Problem {
    batch: usize,
    options: Conv2dOptions,
    size: [usize; 2],
    bias: bool,
    seed: u64,
}

/// What the functions under test compute.
struct Results {
    y: Vec<f32>,
    dx: Vec<f32>,
    dweight: Vec<f32>,
    dbias: Vec<f32>,
}

impl Results {
    fn tensors(&self) -> [(&'static str, &[f32]); 4] {
        [("y", &self.y), ("dx", &self.dx), ("dweight", &self.dweight), ("dbias", &self.dbias)]
    }
}

#[derive(Clone)]
struct Inputs {
    x: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
    dy: Vec<f32>,
}

impl Problem {
    fn geometry(&self) -> Conv2d {
        Conv2d::new(self.options, self.size).unwrap()
    }

    fn dims(&self) -> oracle::Conv2dDims {
        let o = &self.options;
        oracle::Conv2dDims {
            batch: self.batch,
            in_channels: o.in_channels,
            height: self.size[0],
            width: self.size[1],
            out_channels: o.out_channels,
            kernel: o.kernel_size,
            stride: o.stride,
            padding: o.padding,
            dilation: o.dilation,
            groups: o.groups,
        }
    }

    fn inputs(&self) -> Inputs {
        let dims = self.dims();
        let mut random = Random::new(self.seed);
        Inputs {
            x: random.uniform_f32(dims.input_len(), -1.0, 1.0),
            weight: random.uniform_f32(dims.weight_len(), -1.0, 1.0),
            bias: random.uniform_f32(dims.out_channels, -1.0, 1.0),
            dy: random.uniform_f32(dims.output_len(), -1.0, 1.0),
        }
    }

    fn run(&self, cx: &Context, inputs: &Inputs) -> Results {
        let geometry = self.geometry();
        let poison = |len| vec![f32::NAN; len];
        let mut results = Results {
            y: poison(inputs.dy.len()),
            dx: poison(inputs.x.len()),
            dweight: poison(inputs.weight.len()),
            dbias: poison(inputs.bias.len()),
        };
        let Inputs { x, weight, bias, dy } = inputs;
        let parameters = Conv2dParameters { weight, bias: self.bias.then_some(bias) };
        conv2d(cx, &geometry, x, parameters, &mut results.y).unwrap();
        conv2d_backward_input(cx, &geometry, weight, dy, &mut results.dx).unwrap();
        let dbias = Some(&mut results.dbias[..]);
        conv2d_backward_weight(cx, &geometry, x, dy, &mut results.dweight, dbias).unwrap();
        results
    }

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

    /// Checks every tier against the oracle, and that threads do not change a bit.
    fn check(&self, three: &Threads) {
        self.check_with(three, 0.0, Problem::run);
    }

    /// `more` is the magnitude of what the x that is seen is computed from, beyond its own.
    fn check_with(
        &self,
        three: &Threads,
        more: f64,
        run: impl Fn(&Problem, &Context, &Inputs) -> Results,
    ) {
        let (dims, inputs) = (self.dims(), self.inputs());
        let [ho, wo] = [dims.out_height(), dims.out_width()];
        assert_eq!(self.geometry().output_size(), [ho, wo]);

        let judge = |x: &[f64], weight: &[f64], bias: &[f64], dy: &[f64]| {
            let y = oracle::conv2d(&dims, x, weight, self.bias.then_some(bias));
            let gradients = oracle::conv2d_backward(&dims, x, weight, dy);
            [y, gradients.input, gradients.weight, gradients.bias]
        };
        let wide = [&inputs.x, &inputs.weight, &inputs.bias, &inputs.dy].map(|v| widen(v));
        let expected = judge(&wide[0], &wide[1], &wide[2], &wide[3]);
        let mut size = wide.each_ref().map(|v| magnitudes(v));
        size[0].iter_mut().for_each(|x| *x += more);
        let magnitude = judge(&size[0], &size[1], &size[2], &size[3]);
        let kernel = dims.kernel[0] * dims.kernel[1];
        let terms = [
            dims.in_channels / dims.groups * kernel + 1,
            dims.out_channels / dims.groups * kernel,
            dims.batch * ho * wo,
            dims.batch * ho * wo,
        ];
        let mut fused: Option<Results> = None;
        for isa in Isa::available() {
            let serial = run(self, &Context::new(isa, Threads::serial()), &inputs);
            for (i, (name, actual)) in serial.tensors().into_iter().enumerate() {
                if !actual.is_empty() {
                    let tolerance = Tolerance::rounding(terms[i], &magnitude[i]);
                    let what = format!("{name} on {isa:?} of {self:?}");
                    assert_close(&what, actual, &expected[i], &tolerance);
                }
            }
            let parallel = run(self, &Context::new(isa, three.clone()), &inputs);
            for ((name, one), (_, three)) in serial.tensors().iter().zip(parallel.tensors()) {
                if !one.is_empty() {
                    assert_bits(&format!("{name} on {isa:?} of {self:?}"), three, one);
                }
            }
            // The tiers of x86 agree to the bit.
            if isa.tier() != Tier::Portable {
                let other = fused.get_or_insert(serial);
                for ((name, one), (_, other)) in parallel.tensors().iter().zip(other.tensors()) {
                    assert!(
                        one.is_empty() || check_bits(name, one, other).is_ok(),
                        "{name}: {self:?}"
                    );
                }
            }
        }
    }
}

fn options(
    inputs: std::ops::Range<usize>,
    outputs: std::ops::Range<usize>,
) -> impl Strategy<Value = (Conv2dOptions, [usize; 2])> {
    let pair = |range: std::ops::Range<usize>| [range.clone(), range];
    ((1_usize..4, inputs, outputs), (pair(1..5), pair(1..4), pair(0..4), pair(1..3)), pair(0..14))
        .prop_map(|((groups, inputs, outputs), (kernel_size, stride, padding, dilation), extra)| {
            let options = Conv2dOptions {
                in_channels: groups * inputs,
                out_channels: groups * outputs,
                kernel_size,
                stride,
                padding,
                dilation,
                groups,
            };
            // The smallest image that the kernel fits into, and a few pixels more.
            let size = [0, 1].map(|axis| {
                let extent = dilation[axis] * (kernel_size[axis] - 1) + 1;
                extent.saturating_sub(2 * padding[axis]).max(1) + extra[axis]
            });
            (options, size)
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn any_geometry(
        (options, size) in options(1..5, 1..8),
        batch in 0_usize..5,
        bias in any::<bool>(),
        seed in any::<u64>(),
    ) {
        Problem { batch, options, size, bias, seed }.check(&Threads::serial());
    }

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

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn any_geometry_of_many_channels(
        (options, size) in options(16..90, 12..70),
        batch in 1_usize..3,
        bias in any::<bool>(),
        seed in any::<u64>(),
    ) {
        Problem { batch, options, size, bias, seed }.check(&Threads::serial());
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

/// Problems that are large enough to be shared out to threads and to be cut into blocks of the
/// depth, the rows and the columns.
#[test]
fn large_problems_on_three_threads() {
    let plain = Conv2dOptions::new;
    let step2 = |options| Conv2dOptions { stride: [2, 2], ..options };
    let same3 = |options| Conv2dOptions { padding: [1, 1], ..options };
    let cases = [
        (19, step2(plain(1, 10, [5, 5])), [28, 28]),
        (33, step2(plain(10, 10, [3, 3])), [12, 12]),
        (2, same3(plain(40, 100, [3, 3])), [15, 17]),
        (1, same3(plain(64, 64, [3, 3])), [20, 21]),
        (4, Conv2dOptions { groups: 32, ..same3(plain(32, 64, [3, 3])) }, [17, 16]),
        (1, Conv2dOptions { padding: [3, 3], ..step2(plain(3, 16, [7, 7])) }, [61, 50]),
        (5, plain(50, 30, [1, 1]), [14, 14]),
    ];
    let three = Threads::new(3).unwrap();
    for (n, (batch, options, size)) in cases.into_iter().enumerate() {
        Problem { batch, options, size, bias: true, seed: n as u64 }.check(&three);
    }
}

/// Channels that do not fill vectors, panels or blocks, positions that do not fill tiles, pixels that no
/// position sees, kernel rows that are no runs, several bands, and weights whose elements are shared out.
#[test]
fn many_channels_on_three_threads() {
    let plain = Conv2dOptions::new;
    let step = |stride, options| Conv2dOptions { stride, ..options };
    let pad = |padding, options| Conv2dOptions { padding, ..options };
    let cases = [
        (2, pad([1, 1], plain(16, 16, [3, 3])), [15, 15]),
        (3, pad([1, 0], step([2, 3], plain(70, 45, [3, 2]))), [13, 16]),
        (1, step([3, 2], plain(17, 33, [1, 1])), [20, 9]),
        (2, Conv2dOptions { dilation: [2, 3], ..pad([2, 1], plain(66, 18, [3, 3])) }, [12, 17]),
        (2, Conv2dOptions { dilation: [3, 1], ..step([2, 2], plain(20, 35, [2, 3])) }, [11, 14]),
        (2, Conv2dOptions { groups: 3, ..pad([0, 2], plain(63, 102, [2, 5])) }, [9, 10]),
        (1, pad([1, 1], step([2, 2], plain(129, 130, [3, 3]))), [29, 31]),
        (3, plain(300, 230, [1, 1]), [7, 7]),
        (2, pad([3, 3], step([2, 2], plain(40, 50, [7, 7]))), [18, 33]),
        // Few channels, whose kernel rows are runs; and are none.
        (2, pad([3, 3], step([2, 2], plain(3, 64, [7, 7]))), [30, 29]),
        (1, Conv2dOptions { dilation: [1, 2], ..plain(5, 32, [3, 4]) }, [12, 19]),
        // Kernels of one element: several tasks, two blocks of the depth, groups, a column of one vector.
        (2, plain(600, 40, [1, 1]), [20, 24]),
        (3, Conv2dOptions { groups: 2, ..plain(36, 66, [1, 1]) }, [12, 20]),
        (2, plain(5, 3, [1, 1]), [4, 4]),
    ];
    let three = Threads::new(3).unwrap();
    for (n, (batch, options, size)) in cases.into_iter().enumerate() {
        Problem { batch, options, size, bias: n % 2 == 0, seed: n as u64 }.check(&three);
    }
}

/// Fused LeakyReLU and statistics: y is LeakyReLU of the plain convolution to the last bit, mean and
/// variance are those of y. The bias puts the values far from zero, where E[x²] − E[x]² would fail.
#[test]
fn fused_activation_and_statistics() {
    let plain = Conv2dOptions::new;
    let cases = [
        // batch, options, size: one image; many; two blocks of pixels per image; groups.
        (1, Conv2dOptions { stride: [2, 2], ..plain(1, 10, [5, 5]) }, [28, 28]),
        (37, Conv2dOptions { stride: [2, 2], ..plain(10, 10, [3, 3]) }, [12, 12]),
        (5, plain(2, 13, [3, 3]), [23, 19]),
        (3, Conv2dOptions { groups: 3, padding: [1, 0], ..plain(6, 9, [2, 3]) }, [16, 15]),
        // Many channels: two bands, two panels.
        (2, plain(80, 40, [3, 3]), [31, 19]),
        // A kernel of one element: three tasks of an image.
        (2, plain(300, 20, [1, 1]), [16, 20]),
    ];
    let three = Threads::new(3).unwrap();
    for (n, (batch, options, size)) in cases.into_iter().enumerate() {
        let problem = Problem { batch, options, size, bias: true, seed: n as u64 };
        let (geometry, mut inputs) = (problem.geometry(), problem.inputs());
        for offset in [0.0, 300.0] {
            inputs.bias.iter_mut().for_each(|bias| *bias += offset);
            for isa in Isa::available() {
                let what = format!("{isa:?} {problem:?} offset {offset}");
                let mut results = Vec::new();
                for threads in [Threads::serial(), three.clone()] {
                    let cx = Context::new(isa, threads);
                    let channels = options.out_channels;
                    let mut y = vec![f32::NAN; inputs.dy.len()];
                    let mut mean = vec![f32::NAN; channels];
                    let mut variance = vec![f32::NAN; channels];
                    let parameters =
                        Conv2dParameters { weight: &inputs.weight, bias: Some(&inputs.bias) };
                    let statistics = Some((&mut mean[..], &mut variance[..]));
                    let fused = Conv2dFused { negative_slope: 0.02, statistics };
                    conv2d_fused(&cx, &geometry, &inputs.x, parameters, fused, &mut y).unwrap();
                    results.push([y, mean, variance]);
                }
                let [y, mean, variance] = &results[0];
                for (serial, threaded) in results[0].iter().zip(&results[1]) {
                    assert_bits(&what, threaded, serial);
                }

                let plain = problem.run(&Context::new(isa, Threads::serial()), &inputs).y;
                assert!(plain.iter().any(|&x| x < 0.0) || offset > 0.0);
                let expected: Vec<f32> =
                    plain.iter().map(|&x| if x > 0.0 { x } else { x * 0.02 }).collect();
                assert_bits(&what, y, &expected);

                let channels = options.out_channels;
                let spatial = y.len() / batch / channels;
                let (weight, bias) = (vec![1.0; channels], vec![0.0; channels]);
                let (weight, bias) = (&weight, &bias);
                let norm = BatchNorm { batch, channels, spatial, weight, bias, eps: 1e-5 };
                let expected = batch_statistics(&norm, &widen(y));
                assert_close(&what, mean, &expected.mean, &Tolerance::abs_rel(1e-6, 1e-6));
                assert_close(&what, variance, &expected.variance, &Tolerance::abs_rel(1e-6, 2e-5));
            }
        }
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

#[test]
fn statistics_of_one_value_per_channel_are_an_error() {
    let geometry = Conv2d::new(Conv2dOptions::new(1, 1, [2, 2]), [2, 2]).unwrap();
    let parameters = Conv2dParameters { weight: &[1.0; 4], bias: None };
    let (mut mean, mut variance, mut y) = ([0.0], [0.0], [0.0]);
    let statistics = Some((&mut mean[..], &mut variance[..]));
    let fused = Conv2dFused { statistics, ..Conv2dFused::default() };
    let cx = Context::serial();
    let error = conv2d_fused(&cx, &geometry, &[1.0; 4], parameters, fused, &mut y).unwrap_err();
    assert_eq!(
        error.to_string(),
        "conv2d: the number of values per channel must be at least 2 for batch statistics, found 1"
    );
}

/// Cutting the batch differently must not change an image's result, so an image alone and the same
/// image in a batch have the same bits.
#[test]
fn an_image_in_a_batch_is_the_image_alone() {
    let options = Conv2dOptions { stride: [2, 1], ..Conv2dOptions::new(3, 5, [3, 3]) };
    let problem = Problem { batch: 7, options, size: [9, 11], bias: true, seed: 5 };
    let inputs = problem.inputs();
    let cx = Context::serial();
    let all = problem.run(&cx, &inputs);
    let geometry = problem.geometry();
    for image in 0..7 {
        let [from, to] = [geometry.input_len(), geometry.output_len()].map(|len| image * len);
        let one = Inputs {
            x: inputs.x[from..][..geometry.input_len()].to_vec(),
            dy: inputs.dy[to..][..geometry.output_len()].to_vec(),
            weight: inputs.weight.clone(),
            bias: inputs.bias.clone(),
        };
        let alone = Problem { batch: 1, ..problem.clone() }.run(&cx, &one);
        assert_bits("y", &alone.y, &all.y[to..][..alone.y.len()]);
        assert_bits("dx", &alone.dx, &all.dx[from..][..alone.dx.len()]);
        assert!(check_bits("dweight", &alone.dweight, &all.dweight).is_err());
    }
}

#[test]
fn wrong_lengths_are_errors() {
    let geometry = Conv2d::new(Conv2dOptions::new(2, 3, [2, 2]), [4, 5]).unwrap();
    let cx = Context::serial();
    let (x, weight, bias, mut y) = ([0.0; 40], [0.0; 24], [0.0; 3], [0.0; 36]);
    let run = |x: &[f32], weight: &[f32], bias: &[f32], y: &mut [f32]| {
        let parameters = Conv2dParameters { weight, bias: Some(bias) };
        conv2d(&cx, &geometry, x, parameters, y).unwrap_err()
    };
    let length = |what, expected, found| Error::Length { op: "conv2d", what, expected, found };
    assert!(matches!(run(&x[1..], &weight, &bias, &mut y), Error::Invalid { .. }));
    assert_eq!(run(&x, &weight[1..], &bias, &mut y), length("the weight", 24, 23));
    assert_eq!(run(&x, &weight, &bias[1..], &mut y), length("the bias", 3, 2));
    assert_eq!(run(&x, &weight, &bias, &mut y[1..]), length("y", 36, 35));

    let mut dx = x;
    let error = conv2d_backward_input(&cx, &geometry, &weight, &y[1..], &mut dx).unwrap_err();
    assert!(error.to_string().contains("dy must be a whole number of images, found 35"));
    let error = conv2d_backward_input(&cx, &geometry, &weight, &y, &mut dx[1..]).unwrap_err();
    assert_eq!(error, length("dx", 40, 39));
    let mut dweight = weight;
    let error =
        conv2d_backward_weight(&cx, &geometry, &x, &y, &mut dweight[1..], None).unwrap_err();
    assert_eq!(error, length("dweight", 24, 23));
    let error =
        conv2d_backward_weight(&cx, &geometry, &x, &y[1..], &mut dweight, None).unwrap_err();
    assert_eq!(error, length("dy", 36, 35));
    let mut dbias = [0.0; 4];
    let dbias = Some(&mut dbias[..]);
    let error = conv2d_backward_weight(&cx, &geometry, &x, &y, &mut dweight, dbias).unwrap_err();
    assert_eq!(error, length("dbias", 3, 4));
}

//! Convolution of blocked images on every tier, against the f64 oracle.

use loupe_engine::conv::{
    BlockedConv2d, BlockedInput, Conv2d, Conv2dOptions, Then, block, unblock,
};
use loupe_engine::norm::batch::{UnitConstants, UnitLayout, UnitNorm};
use loupe_engine::reference::compare::{Tolerance, assert_bits, assert_close, magnitudes, widen};
use loupe_engine::reference::conv2d as oracle;
use loupe_engine::reference::random::Random;
use loupe_engine::{Error, Isa, LANES, Tier};
use proptest::prelude::*;

#[derive(Clone, Debug)]
struct Problem {
    options: Conv2dOptions,
    size: [usize; 2],
    input: BlockedInput,
    bias: bool,
    slope: f32,
    seed: u64,
}

struct Inputs {
    /// Of two images, the gradients by whose weights are added up.
    x: [Vec<f32>; 2],
    dz: [Vec<f32>; 2],
    weight: Vec<f32>,
    bias: Vec<f32>,
}

/// Plain tensors of the first image, and dweight of both.
struct Results {
    y: Vec<f32>,
    dx: Option<Vec<f32>>,
    dweight: Vec<f32>,
    mean: Vec<f32>,
    squares: Vec<f32>,
}

impl Results {
    fn tensors(&self) -> [(&'static str, &[f32]); 5] {
        let dx = self.dx.as_deref().unwrap_or(&[]);
        let (mean, squares) = (&self.mean, &self.squares);
        [
            ("y", &self.y),
            ("dx", dx),
            ("dweight", &self.dweight),
            ("mean", mean),
            ("squares", squares),
        ]
    }
}

fn blocked(isa: Isa, channels: usize, x: &[f32]) -> Vec<f32> {
    let mut out = vec![f32::NAN; x.len() / channels * channels.next_multiple_of(LANES)];
    block(isa, channels, x, &mut out).unwrap();
    out
}

/// The plain form of `x`, whose missing lanes must be zeros.
fn unblocked(isa: Isa, channels: usize, x: &[f32]) -> Vec<f32> {
    let plane = x.len() / channels.next_multiple_of(LANES);
    for (i, &value) in x.iter().enumerate() {
        let channel = i / (plane * LANES) * LANES + i % LANES;
        assert!(channel < channels || value == 0.0, "{value} in a missing lane");
    }
    let mut out = vec![f32::NAN; channels * plane];
    unblock(isa, channels, x, &mut out).unwrap();
    out
}

impl Problem {
    fn conv(&self) -> BlockedConv2d {
        BlockedConv2d::new(Conv2d::new(self.options, self.size).unwrap(), self.input).unwrap()
    }

    fn dims(&self) -> oracle::Conv2dDims {
        let o = &self.options;
        oracle::Conv2dDims {
            batch: 1,
            in_channels: o.in_channels,
            height: self.size[0],
            width: self.size[1],
            out_channels: o.out_channels,
            kernel: o.kernel_size,
            stride: o.stride,
            padding: o.padding,
            dilation: o.dilation,
            groups: 1,
        }
    }

    fn inputs(&self) -> Inputs {
        let dims = self.dims();
        let mut random = Random::new(self.seed);
        let mut image = |len| random.uniform_f32(len, -1.0, 1.0);
        Inputs {
            x: [image(dims.input_len()), image(dims.input_len())],
            dz: [image(dims.output_len()), image(dims.output_len())],
            weight: image(dims.weight_len()),
            bias: image(dims.out_channels),
        }
    }

    fn run(&self, isa: Isa, inputs: &Inputs) -> Results {
        let conv = self.conv();
        let poison = |len| vec![f32::NAN; len];
        let [channels, outputs] = [self.options.in_channels, self.options.out_channels];
        let x = inputs.x.each_ref().map(|x| match self.input {
            BlockedInput::Plain => x.clone(),
            BlockedInput::Blocked => blocked(isa, channels, x),
        });
        let dz = inputs.dz.each_ref().map(|dz| blocked(isa, outputs, dz));
        assert_eq!([x[0].len(), dz[0].len()], [conv.input_len(), conv.output_len()]);

        let mut packed = poison(conv.packed_forward_len());
        let bias = self.bias.then_some(&inputs.bias[..]);
        conv.pack_forward(isa, &inputs.weight, bias, &mut packed).unwrap();
        let mut y = poison(conv.output_len());
        let width = outputs.next_multiple_of(LANES);
        let (mut mean, mut squares) = (poison(width), poison(width));
        let moments = Then::Measure([&mut mean[..], &mut squares[..]]);
        conv.forward(isa, &packed, &x[0], self.slope, &mut y, moments).unwrap();
        let mut without = poison(y.len());
        conv.forward(isa, &packed, &x[0], self.slope, &mut without, Then::Nothing).unwrap();
        assert_bits("y without moments", &without, &y);
        // Normalising at once gives the bits of a pass of its own.
        let [scale, shift] = [0.5, -3.0].map(|value| vec![value; width]);
        let constants = UnitConstants { mean: &mean, scale: &scale, bias: &shift };
        let (mut normalized, mut apart) = (poison(y.len()), poison(y.len()));
        let then = Then::Normalize(constants);
        conv.forward(isa, &packed, &x[0], self.slope, &mut normalized, then).unwrap();
        let unit =
            UnitNorm { layout: UnitLayout::Blocks, channels: width, spatial: y.len() / width };
        unit.normalize(isa, &y, constants, &mut apart).unwrap();
        assert_bits("normalised y", &normalized, &apart);

        let mut packed = poison(conv.packed_backward_len());
        let dx = match self.input {
            BlockedInput::Plain => None,
            BlockedInput::Blocked => {
                conv.pack_backward(isa, &inputs.weight, &mut packed).unwrap();
                let mut dx = poison(x[0].len());
                conv.backward_input(isa, &packed, &dz[0], &mut dx).unwrap();
                Some(unblocked(isa, channels, &dx))
            }
        };
        let (mut sums, mut dweight) = (vec![0.0; conv.sums_len()], poison(inputs.weight.len()));
        for (x, dz) in x.iter().zip(&dz) {
            conv.backward_weight(isa, x, dz, &mut sums).unwrap();
        }
        conv.unpack_weight(isa, &sums, &mut dweight).unwrap();
        let missing = |values: &[f32]| values[outputs..].iter().all(|&x| x == 0.0);
        assert!(missing(&mean) && missing(&squares), "moments of missing lanes");
        mean.truncate(outputs);
        squares.truncate(outputs);
        Results { y: unblocked(isa, outputs, &y), dx, dweight, mean, squares }
    }

    fn check(&self) {
        let (dims, inputs) = (self.dims(), self.inputs());
        let [ho, wo] = [dims.out_height(), dims.out_width()];
        let judge = |inputs: &Inputs, wide: fn(&[f32]) -> Vec<f64>| {
            let [x, other] = inputs.x.each_ref().map(|x| wide(x));
            let [dz, other_dz] = inputs.dz.each_ref().map(|dz| wide(dz));
            let (weight, bias) = (wide(&inputs.weight), wide(&inputs.bias));
            let y = oracle::conv2d(&dims, &x, &weight, self.bias.then_some(&bias));
            let first = oracle::conv2d_backward(&dims, &x, &weight, &dz);
            let second = oracle::conv2d_backward(&dims, &other, &weight, &other_dz);
            let sum = first.weight.iter().zip(second.weight).map(|(a, b)| a + b).collect();
            [y, first.input, sum]
        };
        let slope = f64::from(self.slope);
        let mut expected = judge(&inputs, widen);
        expected[0].iter_mut().for_each(|y| *y = if *y > 0.0 { *y } else { *y * slope });
        let magnitude = judge(&inputs, |values| magnitudes(&widen(values)));
        let kernel = dims.kernel[0] * dims.kernel[1];
        let terms = [dims.in_channels * kernel + 1, dims.out_channels * kernel, 2 * ho * wo + 1];

        let mut results = Vec::new();
        for isa in Isa::available() {
            let found = self.run(isa, &inputs);
            let tensors = found.tensors();
            for i in 0..3 {
                let (name, actual) = tensors[i];
                if actual.is_empty() {
                    continue;
                }
                let tolerance = Tolerance::rounding(terms[i], &magnitude[i]);
                let what = format!("{name} on {isa:?} of {self:?}");
                assert_close(&what, actual, &expected[i], &tolerance);
            }
            let spatial = (ho * wo) as f64;
            let (mut mean, mut squares) = (Vec::new(), Vec::new());
            for y in found.y.chunks(ho * wo) {
                let m = y.iter().map(|&y| f64::from(y)).sum::<f64>() / spatial;
                mean.push(m);
                squares.push(y.iter().map(|&y| (f64::from(y) - m).powi(2)).sum());
            }
            let what = format!("moments on {isa:?} of {self:?}");
            assert_close(&what, &found.mean, &mean, &Tolerance::abs_rel(1e-6, 1e-6));
            let tolerance = Tolerance::abs_rel(1e-6 * spatial, 2e-5);
            assert_close(&what, &found.squares, &squares, &tolerance);
            results.push((isa, found));
        }
        let of = |tier| results.iter().find(|(isa, _)| isa.tier() == tier);
        if let (Some((_, two)), Some((_, five))) = (of(Tier::Avx2), of(Tier::Avx512)) {
            for ((name, two), (_, five)) in two.tensors().into_iter().zip(five.tensors()) {
                if !two.is_empty() {
                    assert_bits(&format!("{name} on avx2 and avx512 of {self:?}"), two, five);
                }
            }
        }
    }
}

fn options() -> impl Strategy<Value = (Conv2dOptions, [usize; 2])> {
    let pair = |range: std::ops::Range<usize>| [range.clone(), range];
    let channels = [1_usize..41, 1_usize..41];
    (channels, (pair(1..5), pair(1..4), pair(0..4), pair(1..3)), pair(0..9)).prop_map(
        |([inputs, outputs], (kernel_size, stride, padding, dilation), extra)| {
            let options = Conv2dOptions {
                stride,
                padding,
                dilation,
                ..Conv2dOptions::new(inputs, outputs, kernel_size)
            };
            // The smallest image that the kernel fits into, and a few pixels more.
            let size = [0, 1].map(|axis| {
                let extent = dilation[axis] * (kernel_size[axis] - 1) + 1;
                extent.saturating_sub(2 * padding[axis]).max(1) + extra[axis]
            });
            (options, size)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn any_geometry(
        (options, size) in options(),
        input in prop_oneof![Just(BlockedInput::Plain), Just(BlockedInput::Blocked)],
        bias in any::<bool>(),
        slope in prop_oneof![Just(1.0), Just(0.0), Just(0.02)],
        seed in any::<u64>(),
    ) {
        Problem { options, size, input, bias, slope, seed }.check();
    }
}

#[test]
fn convolutions_of_networks() {
    let plain = Conv2dOptions::new;
    let step2 = |options| Conv2dOptions { stride: [2, 2], ..options };
    let cases = [
        (step2(plain(1, 10, [5, 5])), [28, 28], BlockedInput::Plain),
        (step2(plain(10, 10, [3, 3])), [12, 12], BlockedInput::Blocked),
        (Conv2dOptions { padding: [1, 1], ..plain(32, 64, [3, 3]) }, [9, 8], BlockedInput::Blocked),
        // A linear layer.
        (plain(250, 10, [1, 1]), [1, 1], BlockedInput::Blocked),
    ];
    for (n, (options, size, input)) in cases.into_iter().enumerate() {
        Problem { options, size, input, bias: true, slope: 0.02, seed: n as u64 }.check();
    }
}

/// Values far from zero, where E[y²] − E[y]² would fail.
#[test]
fn moments_far_from_zero() {
    let options = Conv2dOptions::new(1, 3, [1, 1]);
    let conv =
        BlockedConv2d::new(Conv2d::new(options, [5, 6]).unwrap(), BlockedInput::Plain).unwrap();
    // 0 and 1 in turn: of 30 values the mean is a half, the squares about it are 30 / 4.
    let x: Vec<f32> = (0..30).map(|i| (i % 2) as f32).collect();
    for isa in Isa::available() {
        let mut packed = vec![f32::NAN; conv.packed_forward_len()];
        let bias = [0.0, 1e6, -1e6];
        conv.pack_forward(isa, &[1.0, 1.0, 2.0], Some(&bias), &mut packed).unwrap();
        let mut y = vec![f32::NAN; conv.output_len()];
        let (mut mean, mut squares) = ([f32::NAN; 16], [f32::NAN; 16]);
        let moments = Then::Measure([&mut mean[..], &mut squares[..]]);
        conv.forward(isa, &packed, &x, 1.0, &mut y, moments).unwrap();
        assert_eq!(mean[..4], [0.5, 1e6 + 0.5, -1e6 + 1.0, 0.0], "{isa:?}");
        assert_eq!(squares[..4], [7.5, 7.5, 30.0, 0.0], "{isa:?}");
    }
}

#[test]
fn wrong_lengths_are_errors() {
    let geometry = Conv2d::new(Conv2dOptions::new(2, 3, [2, 2]), [4, 5]).unwrap();
    let conv = BlockedConv2d::new(geometry.clone(), BlockedInput::Blocked).unwrap();
    let lens = [conv.input_len(), conv.output_len(), conv.packed_forward_len()];
    assert_eq!(lens, [20 * 16, 12 * 16, 9 * 16]);
    assert_eq!([conv.packed_backward_len(), conv.sums_len()], [12 * 16, 8 * 16]);
    let isa = Isa::best();
    // One float too many for everything, and one that fits.
    let long = |len: usize| vec![0.0; len + 1];
    let (mut x, mut y, mut packed) = (long(320), long(192), long(144));
    let (mut back, mut sums, mut weight, bias) = (long(192), long(128), long(24), long(3));
    let refused = |result: Result<(), Error>, what: &str, len: usize| match result {
        Err(Error::Length { op: "conv2d", what: found, expected, found: found_len }) => {
            assert_eq!((found, expected, found_len), (what, len, len + 1));
        }
        other => panic!("{what}: {other:?}"),
    };
    let (w, b) = (&weight[..24], &bias[..3]);
    refused(conv.pack_forward(isa, &weight, Some(b), &mut packed[..144]), "the weight", 24);
    refused(conv.pack_forward(isa, w, Some(&bias), &mut packed[..144]), "the bias", 3);
    refused(conv.pack_forward(isa, w, Some(b), &mut packed), "the packed weight", 144);
    let empty = conv.pack_forward(isa, w, Some(&[]), &mut packed[..144]).unwrap_err();
    let expected = Error::Length { op: "conv2d", what: "the bias", expected: 3, found: 0 };
    assert_eq!(empty, expected);
    refused(conv.pack_backward(isa, &weight, &mut back[..192]), "the weight", 24);
    refused(conv.pack_backward(isa, w, &mut back), "the packed weight", 192);

    let forward =
        |p: &[f32], x: &[f32], y: &mut [f32]| conv.forward(isa, p, x, 1.0, y, Then::Nothing);
    refused(forward(&packed, &x[..320], &mut y[..192]), "the packed weight", 144);
    refused(forward(&packed[..144], &x, &mut y[..192]), "x", 320);
    refused(forward(&packed[..144], &x[..320], &mut y), "y", 192);
    let (mut mean, mut squares) = ([0.0; 17], [0.0; 17]);
    let (p, image) = (&packed[..144], &x[..320]);
    let moments = Then::Measure([&mut mean[..], &mut squares[..16]]);
    refused(
        conv.forward(isa, p, image, 1.0, &mut y[..192], moments),
        "a number of each channel",
        16,
    );
    let moments = Then::Measure([&mut mean[..16], &mut squares[..]]);
    refused(
        conv.forward(isa, p, image, 1.0, &mut y[..192], moments),
        "a number of each channel",
        16,
    );

    let input = |p: &[f32], dz: &[f32], dx: &mut [f32]| conv.backward_input(isa, p, dz, dx);
    refused(input(&back, &y[..192], &mut x[..320]), "the packed weight", 192);
    refused(input(&back[..192], &y, &mut x[..320]), "dz", 192);
    refused(input(&back[..192], &y[..192], &mut x), "dx", 320);
    let by_weight = |x: &[f32], dz: &[f32], s: &mut [f32]| conv.backward_weight(isa, x, dz, s);
    refused(by_weight(&x, &y[..192], &mut sums[..128]), "x", 320);
    refused(by_weight(&x[..320], &y, &mut sums[..128]), "dz", 192);
    refused(by_weight(&x[..320], &y[..192], &mut sums), "the sums", 128);
    refused(conv.unpack_weight(isa, &sums, &mut weight[..24]), "the sums", 128);
    refused(conv.unpack_weight(isa, &sums[..128], &mut weight), "dweight", 24);

    let plain = BlockedConv2d::new(geometry, BlockedInput::Plain).unwrap();
    let error = plain.backward_input(isa, &back[..192], &y[..192], &mut x[..40]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "conv2d: the input must be blocked for its gradient, found plain"
    );
}

#[test]
fn what_cannot_be_blocked_is_refused() {
    let refused = |options, size| {
        let geometry = Conv2d::new(options, size).unwrap();
        BlockedConv2d::new(geometry, BlockedInput::Blocked).unwrap_err()
    };
    let grouped = Conv2dOptions { groups: 2, ..Conv2dOptions::new(4, 6, [3, 3]) };
    assert_eq!(
        refused(grouped, [5, 5]).to_string(),
        "conv2d: the number of groups must be 1 for blocked images, found 2"
    );
    let error = refused(Conv2dOptions::new(1, 1, [1, 1]), [1 << 20, 1 << 20]);
    assert!(matches!(error, Error::Overflow { .. }));
}

//! Transposed convolution on every tier and on one and three threads, against the f64 oracle.

use loupe_engine::conv::{
    Conv2dParameters, ConvTranspose2d, ConvTranspose2dOptions, conv_transpose2d,
    conv_transpose2d_backward_input, conv_transpose2d_backward_weight,
};
use loupe_engine::reference::compare::{
    Tolerance, assert_bits, assert_close, check_bits, magnitudes, widen,
};
use loupe_engine::reference::conv_transpose2d as oracle;
use loupe_engine::reference::random::Random;
use loupe_engine::{Context, Error, Isa, Threads, Tier};
use proptest::prelude::*;
use std::ops::Range;

#[derive(Clone, Debug)]
struct Problem {
    batch: usize,
    options: ConvTranspose2dOptions,
    size: [usize; 2],
    bias: bool,
    seed: u64,
}

struct Inputs {
    x: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
    dy: Vec<f32>,
}

/// y, dx, dweight, dbias.
type Results = [(&'static str, Vec<f32>); 4];

impl Problem {
    fn geometry(&self) -> ConvTranspose2d {
        ConvTranspose2d::new(self.options, self.size).unwrap()
    }

    fn dims(&self) -> oracle::ConvTranspose2dDims {
        let o = &self.options;
        oracle::ConvTranspose2dDims {
            batch: self.batch,
            in_channels: o.in_channels,
            out_channels: o.out_channels,
            size: self.size,
            kernel: o.kernel_size,
            stride: o.stride,
            padding: o.padding,
            output_padding: o.output_padding,
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
        let Inputs { x, weight, bias, dy } = inputs;
        let (mut y, mut dx) = (poison(dy.len()), poison(x.len()));
        let (mut dweight, mut dbias) = (poison(weight.len()), poison(bias.len()));
        let parameters = Conv2dParameters { weight, bias: self.bias.then_some(bias) };
        conv_transpose2d(cx, &geometry, x, parameters, &mut y).unwrap();
        conv_transpose2d_backward_input(cx, &geometry, weight, dy, &mut dx).unwrap();
        let sums = Some(&mut dbias[..]);
        conv_transpose2d_backward_weight(cx, &geometry, x, dy, &mut dweight, sums).unwrap();
        [("y", y), ("dx", dx), ("dweight", dweight), ("dbias", dbias)]
    }

    /// Checks sizes, every tier against the oracle, and that threads do not change a bit.
    fn check(&self, three: &Threads) {
        let (geometry, dims, inputs) = (self.geometry(), self.dims(), self.inputs());
        assert_eq!(geometry.input_size(), self.size, "{self:?}");
        assert_eq!(geometry.output_size(), dims.out_size(), "{self:?}");
        assert_eq!(geometry.input_len() * self.batch, dims.input_len());
        assert_eq!(geometry.output_len() * self.batch, dims.output_len());
        assert_eq!(geometry.weight_len(), dims.weight_len());

        let judge = |[x, weight, bias, dy]: &[Vec<f64>; 4]| {
            let y = oracle::conv_transpose2d(&dims, x, weight, self.bias.then_some(bias));
            let gradients = oracle::conv_transpose2d_backward(&dims, x, weight, dy);
            [y, gradients.input, gradients.weight, gradients.bias]
        };
        let wide = [&inputs.x, &inputs.weight, &inputs.bias, &inputs.dy].map(|v| widen(v));
        let (expected, magnitude) = (judge(&wide), judge(&wide.each_ref().map(|v| magnitudes(v))));
        let kernel = dims.kernel[0] * dims.kernel[1];
        let [ho, wo] = dims.out_size();
        let terms = [
            dims.in_channels / dims.groups * kernel + 1,
            dims.out_channels / dims.groups * kernel,
            self.batch * self.size[0] * self.size[1],
            self.batch * ho * wo,
        ];
        let mut fused: Option<Results> = None;
        for isa in Isa::available() {
            let serial = self.run(&Context::new(isa, Threads::serial()), &inputs);
            let parallel = self.run(&Context::new(isa, three.clone()), &inputs);
            for (i, (name, actual)) in serial.iter().enumerate() {
                // The comparator refuses to call nothing equal.
                if !actual.is_empty() {
                    let what = format!("{name} on {isa:?} of {self:?}");
                    let tolerance = Tolerance::rounding(terms[i], &magnitude[i]);
                    assert_close(&what, actual, &expected[i], &tolerance);
                    assert_bits(&what, &parallel[i].1, actual);
                }
            }
            // The tiers of x86 agree to the bit.
            if isa.tier() != Tier::Portable {
                let other = fused.get_or_insert(serial);
                for ((name, one), (_, other)) in parallel.iter().zip(other) {
                    assert!(one.is_empty() || check_bits(name, one, other).is_ok(), "{self:?}");
                }
            }
        }
    }
}

fn options(
    inputs: Range<usize>,
    outputs: Range<usize>,
) -> impl Strategy<Value = (ConvTranspose2dOptions, [usize; 2])> {
    let pair = |range: Range<usize>| [range.clone(), range];
    let steps = (pair(1..5), pair(1..5), pair(0..4), pair(0..4), pair(1..4));
    ((1_usize..4, inputs, outputs), steps, pair(0..7)).prop_map(
        |((groups, inputs, outputs), (kernel_size, stride, padding, more, dilation), extra)| {
            let output_padding = [0, 1].map(|axis| more[axis] % stride[axis].max(dilation[axis]));
            let options = ConvTranspose2dOptions {
                in_channels: groups * inputs,
                out_channels: groups * outputs,
                kernel_size,
                stride,
                padding,
                output_padding,
                dilation,
                groups,
            };
            // The smallest image of which something is left, and a few pixels more.
            let size = [0, 1].map(|axis| {
                let reach = dilation[axis] * (kernel_size[axis] - 1) + output_padding[axis];
                let missing = (2 * padding[axis]).saturating_sub(reach);
                missing.div_ceil(stride[axis]) + 1 + extra[axis]
            });
            (options, size)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_geometry(
        (options, size) in options(1..6, 1..6),
        batch in 0_usize..5,
        bias in any::<bool>(),
        seed in any::<u64>(),
    ) {
        Problem { batch, options, size, bias, seed }.check(&Threads::serial());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn any_geometry_of_many_channels(
        (options, size) in options(14..80, 12..50),
        batch in 1_usize..3,
        bias in any::<bool>(),
        seed in any::<u64>(),
    ) {
        Problem { batch, options, size, bias, seed }.check(&Threads::serial());
    }
}

/// A small number, or one that is hardly ever right.
fn any_number() -> impl Strategy<Value = usize> {
    let odd = [0, 1 << 20, (1 << 20) + 1, 1 << 31, isize::MAX as usize, usize::MAX];
    prop_oneof![30 => 1_usize..5, 1 => proptest::sample::select(odd.to_vec())]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn any_numbers_are_refused_or_right(
        [in_channels, out_channels, groups] in [any_number(), any_number(), any_number()],
        kernel_size in [any_number(), any_number()],
        stride in [any_number(), any_number()],
        padding in [any_number(), any_number()],
        output_padding in [any_number(), any_number()],
        dilation in [any_number(), any_number()],
        size in [any_number(), any_number()],
    ) {
        let options = ConvTranspose2dOptions {
            in_channels, out_channels, kernel_size, stride, padding, output_padding, dilation, groups,
        };
        if let Ok(geometry) = ConvTranspose2d::new(options, size) {
            let lens = [geometry.input_len(), geometry.output_len(), geometry.weight_len()];
            if lens.iter().all(|&len| len <= 1000) {
                Problem { batch: 2, options, size, bias: true, seed: 1 }.check(&Threads::serial());
            }
        }
    }
}

/// Problems that are shared out to threads, and every way in which they are computed.
#[test]
fn large_problems_on_three_threads() {
    let plain = ConvTranspose2dOptions::new;
    let dcgan = |inputs, outputs| ConvTranspose2dOptions {
        stride: [2, 2],
        padding: [1, 1],
        ..plain(inputs, outputs, [4, 4])
    };
    let cases = [
        (5, plain(100, 64, [4, 4]), [1, 1]),
        (33, plain(19, 20, [3, 5]), [1, 1]),
        (0, plain(19, 20, [3, 5]), [1, 1]),
        (4, ConvTranspose2dOptions { groups: 2, ..plain(40, 20, [3, 5]) }, [1, 1]),
        (2, ConvTranspose2dOptions { padding: [1, 2], ..plain(40, 20, [3, 5]) }, [1, 1]),
        (3, dcgan(128, 70), [4, 4]),
        (2, dcgan(64, 3), [32, 32]),
        (4, plain(32, 48, [2, 2]), [16, 16]),
        // Pixels without a kernel element, between the others and in rows of their own.
        (2, ConvTranspose2dOptions { stride: [3, 4], ..plain(40, 33, [2, 2]) }, [11, 12]),
        (9, ConvTranspose2dOptions { stride: [3, 4], ..plain(5, 7, [2, 2]) }, [11, 12]),
        // An output padding as long as several steps, of kernels of one element too.
        (
            2,
            ConvTranspose2dOptions {
                dilation: [4, 3],
                output_padding: [3, 2],
                ..plain(20, 18, [3, 3])
            },
            [13, 14],
        ),
        (
            3,
            ConvTranspose2dOptions {
                dilation: [2, 2],
                output_padding: [1, 1],
                ..plain(24, 32, [1, 1])
            },
            [15, 31],
        ),
        (4, plain(50, 30, [1, 1]), [16, 12]),
        (2, ConvTranspose2dOptions { groups: 4, ..dcgan(32, 64) }, [16, 15]),
    ];
    let three = Threads::new(3).unwrap();
    for (n, (batch, options, size)) in cases.into_iter().enumerate() {
        Problem { batch, options, size, bias: n % 4 != 3, seed: n as u64 }.check(&three);
    }
}

/// Of a kernel that is cut off wholly, only the bias is left.
#[test]
fn an_output_that_no_kernel_element_meets_is_the_bias() {
    let options = ConvTranspose2dOptions {
        stride: [5, 1],
        padding: [1, 0],
        ..ConvTranspose2dOptions::new(2, 3, [1, 1])
    };
    let problem = Problem { batch: 2, options, size: [2, 3], bias: true, seed: 3 };
    let inputs = problem.inputs();
    assert_eq!(problem.geometry().output_size(), [4, 3]);
    for isa in Isa::available() {
        let [(_, y), (_, dx), (_, dweight), _] =
            problem.run(&Context::new(isa, Threads::serial()), &inputs);
        for (n, plane) in y.chunks(12).enumerate() {
            assert_eq!(plane, [inputs.bias[n % 3]; 12]);
        }
        assert!(dx.iter().chain(&dweight).all(|&gradient| gradient == 0.0));
    }
}

#[test]
fn impossible_sizes_are_errors_with_numbers() {
    let ok = ConvTranspose2dOptions::new(4, 6, [3, 3]);
    let error = |options, size| ConvTranspose2d::new(options, size).unwrap_err().to_string();
    assert_eq!(
        error(ConvTranspose2dOptions { output_padding: [0, 2], stride: [3, 2], ..ok }, [5, 5]),
        "conv_transpose2d: the output padding must be smaller than the stride or the dilation, \
         found 2 at stride 2 and dilation 1"
    );
    assert_eq!(
        error(ConvTranspose2dOptions { padding: [2, 4], ..ok }, [2, 2]),
        "conv_transpose2d: an output size must be at least 1, found 0"
    );
    assert_eq!(
        error(ConvTranspose2dOptions { stride: [1 << 20, 1], ..ok }, [3, 2]),
        "conv_transpose2d: an output size must be at most 2^20, found 2097155"
    );
    assert_eq!(
        error(ConvTranspose2dOptions { groups: 4, ..ok }, [5, 5]),
        "conv_transpose2d: the number of output channels must be divisible by the number of \
         groups, found 6 for 4 groups"
    );
    assert!(error(ConvTranspose2dOptions { groups: 3, ..ok }, [5, 5]).contains("input channels"));
    assert!(error(ok, [5, 0]).contains("an image size must be at least 1, found 0"));
    assert!(error(ConvTranspose2dOptions { kernel_size: [0, 1], ..ok }, [5, 5]).contains("kernel"));
    let huge = ConvTranspose2dOptions::new(1 << 40, 1, [1, 1]);
    let error = ConvTranspose2d::new(huge, [1 << 20, 1 << 20]).unwrap_err();
    assert_eq!(error, Error::Overflow { op: "conv_transpose2d", what: "the input" });
}

#[test]
fn wrong_lengths_are_errors() {
    let options = ConvTranspose2dOptions::new(2, 3, [2, 2]);
    let geometry = ConvTranspose2d::new(options, [3, 4]).unwrap();
    let cx = Context::serial();
    let (x, weight, bias, mut y) = ([0.0; 24], [0.0; 24], [0.0; 3], [0.0; 60]);
    let run = |x: &[f32], weight: &[f32], bias: &[f32], y: &mut [f32]| {
        let parameters = Conv2dParameters { weight, bias: Some(bias) };
        conv_transpose2d(&cx, &geometry, x, parameters, y).unwrap_err()
    };
    let length =
        |what, expected, found| Error::Length { op: "conv_transpose2d", what, expected, found };
    assert_eq!(
        run(&x[1..], &weight, &bias, &mut y).to_string(),
        "conv_transpose2d: x must be a whole number of images, found 23 for images of 24 elements"
    );
    assert_eq!(run(&x, &weight[1..], &bias, &mut y), length("the weight", 24, 23));
    assert_eq!(run(&x, &weight, &bias[1..], &mut y), length("the bias", 3, 2));
    assert_eq!(run(&x, &weight, &bias, &mut y[1..]), length("y", 60, 59));

    let (mut dx, mut dweight) = (x, weight);
    let by_input = |weight: &[f32], dy: &[f32], dx: &mut [f32]| {
        conv_transpose2d_backward_input(&cx, &geometry, weight, dy, dx).unwrap_err()
    };
    assert!(by_input(&weight, &y[1..], &mut dx).to_string().contains("dy must be a whole number"));
    assert_eq!(by_input(&weight, &y, &mut dx[1..]), length("dx", 24, 23));
    assert_eq!(by_input(&weight[1..], &y, &mut dx), length("the weight", 24, 23));
    let by_weight = |dy: &[f32], dweight: &mut [f32], outputs: usize| {
        let mut dbias = vec![0.0; outputs];
        let dbias = Some(&mut dbias[..]);
        conv_transpose2d_backward_weight(&cx, &geometry, &x, dy, dweight, dbias).unwrap_err()
    };
    assert_eq!(by_weight(&y[1..], &mut dweight, 3), length("dy", 60, 59));
    assert_eq!(by_weight(&y, &mut dweight[1..], 3), length("dweight", 24, 23));
    assert_eq!(by_weight(&y, &mut dweight, 4), length("dbias", 3, 4));
}

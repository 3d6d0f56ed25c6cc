//! A convolution that is checked against the oracle.

use loupe_engine::conv::{
    Conv2d, Conv2dOptions, Conv2dParameters, conv2d, conv2d_backward_input, conv2d_backward_weight,
};
use loupe_engine::reference::compare::{
    Tolerance, assert_bits, assert_close, check_bits, magnitudes, widen,
};
use loupe_engine::reference::conv2d as oracle;
use loupe_engine::reference::random::Random;
use loupe_engine::{Context, Isa, Threads, Tier};
use proptest::prelude::*;

#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) batch: usize,
    pub(crate) options: Conv2dOptions,
    pub(crate) size: [usize; 2],
    pub(crate) bias: bool,
    pub(crate) seed: u64,
}

/// What the functions under test compute.
pub(crate) struct Results {
    pub(crate) y: Vec<f32>,
    pub(crate) dx: Vec<f32>,
    pub(crate) dweight: Vec<f32>,
    pub(crate) dbias: Vec<f32>,
}

impl Results {
    pub(crate) fn tensors(&self) -> [(&'static str, &[f32]); 4] {
        [("y", &self.y), ("dx", &self.dx), ("dweight", &self.dweight), ("dbias", &self.dbias)]
    }
}

#[derive(Clone)]
pub(crate) struct Inputs {
    pub(crate) x: Vec<f32>,
    pub(crate) weight: Vec<f32>,
    pub(crate) bias: Vec<f32>,
    pub(crate) dy: Vec<f32>,
}

impl Problem {
    pub(crate) fn geometry(&self) -> Conv2d {
        Conv2d::new(self.options, self.size).unwrap()
    }

    pub(crate) fn dims(&self) -> oracle::Conv2dDims {
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

    pub(crate) fn inputs(&self) -> Inputs {
        let dims = self.dims();
        let mut random = Random::new(self.seed);
        Inputs {
            x: random.uniform_f32(dims.input_len(), -1.0, 1.0),
            weight: random.uniform_f32(dims.weight_len(), -1.0, 1.0),
            bias: random.uniform_f32(dims.out_channels, -1.0, 1.0),
            dy: random.uniform_f32(dims.output_len(), -1.0, 1.0),
        }
    }

    pub(crate) fn run(&self, cx: &Context, inputs: &Inputs) -> Results {
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

    /// Checks every tier against the oracle, and that threads do not change a bit.
    pub(crate) fn check(&self, three: &Threads) {
        self.check_with(three, 0.0, Problem::run);
    }

    /// `more` is the magnitude of what the x that is seen is computed from, beyond its own.
    pub(crate) fn check_with(
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

pub(crate) fn options(
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

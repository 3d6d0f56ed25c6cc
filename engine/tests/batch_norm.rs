//! Batch normalisation on every tier and on one and three threads, against the f64 oracle.

use loupe_engine::norm::Affine;
use loupe_engine::norm::batch::{
    BatchNorm, BatchNormBackward, BatchNormGradients, Statistics, batch_norm, batch_norm_backward,
    batch_norm_backward_running, batch_statistics, update_running_statistics,
};
use loupe_engine::reference::activation::leaky_relu_backward;
use loupe_engine::reference::batch_norm as oracle;
use loupe_engine::reference::compare::{Tolerance, assert_bits, assert_close, widen};
use loupe_engine::reference::random::Random;
use loupe_engine::{Context, Error, Isa, Threads};
use proptest::prelude::*;

#[derive(Clone, Copy, Debug)]
struct Problem {
    norm: BatchNorm,
    /// The values of x lie within 1 of it.
    offset: f32,
    negative_slope: Option<f32>,
    seed: u64,
}

struct Inputs {
    x: Vec<f32>,
    dy: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
    running_mean: Vec<f32>,
    running_variance: Vec<f32>,
}

/// Names of what `run` and `expected` return.
const NAMES: [&str; 12] = [
    "mean",
    "variance",
    "y",
    "dx",
    "dweight",
    "dbias",
    "dx_sums",
    "y (running)",
    "dx (running)",
    "dweight (running)",
    "dbias (running)",
    "dx_sums (running)",
];

impl Problem {
    fn inputs(&self) -> Inputs {
        let BatchNorm { batch, channels, spatial, .. } = self.norm;
        let len = batch * channels * spatial;
        let mut random = Random::new(self.seed);
        Inputs {
            x: random.uniform_f32(len, self.offset - 1.0, self.offset + 1.0),
            dy: random.uniform_f32(len, -1.0, 1.0),
            weight: random.uniform_f32(channels, -2.0, 2.0),
            bias: random.uniform_f32(channels, -1.0, 1.0),
            running_mean: random.uniform_f32(channels, self.offset - 1.0, self.offset + 1.0),
            running_variance: random.uniform_f32(channels, 0.25, 2.0),
        }
    }

    fn run(&self, cx: &Context, inputs: &Inputs) -> Vec<Vec<f32>> {
        let norm = &self.norm;
        let Inputs { x, dy, weight, bias, running_mean, running_variance } = inputs;
        let poison = |like: &[f32]| vec![f32::NAN; like.len()];
        let (mut mean, mut variance) = (poison(weight), poison(weight));
        batch_statistics(cx, norm, x, &mut mean, &mut variance).unwrap();
        let mut results = vec![mean.clone(), variance.clone()];
        for by_batch in [true, false] {
            let statistics = if by_batch {
                Statistics { mean: &mean, variance: &variance }
            } else {
                Statistics { mean: running_mean, variance: running_variance }
            };
            let mut y = poison(x);
            batch_norm(cx, norm, x, statistics, Affine { weight, bias }, &mut y).unwrap();
            let negative_slope = self.negative_slope;
            let backward = BatchNormBackward { x, dy, statistics, weight, negative_slope };
            let function = if by_batch { batch_norm_backward } else { batch_norm_backward_running };
            let gradients = |sums: bool| {
                let [mut dx, mut dweight, mut dbias, mut dx_sums] =
                    [x, weight, weight, weight].map(|like| poison(like));
                let gradients = BatchNormGradients {
                    dx: &mut dx,
                    dweight: &mut dweight,
                    dbias: &mut dbias,
                    dx_sums: sums.then_some(&mut dx_sums),
                };
                function(cx, norm, backward, gradients).unwrap();
                [dx, dweight, dbias, dx_sums]
            };
            let with_sums = gradients(true);
            assert_eq!(gradients(false)[..3], with_sums[..3], "with and without dx_sums");
            results.push(y);
            results.extend(with_sums);
        }
        results
    }

    fn expected(&self, inputs: &Inputs) -> Vec<Vec<f64>> {
        let BatchNorm { batch, channels, spatial, eps } = self.norm;
        let [x, dy, weight, bias] =
            [&inputs.x, &inputs.dy, &inputs.weight, &inputs.bias].map(|v| widen(v));
        let (weight, bias, eps) = (&weight[..], &bias[..], f64::from(eps));
        let norm = oracle::BatchNorm { batch, channels, spatial, weight, bias, eps };
        // Through the LeakyReLU, and summed for each channel.
        let through = |dx: &[f64]| {
            let slope = self.negative_slope.map_or(1.0, f64::from);
            let dx = leaky_relu_backward(slope, &x, dx);
            let mut sums = vec![0.0; channels];
            for (i, dx) in dx.iter().enumerate() {
                sums[i / spatial % channels] += dx;
            }
            (dx, sums)
        };

        let (y, statistics) = oracle::batch_norm(&norm, &x);
        let gradients = oracle::batch_norm_backward(&norm, &x, &dy);
        let (dx, dx_sums) = through(&gradients.input);
        let mut results = vec![statistics.mean, statistics.variance, y, dx];
        results.extend([gradients.weight, gradients.bias, dx_sums]);

        let running = oracle::Statistics {
            mean: widen(&inputs.running_mean),
            variance: widen(&inputs.running_variance),
        };
        let (mut dx, mut dweight, mut dbias) =
            (dy.clone(), vec![0.0; channels], vec![0.0; channels]);
        for i in 0..x.len() {
            let c = i / spatial % channels;
            let deviation = (running.variance[c] + eps).sqrt();
            dweight[c] += dy[i] * (x[i] - running.mean[c]) / deviation;
            dbias[c] += dy[i];
            dx[i] *= weight[c] / deviation;
        }
        let (dx, dx_sums) = through(&dx);
        results.push(oracle::batch_norm_inference(&norm, &x, &running));
        results.extend([dx, dweight, dbias, dx_sums]);
        results
    }

    /// Checks every tier against the oracle, and that threads do not change a bit.
    fn check(&self, three: &Threads) {
        let inputs = self.inputs();
        let expected = self.expected(&inputs);
        let eps = f64::from(self.norm.eps);
        let widest =
            expected[1].iter().fold(2.0, |widest: f64, v| widest.max(1.0 / (v + eps).sqrt()));
        // A mean is off by up to half of its last digit, which shifts every z by this much.
        let shift = f64::from(f32::EPSILON) * (f64::from(self.offset) + 1.0) * widest;
        let close = |scale: f64| Tolerance::abs_rel((1e-6 + shift) * scale, 1e-5);
        let count = ((self.norm.batch * self.norm.spatial) as f64).sqrt();
        let tolerance = |name: &str| match name {
            "mean" => Tolerance::abs_rel(1e-7, 2e-7),
            // What rounding the means of the runs costs, at most.
            "variance" => Tolerance::abs_rel(1e-7 * f64::from(self.offset), 1e-5),
            _ if name.starts_with('y') => close(4.0),
            _ if name.starts_with("dx ") || name == "dx" => close(4.0 * widest),
            _ if name.starts_with("dx_sums") => close(4.0 * widest * count),
            _ => close(4.0 * count),
        };
        for isa in Isa::available() {
            let serial = self.run(&Context::new(isa, Threads::serial()), &inputs);
            let parallel = self.run(&Context::new(isa, three.clone()), &inputs);
            for (i, name) in NAMES.into_iter().enumerate() {
                let what = format!("{isa:?} {self:?} {name}");
                assert_close(&what, &serial[i], &expected[i], &tolerance(name));
                assert_bits(&what, &parallel[i], &serial[i]);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn all_shapes_agree_with_the_oracle(
        batch in prop_oneof![1..4_usize, 15..18_usize, 63..67_usize],
        channels in prop_oneof![1..4_usize, 9..11_usize, 15..18_usize, 63..67_usize],
        spatial in prop_oneof![Just(1_usize), 2..4_usize, 14..18_usize, 24..34_usize],
        offset in prop_oneof![Just(0.0_f32), Just(100.0), Just(1e4)],
        negative_slope in prop_oneof![Just(None), Just(Some(0.02_f32)), Just(Some(0.0))],
        seed: u64,
    ) {
        // Of few values, the variance may be so small that rounding is all that is left of z.
        prop_assume!(batch * spatial > 4);
        let norm = BatchNorm { batch, channels, spatial, eps: 0.01 };
        Problem { norm, offset, negative_slope, seed }.check(&Threads::new(3).unwrap());
    }
}

#[test]
fn layers_of_the_network_and_layers_that_are_shared_out_agree_with_the_oracle() {
    let three = Threads::new(3).unwrap();
    for [batch, channels, spatial] in [
        [1, 10, 144],
        [1, 10, 25],
        [64, 10, 25],
        // More than 2¹⁹ operations.
        [3000, 3, 25],
        [2, 33, 5000],
        [20_000, 10, 1],
        [1500, 200, 1],
        [900, 70, 4],
        [300, 40, 15],
    ] {
        let norm = BatchNorm { batch, channels, spatial, eps: 1e-5 };
        Problem { norm, offset: 10.0, negative_slope: Some(0.02), seed: 11 }.check(&three);
    }
}

#[test]
fn statistics_by_hand_are_exact() {
    // Two channels of the values 1, 3, 5, 7 and 0, 0, 0, 4, in three layouts.
    let layouts: [([usize; 2], &[f32]); 3] = [
        ([1, 4], &[1.0, 3.0, 5.0, 7.0, 0.0, 0.0, 0.0, 4.0]),
        ([2, 2], &[1.0, 3.0, 0.0, 0.0, 5.0, 7.0, 0.0, 4.0]),
        ([4, 1], &[1.0, 0.0, 3.0, 0.0, 5.0, 0.0, 7.0, 4.0]),
    ];
    for isa in Isa::available() {
        for ([batch, spatial], x) in layouts {
            let norm = BatchNorm { batch, channels: 2, spatial, eps: 1.0 };
            let (mut mean, mut variance) = ([f32::NAN; 2], [f32::NAN; 2]);
            let cx = Context::new(isa, Threads::serial());
            batch_statistics(&cx, &norm, x, &mut mean, &mut variance).unwrap();
            assert_eq!((mean, variance), ([4.0, 1.0], [5.0, 3.0]), "{isa:?} {norm:?}");
        }
    }
}

#[test]
fn statistics_of_many_images_far_from_zero_keep_their_digits() {
    let cx = Context::serial();
    // Where images have a mean of their own, it is rounded once more.
    for (batch, spatial, precision) in [(60_000, 1, 2e-6), (20_000, 3, 1e-5)] {
        let norm = BatchNorm { batch, channels: 2, spatial, eps: 0.0 };
        let mut random = Random::new(17);
        let x = random.uniform_f32(batch * 2 * spatial, 9_999.0, 10_001.0);
        let (mut mean, mut variance) = ([0.0; 2], [0.0; 2]);
        batch_statistics(&cx, &norm, &x, &mut mean, &mut variance).unwrap();
        let ones = [1.0; 2];
        let judge =
            oracle::BatchNorm { batch, channels: 2, spatial, weight: &ones, bias: &ones, eps: 0.0 };
        let expected = oracle::batch_statistics(&judge, &widen(&x));
        assert_close("mean", &mean, &expected.mean, &Tolerance::abs_rel(0.0, 1e-7));
        assert_close(
            "variance",
            &variance,
            &expected.variance,
            &Tolerance::abs_rel(0.0, precision),
        );
    }
}

#[test]
fn a_constant_channel_has_no_variance_and_nan_is_not_hidden() {
    let cx = Context::serial();
    for [batch, spatial] in [[1, 40], [40, 1], [8, 5]] {
        let norm = BatchNorm { batch, channels: 1, spatial, eps: 0.0 };
        let (mut mean, mut variance) = ([0.0], [0.0]);
        let mut x = [0.1; 40];
        batch_statistics(&cx, &norm, &x, &mut mean, &mut variance).unwrap();
        assert_eq!((mean, variance), ([0.1], [0.0]));
        x[17] = f32::NAN;
        batch_statistics(&cx, &norm, &x, &mut mean, &mut variance).unwrap();
        assert!(mean[0].is_nan() && variance[0].is_nan());
    }
}

#[test]
fn running_statistics_follow_the_unbiased_variance() {
    let mut random = Random::new(23);
    for (batch, spatial) in [(2, 1), (1, 25), (64, 144)] {
        let norm = BatchNorm { batch, channels: 5, spatial, eps: 1e-5 };
        let [mean, mut running_mean] = [(); 2].map(|()| random.uniform_f32(5, -1.0, 1.0));
        let [variance, mut running_variance] = [(); 2].map(|()| random.uniform_f32(5, 0.5, 2.0));
        let mut expected =
            oracle::Statistics { mean: widen(&running_mean), variance: widen(&running_variance) };
        let of_batch = oracle::Statistics { mean: widen(&mean), variance: widen(&variance) };
        oracle::update_running_statistics(&mut expected, &of_batch, batch * spatial, 0.1);
        let statistics = Statistics { mean: &mean, variance: &variance };
        let running = (&mut running_mean[..], &mut running_variance[..]);
        update_running_statistics(&norm, 0.1, statistics, running.0, running.1).unwrap();
        let tolerance = Tolerance::abs_rel(1e-7, 1e-6);
        assert_close("mean", &running_mean, &expected.mean, &tolerance);
        assert_close("variance", &running_variance, &expected.variance, &tolerance);
    }
}

const NORM: BatchNorm = BatchNorm { batch: 2, channels: 3, spatial: 4, eps: 1e-5 };

fn statistics(norm: &BatchNorm, lens: [usize; 3]) -> Result<(), Error> {
    let [x, mut mean, mut variance] = lens.map(|len| vec![0.0; len]);
    batch_statistics(&Context::serial(), norm, &x, &mut mean, &mut variance)
}

fn forward(norm: &BatchNorm, lens: [usize; 6]) -> Result<(), Error> {
    let [x, mean, variance, weight, bias, mut y] = lens.map(|len| vec![0.0; len]);
    let statistics = Statistics { mean: &mean, variance: &variance };
    let affine = Affine { weight: &weight, bias: &bias };
    batch_norm(&Context::serial(), norm, &x, statistics, affine, &mut y)
}

fn backward(norm: &BatchNorm, slope: Option<f32>, lens: [usize; 9]) -> Result<(), Error> {
    let [x, dy, mean, variance, weight, mut dx, mut dweight, mut dbias, mut dx_sums] =
        lens.map(|len| vec![0.0; len]);
    let inputs = BatchNormBackward {
        x: &x,
        dy: &dy,
        statistics: Statistics { mean: &mean, variance: &variance },
        weight: &weight,
        negative_slope: slope,
    };
    let gradients = BatchNormGradients {
        dx: &mut dx,
        dweight: &mut dweight,
        dbias: &mut dbias,
        dx_sums: Some(&mut dx_sums),
    };
    batch_norm_backward(&Context::serial(), norm, inputs, gradients)
}

fn update(norm: &BatchNorm, momentum: f32, lens: [usize; 4]) -> Result<(), Error> {
    let [mean, variance, mut running_mean, mut running_variance] = lens.map(|len| vec![0.0; len]);
    let batch = Statistics { mean: &mean, variance: &variance };
    update_running_statistics(norm, momentum, batch, &mut running_mean, &mut running_variance)
}

/// Every length in turn is one too long.
fn check_lengths<const N: usize>(
    op: &'static str,
    names: [&'static str; N],
    lens: [usize; N],
    run: impl Fn([usize; N]) -> Result<(), Error>,
) {
    assert_eq!(run(lens), Ok(()));
    for (i, what) in names.into_iter().enumerate() {
        let mut wrong = lens;
        wrong[i] += 1;
        let (expected, found) = (lens[i], wrong[i]);
        assert_eq!(run(wrong), Err(Error::Length { op, what, expected, found }));
    }
}

#[test]
fn lengths_that_do_not_fit_are_errors() {
    check_lengths("batch_statistics", ["x", "mean", "variance"], [24, 3, 3], |lens| {
        statistics(&NORM, lens)
    });
    let names = ["x", "mean", "variance", "weight", "bias", "y"];
    check_lengths("batch_norm", names, [24, 3, 3, 3, 3, 24], |lens| forward(&NORM, lens));
    let names = ["x", "dy", "mean", "variance", "weight", "dx", "dweight", "dbias", "dx_sums"];
    check_lengths("batch_norm_backward", names, [24, 24, 3, 3, 3, 24, 3, 3, 3], |lens| {
        backward(&NORM, None, lens)
    });
    let names = ["mean", "variance", "running_mean", "running_variance"];
    check_lengths("update_running_statistics", names, [3; 4], |lens| update(&NORM, 0.1, lens));
    let huge = BatchNorm { spatial: usize::MAX, ..NORM };
    assert_eq!(
        forward(&huge, [24, 3, 3, 3, 3, 24]),
        Err(Error::Overflow { op: "batch_norm", what: "x" })
    );
}

#[test]
fn options_without_meaning_are_errors() {
    let one = BatchNorm { batch: 1, spatial: 1, ..NORM };
    for result in [
        statistics(&one, [3; 3]),
        backward(&one, None, [3; 9]),
        update(&one, 0.1, [3; 4]),
        statistics(&BatchNorm { batch: 0, ..NORM }, [0, 3, 3]),
    ] {
        let per_channel = "the number of values per channel";
        assert!(matches!(result, Err(Error::Invalid { what, .. }) if what == per_channel));
    }
    let lens = [24, 24, 3, 3, 3, 24, 3, 3, 3];
    for slope in [-0.1, f32::NAN] {
        let result = backward(&NORM, Some(slope), lens);
        assert!(matches!(result, Err(Error::Invalid { what: "negative_slope", .. })));
    }
    for eps in [-1e-5, f32::NAN] {
        let norm = BatchNorm { eps, ..NORM };
        for result in [forward(&norm, [24, 3, 3, 3, 3, 24]), backward(&norm, None, lens)] {
            assert!(matches!(result, Err(Error::Invalid { what: "eps", .. })));
        }
    }
    for momentum in [-0.1, 1.1, f32::NAN] {
        let result = update(&NORM, momentum, [3; 4]);
        assert!(matches!(result, Err(Error::Invalid { what: "momentum", .. })));
    }
}

#[test]
fn empty_tensors_are_normalised_to_nothing() {
    for norm in [
        BatchNorm { batch: 0, ..NORM },
        BatchNorm { spatial: 0, ..NORM },
        BatchNorm { batch: 0, spatial: 1, ..NORM },
    ] {
        assert_eq!(forward(&norm, [0, 3, 3, 3, 3, 0]), Ok(()));
        let mut sums = [[f32::NAN; 3]; 3];
        let [dweight, dbias, dx_sums] = &mut sums;
        let gradients = BatchNormGradients { dx: &mut [], dweight, dbias, dx_sums: Some(dx_sums) };
        let inputs = BatchNormBackward {
            x: &[],
            dy: &[],
            statistics: Statistics { mean: &[0.0; 3], variance: &[1.0; 3] },
            weight: &[1.0; 3],
            negative_slope: None,
        };
        batch_norm_backward_running(&Context::serial(), &norm, inputs, gradients).unwrap();
        assert_eq!(sums, [[0.0; 3]; 3]);
    }
    for spatial in [1, 4] {
        let norm = BatchNorm { channels: 0, spatial, ..NORM };
        assert_eq!(statistics(&norm, [0; 3]), Ok(()));
        assert_eq!(forward(&norm, [0; 6]), Ok(()));
        assert_eq!(backward(&norm, None, [0; 9]), Ok(()));
    }
}

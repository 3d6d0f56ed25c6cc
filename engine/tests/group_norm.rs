//! Group normalisation on every tier and on one and three threads, against the f64 oracle.

use loupe_engine::norm::Affine;
use loupe_engine::norm::group::{
    GroupNorm, GroupNormBackward, GroupNormGradients, GroupNormOutputs, group_norm,
    group_norm_backward,
};
use loupe_engine::norm::layer::{LayerNorm, LayerNormOutputs, layer_norm};
use loupe_engine::reference::compare::{Tolerance, assert_bits, assert_close, widen};
use loupe_engine::reference::group_norm as oracle;
use loupe_engine::reference::random::Random;
use loupe_engine::{Context, Error, Isa, Threads};
use proptest::prelude::*;

struct Inputs {
    x: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
    dy: Vec<f32>,
}

const NAMES: [&str; 6] = ["y", "mean", "inv_std", "dx", "dweight", "dbias"];

fn poison(len: usize) -> Vec<f32> {
    vec![f32::NAN; len]
}

/// What `NAMES` says.
fn run(cx: &Context, norm: &GroupNorm, inputs: &Inputs) -> [Vec<f32>; 6] {
    let Inputs { x, weight, bias, dy } = inputs;
    let groups = norm.batch * norm.groups;
    let (mut y, mut mean, mut inv_std) = (poison(x.len()), poison(groups), poison(groups));
    let outputs = GroupNormOutputs { y: &mut y, mean: &mut mean, inv_std: &mut inv_std };
    group_norm(cx, norm, x, Affine { weight, bias }, outputs).unwrap();
    let [mut dx, mut dweight, mut dbias] = [x, weight, bias].map(|tensor| poison(tensor.len()));
    let inputs = GroupNormBackward { x, dy, mean: &mean, inv_std: &inv_std, weight };
    let gradients = GroupNormGradients { dx: &mut dx, dweight: &mut dweight, dbias: &mut dbias };
    group_norm_backward(cx, norm, inputs, gradients).unwrap();
    [y, mean, inv_std, dx, dweight, dbias]
}

/// Checks every tier against the oracle, and that threads do not change a bit. The values of x lie
/// within 1 of `offset`.
fn check(norm: &GroupNorm, offset: f32, seed: u64, three: &Threads) {
    let &GroupNorm { batch, channels, spatial, groups, eps } = norm;
    let len = batch * channels * spatial;
    let mut random = Random::new(seed);
    let inputs = Inputs {
        x: random.uniform_f32(len, offset - 1.0, offset + 1.0),
        weight: random.uniform_f32(channels, -2.0, 2.0),
        bias: random.uniform_f32(channels, -1.0, 1.0),
        dy: random.uniform_f32(len, -1.0, 1.0),
    };
    let [x, weight, bias, dy] =
        [&inputs.x, &inputs.weight, &inputs.bias, &inputs.dy].map(|v| widen(v));
    let (weight, bias, eps) = (&weight[..], &bias[..], f64::from(eps));
    let judge = oracle::GroupNorm { batch, channels, spatial, groups, weight, bias, eps };
    let (y, statistics) = oracle::group_norm(&judge, &x);
    let gradients = oracle::group_norm_backward(&judge, &x, &dy);
    // The stored mean is off by up to half of its last digit, which shifts every z by this much.
    let widest = statistics.inv_std.iter().fold(0.0_f64, |a, &b| a.max(b));
    let shift = f64::from(f32::EPSILON) * (f64::from(offset) + 1.0) * widest;
    let close = |scale: f64| Tolerance::abs_rel((1e-6 + shift) * scale, 1e-5);
    let count = ((batch * spatial) as f64).sqrt();
    let expected = [
        (y, close(4.0)),
        (statistics.mean, Tolerance::abs_rel(1e-7, 2e-7)),
        (statistics.inv_std, Tolerance::abs_rel(0.0, 1e-5)),
        (gradients.input, close(8.0 * widest)),
        (gradients.weight, close(2.0 * count + 2.0)),
        (gradients.bias, close(count)),
    ];
    for isa in Isa::available() {
        let serial = run(&Context::new(isa, Threads::serial()), norm, &inputs);
        let parallel = run(&Context::new(isa, three.clone()), norm, &inputs);
        for (i, (expected, tolerance)) in expected.iter().enumerate() {
            let what = format!("{isa:?} {norm:?} {}", NAMES[i]);
            assert_close(&what, &serial[i], expected, tolerance);
            assert_bits(&what, &parallel[i], &serial[i]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn all_shapes_agree_with_the_oracle(
        batch in prop_oneof![1..4_usize, 15..18_usize, 63..67_usize],
        groups in prop_oneof![1..4_usize, 8..10_usize],
        channels_per_group in prop_oneof![1..4_usize, 7..9_usize, 15..18_usize],
        spatial in prop_oneof![Just(1_usize), 2..5_usize, 13..18_usize, 31..34_usize, 60..70_usize],
        offset in prop_oneof![Just(0.0_f32), Just(100.0), Just(1e4)],
        seed: u64,
    ) {
        // Of one value, rounding of the mean is all that is left of z.
        prop_assume!(channels_per_group * spatial > 1);
        let channels = groups * channels_per_group;
        let norm = GroupNorm { batch, channels, spatial, groups, eps: 0.01 };
        check(&norm, offset, seed, &Threads::new(3).unwrap());
    }
}

#[test]
fn groups_that_are_shared_out_agree_with_the_oracle() {
    let three = Threads::new(3).unwrap();
    for [batch, channels, spatial, groups] in [
        [1, 64, 400, 8],
        [32, 64, 64, 32],
        [3, 12, 5000, 2],
        // One group for the whole image, and one for each channel.
        [5, 40, 256, 1],
        [9, 64, 100, 64],
        // The columns are the lanes, in more than one task.
        [300, 64, 9, 8],
        [700, 100, 4, 100],
        [2000, 96, 1, 3],
    ] {
        let norm = GroupNorm { batch, channels, spatial, groups, eps: 1e-5 };
        check(&norm, 100.0, 5, &three);
    }
}

#[test]
fn one_group_without_positions_has_the_bits_of_a_layer_normalisation() {
    let cx = Context::serial();
    let mut random = Random::new(7);
    let (batch, channels) = (21, 45);
    let x = random.uniform_f32(batch * channels, -1.0, 3.0);
    let [weight, bias] = [(); 2].map(|()| random.uniform_f32(channels, -1.0, 1.0));
    let norm = GroupNorm { batch, channels, spatial: 1, groups: 1, eps: 1e-5 };
    let dy = x.clone();
    let [y, mean, inv_std, ..] =
        run(&cx, &norm, &Inputs { x: x.clone(), weight: weight.clone(), bias: bias.clone(), dy });
    let mut layer = [poison(x.len()), poison(batch), poison(batch)];
    let [ly, lmean, linv_std] = &mut layer;
    let outputs = LayerNormOutputs { y: ly, mean: lmean, inv_std: linv_std };
    let norm = LayerNorm { rows: batch, features: channels, eps: 1e-5 };
    layer_norm(&cx, &norm, &x, Affine { weight: &weight, bias: &bias }, outputs).unwrap();
    assert_eq!([y, mean, inv_std], layer);
}

#[test]
fn a_group_of_one_value_is_its_own_mean() {
    let norm = GroupNorm { batch: 1, channels: 3, spatial: 1, groups: 3, eps: 0.25 };
    let inputs = Inputs {
        x: vec![5.0, -7.0, 1e6],
        weight: vec![3.0, 2.0, 1.0],
        bias: vec![0.5, 1.5, 2.5],
        dy: vec![2.0; 3],
    };
    for isa in Isa::available() {
        let [y, mean, inv_std, dx, dweight, dbias] =
            run(&Context::new(isa, Threads::serial()), &norm, &inputs);
        assert_eq!([y, mean], [inputs.bias.clone(), inputs.x.clone()]);
        assert_eq!([inv_std, dx], [vec![2.0; 3], vec![0.0; 3]]);
        assert_eq!([dweight, dbias], [vec![0.0; 3], vec![2.0; 3]]);
    }
}

#[test]
fn nan_stays_in_its_group_and_is_not_hidden() {
    for spatial in [1, 3, 16, 33] {
        let norm = GroupNorm { batch: 2, channels: 4, spatial, groups: 2, eps: 1e-5 };
        let len = 8 * spatial;
        let mut random = Random::new(13);
        let mut x = random.uniform_f32(len, -1.0, 1.0);
        // The last value of the second group of the first image.
        x[len / 2 - 1] = f32::NAN;
        let dy = random.uniform_f32(len, -1.0, 1.0);
        let inputs = Inputs { x, weight: vec![1.0; 4], bias: vec![0.0; 4], dy };
        let [y, _, _, dx, dweight, _] = run(&Context::serial(), &norm, &inputs);
        for (i, (y, dx)) in y.iter().zip(&dx).enumerate() {
            let expected = i / (2 * spatial) == 1;
            assert_eq!([y.is_nan(), dx.is_nan()], [expected; 2], "{spatial}: {i}");
        }
        assert_eq!(
            dweight.iter().map(|v| v.is_nan()).collect::<Vec<_>>(),
            [false, false, true, true]
        );
    }
}

#[test]
fn no_images_give_gradients_of_zero() {
    for spatial in [1, 4, 100] {
        let norm = GroupNorm { batch: 0, channels: 2, spatial, groups: 2, eps: 0.1 };
        let (x, dy) = (vec![], vec![]);
        let inputs = Inputs { x, dy, weight: vec![1.0; 2], bias: vec![1.0; 2] };
        let [.., dweight, dbias] = run(&Context::serial(), &norm, &inputs);
        assert_eq!([dweight, dbias], [[0.0; 2]; 2]);
    }
}

const NORM: GroupNorm = GroupNorm { batch: 2, channels: 6, spatial: 5, groups: 2, eps: 1e-5 };

fn forward(norm: &GroupNorm, lens: [usize; 6]) -> Result<(), Error> {
    let [x, weight, bias, mut y, mut mean, mut inv_std] = lens.map(|len| vec![0.0; len]);
    let affine = Affine { weight: &weight, bias: &bias };
    let outputs = GroupNormOutputs { y: &mut y, mean: &mut mean, inv_std: &mut inv_std };
    group_norm(&Context::serial(), norm, &x, affine, outputs)
}

fn backward(norm: &GroupNorm, lens: [usize; 8]) -> Result<(), Error> {
    let [x, dy, mean, inv_std, weight, mut dx, mut dweight, mut dbias] =
        lens.map(|len| vec![0.0; len]);
    let inputs =
        GroupNormBackward { x: &x, dy: &dy, mean: &mean, inv_std: &inv_std, weight: &weight };
    let gradients = GroupNormGradients { dx: &mut dx, dweight: &mut dweight, dbias: &mut dbias };
    group_norm_backward(&Context::serial(), norm, inputs, gradients)
}

#[test]
fn lengths_that_do_not_fit_are_errors() {
    for spatial in [5, 20] {
        let norm = GroupNorm { spatial, ..NORM };
        let len = 12 * spatial;
        let lens = [len, 6, 6, len, 4, 4];
        assert_eq!(forward(&norm, lens), Ok(()));
        for (i, what) in ["x", "weight", "bias", "y", "mean", "inv_std"].into_iter().enumerate() {
            let mut wrong = lens;
            wrong[i] += 1;
            let (op, expected, found) = ("group_norm", lens[i], lens[i] + 1);
            assert_eq!(forward(&norm, wrong), Err(Error::Length { op, what, expected, found }));
        }
        let lens = [len, len, 4, 4, 6, len, 6, 6];
        assert_eq!(backward(&norm, lens), Ok(()));
        let names = ["x", "dy", "mean", "inv_std", "weight", "dx", "dweight", "dbias"];
        for (i, what) in names.into_iter().enumerate() {
            let mut wrong = lens;
            wrong[i] -= 1;
            let (op, expected, found) = ("group_norm_backward", lens[i], lens[i] - 1);
            assert_eq!(backward(&norm, wrong), Err(Error::Length { op, what, expected, found }));
        }
    }
}

#[test]
fn sizes_and_options_without_meaning_are_errors() {
    let both = |norm: GroupNorm| {
        let forward = forward(&norm, [60, 6, 6, 60, 4, 4]).unwrap_err();
        let backward = backward(&norm, [60, 60, 4, 4, 6, 60, 6, 6]).unwrap_err();
        [forward, backward]
    };
    for groups in [0, 4, 12, usize::MAX] {
        for error in both(GroupNorm { groups, ..NORM }) {
            assert!(
                matches!(error, Error::Invalid { what: "the number of groups", .. }),
                "{groups}"
            );
        }
    }
    for norm in [GroupNorm { spatial: 0, ..NORM }, GroupNorm { channels: 0, ..NORM }] {
        for error in both(norm) {
            assert!(matches!(error, Error::Invalid { what: "the values per group", .. }));
        }
    }
    for eps in [-1e-9, f32::NAN, f32::INFINITY] {
        for error in both(GroupNorm { eps, ..NORM }) {
            assert!(matches!(error, Error::Invalid { what: "eps", .. }), "{eps}");
        }
    }
    for norm in [
        GroupNorm { batch: usize::MAX, ..NORM },
        GroupNorm { spatial: usize::MAX, ..NORM },
        GroupNorm { channels: usize::MAX - 1, groups: 1, ..NORM },
        GroupNorm { batch: 0, spatial: usize::MAX, ..NORM },
    ] {
        for error in both(norm) {
            assert!(matches!(error, Error::Overflow { what: "x", .. }), "{norm:?}");
        }
    }
    // As many elements as memory can address, of which none is there.
    let huge = GroupNorm { channels: usize::MAX, groups: usize::MAX, spatial: 1, batch: 1, ..NORM };
    for error in both(huge) {
        assert!(matches!(error, Error::Length { what: "x", expected: usize::MAX, .. }));
    }
}

//! Layer normalisation on every tier and on one and three threads, against the f64 oracle.

use loupe_engine::norm::Affine;
use loupe_engine::norm::layer::{
    LayerNorm, LayerNormBackward, LayerNormGradients, LayerNormOutputs, layer_norm,
    layer_norm_backward,
};
use loupe_engine::reference::compare::{Tolerance, assert_bits, assert_close, widen};
use loupe_engine::reference::layer_norm as oracle;
use loupe_engine::reference::random::Random;
use loupe_engine::{Context, Error, Isa, Threads};
use proptest::prelude::*;

struct Inputs {
    x: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
    dy: Vec<f32>,
}

/// y, mean, inv_std, dx, dweight, dbias
fn run(cx: &Context, norm: &LayerNorm, inputs: &Inputs) -> [Vec<f32>; 6] {
    let Inputs { x, weight, bias, dy } = inputs;
    let poison = |len| vec![f32::NAN; len];
    let (mut y, mut mean, mut inv_std) = (poison(x.len()), poison(norm.rows), poison(norm.rows));
    let outputs = LayerNormOutputs { y: &mut y, mean: &mut mean, inv_std: &mut inv_std };
    layer_norm(cx, norm, x, Affine { weight, bias }, outputs).unwrap();
    let [mut dx, mut dweight, mut dbias] = [x, weight, bias].map(|tensor| poison(tensor.len()));
    let inputs = LayerNormBackward { x, dy, mean: &mean, inv_std: &inv_std, weight };
    let gradients = LayerNormGradients { dx: &mut dx, dweight: &mut dweight, dbias: &mut dbias };
    layer_norm_backward(cx, norm, inputs, gradients).unwrap();
    [y, mean, inv_std, dx, dweight, dbias]
}

/// Checks every tier against the oracle, and that threads do not change a bit. The values of x lie
/// within 1 of `offset`.
fn check(norm: &LayerNorm, offset: f32, seed: u64, three: &Threads) {
    let &LayerNorm { rows, features, eps } = norm;
    let mut random = Random::new(seed);
    let inputs = Inputs {
        x: random.uniform_f32(rows * features, offset - 1.0, offset + 1.0),
        weight: random.uniform_f32(features, -2.0, 2.0),
        bias: random.uniform_f32(features, -1.0, 1.0),
        dy: random.uniform_f32(rows * features, -1.0, 1.0),
    };
    let [x, weight, bias, dy] =
        [&inputs.x, &inputs.weight, &inputs.bias, &inputs.dy].map(|v| widen(v));
    let judge =
        oracle::LayerNorm { rows, features, weight: &weight, bias: &bias, eps: f64::from(eps) };
    let y = oracle::layer_norm(&judge, &x);
    let gradients = oracle::layer_norm_backward(&judge, &x, &dy);
    let (mut mean, mut inv_std) = (vec![], vec![]);
    for row in x.chunks(features) {
        let average = row.iter().sum::<f64>() / features as f64;
        let variance = row.iter().map(|x| (x - average).powi(2)).sum::<f64>() / features as f64;
        mean.push(average);
        inv_std.push(1.0 / (variance + f64::from(eps)).sqrt());
    }
    let expected = [y, mean, inv_std.clone(), gradients.input, gradients.weight, gradients.bias];

    // The stored mean is off by up to half of its last digit, which shifts every z by this much.
    let widest = inv_std.iter().fold(0.0_f64, |a, &b| a.max(b));
    let shift = f64::from(f32::EPSILON) * (f64::from(offset) + 1.0) * widest;
    let close = |scale: f64| Tolerance::abs_rel((1e-6 + shift) * scale, 1e-5);
    let tolerances = [
        close(4.0),
        Tolerance::abs_rel(1e-7, 2e-7),
        Tolerance::abs_rel(0.0, 1e-5),
        close(8.0 * widest),
        close(2.0 * (rows as f64).sqrt() + 2.0),
        close((rows as f64).sqrt()),
    ];
    let names = ["y", "mean", "inv_std", "dx", "dweight", "dbias"];
    for isa in Isa::available() {
        let serial = run(&Context::new(isa, Threads::serial()), norm, &inputs);
        let parallel = run(&Context::new(isa, three.clone()), norm, &inputs);
        for i in 0..6 {
            let what = format!("{isa:?} {norm:?} {}", names[i]);
            assert_close(&what, &serial[i], &expected[i], &tolerances[i]);
            assert_bits(&what, &parallel[i], &serial[i]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn all_shapes_agree_with_the_oracle(
        rows in prop_oneof![1..6_usize, 15..19_usize, 127..131_usize],
        features in prop_oneof![2..8_usize, 14..19_usize, 30..36_usize, 195..205_usize],
        offset in prop_oneof![Just(0.0_f32), Just(100.0), Just(1e4)],
        seed: u64,
    ) {
        let norm = LayerNorm { rows, features, eps: 0.01 };
        check(&norm, offset, seed, &Threads::new(3).unwrap());
    }
}

#[test]
fn rows_that_are_shared_out_agree_with_the_oracle() {
    let three = Threads::new(3).unwrap();
    for (rows, features) in [(1, 200), (64, 200), (1000, 200), (40, 9001)] {
        check(&LayerNorm { rows, features, eps: 1e-5 }, 100.0, 5, &three);
    }
}

#[test]
fn one_feature_is_its_own_mean() {
    let norm = LayerNorm { rows: 3, features: 1, eps: 0.25 };
    let inputs =
        Inputs { x: vec![5.0, -7.0, 1e6], weight: vec![3.0], bias: vec![0.5], dy: vec![2.0; 3] };
    for isa in Isa::available() {
        let [y, mean, inv_std, dx, dweight, dbias] =
            run(&Context::new(isa, Threads::serial()), &norm, &inputs);
        assert_eq!([y, mean], [vec![0.5; 3], inputs.x.clone()]);
        assert_eq!([inv_std, dx], [vec![2.0; 3], vec![0.0; 3]]);
        assert_eq!([dweight, dbias], [[0.0], [6.0]]);
    }
}

#[test]
fn no_rows_give_gradients_of_zero() {
    let norm = LayerNorm { rows: 0, features: 2, eps: 0.1 };
    let inputs = Inputs { x: vec![], weight: vec![1.0; 2], bias: vec![1.0; 2], dy: vec![] };
    let [.., dweight, dbias] = run(&Context::serial(), &norm, &inputs);
    assert_eq!([dweight, dbias], [[0.0; 2]; 2]);
}

#[test]
fn wrong_sizes_and_options_are_errors() {
    let cx = Context::serial();
    let norm = LayerNorm { rows: 2, features: 3, eps: 1e-5 };
    let forward = |norm: &LayerNorm, lens: [usize; 6]| {
        let [x, weight, bias, mut y, mut mean, mut inv_std] = lens.map(|len| vec![0.0; len]);
        let affine = Affine { weight: &weight, bias: &bias };
        let outputs = LayerNormOutputs { y: &mut y, mean: &mut mean, inv_std: &mut inv_std };
        layer_norm(&cx, norm, &x, affine, outputs)
    };
    let backward = |norm: &LayerNorm, lens: [usize; 8]| {
        let [x, dy, mean, inv_std, weight, mut dx, mut dweight, mut dbias] =
            lens.map(|len| vec![0.0; len]);
        let inputs =
            LayerNormBackward { x: &x, dy: &dy, mean: &mean, inv_std: &inv_std, weight: &weight };
        let gradients =
            LayerNormGradients { dx: &mut dx, dweight: &mut dweight, dbias: &mut dbias };
        layer_norm_backward(&cx, norm, inputs, gradients)
    };
    let lens = [6, 3, 3, 6, 2, 2];
    assert_eq!(forward(&norm, lens), Ok(()));
    for (i, what) in ["x", "weight", "bias", "y", "mean", "inv_std"].into_iter().enumerate() {
        let mut wrong = lens;
        wrong[i] += 1;
        let (op, expected, found) = ("layer_norm", lens[i], lens[i] + 1);
        assert_eq!(forward(&norm, wrong), Err(Error::Length { op, what, expected, found }));
    }
    let lens = [6, 6, 2, 2, 3, 6, 3, 3];
    assert_eq!(backward(&norm, lens), Ok(()));
    let names = ["x", "dy", "mean", "inv_std", "weight", "dx", "dweight", "dbias"];
    for (i, what) in names.into_iter().enumerate() {
        let mut wrong = lens;
        wrong[i] -= 1;
        let (op, expected, found) = ("layer_norm_backward", lens[i], lens[i] - 1);
        assert_eq!(backward(&norm, wrong), Err(Error::Length { op, what, expected, found }));
    }
    for eps in [-1e-9, f32::NAN, f32::INFINITY] {
        let result = forward(&LayerNorm { eps, ..norm }, [6, 3, 3, 6, 2, 2]);
        assert!(matches!(result, Err(Error::Invalid { what: "eps", .. })), "{eps}");
    }
    let result = forward(&LayerNorm { features: 0, ..norm }, [0, 0, 0, 0, 2, 2]);
    assert!(matches!(result, Err(Error::Invalid { what: "the number of features", .. })));
    let result = forward(&LayerNorm { rows: usize::MAX, ..norm }, [6, 3, 3, 6, 2, 2]);
    assert_eq!(result, Err(Error::Overflow { op: "layer_norm", what: "x" }));
}

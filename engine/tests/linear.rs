//! Fully connected layers on every tier and on one and three threads, against the f64 oracle.

use loupe_engine::linear::{Linear, linear, linear_backward_input, linear_backward_weight};
use loupe_engine::reference::compare::{Tolerance, assert_bits, assert_close, magnitudes, widen};
use loupe_engine::reference::linear as oracle;
use loupe_engine::reference::random::Random;
use loupe_engine::{Context, Error, Isa, Threads};
use proptest::prelude::*;

struct Inputs {
    x: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
    dy: Vec<f32>,
}

impl Inputs {
    fn new(layer: &Linear, seed: u64) -> Inputs {
        let mut random = Random::new(seed);
        let mut uniform = |len| random.uniform_f32(len, -1.0, 1.0);
        Inputs {
            x: uniform(layer.batch * layer.in_features),
            weight: uniform(layer.out_features * layer.in_features),
            bias: uniform(layer.out_features),
            dy: uniform(layer.batch * layer.out_features),
        }
    }
}

const NAMES: [&str; 5] = ["y", "y without bias", "dx", "dweight", "dbias"];

fn run(cx: &Context, layer: &Linear, inputs: &Inputs) -> [Vec<f32>; 5] {
    let Inputs { x, weight, bias, dy } = inputs;
    let [mut y, mut plain, mut dx, mut dweight, mut dbias] =
        [dy, dy, x, weight, bias].map(|tensor| vec![f32::NAN; tensor.len()]);
    linear(cx, layer, x, weight, Some(bias), &mut y).unwrap();
    linear(cx, layer, x, weight, None, &mut plain).unwrap();
    linear_backward_input(cx, layer, weight, dy, &mut dx).unwrap();
    linear_backward_weight(cx, layer, x, dy, &mut dweight, Some(&mut dbias)).unwrap();
    let mut alone = vec![f32::NAN; weight.len()];
    linear_backward_weight(cx, layer, x, dy, &mut alone, None).unwrap();
    assert!(alone == dweight, "dweight without dbias");
    [y, plain, dx, dweight, dbias]
}

/// The oracle's results: y with and without bias, and the gradients.
fn judge(layer: &Linear, [x, weight, bias, dy]: [&[f64]; 4]) -> [Vec<f64>; 5] {
    let &Linear { batch, in_features, out_features } = layer;
    let dims = oracle::LinearDims { batch, in_features, out_features };
    let gradients = oracle::linear_backward(&dims, x, weight, dy);
    [
        oracle::linear(&dims, x, weight, Some(bias)),
        oracle::linear(&dims, x, weight, None),
        gradients.input,
        gradients.weight,
        gradients.bias,
    ]
}

/// Checks every tier against the oracle, and that threads do not change a bit.
fn check(layer: &Linear, seed: u64, three: &Threads) {
    let inputs = Inputs::new(layer, seed);
    let wide = [&inputs.x, &inputs.weight, &inputs.bias, &inputs.dy].map(|v| widen(v));
    let size = wide.each_ref().map(|v| magnitudes(v));
    let expected = judge(layer, wide.each_ref().map(|v| &v[..]));
    let magnitude = judge(layer, size.each_ref().map(|v| &v[..]));
    let &Linear { batch, in_features, out_features } = layer;
    let terms = [in_features + 1, in_features, out_features, batch, batch];
    for isa in Isa::available() {
        let serial = run(&Context::new(isa, Threads::serial()), layer, &inputs);
        let parallel = run(&Context::new(isa, three.clone()), layer, &inputs);
        for i in 0..5 {
            if expected[i].is_empty() {
                continue;
            }
            let what = format!("{isa:?} {layer:?} {}", NAMES[i]);
            let tolerance = Tolerance::rounding(terms[i], &magnitude[i]);
            assert_close(&what, &serial[i], &expected[i], &tolerance);
            assert_bits(&what, &parallel[i], &serial[i]);
        }
    }
}

fn size() -> impl Strategy<Value = usize> {
    prop_oneof![1..8_usize, 14..19_usize, 30..36_usize, 60..70_usize]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn all_shapes_agree_with_the_oracle(
        batch in prop_oneof![1..6_usize, 15..19_usize, 33..35_usize],
        in_features in size(),
        out_features in size(),
        seed: u64,
    ) {
        check(&Linear { batch, in_features, out_features }, seed, &Threads::new(3).unwrap());
    }
}

#[test]
fn layers_of_the_networks_and_layers_that_are_shared_out_agree_with_the_oracle() {
    let three = Threads::new(3).unwrap();
    for [batch, in_features, out_features] in [
        [1, 250, 10],
        [1, 784, 200],
        [1, 200, 10],
        [16, 784, 200],
        [64, 250, 10],
        // More than 2¹⁹ operations: whole rows, and parts of one row, go to different threads.
        [2, 3000, 103],
        [1, 3000, 103],
        [1, 101, 3001],
        [300, 301, 9],
        [40, 211, 67],
    ] {
        check(&Linear { batch, in_features, out_features }, 7, &three);
    }
}

#[test]
fn whole_numbers_are_multiplied_exactly() {
    let layer = Linear { batch: 2, in_features: 3, out_features: 2 };
    let (x, weight) = ([1.0, 2.0, 3.0, -1.0, 0.0, 4.0], [1.0, 0.0, 2.0, 5.0, -3.0, 1.0]);
    let dy = [1.0, -1.0, 2.0, 10.0];
    for isa in Isa::available() {
        let cx = Context::new(isa, Threads::serial());
        let (mut y, mut dx, mut dweight, mut dbias) = ([0.0; 4], [0.0; 6], [0.0; 6], [0.0; 2]);
        linear(&cx, &layer, &x, &weight, Some(&[100.0, 200.0]), &mut y).unwrap();
        assert_eq!(y, [107.0, 202.0, 107.0, 199.0]);
        linear_backward_input(&cx, &layer, &weight, &dy, &mut dx).unwrap();
        assert_eq!(dx, [-4.0, 3.0, 1.0, 52.0, -30.0, 14.0]);
        linear_backward_weight(&cx, &layer, &x, &dy, &mut dweight, Some(&mut dbias)).unwrap();
        assert_eq!(dweight, [-1.0, 2.0, 11.0, -11.0, -2.0, 37.0]);
        assert_eq!(dbias, [3.0, 9.0]);
    }
}

#[test]
fn empty_sizes_are_sums_of_nothing() {
    let three = Threads::new(3).unwrap();
    for batch in [0, 1, 2, 40] {
        for in_features in [0, 3] {
            for out_features in [0, 2, 20] {
                check(&Linear { batch, in_features, out_features }, 3, &three);
            }
        }
    }
    // No loop runs over the rows of nothing.
    let layer = Linear { batch: usize::MAX, in_features: 0, out_features: 0 };
    let cx = Context::serial();
    linear(&cx, &layer, &[], &[], None, &mut []).unwrap();
    linear_backward_input(&cx, &layer, &[], &[], &mut []).unwrap();
    linear_backward_weight(&cx, &layer, &[], &[], &mut [], Some(&mut [])).unwrap();
}

#[test]
fn lengths_that_do_not_fit_are_errors() {
    let cx = Context::serial();
    let layer = Linear { batch: 2, in_features: 3, out_features: 4 };
    let (x, weight, y) = ([0.0; 6], [0.0; 12], [0.0; 8]);
    let (mut dx, mut dweight, mut out) = (x, weight, y);
    let length = |op, what, expected, found| Err(Error::Length { op, what, expected, found });

    let result = linear(&cx, &layer, &x[1..], &weight, None, &mut out);
    assert_eq!(result, length("linear", "x", 6, 5));
    let result = linear(&cx, &layer, &x, &weight[1..], None, &mut out);
    assert_eq!(result, length("linear", "weight", 12, 11));
    let result = linear(&cx, &layer, &x, &weight, Some(&x), &mut out);
    assert_eq!(result, length("linear", "bias", 4, 6));
    let result = linear(&cx, &layer, &x, &weight, None, &mut out[1..]);
    assert_eq!(result, length("linear", "y", 8, 7));

    let op = "linear_backward_input";
    let result = linear_backward_input(&cx, &layer, &weight[1..], &y, &mut dx);
    assert_eq!(result, length(op, "weight", 12, 11));
    let result = linear_backward_input(&cx, &layer, &weight, &y[1..], &mut dx);
    assert_eq!(result, length(op, "dy", 8, 7));
    let result = linear_backward_input(&cx, &layer, &weight, &y, &mut dx[1..]);
    assert_eq!(result, length(op, "dx", 6, 5));

    let op = "linear_backward_weight";
    let result = linear_backward_weight(&cx, &layer, &x[1..], &y, &mut dweight, None);
    assert_eq!(result, length(op, "x", 6, 5));
    let result = linear_backward_weight(&cx, &layer, &x, &y[1..], &mut dweight, None);
    assert_eq!(result, length(op, "dy", 8, 7));
    let result = linear_backward_weight(&cx, &layer, &x, &y, &mut dweight[1..], None);
    assert_eq!(result, length(op, "dweight", 12, 11));
    let result = linear_backward_weight(&cx, &layer, &x, &y, &mut dweight, Some(&mut dx));
    assert_eq!(result, length(op, "dbias", 4, 6));

    let huge = Linear { batch: usize::MAX, in_features: 2, out_features: 1 };
    let result = linear(&cx, &huge, &x, &weight, None, &mut out);
    assert_eq!(result, Err(Error::Overflow { op: "linear", what: "x" }));
}

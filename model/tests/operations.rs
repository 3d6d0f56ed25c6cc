//! Single operations of the engine against PyTorch, on every tier.
//!
//! `fixtures/README.md` says what `operations.safetensors.gz` holds and how far PyTorch's f32 is from
//! f64 in each tensor. Each tolerance is about four times the largest distance that the README lists
//! for the operation, as a share of the tensor's largest element. Where values span many magnitudes,
//! elements are compared one by one; a formula of a few roundings then has a few ε (1.2e-7) to err.
//!
//! | operation | largest distance | tolerance |
//! |---|---|---|
//! | `conv2d` | 3.1e-7 | 1.2e-6 of the largest |
//! | `linear` | 1.4e-7 | 6e-7 of the largest |
//! | `batch_norm2d`; case `offset` | 1.2e-7; 8.9e-7 | 5e-7; 4e-6 of the largest |
//! | `layer_norm`; case `offset` | 1.8e-7; 6.1e-6 | 8e-7; 2.4e-5 of the largest |
//! | `relu`, `leaky_relu` | one rounding | none |
//! | `sigmoid` y; dx | 6.4e-8; 1.3e-7 | 5e-7 of each element; 5e-7 of the largest |
//! | `bce` | 6.2e-9 … 5.0e-8 | 5e-7 of each element |
//! | `bce_with_logits`, `mse`, `cross_entropy` | 1.4e-7 | 6e-7 of the largest |
//! | `sgd`, `adam` | 3.2e-8 | 5e-7 of the largest value that the parameter has had |

mod support;

use loupe_engine::activation::{
    leaky_relu, leaky_relu_backward, relu, relu_backward, sigmoid, sigmoid_backward,
};
use loupe_engine::conv::{
    Conv2d, Conv2dOptions, Conv2dParameters, conv2d, conv2d_backward_input, conv2d_backward_weight,
};
use loupe_engine::linear::{Linear, linear, linear_backward_input, linear_backward_weight};
use loupe_engine::loss;
use loupe_engine::norm::Affine;
use loupe_engine::norm::batch::{
    BatchNorm, BatchNormBackward, BatchNormGradients, Statistics, batch_norm, batch_norm_backward,
    batch_norm_backward_running, batch_statistics, update_running_statistics,
};
use loupe_engine::norm::layer::{
    LayerNorm, LayerNormBackward, LayerNormGradients, LayerNormOutputs, layer_norm,
    layer_norm_backward,
};
use loupe_engine::optim::{AdamOptions, AdamState, Gradient, SgdOptions, adam_step, sgd_step};
use loupe_engine::reference::compare::{Tolerance, assert_close};
use loupe_engine::{Context, Isa, Threads};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use support::{Fixture, assert_near};

/// An operation, the number of its cases, and their check.
type Operation = (&'static str, usize, fn(&Case<'_>));

const OPERATIONS: [Operation; 13] = [
    ("adam", 1, check_adam),
    ("batch_norm2d", 5, check_batch_norm2d),
    ("bce", 4, check_loss),
    ("bce_with_logits", 3, check_loss),
    ("conv2d", 12, check_conv2d),
    ("cross_entropy", 2, check_loss),
    ("layer_norm", 4, check_layer_norm),
    ("leaky_relu", 1, check_activation),
    ("linear", 3, check_linear),
    ("mse", 1, check_loss),
    ("relu", 1, check_activation),
    ("sgd", 2, check_sgd),
    ("sigmoid", 1, check_activation),
];

/// The tensors of one case, on one tier. It knows which of them were asked for.
struct Case<'a> {
    fixture: &'a Fixture,
    cx: Context,
    operation: &'a str,
    case: &'a str,
    used: RefCell<BTreeSet<String>>,
}

impl Case<'_> {
    fn name(&self, tensor: &str) -> String {
        let name = format!("{}/{}/{tensor}", self.operation, self.case);
        self.used.borrow_mut().insert(name.clone());
        name
    }

    fn has(&self, tensor: &str) -> bool {
        self.fixture.has(&format!("{}/{}/{tensor}", self.operation, self.case))
    }

    fn f32(&self, tensor: &str) -> Vec<f32> {
        self.fixture.f32(&self.name(tensor))
    }

    /// A tensor that the case may lack.
    fn optional(&self, tensor: &str) -> Option<Vec<f32>> {
        self.has(tensor).then(|| self.f32(tensor))
    }

    fn scalar(&self, tensor: &str) -> f64 {
        self.fixture.scalar(&self.name(tensor))
    }

    fn shape<const D: usize>(&self, tensor: &str) -> [usize; D] {
        let shape = self.fixture.shape(&self.name(tensor));
        shape.try_into().unwrap_or_else(|_| panic!("{tensor} has shape {shape:?}"))
    }

    fn what(&self, tensor: &str) -> String {
        format!("{} on {:?}", self.name(tensor), self.cx.isa().tier())
    }

    /// Asserts that no element is further from PyTorch's than `share` of the largest.
    #[track_caller]
    fn near(&self, tensor: &str, actual: &[f32], share: f64) {
        assert_near(&self.what(tensor), actual, &self.fixture.wide(&self.name(tensor)), share);
    }

    #[track_caller]
    fn close(&self, tensor: &str, actual: &[f32], tolerance: &Tolerance) {
        assert_close(&self.what(tensor), actual, &self.fixture.wide(&self.name(tensor)), tolerance);
    }
}

/// Room for a result that must be overwritten.
fn poison(len: usize) -> Vec<f32> {
    vec![f32::NAN; len]
}

#[test]
fn every_tensor_of_every_case_agrees_with_pytorch() {
    let fixture = Fixture::open("operations.safetensors.gz");
    let mut cases: BTreeMap<(&str, &str), BTreeSet<String>> = BTreeMap::new();
    for name in fixture.names() {
        let mut parts = name.splitn(3, '/');
        let mut part = || parts.next().expect("<operation>/<case>/<tensor>");
        cases.entry((part(), part())).or_default().insert(name.to_owned());
    }

    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for ((operation, case), tensors) in &cases {
        let (.., check) = OPERATIONS
            .iter()
            .find(|(name, ..)| name == operation)
            .unwrap_or_else(|| panic!("nothing checks {operation}/{case}"));
        *counts.entry(operation).or_default() += 1;
        for isa in Isa::available() {
            let cx = Context::new(isa, Threads::serial());
            let case = Case { fixture: &fixture, cx, operation, case, used: RefCell::default() };
            check(&case);
            assert_eq!(case.used.into_inner(), *tensors, "left: used, right: in the file");
        }
    }
    assert_eq!(counts, OPERATIONS.iter().map(|&(name, count, _)| (name, count)).collect());
}

fn check_conv2d(case: &Case<'_>) {
    let [_, in_channels, height, width] = case.shape("x");
    let [out_channels, _, kh, kw] = case.shape("weight");
    let numbers: Vec<usize> = (case.fixture.i64(&case.name("geometry")).into_iter())
        .map(|number| number.try_into().unwrap())
        .collect();
    let &[sh, sw, ph, pw, dh, dw, groups] = &numbers[..] else {
        panic!("geometry {numbers:?}");
    };
    let options = Conv2dOptions {
        stride: [sh, sw],
        padding: [ph, pw],
        dilation: [dh, dw],
        groups,
        ..Conv2dOptions::new(in_channels, out_channels, [kh, kw])
    };
    let geometry = Conv2d::new(options, [height, width]).unwrap();
    let (cx, x, weight, dy) = (&case.cx, case.f32("x"), case.f32("weight"), case.f32("dy"));
    let bias = case.optional("bias");

    let mut y = poison(dy.len());
    let parameters = Conv2dParameters { weight: &weight, bias: bias.as_deref() };
    conv2d(cx, &geometry, &x, parameters, &mut y).unwrap();
    case.near("y", &y, 1.2e-6);

    let mut dx = poison(x.len());
    conv2d_backward_input(cx, &geometry, &weight, &dy, &mut dx).unwrap();
    case.near("dx", &dx, 1.2e-6);

    let mut dweight = poison(weight.len());
    let mut dbias = bias.map(|bias| poison(bias.len()));
    conv2d_backward_weight(cx, &geometry, &x, &dy, &mut dweight, dbias.as_deref_mut()).unwrap();
    case.near("dweight", &dweight, 1.2e-6);
    if let Some(dbias) = dbias {
        case.near("dbias", &dbias, 1.2e-6);
    }
}

fn check_batch_norm2d(case: &Case<'_>) {
    let share = if case.case == "offset" { 4e-6 } else { 5e-7 };
    let [batch, channels, height, width] = case.shape("x");
    let eps = case.scalar("eps") as f32;
    let norm = BatchNorm { batch, channels, spatial: height * width, eps };
    let (cx, x, dy) = (&case.cx, case.f32("x"), case.f32("dy"));
    let (weight, bias) = (case.f32("weight"), case.f32("bias"));
    let (mut running_mean, mut running_variance) =
        (case.f32("running_mean"), case.f32("running_var"));
    let momentum = case.scalar("momentum") as f32;

    let training = case.has("new_running_mean");
    assert_eq!(training, case.case != "running");
    let (mut mean, mut variance) = (running_mean.clone(), running_variance.clone());
    if training {
        batch_statistics(cx, &norm, &x, &mut mean, &mut variance).unwrap();
    }
    let statistics = Statistics { mean: &mean, variance: &variance };
    let mut y = poison(x.len());
    let affine = Affine { weight: &weight, bias: &bias };
    batch_norm(cx, &norm, &x, statistics, affine, &mut y).unwrap();
    case.near("y", &y, share);

    let inputs =
        BatchNormBackward { x: &x, dy: &dy, statistics, weight: &weight, negative_slope: None };
    let (mut dx, mut dweight, mut dbias) = (poison(x.len()), poison(channels), poison(channels));
    let gradients =
        BatchNormGradients { dx: &mut dx, dweight: &mut dweight, dbias: &mut dbias, dx_sums: None };
    let backward = if training { batch_norm_backward } else { batch_norm_backward_running };
    backward(cx, &norm, inputs, gradients).unwrap();
    case.near("dx", &dx, share);
    case.near("dweight", &dweight, share);
    case.near("dbias", &dbias, share);

    if training {
        let running = (&mut running_mean, &mut running_variance);
        update_running_statistics(&norm, momentum, statistics, running.0, running.1).unwrap();
        case.near("new_running_mean", &running_mean, share);
        case.near("new_running_var", &running_variance, share);
    }
}

fn check_layer_norm(case: &Case<'_>) {
    let share = if case.case == "offset" { 2.4e-5 } else { 8e-7 };
    let (cx, x, dy) = (&case.cx, case.f32("x"), case.f32("dy"));
    let (weight, bias) = (case.f32("weight"), case.f32("bias"));
    let (features, rows) = (weight.len(), x.len() / weight.len());
    let norm = LayerNorm { rows, features, eps: case.scalar("eps") as f32 };

    let (mut y, mut mean, mut inv_std) = (poison(x.len()), poison(rows), poison(rows));
    let outputs = LayerNormOutputs { y: &mut y, mean: &mut mean, inv_std: &mut inv_std };
    layer_norm(cx, &norm, &x, Affine { weight: &weight, bias: &bias }, outputs).unwrap();
    case.near("y", &y, share);

    let inputs =
        LayerNormBackward { x: &x, dy: &dy, mean: &mean, inv_std: &inv_std, weight: &weight };
    let (mut dx, mut dweight, mut dbias) = (poison(x.len()), poison(features), poison(features));
    let gradients = LayerNormGradients { dx: &mut dx, dweight: &mut dweight, dbias: &mut dbias };
    layer_norm_backward(cx, &norm, inputs, gradients).unwrap();
    case.near("dx", &dx, share);
    case.near("dweight", &dweight, share);
    case.near("dbias", &dbias, share);
}

fn check_linear(case: &Case<'_>) {
    let ([batch, in_features], [out_features, _]) = (case.shape("x"), case.shape("weight"));
    let layer = Linear { batch, in_features, out_features };
    let (cx, x, weight, dy) = (&case.cx, case.f32("x"), case.f32("weight"), case.f32("dy"));
    let bias = case.optional("bias");

    let mut y = poison(dy.len());
    linear(cx, &layer, &x, &weight, bias.as_deref(), &mut y).unwrap();
    case.near("y", &y, 6e-7);

    let mut dx = poison(x.len());
    linear_backward_input(cx, &layer, &weight, &dy, &mut dx).unwrap();
    case.near("dx", &dx, 6e-7);

    let mut dweight = poison(weight.len());
    let mut dbias = bias.map(|bias| poison(bias.len()));
    linear_backward_weight(cx, &layer, &x, &dy, &mut dweight, dbias.as_deref_mut()).unwrap();
    case.near("dweight", &dweight, 6e-7);
    if let Some(dbias) = dbias {
        case.near("dbias", &dbias, 6e-7);
    }
}

fn check_activation(case: &Case<'_>) {
    let (cx, x, dy) = (&case.cx, case.f32("x"), case.f32("dy"));
    let (mut y, mut dx) = (poison(x.len()), poison(x.len()));
    match case.operation {
        "relu" => {
            relu(cx, &x, &mut y).unwrap();
            relu_backward(cx, &x, &dy, &mut dx).unwrap();
        }
        "leaky_relu" => {
            let slope = case.scalar("slope") as f32;
            leaky_relu(cx, slope, &x, &mut y).unwrap();
            leaky_relu_backward(cx, slope, &x, &dy, &mut dx).unwrap();
        }
        "sigmoid" => {
            sigmoid(cx, &x, &mut y).unwrap();
            sigmoid_backward(cx, &y, &dy, &mut dx).unwrap();
            case.close("y", &y, &Tolerance::abs_rel(0.0, 5e-7));
            return case.near("dx", &dx, 5e-7);
        }
        other => panic!("{other} is no activation"),
    }
    case.close("y", &y, &Tolerance::exact());
    case.close("dx", &dx, &Tolerance::exact());
}

fn check_loss(case: &Case<'_>) {
    let (cx, input) = (&case.cx, case.f32("input"));
    let mut dinput = poison(input.len());
    let gradient = Some(&mut dinput[..]);
    let value = if (case.operation, case.case) == ("cross_entropy", "classes") {
        let classes = case.fixture.i64(&case.name("target"));
        let classes: Vec<usize> = classes.into_iter().map(|class| class as usize).collect();
        loss::cross_entropy(cx, &input, &classes, gradient)
    } else {
        let target = case.f32("target");
        match case.operation {
            "bce" => loss::bce(cx, &input, &target, gradient),
            "bce_with_logits" => loss::bce_with_logits(cx, &input, &target, gradient),
            "mse" => loss::mse(cx, &input, &target, gradient),
            "cross_entropy" => {
                let [_, classes] = case.shape("input");
                loss::cross_entropy_probabilities(cx, classes, &input, &target, gradient)
            }
            other => panic!("{other} is no loss"),
        }
    };
    let value = [value.unwrap()];
    if case.operation == "bce" {
        let tolerance = Tolerance::abs_rel(0.0, 5e-7);
        case.close("loss", &value, &tolerance);
        case.close("dinput", &dinput, &tolerance);
    } else {
        case.near("loss", &value, 6e-7);
        case.near("dinput", &dinput, 6e-7);
    }
}

fn check_sgd(case: &Case<'_>) {
    let momentum = match case.case {
        "plain" => 0.0,
        "momentum" => 0.9,
        other => panic!("sgd/{other}: unknown options"),
    };
    let options = SgdOptions { lr: 0.1, momentum };
    let mut velocity = Vec::new();
    check_optimizer(case, |_, parameters, gradient| {
        velocity.resize(gradient.len(), 0.0);
        sgd_step(&case.cx, &options, parameters, Gradient::Dense(gradient), &mut velocity).unwrap();
    });
}

fn check_adam(case: &Case<'_>) {
    assert_eq!(case.case, "default", "unknown options");
    let (mut first, mut second) = (Vec::new(), Vec::new());
    check_optimizer(case, |step, parameters, gradient| {
        first.resize(gradient.len(), 0.0);
        second.resize(gradient.len(), 0.0);
        let (first_moment, second_moment) = (&mut first[..], &mut second[..]);
        let gradient = Gradient::Dense(gradient);
        let state = AdamState { parameters, gradient, first_moment, second_moment };
        adam_step(&case.cx, &AdamOptions::default(), step, state).unwrap();
    });
}

/// Compares the parameters after each `step(number, parameters, gradient)`.
fn check_optimizer(case: &Case<'_>, mut step: impl FnMut(u64, &mut [f32], &[f32])) {
    let [steps, len] = case.shape("gradients");
    let (gradients, expected) = (case.f32("gradients"), case.f32("parameters"));
    assert_eq!(expected.len(), (steps + 1) * len);
    let mut parameters = expected[..len].to_vec();
    let mut states = parameters.clone();
    // A sum that cancels keeps the rounding errors of its largest term.
    let mut largest: Vec<f64> = parameters.iter().map(|p| f64::from(p.abs())).collect();
    let mut bounds = vec![0.0; len];
    for (n, gradient) in gradients.chunks_exact(len).enumerate() {
        step(n as u64 + 1, &mut parameters, gradient);
        states.extend_from_slice(&parameters);
        for (largest, p) in largest.iter_mut().zip(&expected[(n + 1) * len..]) {
            *largest = largest.max(f64::from(p.abs()));
            bounds.push(5e-7 * *largest);
        }
    }
    case.close("parameters", &states, &Tolerance::bound(bounds));
}

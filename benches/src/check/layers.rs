//! Fused blocks, normalisations and optimisers against the oracle.

use super::dims;
use crate::{Case, ConvShape, Direction, NormShape, Rule, signed};
use loupe_engine::reference::compare::{Tolerance, check, widen};
use loupe_engine::reference::optim::{Adam, Sgd};
use loupe_engine::reference::{batch_norm, layer_norm, network as oracle};

type Checked = Result<(), String>;

/// Of values that were normalised, and are of the order of 1.
fn compare(what: &str, output: &[f32], expected: &[f64]) -> Checked {
    let tolerance = Tolerance::abs_rel(2e-5, 1e-5);
    check(what, output, expected, &tolerance).map_err(|mismatch| mismatch.to_string())
}

pub(super) fn check_block(shape: &ConvShape, y: &[f32]) -> Checked {
    let [x, weight, bias, _] = shape.inputs().map(|values| widen(&values));
    let (dims, outputs) = (dims(shape, 0), shape.channels[1]);
    let (scale, eps) = (vec![1.0; outputs], f64::from(Case::EPS));
    let layers = vec![
        oracle::Layer::Conv2d { dims, weight, bias: Some(bias.clone()) },
        oracle::Layer::LeakyRelu { slope: f64::from(Case::SLOPE) },
        oracle::Layer::BatchNorm { weight: scale, bias, eps },
    ];
    compare("the block", y, &oracle::Network::chain(layers).forward(shape.batch, &x))
}

pub(super) fn check_norm(shape: &NormShape, direction: Direction, output: &[f32]) -> Checked {
    let [x, weight, bias, dy] = shape.inputs().map(|values| widen(&values));
    let (weight, bias, eps) = (&weight[..], &bias[..], f64::from(Case::EPS));
    let expected = match *shape {
        NormShape::Batch([batch, channels, height, width]) => {
            let spatial = height * width;
            let norm = batch_norm::BatchNorm { batch, channels, spatial, weight, bias, eps };
            match direction {
                Direction::Forward => batch_norm::batch_norm(&norm, &x).0,
                Direction::Backward => batch_norm::batch_norm_backward(&norm, &x, &dy).input,
            }
        }
        NormShape::Layer([rows, features]) => {
            let norm = layer_norm::LayerNorm { rows, features, weight, bias, eps };
            match direction {
                Direction::Forward => layer_norm::layer_norm(&norm, &x),
                Direction::Backward => layer_norm::layer_norm_backward(&norm, &x, &dy).input,
            }
        }
    };
    compare("the normalisation", output, &expected)
}

pub(super) fn check_optim(rule: Rule, len: usize, parameters: &[f32]) -> Checked {
    let (mut expected, gradient) = (widen(&signed(1, len)), widen(&signed(2, len)));
    let (mut adam, mut sgd) = (Adam::new(len), Sgd::new(1e-3, 0.9));
    for _ in 0..Case::OPTIM_STEPS {
        match rule {
            Rule::Adam => adam.step(&mut expected, &gradient),
            Rule::Sgd => sgd.step(&mut expected, &gradient),
        }
    }
    let tolerance = Tolerance::abs_rel(1e-7, 1e-6);
    check("the parameters", parameters, &expected, &tolerance)
        .map_err(|mismatch| mismatch.to_string())
}

//! The first output of a case against the oracle, in f64.

mod layers;

use crate::{Case, ConvShape, Kind, Pass, load_network, signed};
use loupe_engine::reference::batch_norm::{self, Statistics};
use loupe_engine::reference::compare::{Tolerance, check as compare, magnitudes, widen};
use loupe_engine::reference::conv2d::{Conv2dDims, conv2d, conv2d_backward};
use loupe_engine::reference::gemm::{GemmDims, gemm};
use loupe_engine::reference::loss::Loss;
use loupe_engine::reference::network as oracle;
use loupe_engine::reference::optim::Adam;
use loupe_model::layers::{BatchNorm2d, Conv2d, LayerNorm, Linear};
use loupe_model::{Layer, Network};

/// Of products the first, middle and last row are compared, of y and dx the last image, of dweight the
/// last output channel; of networks everything. Products and convolutions may be off by
/// 4 √terms · ε · Σ abs(a · b), outputs of networks by 1e-5, losses by 1e-4 relative; fused blocks and
/// normalisations, of which everything is compared, by 2e-5 and 1e-5 relative, parameters after
/// [`Case::OPTIM_STEPS`] steps of an optimiser by 1e-7 and 1e-6 relative.
///
/// # Errors
/// What is wrong, in words.
pub fn check(case: &Case, output: &[f32]) -> Result<(), String> {
    match case {
        Case::Network { network, kind: Kind::Train, batch } => {
            check_losses(network, *batch, output)
        }
        Case::Network { network, kind: Kind::Infer, batch } => {
            let expected = outputs(&load_network(network), &widen(&Case::images(*batch).0), *batch);
            compare("the outputs", output, &expected, &Tolerance::abs_rel(1e-5, 0.0))
                .map_err(|mismatch| mismatch.to_string())
        }
        Case::Gemm(size) => check_product(*size, output),
        Case::Conv(shape, pass) => check_convolution(shape, *pass, output),
        Case::Fused(shape) => layers::check_block(shape, output),
        Case::Norm(shape, direction) => layers::check_norm(shape, *direction, output),
        Case::Optim(rule, len) => layers::check_optim(*rule, *len, output),
    }
}

type Compute<'a> = dyn Fn(&[f64], [&[f64]; 2]) -> Vec<f64> + 'a;

/// Of sums that rounding errors of either sign enter.
fn tolerance(terms: usize, magnitude: &[f64]) -> Tolerance {
    Tolerance::rounding((4.0 * (terms as f64).sqrt()).ceil() as usize, magnitude)
}

fn check_product([m, n, k]: [usize; 3], c: &[f32]) -> Result<(), String> {
    if c.len() != m * n {
        return Err(format!("C has {} elements, expected {m} · {n}", c.len()));
    }
    let (a, b) = (widen(&signed(1, m * k)), widen(&signed(2, k * n)));
    let dims = GemmDims { m: 1, n, k };
    for row in [0, m / 2, m - 1] {
        let a = &a[row * k..][..k];
        let [mut expected, mut magnitude] = [vec![0.0; n], vec![0.0; n]];
        gemm(&dims, 1.0, a, &b, 0.0, &mut expected);
        gemm(&dims, 1.0, &magnitudes(a), &magnitudes(&b), 0.0, &mut magnitude);
        compare("a row of C", &c[row * n..][..n], &expected, &tolerance(k, &magnitude))
            .map_err(|mismatch| mismatch.to_string())?;
    }
    Ok(())
}

/// A convolution of so many images, as the oracle describes it.
fn dims(shape: &ConvShape, batch: usize) -> Conv2dDims {
    let ([inputs, outputs], [kernel, stride, padding]) = (shape.channels, shape.kernel);
    Conv2dDims {
        batch,
        in_channels: inputs,
        height: shape.size[0],
        width: shape.size[1],
        out_channels: outputs,
        kernel: [kernel; 2],
        stride: [stride; 2],
        padding: [padding; 2],
        dilation: [1; 2],
        groups: 1,
    }
}

fn check_convolution(shape: &ConvShape, pass: Pass, output: &[f32]) -> Result<(), String> {
    let [x, weight, bias, dy] = shape.inputs().map(|values| widen(&values));
    let (dims, outputs) = (dims(shape, 1), shape.channels[1]);
    let last = |values: &[f64], len: usize| values[values.len() - len..].to_vec();
    let (image, y_len) = (last(&x, dims.input_len()), dims.output_len());
    let plane = y_len / outputs;
    // Left and right operand of each product, and what computes the result from them.
    let (len, terms, operands, compute): (usize, usize, [Vec<f64>; 2], Box<Compute<'_>>) =
        match pass {
            Pass::Forward => {
                let terms = dims.in_channels * dims.kernel[0] * dims.kernel[1] + 1;
                let forward = |bias: &[f64], [x, w]: [&[f64]; 2]| conv2d(&dims, x, w, Some(bias));
                (dy.len(), terms, [image, weight], Box::new(forward))
            }
            Pass::Dx => {
                let terms = outputs * dims.kernel[0] * dims.kernel[1];
                let backward =
                    |_: &[f64], [dy, w]: [&[f64]; 2]| conv2d_backward(&dims, &image, w, dy).input;
                (x.len(), terms, [last(&dy, y_len), weight], Box::new(backward))
            }
            Pass::Dw => {
                let (len, terms) = (weight.len(), shape.batch * plane);
                let dy = dy.chunks(y_len).flat_map(|dy| last(dy, plane)).collect();
                let dims = Conv2dDims { batch: shape.batch, out_channels: 1, ..dims.clone() };
                let weight = last(&weight, len / outputs);
                let backward = move |_: &[f64], [dy, x]: [&[f64]; 2]| {
                    conv2d_backward(&dims, x, &weight, dy).weight
                };
                (len, terms, [dy, x.clone()], Box::new(backward))
            }
        };
    let [left, right] = &operands;
    let expected = compute(&bias, [left, right]);
    let magnitude = compute(&magnitudes(&bias), [&magnitudes(left), &magnitudes(right)]);
    if output.len() != len {
        return Err(format!("{} elements, expected {len}", output.len()));
    }
    let output = &output[len - expected.len()..];
    compare("the last image or channel", output, &expected, &tolerance(terms, &magnitude))
        .map_err(|mismatch| mismatch.to_string())
}

/// The losses of two steps: the second shows what gradients and Adam made of the first.
fn check_losses(network: &str, batch: usize, losses: &[f32]) -> Result<(), String> {
    let mut network = oracle::Network::chain(oracle_layers(&load_network(network)));
    let (images, targets) = Case::images(batch);
    let (images, targets) = (widen(&images), widen(&targets));
    let loss = Loss::Bce(&targets);
    let first = network.backward(batch, &images, &loss);
    for (parameters, gradient) in network.parameters_mut().into_iter().zip(&first.parameters) {
        Adam::new(gradient.len()).step(parameters, gradient);
    }
    let second = loss.of(&network.forward(batch, &images)).value;
    compare("the losses", losses, &[first.loss, second], &Tolerance::abs_rel(0.0, 1e-4))
        .map_err(|mismatch| mismatch.to_string())
}

/// The outputs by running statistics.
fn outputs(network: &Network, x: &[f64], batch: usize) -> Vec<f64> {
    let mut value = x.to_vec();
    for (i, layer) in oracle_layers(network).into_iter().enumerate() {
        value = match &layer {
            oracle::Layer::BatchNorm { weight, bias, eps } => {
                let (channels, eps) = (weight.len(), *eps);
                let spatial = value.len() / (batch * channels);
                let norm = batch_norm::BatchNorm { batch, channels, spatial, weight, bias, eps };
                let [mean, variance] = ["running_mean", "running_var"].map(|name| {
                    let name = format!("{i}.{name}");
                    let found = network.statistics().find(|(info, _)| info.name == name);
                    widen(found.expect("running statistics").1)
                });
                batch_norm::batch_norm_inference(&norm, &value, &Statistics { mean, variance })
            }
            _ => oracle::Network::chain([layer]).forward(batch, &value),
        };
    }
    value
}

/// The network's layers in the oracle's words.
fn oracle_layers(network: &Network) -> Vec<oracle::Layer> {
    let spec = network.spec();
    let shapes = spec.shapes().expect("a network's shapes fit");
    let tensor = |i: usize, name: &str| {
        let name = format!("{i}.{name}");
        network.tensors().find(|(info, _)| info.name == name).map(|(_, values)| widen(values))
    };
    let layer = |(i, layer): (usize, &Layer)| {
        let (weight, bias) = (tensor(i, "weight").unwrap_or_default(), tensor(i, "bias"));
        let input = if i == 0 { &spec.input } else { &shapes[i - 1] };
        match layer {
            &Layer::Conv2d(Conv2d { in_channels, out_channels, kernel_size, stride, .. }) => {
                let dims = Conv2dDims {
                    batch: 0,
                    in_channels,
                    height: input[1],
                    width: input[2],
                    out_channels,
                    kernel: kernel_size,
                    stride,
                    padding: [0; 2],
                    dilation: [1; 2],
                    groups: 1,
                };
                oracle::Layer::Conv2d { dims, weight, bias }
            }
            &Layer::Linear(Linear { in_features, out_features, .. }) => {
                oracle::Layer::Linear { in_features, out_features, weight, bias }
            }
            &Layer::BatchNorm2d(BatchNorm2d { eps, .. }) => {
                let bias = bias.unwrap_or_default();
                oracle::Layer::BatchNorm { weight, bias, eps: f64::from(eps) }
            }
            &Layer::LayerNorm(LayerNorm { eps, .. }) => {
                let bias = bias.unwrap_or_default();
                oracle::Layer::LayerNorm { weight, bias, eps: f64::from(eps) }
            }
            Layer::LeakyReLU(layer) => {
                oracle::Layer::LeakyRelu { slope: f64::from(layer.negative_slope) }
            }
            Layer::ReLU(_) => oracle::Layer::Relu,
            Layer::Sigmoid(_) => oracle::Layer::Sigmoid,
            Layer::View(_) | Layer::Flatten(_) => oracle::Layer::Flatten,
            other => unreachable!("no benchmark has {other}"),
        }
    };
    spec.layers.iter().enumerate().map(layer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Library, Loupe};

    #[test]
    fn right_outputs_pass_and_wrong_ones_do_not() {
        let names = [
            "cnn train 1",
            "cnn infer 1",
            "mlp train 1",
            "gemm 10x144x25",
            "conv mnist2 dW",
            "fused mnist2",
            "norm batch 16x3x5x5 forward",
            "norm batch 16x3x5x5 backward",
            "norm layer 9x33 forward",
            "norm layer 9x33 backward",
            "optim Adam 3720",
            "optim SGD 3720",
        ];
        for name in names {
            let case: Case = name.parse().unwrap();
            let variants = Loupe.variants(&case);
            let outputs = variants.iter().map(|variant| Loupe.prepare(&case, variant, 1).output);
            let outputs: Vec<_> = outputs.collect();
            for (variant, output) in variants.iter().zip(&outputs) {
                assert_eq!(check(&case, output), Ok(()), "{name} {variant}");
            }
            let output = &outputs[0];
            for factor in [0.0, 1.01, -1.0, f32::NAN] {
                let wrong: Vec<f32> = output.iter().map(|x| x * factor).collect();
                assert!(check(&case, &wrong).is_err(), "{name} times {factor}");
            }
            assert!(check(&case, &output[1..]).is_err(), "{name} without its first element");
        }
    }
}

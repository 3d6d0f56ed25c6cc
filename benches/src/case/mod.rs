//! Cases by name, from the files in `shapes/`, and their inputs.
//!
//! Inputs come from SplitMix64 with fixed seeds, so that programs in other languages compute with the same
//! numbers: `peers/cases.py` writes them again.

mod lists;
mod shapes;

pub use lists::{conv_cases, fused_cases, gemm_cases, network_cases, norm_cases, optim_cases};
pub use shapes::{ConvShape, NormShape, signed};

use crate::Work;
use loupe_engine::reference::random::Random;
use shapes::conv_shapes;
use std::fmt;
use std::str::FromStr;

/// One thing to time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Case {
    /// A network of the tutorial on a batch: `cnn train 64`.
    Network {
        /// `cnn` or `mlp`.
        network: String,
        /// A training step or the outputs.
        kind: Kind,
        /// N
        batch: usize,
    },
    /// C = A · B: `gemm 64x200x784`, which is M, N, K.
    Gemm([usize; 3]),
    /// A line of `shapes/conv.txt`: `conv mnist1 forward`.
    Conv(ConvShape, Pass),
    /// The block of a convolutional network in training, of a convolution that `shapes/fused.txt` names:
    /// convolution, bias, LeakyReLU, batch normalisation by the batch's statistics. `fused mnist1`.
    Fused(ConvShape),
    /// A normalisation with its statistics, or its gradients by input, weight and bias:
    /// `norm batch 256x10x12x12 backward`.
    Norm(NormShape, Direction),
    /// A step of an optimiser on so many parameters: `optim Adam 3720`.
    Optim(Rule, usize),
}

/// What is done with a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Forward by batch statistics, binary cross-entropy, backward, Adam.
    Train,
    /// The outputs, by running statistics.
    Infer,
}

const PASSES: [Pass; 3] = [Pass::Forward, Pass::Dx, Pass::Dw];
const DIRECTIONS: [Direction; 2] = [Direction::Forward, Direction::Backward];
const RULES: [Rule; 2] = [Rule::Adam, Rule::Sgd];

/// What is computed of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// y, with bias.
    Forward,
    /// The gradient by the input.
    Dx,
    /// The gradients by weight and bias.
    Dw,
}

/// Which way through a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// y
    Forward,
    /// dx, and the gradients of the parameters.
    Backward,
}

/// Which optimiser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// With PyTorch's defaults.
    Adam,
    /// With learning rate 0.001 and momentum 0.9.
    Sgd,
}

impl Case {
    /// Slope of the LeakyReLU of a fused block.
    pub const SLOPE: f32 = 0.02;
    /// What normalisations add to the variance.
    pub const EPS: f32 = 1e-5;
    /// Steps of an optimiser after which its parameters are held against the expected ones: the
    /// first alone would not show what becomes of its state.
    pub const OPTIM_STEPS: usize = 3;

    /// What a call of the case does, as criterion and the reports count it. Of networks and fused blocks only
    /// the multiplications and additions of convolutions and linear layers count; of normalisations and
    /// optimisers each float that has to be read or written once: 2 for an element of a normalisation (1
    /// more for the statistics of the batch), 3 backward; 7 for a parameter of Adam, 5 of SGD.
    pub fn work(&self) -> Work {
        match self {
            Case::Network { network, kind, batch } => {
                // Forward; backward, dX and dW are as much again each, but for the first layer's dX.
                let (forward, first) = match network.as_str() {
                    "cnn" => (2 * (1440 * 25 + 250 * 90 + 2500), 2 * 1440 * 25),
                    _ => (2 * (784 * 200 + 200 * 10), 2 * 784 * 200),
                };
                let flop = if *kind == Kind::Train { 3 * forward - first } else { forward };
                Work::Images { images: *batch, flop: batch * flop }
            }
            Case::Gemm([m, n, k]) => Work::Flop(2 * m * n * k),
            Case::Conv(shape, _) | Case::Fused(shape) => Work::Flop(shape.flop()),
            Case::Norm(shape, direction) => {
                let floats = match (shape, direction) {
                    (NormShape::Layer(_), Direction::Forward) => 2,
                    _ => 3,
                };
                Work::Bytes(4 * floats * shape.sizes().iter().product::<usize>())
            }
            Case::Optim(Rule::Adam, len) => Work::Bytes(28 * len),
            Case::Optim(Rule::Sgd, len) => Work::Bytes(20 * len),
        }
    }

    /// Images `[batch, 784]` in [0, 1] and one-hot targets `[batch, 10]`.
    pub fn images(batch: usize) -> (Vec<f32>, Vec<f32>) {
        let images = Random::new(1).uniform_f32(batch * 784, 0.0, 1.0);
        let mut classes = Random::new(2);
        let mut targets = vec![0.0; batch * 10];
        targets.chunks_mut(10).for_each(|row| row[classes.below(10)] = 1.0);
        (images, targets)
    }
}

fn numbers<const N: usize>(words: &[&str]) -> Option<[usize; N]> {
    let numbers: Option<Vec<usize>> = words.iter().map(|word| word.parse().ok()).collect();
    numbers?.try_into().ok()
}

fn conv_shape(name: &str) -> Option<ConvShape> {
    conv_shapes().find(|shape| shape.name == name)
}

/// The one of `values` that is written so.
fn named<T: fmt::Display, const N: usize>(values: [T; N], name: &str) -> Option<T> {
    values.into_iter().find(|value| value.to_string() == name)
}

impl FromStr for Case {
    type Err = String;

    fn from_str(name: &str) -> Result<Case, String> {
        let words: Vec<&str> = name.split_whitespace().collect();
        let case = match words[..] {
            [network @ ("cnn" | "mlp"), kind @ ("train" | "infer"), batch] => {
                let kind = if kind == "train" { Kind::Train } else { Kind::Infer };
                let batch = batch.parse().ok().filter(|batch| *batch > 0);
                batch.map(|batch| Case::Network { network: network.to_owned(), kind, batch })
            }
            ["gemm", size] => numbers(&size.split('x').collect::<Vec<_>>()).map(Case::Gemm),
            ["conv", shape, pass] => {
                let pass = named(PASSES, pass);
                conv_shape(shape).zip(pass).map(|(shape, pass)| Case::Conv(shape, pass))
            }
            ["fused", shape] => conv_shape(shape).map(Case::Fused),
            ["norm", kind, sizes, direction] => {
                let shape = NormShape::parse(kind, &sizes.split('x').collect::<Vec<_>>());
                let direction = named(DIRECTIONS, direction);
                shape.zip(direction).map(|(shape, direction)| Case::Norm(shape, direction))
            }
            ["optim", rule, len] => {
                let len = len.parse().ok().filter(|len| *len > 0);
                named(RULES, rule).zip(len).map(|(rule, len)| Case::Optim(rule, len))
            }
            _ => None,
        };
        case.ok_or_else(|| format!("{name}: no such case"))
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Case::Network { network, kind: Kind::Train, batch } => {
                write!(f, "{network} train {batch}")
            }
            Case::Network { network, kind: Kind::Infer, batch } => {
                write!(f, "{network} infer {batch}")
            }
            Case::Gemm([m, n, k]) => write!(f, "gemm {m}x{n}x{k}"),
            Case::Conv(shape, pass) => write!(f, "conv {} {pass}", shape.name),
            Case::Fused(shape) => write!(f, "fused {}", shape.name),
            Case::Norm(shape, direction) => write!(f, "norm {shape} {direction}"),
            Case::Optim(rule, len) => write!(f, "optim {rule} {len}"),
        }
    }
}

impl fmt::Display for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Pass::Forward => "forward",
            Pass::Dx => "dX",
            Pass::Dw => "dW",
        })
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Direction::Forward => "forward",
            Direction::Backward => "backward",
        })
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rule::Adam => "Adam",
            Rule::Sgd => "SGD",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_cases() {
        let cases = [
            network_cases(),
            gemm_cases(),
            conv_cases(),
            fused_cases(),
            norm_cases(),
            optim_cases(),
        ]
        .concat();
        assert!(cases.len() > 60, "{} cases", cases.len());
        for case in cases {
            assert_eq!(case.to_string().parse(), Ok(case));
        }
        for name in [
            "",
            "cnn train",
            "cnn train 0",
            "gemm 1x2",
            "conv mnist1 sideways",
            "fused x",
            "norm batch 1x2 forward",
            "norm layer 1x2",
            "optim Adam 0",
        ] {
            assert!(name.parse::<Case>().is_err(), "{name}");
        }
    }
}

//! Cases by name, from the files in `shapes/`, and their inputs.
//!
//! Inputs come from SplitMix64 with fixed seeds, so that programs in other languages compute with the same
//! numbers: `peers/cases.py` writes them again.

use crate::Work;
use loupe_engine::conv::{Conv2d, Conv2dOptions};
use loupe_engine::reference::random::Random;
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
}

/// What is done with a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Forward by batch statistics, binary cross-entropy, backward, Adam.
    Train,
    /// The outputs, by running statistics.
    Infer,
}

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

/// A convolution with square images, kernels, strides and paddings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvShape {
    /// The first word of the line.
    pub name: String,
    /// N
    pub batch: usize,
    /// C, O
    pub channels: [usize; 2],
    /// H and W
    pub size: [usize; 2],
    /// Kh and Kw, stride, padding.
    pub kernel: [usize; 3],
}

impl ConvShape {
    /// The sizes, as the engine takes them.
    ///
    /// # Panics
    /// If the kernel does not fit.
    pub fn geometry(&self) -> Conv2d {
        let [inputs, outputs] = self.channels;
        let [kernel, stride, padding] = self.kernel;
        let options = Conv2dOptions {
            stride: [stride; 2],
            padding: [padding; 2],
            ..Conv2dOptions::new(inputs, outputs, [kernel; 2])
        };
        Conv2d::new(options, self.size).expect("a geometry")
    }

    /// Inputs: x, weight, bias, dy.
    pub fn inputs(&self) -> [Vec<f32>; 4] {
        let geometry = self.geometry();
        let lengths = [
            self.batch * geometry.input_len(),
            geometry.weight_len(),
            self.channels[1],
            self.batch * geometry.output_len(),
        ];
        [0, 1, 2, 3].map(|i| signed(i as u64 + 1, lengths[i]))
    }
}

impl Case {
    /// What a call of the case does, as criterion and the reports count it. Of the networks only the
    /// multiplications and additions of convolutions and linear layers count.
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
            Case::Conv(shape, _) => {
                let geometry = shape.geometry();
                let terms = geometry.weight_len() / shape.channels[1];
                Work::Flop(2 * shape.batch * geometry.output_len() * terms)
            }
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

/// Numbers in [-1, 1].
pub fn signed(seed: u64, len: usize) -> Vec<f32> {
    Random::new(seed).uniform_f32(len, -1.0, 1.0)
}

/// The cases of `shapes/network.txt`.
pub fn network_cases() -> Vec<Case> {
    let line = |words: Vec<&str>| -> Vec<Case> {
        let batches = words[2..].iter();
        batches.map(|batch| parsed(&format!("{} {} {batch}", words[0], words[1]))).collect()
    };
    lines(include_str!("../shapes/network.txt")).flat_map(line).collect()
}

/// The cases of `shapes/gemm.txt`.
pub fn gemm_cases() -> Vec<Case> {
    let lines = lines(include_str!("../shapes/gemm.txt"));
    lines.map(|words| parsed(&format!("gemm {}", words.join("x")))).collect()
}

/// The cases of `shapes/conv.txt`, each forward and backward.
pub fn conv_cases() -> Vec<Case> {
    let passes = [Pass::Forward, Pass::Dx, Pass::Dw];
    conv_shapes().flat_map(|s| passes.map(|pass| Case::Conv(s.clone(), pass))).collect()
}

fn parsed(name: &str) -> Case {
    name.parse().unwrap_or_else(|problem| panic!("{problem}"))
}

/// The lines of a file of shapes, cut into words; `#` begins a comment.
fn lines(file: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    let code = |line: &'static str| line.split('#').next().unwrap_or("");
    file.lines()
        .map(code)
        .map(|line| line.split_whitespace().collect())
        .filter(|words: &Vec<_>| !words.is_empty())
}

fn conv_shapes() -> impl Iterator<Item = ConvShape> {
    lines(include_str!("../shapes/conv.txt")).map(|words| {
        let [batch, inputs, height, width, outputs, kernel, stride, padding] =
            numbers(&words[1..]).unwrap_or_else(|| panic!("{words:?} is no convolution"));
        ConvShape {
            name: words[0].to_owned(),
            batch,
            channels: [inputs, outputs],
            size: [height, width],
            kernel: [kernel, stride, padding],
        }
    })
}

fn numbers<const N: usize>(words: &[&str]) -> Option<[usize; N]> {
    let numbers: Option<Vec<usize>> = words.iter().map(|word| word.parse().ok()).collect();
    numbers?.try_into().ok()
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
                let pass = [Pass::Forward, Pass::Dx, Pass::Dw]
                    .into_iter()
                    .find(|candidate| candidate.to_string() == pass);
                let shape = conv_shapes().find(|candidate| candidate.name == shape);
                shape.zip(pass).map(|(shape, pass)| Case::Conv(shape, pass))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_cases() {
        let cases = [network_cases(), gemm_cases(), conv_cases()].concat();
        assert!(cases.len() > 40, "{} cases", cases.len());
        for case in cases {
            assert_eq!(case.to_string().parse(), Ok(case));
        }
        for name in ["", "cnn train", "cnn train 0", "gemm 1x2", "conv mnist1 sideways"] {
            assert!(name.parse::<Case>().is_err(), "{name}");
        }
    }
}

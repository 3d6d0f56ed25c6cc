//! Sizes of operations, and their inputs.

use super::lists::lines;
use super::numbers;
use loupe_engine::conv::{Conv2d, Conv2dOptions};
use loupe_engine::reference::random::Random;
use std::fmt;

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

/// What is normalised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NormShape {
    /// `[N, C, H, W]`, each channel by its mean and variance over the batch and the image.
    Batch([usize; 4]),
    /// `[rows, features]`, each row by its own mean and variance.
    Layer([usize; 2]),
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

    /// Multiplications and additions.
    pub(super) fn flop(&self) -> usize {
        let geometry = self.geometry();
        let terms = geometry.weight_len() / self.channels[1];
        2 * self.batch * geometry.output_len() * terms
    }
}

impl NormShape {
    /// All sizes.
    pub fn sizes(&self) -> &[usize] {
        match self {
            NormShape::Batch(sizes) => sizes,
            NormShape::Layer(sizes) => sizes,
        }
    }

    /// Inputs: x, weight, bias, dy.
    pub fn inputs(&self) -> [Vec<f32>; 4] {
        let (len, channels) = (self.sizes().iter().product(), self.sizes()[1]);
        [signed(1, len), signed(2, channels), signed(3, channels), signed(4, len)]
    }

    /// The sizes of a line of `shapes/norm.txt`, or of a name.
    pub(super) fn parse(kind: &str, sizes: &[&str]) -> Option<NormShape> {
        match kind {
            "batch" => numbers(sizes).map(NormShape::Batch),
            "layer" => numbers(sizes).map(NormShape::Layer),
            _ => None,
        }
    }
}

/// As in the name of a case: `batch 256x10x12x12`.
impl fmt::Display for NormShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            NormShape::Batch(_) => "batch",
            NormShape::Layer(_) => "layer",
        };
        let sizes: Vec<String> = self.sizes().iter().map(usize::to_string).collect();
        write!(f, "{kind} {}", sizes.join("x"))
    }
}

/// Numbers in [-1, 1].
pub fn signed(seed: u64, len: usize) -> Vec<f32> {
    Random::new(seed).uniform_f32(len, -1.0, 1.0)
}

/// The lines of `shapes/conv.txt`.
pub(super) fn conv_shapes() -> impl Iterator<Item = ConvShape> {
    lines(include_str!("../../shapes/conv.txt")).map(|words| {
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

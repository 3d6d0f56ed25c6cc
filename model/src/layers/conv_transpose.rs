//! Transposed convolutions.

use super::check::{check_lens, image, product};
use super::fields::{Pair, one, ones, pair, write_pairs, yes};
use super::{Backward, Forward, LayerError, Module, Operation, Parameter, Values};
use crate::Error;
use loupe_engine::conv::{
    self, Conv2dParameters, ConvTranspose2dOptions, conv_transpose2d,
    conv_transpose2d_backward_input, conv_transpose2d_backward_weight,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// `[C, H, W]` → `[O, Ho, Wo]`: what a `Conv2d` from O to C channels does to gradients. PyTorch's `ConvTranspose2d`.
///
/// Ho = (H − 1) · Sh − 2 · Ph + Dh · (Kh − 1) + output_padding + 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConvTranspose2d {
    /// C.
    pub in_channels: usize,
    /// O.
    pub out_channels: usize,
    /// Kh, Kw.
    #[serde(deserialize_with = "pair")]
    pub kernel_size: [usize; 2],
    /// Distance in the output of what neighbouring pixels of the input are added to; default 1.
    #[serde(default = "ones", deserialize_with = "pair")]
    pub stride: [usize; 2],
    /// Rows and columns taken off at each of the two sides of the output; default 0.
    #[serde(default, deserialize_with = "pair")]
    pub padding: [usize; 2],
    /// Rows and columns added at the end of the output; default 0.
    #[serde(default, deserialize_with = "pair")]
    pub output_padding: [usize; 2],
    /// Distance of kernel elements; default 1.
    #[serde(default = "ones", deserialize_with = "pair")]
    pub dilation: [usize; 2],
    /// Groups of channels that do not see each other; default 1.
    #[serde(default = "one")]
    pub groups: usize,
    /// Whether there is a bias for each output channel; default yes.
    #[serde(default = "yes")]
    pub bias: bool,
}

impl ConvTranspose2d {
    /// Stride 1, no padding, dilation 1, one group, with bias.
    pub fn new(
        in_channels: usize,
        out_channels: usize,
        kernel_size: impl Into<Pair>,
    ) -> ConvTranspose2d {
        let Pair(kernel_size) = kernel_size.into();
        ConvTranspose2d {
            in_channels,
            out_channels,
            kernel_size,
            stride: [1, 1],
            padding: [0, 0],
            output_padding: [0, 0],
            dilation: [1, 1],
            groups: 1,
            bias: true,
        }
    }

    /// Sets the distance in the output.
    pub fn stride(self, stride: impl Into<Pair>) -> ConvTranspose2d {
        ConvTranspose2d { stride: stride.into().0, ..self }
    }

    /// Sets what is taken off at each of the two sides.
    pub fn padding(self, padding: impl Into<Pair>) -> ConvTranspose2d {
        ConvTranspose2d { padding: padding.into().0, ..self }
    }

    /// Sets what is added at the end.
    pub fn output_padding(self, output_padding: impl Into<Pair>) -> ConvTranspose2d {
        ConvTranspose2d { output_padding: output_padding.into().0, ..self }
    }

    /// Sets the distance of kernel elements.
    pub fn dilation(self, dilation: impl Into<Pair>) -> ConvTranspose2d {
        ConvTranspose2d { dilation: dilation.into().0, ..self }
    }

    /// Sets the number of groups.
    pub fn groups(self, groups: usize) -> ConvTranspose2d {
        ConvTranspose2d { groups, ..self }
    }

    /// Sets whether there is a bias.
    pub fn bias(self, bias: bool) -> ConvTranspose2d {
        ConvTranspose2d { bias, ..self }
    }

    fn geometry(&self, size: [usize; 2]) -> Result<conv::ConvTranspose2d, loupe_engine::Error> {
        let options = ConvTranspose2dOptions {
            in_channels: self.in_channels,
            out_channels: self.out_channels,
            kernel_size: self.kernel_size,
            stride: self.stride,
            padding: self.padding,
            output_padding: self.output_padding,
            dilation: self.dilation,
            groups: self.groups,
        };
        conv::ConvTranspose2d::new(options, size)
    }
}

impl fmt::Display for ConvTranspose2d {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ConvTranspose2d { in_channels, out_channels, kernel_size, .. } = *self;
        let kernel = Pair(kernel_size);
        write!(f, "ConvTranspose2d({in_channels}, {out_channels}, kernel_size={kernel}")?;
        let fields = [
            ("stride", self.stride, 1),
            ("padding", self.padding, 0),
            ("output_padding", self.output_padding, 0),
            ("dilation", self.dilation, 1),
        ];
        write_pairs(f, fields)?;
        if self.groups != 1 {
            write!(f, ", groups={}", self.groups)?;
        }
        f.write_str(if self.bias { ")" } else { ", bias=False)" })
    }
}

impl Module for ConvTranspose2d {
    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, LayerError> {
        let geometry =
            self.geometry(image(self.in_channels, input)?).map_err(LayerError::option)?;
        let [ho, wo] = geometry.output_size();
        let lens = [geometry.weight_len(), geometry.output_len()];
        check_lens("the weight or the output", &lens)?;
        Ok(vec![self.out_channels, ho, wo])
    }

    fn parameters(&self) -> Vec<Parameter> {
        let [kh, kw] = self.kernel_size;
        let outputs = self.out_channels / self.groups;
        let bias = self.bias.then_some(self.out_channels);
        // PyTorch takes the second axis of the weight for that of the inputs here too.
        Parameter::of_products(&[self.in_channels, outputs, kh, kw], bias, outputs * kh * kw)
    }

    fn multiply_adds(&self, input: &[usize], _: &[usize]) -> u64 {
        let [kh, kw] = self.kernel_size;
        product(input).saturating_mul(product(&[self.out_channels / self.groups, kh, kw]))
    }

    fn operation(&self, _: usize, input: &[usize]) -> Result<Box<dyn Operation>, Error> {
        let geometry = self.geometry([input[1], input[2]])?;
        Ok(Box::new(ConvTransposeOperation { geometry, has_bias: self.bias }))
    }
}

#[derive(Debug)]
struct ConvTransposeOperation {
    geometry: conv::ConvTranspose2d,
    has_bias: bool,
}

impl Operation for ConvTransposeOperation {
    fn forward(&mut self, pass: &mut Forward<'_>, x: &[f32], y: &mut [f32]) -> Result<(), Error> {
        let bias = self.has_bias.then(|| pass.parameter(1));
        let parameters = Conv2dParameters { weight: pass.parameter(0), bias };
        Ok(conv_transpose2d(pass.context(), &self.geometry, x, parameters, y)?)
    }

    fn backward(
        &mut self,
        pass: &mut Backward<'_>,
        Values { x, dy, .. }: Values<'_>,
        dx: Option<&mut [f32]>,
    ) -> Result<(), Error> {
        let (cx, weight) = (pass.context(), pass.parameter(0));
        let (dweight, dbias) = pass.weight_and_bias();
        conv_transpose2d_backward_weight(cx, &self.geometry, x, dy, dweight, dbias)?;
        if let Some(dx) = dx {
            conv_transpose2d_backward_input(cx, &self.geometry, weight, dy, dx)?;
        }
        Ok(())
    }
}

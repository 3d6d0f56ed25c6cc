//! Convolutions.

use super::check::{check_lens, image, product};
use super::fields::{Pair, one, ones, padding_mode, pair, write_pairs, yes};
use super::{Backward, Forward, LayerError, Module, Operation, Parameter, Values};
use crate::Error;
use loupe_engine::Buffer;
use loupe_engine::conv::{
    self, Conv2dOptions, Conv2dParameters, conv2d, conv2d_backward_input, conv2d_backward_weight,
};
use loupe_engine::pad::{Pad2d, PaddingMode, pad2d, pad2d_backward};
use serde::{Deserialize, Serialize};
use std::fmt;

/// `[C, H, W]` → `[O, Ho, Wo]`: cross-correlation with O kernels. PyTorch's `Conv2d`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conv2d {
    /// C.
    pub in_channels: usize,
    /// O.
    pub out_channels: usize,
    /// Kh, Kw.
    #[serde(deserialize_with = "pair")]
    pub kernel_size: [usize; 2],
    /// Steps of the kernel; default 1.
    #[serde(default = "ones", deserialize_with = "pair")]
    pub stride: [usize; 2],
    /// Rows and columns added at each of the two sides; default 0.
    #[serde(default, deserialize_with = "pair")]
    pub padding: [usize; 2],
    /// Distance of kernel elements; default 1.
    #[serde(default = "ones", deserialize_with = "pair")]
    pub dilation: [usize; 2],
    /// Groups of channels that do not see each other; default 1.
    #[serde(default = "one")]
    pub groups: usize,
    /// Whether there is a bias for each kernel; default yes.
    #[serde(default = "yes")]
    pub bias: bool,
    /// What is added at the sides: `zeros` (the default), or pixels of the image: `reflect`, `replicate`,
    /// `circular`.
    #[serde(default, with = "padding_mode", skip_serializing_if = "is_zeros")]
    pub padding_mode: PaddingMode,
}

fn is_zeros(mode: &PaddingMode) -> bool {
    *mode == PaddingMode::Zeros
}

impl Conv2d {
    /// Stride 1, no padding, dilation 1, one group, with bias.
    pub fn new(in_channels: usize, out_channels: usize, kernel_size: impl Into<Pair>) -> Conv2d {
        let Pair(kernel_size) = kernel_size.into();
        Conv2d {
            in_channels,
            out_channels,
            kernel_size,
            stride: [1, 1],
            padding: [0, 0],
            dilation: [1, 1],
            groups: 1,
            bias: true,
            padding_mode: PaddingMode::Zeros,
        }
    }

    /// Sets the steps of the kernel.
    pub fn stride(self, stride: impl Into<Pair>) -> Conv2d {
        Conv2d { stride: stride.into().0, ..self }
    }

    /// Sets what is added at each of the two sides.
    pub fn padding(self, padding: impl Into<Pair>) -> Conv2d {
        Conv2d { padding: padding.into().0, ..self }
    }

    /// Sets the distance of kernel elements.
    pub fn dilation(self, dilation: impl Into<Pair>) -> Conv2d {
        Conv2d { dilation: dilation.into().0, ..self }
    }

    /// Sets the number of groups.
    pub fn groups(self, groups: usize) -> Conv2d {
        Conv2d { groups, ..self }
    }

    /// Sets whether there is a bias.
    pub fn bias(self, bias: bool) -> Conv2d {
        Conv2d { bias, ..self }
    }

    /// Sets what is added at the sides.
    pub fn padding_mode(self, padding_mode: PaddingMode) -> Conv2d {
        Conv2d { padding_mode, ..self }
    }

    /// Whether the engine's convolutions pad its images.
    pub(crate) fn is_zero_padded(&self) -> bool {
        self.padding == [0, 0] || self.padding_mode == PaddingMode::Zeros
    }

    /// Whether its results depend on zeros around the image.
    pub(crate) fn is_padded_by_zeros(&self) -> bool {
        self.padding != [0, 0] && self.padding_mode == PaddingMode::Zeros
    }

    /// How images of this size are padded, if it is not by zeros.
    fn pad(&self, size: [usize; 2]) -> Result<Option<Pad2d>, loupe_engine::Error> {
        if self.is_zero_padded() {
            return Ok(None);
        }
        let [h, w] = self.padding;
        Pad2d::new(self.padding_mode, size, [h, h, w, w]).map(Some)
    }

    /// The convolution, of images of this size as they are when they have been padded.
    fn padded(
        &self,
        size: [usize; 2],
    ) -> Result<(Option<Pad2d>, conv::Conv2d), loupe_engine::Error> {
        let pad = self.pad(size)?;
        let geometry = match &pad {
            None => self.geometry(size)?,
            Some(pad) => Conv2d { padding: [0, 0], ..self.clone() }.geometry(pad.output_size())?,
        };
        Ok((pad, geometry))
    }

    /// What the engine needs to know of it, for images of this size and padding by zeros.
    pub(crate) fn geometry(&self, size: [usize; 2]) -> Result<conv::Conv2d, loupe_engine::Error> {
        let &Conv2d {
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            ..
        } = self;
        let options = Conv2dOptions {
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
        };
        conv::Conv2d::new(options, size)
    }

    /// Inputs of one output.
    fn fan_in(&self) -> [usize; 3] {
        let [kh, kw] = self.kernel_size;
        [self.in_channels / self.groups, kh, kw]
    }
}

impl fmt::Display for Conv2d {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Conv2d { in_channels, out_channels, kernel_size, .. } = *self;
        write!(f, "Conv2d({in_channels}, {out_channels}, kernel_size={}", Pair(kernel_size))?;
        let (stride, padding, dilation) = (self.stride, self.padding, self.dilation);
        write_pairs(
            f,
            [("stride", stride, 1), ("padding", padding, 0), ("dilation", dilation, 1)],
        )?;
        if self.groups != 1 {
            write!(f, ", groups={}", self.groups)?;
        }
        if !self.bias {
            f.write_str(", bias=False")?;
        }
        match self.padding_mode {
            PaddingMode::Zeros => f.write_str(")"),
            mode => write!(f, ", padding_mode={})", padding_mode::name(&mode)),
        }
    }
}

impl Module for Conv2d {
    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, LayerError> {
        let (_, geometry) =
            self.padded(image(self.in_channels, input)?).map_err(LayerError::option)?;
        let [ho, wo] = geometry.output_size();
        // Those of the input, which may have been padded.
        let lens = [geometry.weight_len(), geometry.input_len(), geometry.output_len()];
        check_lens("the weight, the padded input or the output", &lens)?;
        Ok(vec![self.out_channels, ho, wo])
    }

    fn parameters(&self) -> Vec<Parameter> {
        let [inputs, kh, kw] = self.fan_in();
        let weight = [self.out_channels, inputs, kh, kw];
        let bias = self.bias.then_some(self.out_channels);
        Parameter::of_products(&weight, bias, inputs * kh * kw)
    }

    fn multiply_adds(&self, _: &[usize], output: &[usize]) -> u64 {
        product(output).saturating_mul(product(&self.fan_in()))
    }

    fn operation(&self, batch: usize, input: &[usize]) -> Result<Box<dyn Operation>, Error> {
        let (pad, geometry) = self.padded([input[1], input[2]])?;
        let pad = pad.map(|pad| {
            let len = batch.saturating_mul(geometry.input_len());
            let padded = Buffer::try_zeros("the padded images", len)?;
            let gradient = Buffer::try_zeros("the gradient by the padded images", len)?;
            Ok::<_, Error>(Padded { pad, padded, gradient })
        });
        let pad = pad.transpose()?;
        Ok(Box::new(Conv2dOperation { geometry, has_bias: self.bias, pad }))
    }
}

#[derive(Debug)]
struct Conv2dOperation {
    geometry: conv::Conv2d,
    has_bias: bool,
    pad: Option<Padded>,
}

/// Images padded by their own pixels, and the gradient by these.
#[derive(Debug)]
struct Padded {
    pad: Pad2d,
    padded: Buffer,
    gradient: Buffer,
}

impl Operation for Conv2dOperation {
    fn forward(&mut self, pass: &mut Forward<'_>, x: &[f32], y: &mut [f32]) -> Result<(), Error> {
        let bias = self.has_bias.then(|| pass.parameter(1));
        let parameters = Conv2dParameters { weight: pass.parameter(0), bias };
        let x = match &mut self.pad {
            None => x,
            Some(Padded { pad, padded, .. }) => {
                pad2d(pass.context(), pad, x, padded)?;
                padded
            }
        };
        Ok(conv2d(pass.context(), &self.geometry, x, parameters, y)?)
    }

    fn backward(
        &mut self,
        pass: &mut Backward<'_>,
        Values { x, dy, .. }: Values<'_>,
        dx: Option<&mut [f32]>,
    ) -> Result<(), Error> {
        let (cx, weight) = (pass.context(), pass.parameter(0));
        let (dweight, dbias) = pass.weight_and_bias();
        let seen = self.pad.as_ref().map_or(x, |pad| &pad.padded);
        conv2d_backward_weight(cx, &self.geometry, seen, dy, dweight, dbias)?;
        match (dx, &mut self.pad) {
            (None, _) => {}
            (Some(dx), None) => conv2d_backward_input(cx, &self.geometry, weight, dy, dx)?,
            (Some(dx), Some(Padded { pad, gradient, .. })) => {
                conv2d_backward_input(cx, &self.geometry, weight, dy, gradient)?;
                pad2d_backward(cx, pad, gradient, dx)?;
            }
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.pad.as_ref().map_or(0, |pad| 2 * size_of_val(&*pad.padded))
    }
}

//! Pooling.

use super::fields::{Pair, ones, optional_pair, pair, write_pairs, yes};
use super::plain::Plain;
use super::{LayerError, Module, Operation};
use crate::Error;
use loupe_engine::pool::{
    self, AvgPool2dOptions, MaxPool2dOptions, adaptive_avg_pool2d, adaptive_avg_pool2d_backward,
    avg_pool2d, avg_pool2d_backward, max_pool2d, max_pool2d_backward,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// `[C, H, W]` → `[C, Ho, Wo]`: the largest value of each window. PyTorch's `MaxPool2d`, without `ceil_mode`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaxPool2d {
    /// Kh, Kw.
    #[serde(deserialize_with = "pair")]
    pub kernel_size: [usize; 2],
    /// Steps of the window; default: the kernel's size.
    #[serde(default, deserialize_with = "optional_pair", skip_serializing_if = "Option::is_none")]
    pub stride: Option<[usize; 2]>,
    /// Rows and columns of −∞ at each of the two sides, at most half of the kernel; default 0.
    #[serde(default, deserialize_with = "pair")]
    pub padding: [usize; 2],
    /// Distance of neighbouring elements of a window; default 1.
    #[serde(default = "ones", deserialize_with = "pair")]
    pub dilation: [usize; 2],
}

impl MaxPool2d {
    /// Windows side by side, without padding.
    pub fn new(kernel_size: impl Into<Pair>) -> MaxPool2d {
        let Pair(kernel_size) = kernel_size.into();
        MaxPool2d { kernel_size, stride: None, padding: [0, 0], dilation: [1, 1] }
    }

    /// Sets the steps of the window.
    pub fn stride(self, stride: impl Into<Pair>) -> MaxPool2d {
        MaxPool2d { stride: Some(stride.into().0), ..self }
    }

    /// Sets what is added at each of the two sides.
    pub fn padding(self, padding: impl Into<Pair>) -> MaxPool2d {
        MaxPool2d { padding: padding.into().0, ..self }
    }

    /// Sets the distance of neighbouring elements.
    pub fn dilation(self, dilation: impl Into<Pair>) -> MaxPool2d {
        MaxPool2d { dilation: dilation.into().0, ..self }
    }

    fn geometry(&self, size: [usize; 2]) -> Result<pool::MaxPool2d, loupe_engine::Error> {
        let &MaxPool2d { kernel_size, stride, padding, dilation } = self;
        let stride = stride.unwrap_or(kernel_size);
        pool::MaxPool2d::new(MaxPool2dOptions { kernel_size, stride, padding, dilation }, size)
    }
}

impl fmt::Display for MaxPool2d {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MaxPool2d(kernel_size={}", Pair(self.kernel_size))?;
        write_stride(f, self.stride)?;
        write_pairs(f, [("padding", self.padding, 0), ("dilation", self.dilation, 1)])?;
        f.write_str(")")
    }
}

fn write_stride(f: &mut fmt::Formatter<'_>, stride: Option<[usize; 2]>) -> fmt::Result {
    stride.map_or(Ok(()), |stride| write!(f, ", stride={}", Pair(stride)))
}

/// Channels, height and width.
fn image(input: &[usize]) -> Result<(usize, [usize; 2]), LayerError> {
    match *input {
        [channels, height, width] => Ok((channels, [height, width])),
        _ => Err(LayerError::shape("[channels, height, width]")),
    }
}

impl Module for MaxPool2d {
    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, LayerError> {
        let (channels, size) = image(input)?;
        let [ho, wo] = self.geometry(size).map_err(LayerError::option)?.output_size();
        Ok(vec![channels, ho, wo])
    }

    fn operation(&self, _: usize, input: &[usize]) -> Result<Box<dyn Operation>, Error> {
        Ok(Box::new(Plain {
            geometry: self.geometry([input[1], input[2]])?,
            forward: max_pool2d,
            backward: |cx, pool, values, dx| max_pool2d_backward(cx, pool, values.x, values.dy, dx),
        }))
    }
}

/// `[C, H, W]` → `[C, Ho, Wo]`: the mean of each window. PyTorch's `AvgPool2d`, without `ceil_mode` and
/// `divisor_override`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AvgPool2d {
    /// Kh, Kw.
    #[serde(deserialize_with = "pair")]
    pub kernel_size: [usize; 2],
    /// Steps of the window; default: the kernel's size.
    #[serde(default, deserialize_with = "optional_pair", skip_serializing_if = "Option::is_none")]
    pub stride: Option<[usize; 2]>,
    /// Rows and columns of zeros at each of the two sides, at most half of the kernel; default 0.
    #[serde(default, deserialize_with = "pair")]
    pub padding: [usize; 2],
    /// Whether these zeros count as elements of the mean; default yes.
    #[serde(default = "yes")]
    pub count_include_pad: bool,
}

impl AvgPool2d {
    /// Windows side by side, without padding.
    pub fn new(kernel_size: impl Into<Pair>) -> AvgPool2d {
        let Pair(kernel_size) = kernel_size.into();
        AvgPool2d { kernel_size, stride: None, padding: [0, 0], count_include_pad: true }
    }

    /// Sets the steps of the window.
    pub fn stride(self, stride: impl Into<Pair>) -> AvgPool2d {
        AvgPool2d { stride: Some(stride.into().0), ..self }
    }

    /// Sets what is added at each of the two sides.
    pub fn padding(self, padding: impl Into<Pair>) -> AvgPool2d {
        AvgPool2d { padding: padding.into().0, ..self }
    }

    /// Sets whether the padding counts.
    pub fn count_include_pad(self, count_include_pad: bool) -> AvgPool2d {
        AvgPool2d { count_include_pad, ..self }
    }

    fn geometry(&self, size: [usize; 2]) -> Result<pool::AvgPool2d, loupe_engine::Error> {
        let &AvgPool2d { kernel_size, stride, padding, count_include_pad } = self;
        let stride = stride.unwrap_or(kernel_size);
        let options = AvgPool2dOptions { kernel_size, stride, padding, count_include_pad };
        pool::AvgPool2d::new(options, size)
    }
}

impl fmt::Display for AvgPool2d {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AvgPool2d(kernel_size={}", Pair(self.kernel_size))?;
        write_stride(f, self.stride)?;
        write_pairs(f, [("padding", self.padding, 0)])?;
        f.write_str(if self.count_include_pad { ")" } else { ", count_include_pad=False)" })
    }
}

impl Module for AvgPool2d {
    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, LayerError> {
        let (channels, size) = image(input)?;
        let [ho, wo] = self.geometry(size).map_err(LayerError::option)?.output_size();
        Ok(vec![channels, ho, wo])
    }

    fn operation(&self, _: usize, input: &[usize]) -> Result<Box<dyn Operation>, Error> {
        Ok(Box::new(Plain {
            geometry: self.geometry([input[1], input[2]])?,
            forward: avg_pool2d,
            backward: |cx, pool, values, dx| avg_pool2d_backward(cx, pool, values.dy, dx),
        }))
    }
}

/// `[C, H, W]` → `[C, Ho, Wo]`, whatever H and W are: means of windows that cover the image, for Ho = Wo = 1 of all
/// of it. PyTorch's `AdaptiveAvgPool2d`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdaptiveAvgPool2d {
    /// Ho, Wo.
    #[serde(deserialize_with = "pair")]
    pub output_size: [usize; 2],
}

impl AdaptiveAvgPool2d {
    /// To images of this size.
    pub fn new(output_size: impl Into<Pair>) -> AdaptiveAvgPool2d {
        AdaptiveAvgPool2d { output_size: output_size.into().0 }
    }
}

impl fmt::Display for AdaptiveAvgPool2d {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AdaptiveAvgPool2d(output_size={})", Pair(self.output_size))
    }
}

impl Module for AdaptiveAvgPool2d {
    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, LayerError> {
        let (channels, size) = image(input)?;
        pool::AdaptiveAvgPool2d::new(size, self.output_size).map_err(LayerError::option)?;
        let [ho, wo] = self.output_size;
        Ok(vec![channels, ho, wo])
    }

    fn operation(&self, _: usize, input: &[usize]) -> Result<Box<dyn Operation>, Error> {
        Ok(Box::new(Plain {
            geometry: pool::AdaptiveAvgPool2d::new([input[1], input[2]], self.output_size)?,
            forward: adaptive_avg_pool2d,
            backward: |cx, pool, values, dx| adaptive_avg_pool2d_backward(cx, pool, values.dy, dx),
        }))
    }
}

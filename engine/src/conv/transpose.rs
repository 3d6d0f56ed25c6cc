//! Transposed convolution: the adjoint of a convolution whose image is the output.
//!
//! What a [`Conv2d`] does to take the gradient by its input is the forward pass here, and the other way
//! round; its gradient by the weight is the same with both tensors exchanged. So all three directions are
//! those of one `Conv2d`, the *mirror*, whose channels are exchanged and whose weight has the same layout.

use super::axis::AxisOptions;
use super::conv2d::{Conv2dParameters, backward_input, conv2d, conv2d_backward_weight};
use super::geometry::{
    Conv2d, Conv2dOptions, LONGEST, check_axis, check_channels, invalid, product,
};
use super::gradient::plane_sums;
use super::pixel::Pixel;
use crate::error::expect_len;
use crate::{Context, Error};

const OP: &str = "conv_transpose2d";

/// Kernel and steps of a transposed convolution, `[height, width]` where there are two. The fields have
/// the meaning of those of PyTorch's `ConvTranspose2d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConvTranspose2dOptions {
    /// C: channels of the input.
    pub in_channels: usize,
    /// O: channels of the output.
    pub out_channels: usize,
    /// Kh, Kw.
    pub kernel_size: [usize; 2],
    /// Steps of the kernel over the output, from one pixel of the input to the next.
    pub stride: [usize; 2],
    /// Rows and columns that are cut off at each of the two sides of the output.
    pub padding: [usize; 2],
    /// Rows and columns more at the bottom and the right of the output; smaller than the stride or the
    /// dilation. A convolution with a stride gives one size for several sizes of its image: this chooses
    /// among them.
    pub output_padding: [usize; 2],
    /// Distance of neighbouring kernel elements in the output.
    pub dilation: [usize; 2],
    /// Groups of channels that do not see each other; divides C and O.
    pub groups: usize,
}

impl ConvTranspose2dOptions {
    /// A kernel that moves by one pixel over an output of which nothing is cut off, and sees all channels.
    pub fn new(
        in_channels: usize,
        out_channels: usize,
        kernel_size: [usize; 2],
    ) -> ConvTranspose2dOptions {
        ConvTranspose2dOptions {
            in_channels,
            out_channels,
            kernel_size,
            stride: [1, 1],
            padding: [0, 0],
            output_padding: [0, 0],
            dilation: [1, 1],
            groups: 1,
        }
    }
}

/// A transposed convolution of images of one size, with everything about it worked out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvTranspose2d {
    options: ConvTranspose2dOptions,
    /// The convolution from the output to the input.
    mirror: Conv2d,
}

impl ConvTranspose2d {
    /// The transposed convolution of images `[C, height, width]`.
    ///
    /// # Errors
    /// [`Error::Invalid`] if a size, step or the number of groups is 0, if a length along an axis of the
    /// input or the output exceeds 2²⁰, if the groups do not divide the channels, if the output padding is
    /// smaller neither than the stride nor than the dilation, or if nothing is left of the output;
    /// [`Error::Overflow`] if a tensor would not fit the address space, or the padding makes an image
    /// enormous.
    pub fn new(
        options: ConvTranspose2dOptions,
        input_size: [usize; 2],
    ) -> Result<ConvTranspose2d, Error> {
        let mirror = mirror(&options, input_size).map_err(|error| error.of(OP))?;
        Ok(ConvTranspose2d { options, mirror })
    }

    /// What the geometry was made of.
    pub fn options(&self) -> &ConvTranspose2dOptions {
        &self.options
    }

    /// H, W.
    pub fn input_size(&self) -> [usize; 2] {
        self.mirror.output_size()
    }

    /// Ho, Wo: `(size − 1) · stride − 2 · padding + dilation · (kernel − 1) + output_padding + 1`.
    pub fn output_size(&self) -> [usize; 2] {
        self.mirror.input_size()
    }

    /// C · H · W: elements of one input image.
    pub fn input_len(&self) -> usize {
        self.mirror.output_len()
    }

    /// O · Ho · Wo: elements of one output image.
    pub fn output_len(&self) -> usize {
        self.mirror.input_len()
    }

    /// C · (O / groups) · Kh · Kw.
    pub fn weight_len(&self) -> usize {
        self.mirror.weight_len()
    }

    /// How many images the first tensor holds. Checks that the second one holds as many.
    fn batch_of(
        &self,
        (what, len, image_len): Images,
        (other, other_len, other_image_len): Images,
    ) -> Result<usize, Error> {
        let batch = self.mirror.batch_of(what, len, image_len).map_err(|e| e.of(OP))?;
        let expected =
            self.mirror.batch_len(other, batch, other_image_len).map_err(|e| e.of(OP))?;
        expect_len(OP, other, expected, other_len)?;
        Ok(batch)
    }

    /// The sizes of the products that images of one pixel are, if the output is the kernel and nothing else.
    fn pixel(&self, batch: usize) -> Option<Pixel> {
        let o = &self.options;
        let is_pixel = self.input_size() == [1, 1]
            && self.output_size() == o.kernel_size
            && o.padding == [0, 0]
            && o.groups == 1;
        let (inputs, outputs) = (self.input_len(), self.output_len());
        is_pixel.then_some(Pixel { batch, inputs, outputs })
    }
}

/// The name of a tensor, its length, and the elements of one of its images.
type Images = (&'static str, usize, usize);

/// The convolution from the output to the input.
fn mirror(o: &ConvTranspose2dOptions, input_size: [usize; 2]) -> Result<Conv2d, Error> {
    check_channels([o.in_channels, o.out_channels], o.groups)?;
    let (mut output_size, mut left_out) = ([0; 2], [0; 2]);
    for axis in [0, 1] {
        let checked = AxisOptions {
            size: input_size[axis],
            kernel: o.kernel_size[axis],
            stride: o.stride[axis],
            padding: o.padding[axis],
            dilation: o.dilation[axis],
            left_out: 0,
        };
        check_axis(checked)?;
        output_size[axis] = output_size_of(checked, o.output_padding[axis])?;
        // The kernel has room for another step where the output padding is as long as one.
        left_out[axis] = o.output_padding[axis] / o.stride[axis];
    }
    let [[height, width], [ho, wo]] = [input_size, output_size];
    let [kh, kw] = o.kernel_size;
    product("the input", &[o.in_channels, height, width])?;
    product("the output", &[o.out_channels, ho, wo])?;
    product("the weight", &[o.in_channels, o.out_channels / o.groups, kh, kw])?;
    let options = Conv2dOptions {
        in_channels: o.out_channels,
        out_channels: o.in_channels,
        kernel_size: o.kernel_size,
        stride: o.stride,
        padding: o.padding,
        dilation: o.dilation,
        groups: o.groups,
    };
    let mirror = Conv2d::without_last(options, output_size, left_out)?;
    assert_eq!(mirror.output_size(), input_size, "the mirror's output is the input");
    Ok(mirror)
}

/// The output's size along an axis whose numbers have been checked.
fn output_size_of(axis: AxisOptions, output_padding: usize) -> Result<usize, Error> {
    if output_padding >= axis.stride.max(axis.dilation) {
        let found =
            format!("{output_padding} at stride {} and dilation {}", axis.stride, axis.dilation);
        return Err(invalid(
            "the output padding",
            "smaller than the stride or the dilation",
            found,
        ));
    }
    // All are at most 2²⁰, the products at most 2⁴⁰.
    let [size, kernel, stride, padding, dilation, more] =
        [axis.size, axis.kernel, axis.stride, axis.padding, axis.dilation, output_padding]
            .map(|n| n as i64);
    let output = (size - 1) * stride - 2 * padding + dilation * (kernel - 1) + more + 1;
    if output < 1 {
        return Err(invalid("an output size", "at least 1", output));
    }
    match usize::try_from(output) {
        Ok(output) if output <= LONGEST => Ok(output),
        _ => Err(invalid("an output size", "at most 2^20", output)),
    }
}

/// `y[n, o, ho, wo] = bias[o] + Σ x[n, c, h, w] · weight[c, o, kh, kw]`, the sum running over the channels
/// `c` of the group of `o` and over all pixels and kernel elements with `ho = h·Sh + kh·Dh − Ph` and
/// `wo = w·Sw + kw·Dw − Pw`. In the weight, `o` counts within its group.
///
/// x `[N, C, H, W]`, weight `[C, O / groups, Kh, Kw]`, bias `[O]`, y `[N, O, Ho, Wo]`; N is what x holds. y is
/// overwritten. Each of its elements is one sum, to which the bias is added; nothing is scattered.
///
/// # Errors
/// [`Error::Invalid`] if x is not a whole number of images, [`Error::Length`] if another slice does
/// not have its shape's length.
///
/// Source: PyTorch's page "ConvTranspose2d".
pub fn conv_transpose2d(
    cx: &Context,
    geometry: &ConvTranspose2d,
    x: &[f32],
    parameters: Conv2dParameters<'_>,
    y: &mut [f32],
) -> Result<(), Error> {
    let (input_len, output_len) = (geometry.input_len(), geometry.output_len());
    let batch = geometry.batch_of(("x", x.len(), input_len), ("y", y.len(), output_len))?;
    expect_len(OP, "the weight", geometry.weight_len(), parameters.weight.len())?;
    if let Some(bias) = parameters.bias {
        expect_len(OP, "the bias", geometry.options.out_channels, bias.len())?;
    }
    if let Some(pixel) = geometry.pixel(batch) {
        return pixel.forward(cx, x, parameters.weight, parameters.bias, y);
    }
    backward_input(cx, &geometry.mirror, parameters, x, y);
    Ok(())
}

/// Gradient by the input of [`conv_transpose2d`]: `dx[n, c, h, w] = Σ weight[c, o, kh, kw] · dy[n, o, ho, wo]`
/// over all products `x[n, c, h, w] · weight[c, o, kh, kw]` that were added to `y[n, o, ho, wo]`.
///
/// weight `[C, O / groups, Kh, Kw]`, dy `[N, O, Ho, Wo]`, dx `[N, C, H, W]`; N is what dy holds. dx is
/// overwritten.
///
/// # Errors
/// [`Error::Invalid`] if dy is not a whole number of images, [`Error::Length`] if another slice does
/// not have its shape's length.
pub fn conv_transpose2d_backward_input(
    cx: &Context,
    geometry: &ConvTranspose2d,
    weight: &[f32],
    dy: &[f32],
    dx: &mut [f32],
) -> Result<(), Error> {
    let (input_len, output_len) = (geometry.input_len(), geometry.output_len());
    let batch = geometry.batch_of(("dy", dy.len(), output_len), ("dx", dx.len(), input_len))?;
    expect_len(OP, "the weight", geometry.weight_len(), weight.len())?;
    if let Some(pixel) = geometry.pixel(batch) {
        return pixel.backward_input(cx, weight, dy, dx);
    }
    conv2d(cx, &geometry.mirror, dy, Conv2dParameters { weight, bias: None }, dx)
}

/// Gradients by the parameters of [`conv_transpose2d`]:
/// `dweight[c, o, kh, kw] = Σ x[n, c, h, w] · dy[n, o, ho, wo]` over all products
/// `x[n, c, h, w] · weight[c, o, kh, kw]` that were added to `y[n, o, ho, wo]`, and
/// `dbias[o] = Σ dy[n, o, ho, wo]`.
///
/// x `[N, C, H, W]`, dy `[N, O, Ho, Wo]`, dweight `[C, O / groups, Kh, Kw]`, dbias `[O]`; N is what x holds.
/// dweight and dbias are overwritten.
///
/// # Errors
/// [`Error::Invalid`] if x is not a whole number of images, [`Error::Length`] if another slice does
/// not have its shape's length.
pub fn conv_transpose2d_backward_weight(
    cx: &Context,
    geometry: &ConvTranspose2d,
    x: &[f32],
    dy: &[f32],
    dweight: &mut [f32],
    dbias: Option<&mut [f32]>,
) -> Result<(), Error> {
    let (input_len, output_len) = (geometry.input_len(), geometry.output_len());
    let batch = geometry.batch_of(("x", x.len(), input_len), ("dy", dy.len(), output_len))?;
    expect_len(OP, "dweight", geometry.weight_len(), dweight.len())?;
    if let Some(dbias) = dbias {
        expect_len(OP, "dbias", geometry.options.out_channels, dbias.len())?;
        plane_sums(cx, batch, output_len, dy, dbias);
    }
    if let Some(pixel) = geometry.pixel(batch) {
        return pixel.backward_weight(cx, x, dy, dweight);
    }
    conv2d_backward_weight(cx, &geometry.mirror, dy, x, dweight, None)
}

//! The sizes of a convolution, checked once.

use super::axis::{Axis, AxisOptions, Positions};
use super::channels::Channels;
use super::planes::Planes;
use crate::Error;
use crate::simd::LANES;

pub(super) const OP: &str = "conv2d";

/// Kernel and steps of a convolution, `[height, width]` where there are two. The fields have the
/// meaning of those of PyTorch's `Conv2d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Conv2dOptions {
    /// C: channels of the input.
    pub in_channels: usize,
    /// O: channels of the output.
    pub out_channels: usize,
    /// Kh, Kw.
    pub kernel_size: [usize; 2],
    /// Steps of the kernel over the image.
    pub stride: [usize; 2],
    /// Zeros added to each of the two sides.
    pub padding: [usize; 2],
    /// Distance of neighbouring kernel elements in the image.
    pub dilation: [usize; 2],
    /// Groups of channels that do not see each other; divides C and O.
    pub groups: usize,
}

impl Conv2dOptions {
    /// A kernel that moves by one pixel over an image without padding and sees all channels.
    pub fn new(in_channels: usize, out_channels: usize, kernel_size: [usize; 2]) -> Conv2dOptions {
        Conv2dOptions {
            in_channels,
            out_channels,
            kernel_size,
            stride: [1, 1],
            padding: [0, 0],
            dilation: [1, 1],
            groups: 1,
        }
    }
}

/// No size, step or padding along an axis may exceed this. All arithmetic on positions then fits an
/// `isize` of 32 bits, and the tables of an axis stay small.
pub(super) const LONGEST: usize = 1 << 20;

/// Phases (see [`AxisOptions::backward`]) of rows and columns, which each have tables of their own.
const MOST_PHASES: usize = 1 << 16;

/// Elements of a kernel over all channels of a group, for each of which there is a table's entry.
const MOST_TAPS: usize = 1 << 24;

/// A convolution of images of one size, with everything about it worked out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conv2d {
    options: Conv2dOptions,
    input_size: [usize; 2],
    output_size: [usize; 2],
    /// Outputs looking at inputs: one grid.
    pub(super) forward: View,
    /// Inputs looking at outputs: a grid for each phase of rows and columns.
    pub(super) backward: View,
    /// The input with the channels innermost for the gradient by the weight, where there are many.
    pub(super) gradient: Option<Channels>,
}

/// Grids of positions that look at the phase planes of one group's channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View {
    pub(super) planes: Planes,
    pub(super) grids: Vec<Grid>,
    /// Rows and columns of one channel of the results.
    pub(super) target_size: [usize; 2],
    /// The same with the channels innermost, where there are many.
    pub(super) channels: Option<Channels>,
}

/// Positions in rows and columns, and what they see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Grid {
    pub(super) rows: Positions,
    pub(super) cols: Positions,
    /// See [`Planes::offsets`].
    pub(super) offsets: Vec<usize>,
}

impl View {
    fn new(
        axes: [Axis; 2],
        [channels, lanes]: [usize; 2],
        [rows, cols]: [&[Positions]; 2],
        target_size: [usize; 2],
        kernel_width: usize,
    ) -> Result<View, Error> {
        let most = rows.iter().map(|rows| rows.count).max().unwrap_or(0);
        let planes = Planes::new(axes.clone(), channels, most)?;
        let channels = Channels::correlation(axes, [channels, lanes], [rows, cols], kernel_width);
        let mut grids = Vec::with_capacity(rows.len() * cols.len());
        for rows in rows {
            for cols in cols {
                let offsets = planes.offsets(rows, cols);
                grids.push(Grid { rows: rows.clone(), cols: cols.clone(), offsets });
            }
        }
        Ok(View { planes, grids, target_size, channels })
    }

    /// Positions of a whole band of the widest grid, rounded up to whole vectors.
    pub(super) fn longest_band(&self) -> usize {
        let widest = self.grids.iter().map(|grid| grid.cols.count).max().unwrap_or(0);
        ((self.planes.band - 1) * self.planes.pitch() + widest).next_multiple_of(LANES)
    }

    /// Whether every element of the results belongs to a position.
    pub(super) fn is_complete(&self) -> bool {
        let positions: usize =
            self.grids.iter().map(|grid| grid.rows.count * grid.cols.count).sum();
        positions == self.target_size[0] * self.target_size[1]
    }
}

impl Conv2d {
    /// The convolution of images `[C, height, width]`.
    ///
    /// # Errors
    /// [`Error::Invalid`] if a size, step or the number of groups is 0, if a length along an axis
    /// exceeds 2²⁰, if the groups do not divide the channels, or if the dilated kernel is larger
    /// than the padded image; [`Error::Overflow`] if a tensor would not fit the address space, or the
    /// padding makes an image enormous.
    pub fn new(options: Conv2dOptions, input_size: [usize; 2]) -> Result<Conv2d, Error> {
        Conv2d::without_last(options, input_size, [0, 0])
    }

    /// The same without so many rows and columns at the end of the output, which must be fewer than it
    /// has.
    pub(super) fn without_last(
        options: Conv2dOptions,
        input_size: [usize; 2],
        left_out: [usize; 2],
    ) -> Result<Conv2d, Error> {
        let o = &options;
        check_channels([o.in_channels, o.out_channels], o.groups)?;
        let axes = [0, 1].map(|axis| AxisOptions {
            size: input_size[axis],
            kernel: o.kernel_size[axis],
            stride: o.stride[axis],
            padding: o.padding[axis],
            dilation: o.dilation[axis],
            left_out: left_out[axis],
        });
        for axis in axes {
            check_axis(axis)?;
            check_extent(axis)?;
        }
        let output_size = axes.map(AxisOptions::outputs);
        let [ho, wo] = output_size;
        product("the input", &[o.in_channels, input_size[0], input_size[1]])?;
        product("the output", &[o.out_channels, ho, wo])?;
        let [kh, kw] = o.kernel_size;
        product("the weight", &[o.out_channels, o.in_channels / o.groups, kh, kw])?;
        let channels = o.in_channels.max(o.out_channels) / o.groups;
        if product("the kernel", &[channels, kh, kw])? > MOST_TAPS {
            let found = format!("{channels} of {kh} by {kw}");
            return Err(invalid("the channels and elements of a kernel", "at most 2^24", found));
        }
        let [(row_axis, rows), (col_axis, cols)] = axes.map(AxisOptions::forward);
        let [inputs, outputs] = [o.in_channels, o.out_channels].map(|n| n / o.groups);
        let looks = [row_axis, col_axis];
        let weights = inputs * outputs * kh * kw;
        let gradient = Channels::gradient(looks.clone(), inputs, [&rows, &cols], kw, weights);
        let forward = View::new(looks, [inputs, outputs], [&[rows], &[cols]], output_size, kw)?;
        let [(row_axis, rows), (col_axis, cols)] = axes.map(AxisOptions::backward);
        if rows.len() * cols.len() > MOST_PHASES {
            let [sh, sw] = o.stride;
            let found = format!("{sh} and {sw} under a kernel of {kh} by {kw}");
            return Err(invalid("the strides", "such that no more than 2^16 phases arise", found));
        }
        let looks = [row_axis, col_axis];
        let backward = View::new(looks, [outputs, inputs], [&rows, &cols], input_size, kw)?;
        Ok(Conv2d { options, input_size, output_size, forward, backward, gradient })
    }

    /// What the geometry was made of.
    pub fn options(&self) -> &Conv2dOptions {
        &self.options
    }

    /// H, W.
    pub fn input_size(&self) -> [usize; 2] {
        self.input_size
    }

    /// Ho, Wo: `⌊(size + 2 · padding − dilation · (kernel − 1) − 1) / stride⌋ + 1`.
    pub fn output_size(&self) -> [usize; 2] {
        self.output_size
    }

    /// C · H · W: elements of one input image.
    pub fn input_len(&self) -> usize {
        self.options.in_channels * self.input_size[0] * self.input_size[1]
    }

    /// O · Ho · Wo: elements of one output image.
    pub fn output_len(&self) -> usize {
        self.options.out_channels * self.output_size[0] * self.output_size[1]
    }

    /// O · (C / groups) · Kh · Kw.
    pub fn weight_len(&self) -> usize {
        let o = &self.options;
        o.out_channels * (o.in_channels / o.groups) * o.kernel_size[0] * o.kernel_size[1]
    }

    /// C / groups.
    pub(super) fn group_inputs(&self) -> usize {
        self.options.in_channels / self.options.groups
    }

    /// O / groups.
    pub(super) fn group_outputs(&self) -> usize {
        self.options.out_channels / self.options.groups
    }

    /// Pixels of an image, if a kernel of one element sees each of them and they are whole vectors.
    pub(super) fn pointwise(&self) -> Option<usize> {
        let o = &self.options;
        let all = o.kernel_size == [1, 1]
            && o.stride == [1, 1]
            && o.padding == [0, 0]
            && self.output_size == self.input_size;
        let pixels = self.input_size[0] * self.input_size[1];
        (all && pixels.is_multiple_of(LANES)).then_some(pixels)
    }

    /// Kh · Kw.
    pub(super) fn kernel_len(&self) -> usize {
        self.options.kernel_size[0] * self.options.kernel_size[1]
    }
}

impl Conv2d {
    /// How many images of `image_len` floats `len` floats are.
    pub(super) fn batch_of(
        &self,
        what: &'static str,
        len: usize,
        image_len: usize,
    ) -> Result<usize, Error> {
        if len.is_multiple_of(image_len) {
            return Ok(len / image_len);
        }
        let found = format!("{len} for images of {image_len} elements");
        Err(Error::Invalid { op: OP, what, expected: "a whole number of images", found })
    }

    /// The length of `batch` images of `image_len` floats.
    pub(super) fn batch_len(
        &self,
        what: &'static str,
        batch: usize,
        image_len: usize,
    ) -> Result<usize, Error> {
        product(what, &[batch, image_len])
    }
}

/// Checks input and output channels.
pub(super) fn check_channels(channels: [usize; 2], groups: usize) -> Result<(), Error> {
    let names = ["the number of input channels", "the number of output channels"];
    let numbers = names.into_iter().zip(channels);
    for (what, value) in numbers.clone().chain([("the number of groups", groups)]) {
        if value == 0 {
            return Err(invalid(what, "at least 1", value));
        }
    }
    for (what, channels) in numbers {
        if !channels.is_multiple_of(groups) {
            let found = format!("{channels} for {groups} groups");
            return Err(invalid(what, "divisible by the number of groups", found));
        }
    }
    Ok(())
}

/// Checks each number by itself.
pub(super) fn check_axis(axis: AxisOptions) -> Result<(), Error> {
    for (what, value, least) in [
        ("an image size", axis.size, 1),
        ("a kernel size", axis.kernel, 1),
        ("a stride", axis.stride, 1),
        ("a padding", axis.padding, 0),
        ("a dilation", axis.dilation, 1),
    ] {
        if value < least {
            return Err(invalid(what, "at least 1", value));
        }
        if value > LONGEST {
            return Err(invalid(what, "at most 2^20", value));
        }
    }
    Ok(())
}

/// Checks that the kernel fits into the padded image.
fn check_extent(axis: AxisOptions) -> Result<(), Error> {
    // At most 2⁴⁰: beyond what a usize of 32 bits holds.
    let extent = (axis.kernel - 1).checked_mul(axis.dilation).and_then(|n| n.checked_add(1));
    let padded = axis.size + 2 * axis.padding;
    match extent {
        Some(extent) if extent <= padded => Ok(()),
        _ => {
            let found = format!(
                "{} elements at dilation {} for {} pixels with {} of padding at each side",
                axis.kernel, axis.dilation, axis.size, axis.padding
            );
            Err(invalid("the kernel", "no larger than the padded image", found))
        }
    }
}

pub(super) fn invalid(what: &'static str, expected: &'static str, found: impl ToString) -> Error {
    Error::Invalid { op: OP, what, expected, found: found.to_string() }
}

/// The product of the factors, if a slice of so many floats can exist.
pub(super) fn product(what: &'static str, factors: &[usize]) -> Result<usize, Error> {
    let bytes = factors.iter().try_fold(size_of::<f32>(), |n, &f| n.checked_mul(f));
    match bytes {
        Some(bytes) if isize::try_from(bytes).is_ok() => Ok(bytes / size_of::<f32>()),
        _ => Err(Error::Overflow { op: OP, what }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn geometry(options: Conv2dOptions, size: [usize; 2]) -> Result<[usize; 2], String> {
        Conv2d::new(options, size).map(|g| g.output_size()).map_err(|e| e.to_string())
    }

    #[test]
    fn output_sizes_of_the_mnist_network() {
        let first = Conv2dOptions { stride: [2, 2], ..Conv2dOptions::new(1, 10, [5, 5]) };
        assert_eq!(geometry(first, [28, 28]), Ok([12, 12]));
        let second = Conv2dOptions { stride: [2, 2], ..Conv2dOptions::new(10, 10, [3, 3]) };
        assert_eq!(geometry(second, [12, 12]), Ok([5, 5]));
    }

    #[test]
    fn impossible_sizes_are_errors_with_numbers() {
        let ok = Conv2dOptions::new(4, 6, [3, 3]);
        let error = |options, size| geometry(options, size).unwrap_err();
        assert_eq!(
            error(ok, [2, 5]),
            "conv2d: the kernel must be no larger than the padded image, found 3 elements at \
             dilation 1 for 2 pixels with 0 of padding at each side"
        );
        assert_eq!(
            error(Conv2dOptions { groups: 4, ..ok }, [5, 5]),
            "conv2d: the number of output channels must be divisible by the number of groups, \
             found 6 for 4 groups"
        );
        assert!(error(Conv2dOptions { stride: [0, 1], ..ok }, [5, 5]).contains("a stride"));
        assert!(error(Conv2dOptions { dilation: [1, 0], ..ok }, [5, 5]).contains("a dilation"));
        assert!(error(Conv2dOptions { groups: 0, ..ok }, [5, 5]).contains("groups"));
        assert!(error(Conv2dOptions { in_channels: 0, ..ok }, [5, 5]).contains("input channels"));
        assert!(error(ok, [0, 5]).contains("an image size must be at least 1, found 0"));
        let padding = Conv2dOptions { padding: [usize::MAX, 0], ..ok };
        assert!(error(padding, [5, 5]).contains("a padding must be at most 2^20"));
    }

    #[test]
    fn tensors_beyond_the_address_space_are_errors() {
        let options = Conv2dOptions::new(1 << 40, 1, [1, 1]);
        let error = Conv2d::new(options, [1 << 20, 1 << 20]).unwrap_err();
        assert_eq!(error, Error::Overflow { op: "conv2d", what: "the input" });
    }
}

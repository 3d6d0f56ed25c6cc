//! Two-dimensional transposed convolution: every pixel of the input adds the kernel, times its value, to the
//! output.

/// Sizes of a transposed convolution, `[height, width]` wherever there are two.
#[derive(Clone, Debug)]
pub struct ConvTranspose2dDims {
    /// N: images.
    pub batch: usize,
    /// C: channels of the input.
    pub in_channels: usize,
    /// O: channels of the output.
    pub out_channels: usize,
    /// H, W: rows and columns of the input.
    pub size: [usize; 2],
    /// Kh, Kw: rows and columns of the kernel.
    pub kernel: [usize; 2],
    /// Steps of the kernel in the output, at least 1.
    pub stride: [usize; 2],
    /// What is cut off at each of the two sides of the output.
    pub padding: [usize; 2],
    /// What the output has more at its end.
    pub output_padding: [usize; 2],
    /// Distance of neighbouring kernel elements in the output, at least 1.
    pub dilation: [usize; 2],
    /// Channel groups that do not see each other; divides C and O.
    pub groups: usize,
}

/// Gradients of a transposed convolution.
#[derive(Clone, Debug)]
pub struct ConvTranspose2dGradients {
    /// By the input, `[N, C, H, W]`.
    pub input: Vec<f64>,
    /// By the weight, `[C, O / groups, Kh, Kw]`.
    pub weight: Vec<f64>,
    /// By the bias, `[O]`.
    pub bias: Vec<f64>,
}

/// Indices of the input, the weight and the output that one product connects.
struct Product {
    x: usize,
    w: usize,
    y: usize,
}

impl ConvTranspose2dDims {
    /// Ho, Wo.
    ///
    /// # Panics
    ///
    /// If nothing is left of the output.
    pub fn out_size(&self) -> [usize; 2] {
        [0, 1].map(|axis| {
            // The last kernel element of the last pixel is the last place that is reached.
            let last = (self.size[axis] - 1) * self.stride[axis]
                + (self.kernel[axis] - 1) * self.dilation[axis];
            let uncut = last + 1 + self.output_padding[axis];
            assert!(uncut > 2 * self.padding[axis], "nothing is left of the output: {self:?}");
            uncut - 2 * self.padding[axis]
        })
    }

    /// N · C · H · W.
    pub fn input_len(&self) -> usize {
        self.batch * self.in_channels * self.size[0] * self.size[1]
    }

    /// C · (O / groups) · Kh · Kw.
    pub fn weight_len(&self) -> usize {
        self.in_channels * (self.out_channels / self.groups) * self.kernel[0] * self.kernel[1]
    }

    /// N · O · Ho · Wo.
    ///
    /// # Panics
    ///
    /// If nothing is left of the output.
    pub fn output_len(&self) -> usize {
        let [height, width] = self.out_size();
        self.batch * self.out_channels * height * width
    }

    /// Calls `visit` once for each product x · w that is added to an output y.
    fn for_each_product(&self, mut visit: impl FnMut(Product)) {
        assert!(
            self.groups > 0
                && self.in_channels.is_multiple_of(self.groups)
                && self.out_channels.is_multiple_of(self.groups),
            "groups divide both channel counts: {self:?}"
        );
        let [out_height, out_width] = self.out_size();
        let [in_group, out_group] =
            [self.in_channels, self.out_channels].map(|channels| channels / self.groups);
        let [height, width] = self.size;
        let [kernel_height, kernel_width] = self.kernel;
        for n in 0..self.batch {
            for c in 0..self.in_channels {
                for o in 0..out_group {
                    let out_channel = c / in_group * out_group + o;
                    for h in 0..height {
                        for w in 0..width {
                            for kh in 0..kernel_height {
                                for kw in 0..kernel_width {
                                    let row = h * self.stride[0] + kh * self.dilation[0];
                                    let column = w * self.stride[1] + kw * self.dilation[1];
                                    let (Some(row), Some(column)) = (
                                        row.checked_sub(self.padding[0]),
                                        column.checked_sub(self.padding[1]),
                                    ) else {
                                        continue;
                                    };
                                    if row >= out_height || column >= out_width {
                                        continue;
                                    }
                                    let image = n * self.in_channels + c;
                                    let kernel = c * out_group + o;
                                    let plane = n * self.out_channels + out_channel;
                                    visit(Product {
                                        x: (image * height + h) * width + w,
                                        w: (kernel * kernel_height + kh) * kernel_width + kw,
                                        y: (plane * out_height + row) * out_width + column,
                                    });
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    /// Calls `visit(o, y)` for each output channel `o` and index `y` of the output.
    fn for_each_output(&self, mut visit: impl FnMut(usize, usize)) {
        let [height, width] = self.out_size();
        for plane in 0..self.batch * self.out_channels {
            for pixel in 0..height * width {
                visit(plane % self.out_channels, plane * height * width + pixel);
            }
        }
    }
}

/// y `[N, O, Ho, Wo]` of x `[N, C, H, W]`, weight `[C, O / groups, Kh, Kw]` and bias `[O]`: y is the bias, and
/// each x\[n, c, h, w\] · weight\[c, o, kh, kw\] is added to y\[n, o, h·Sh + kh·Dh − Ph, w·Sw + kw·Dw − Pw\], for
/// all o of the group of c, if that lies within the output.
///
/// # Panics
///
/// If the sizes are impossible or a slice has not the length that they ask for.
pub fn conv_transpose2d(
    dims: &ConvTranspose2dDims,
    x: &[f64],
    weight: &[f64],
    bias: Option<&[f64]>,
) -> Vec<f64> {
    assert_eq!(x.len(), dims.input_len(), "x is [N, C, H, W]: {dims:?}");
    assert_eq!(weight.len(), dims.weight_len(), "weight: {dims:?}");
    let mut y = vec![0.0; dims.output_len()];
    if let Some(bias) = bias {
        assert_eq!(bias.len(), dims.out_channels, "bias is [O]: {dims:?}");
        dims.for_each_output(|o, index| y[index] = bias[o]);
    }
    dims.for_each_product(|at| y[at.y] += x[at.x] * weight[at.w]);
    y
}

/// Gradients of [`conv_transpose2d`] for the upstream gradient dy `[N, O, Ho, Wo]`.
///
/// # Panics
///
/// If the sizes are impossible or a slice has not the length that they ask for.
pub fn conv_transpose2d_backward(
    dims: &ConvTranspose2dDims,
    x: &[f64],
    weight: &[f64],
    dy: &[f64],
) -> ConvTranspose2dGradients {
    assert_eq!(x.len(), dims.input_len(), "x is [N, C, H, W]: {dims:?}");
    assert_eq!(weight.len(), dims.weight_len(), "weight: {dims:?}");
    assert_eq!(dy.len(), dims.output_len(), "dy is [N, O, Ho, Wo]: {dims:?}");
    let mut gradients = ConvTranspose2dGradients {
        input: vec![0.0; x.len()],
        weight: vec![0.0; weight.len()],
        bias: vec![0.0; dims.out_channels],
    };
    dims.for_each_product(|at| {
        gradients.input[at.x] += weight[at.w] * dy[at.y];
        gradients.weight[at.w] += x[at.x] * dy[at.y];
    });
    dims.for_each_output(|o, index| gradients.bias[o] += dy[index]);
    gradients
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::finite::{assert_gradient, gradient, weighted_sum};
    use crate::reference::random::Random;

    fn plain() -> ConvTranspose2dDims {
        ConvTranspose2dDims {
            batch: 2,
            in_channels: 4,
            out_channels: 6,
            size: [4, 3],
            kernel: [3, 2],
            stride: [1, 1],
            padding: [0, 0],
            output_padding: [0, 0],
            dilation: [1, 1],
            groups: 1,
        }
    }

    #[test]
    fn forward_by_hand() {
        let dims = ConvTranspose2dDims {
            batch: 1,
            in_channels: 1,
            out_channels: 1,
            size: [1, 2],
            kernel: [1, 2],
            stride: [1, 3],
            output_padding: [0, 1],
            ..plain()
        };
        let y = conv_transpose2d(&dims, &[2.0, 3.0], &[10.0, 100.0], Some(&[0.5]));
        assert_eq!(y, [20.5, 200.5, 0.5, 30.5, 300.5, 0.5]);
        let dims = ConvTranspose2dDims { padding: [0, 1], output_padding: [0, 0], ..dims };
        let y = conv_transpose2d(&dims, &[2.0, 3.0], &[10.0, 100.0], None);
        assert_eq!(y, [200.0, 0.0, 30.0]);
    }

    #[test]
    fn output_sizes_of_dcgan() {
        let dims = ConvTranspose2dDims { size: [1, 1], kernel: [4, 4], ..plain() };
        assert_eq!(dims.out_size(), [4, 4]);
        let dims = ConvTranspose2dDims { size: [4, 32], stride: [2, 2], padding: [1, 1], ..dims };
        assert_eq!(dims.out_size(), [8, 64]);
    }

    #[test]
    fn backward_agrees_with_central_differences() {
        let cases = [
            plain(),
            ConvTranspose2dDims { stride: [2, 3], output_padding: [1, 2], ..plain() },
            ConvTranspose2dDims { padding: [2, 1], ..plain() },
            ConvTranspose2dDims { dilation: [3, 2], output_padding: [2, 0], ..plain() },
            ConvTranspose2dDims { groups: 2, ..plain() },
            ConvTranspose2dDims {
                stride: [3, 2],
                padding: [2, 3],
                dilation: [2, 3],
                output_padding: [1, 2],
                groups: 2,
                ..plain()
            },
        ];
        for dims in cases {
            let mut random = Random::new(23);
            let x = random.uniform_f64(dims.input_len(), -1.0, 1.0);
            let weight = random.uniform_f64(dims.weight_len(), -1.0, 1.0);
            let bias = random.uniform_f64(dims.out_channels, -1.0, 1.0);
            let dy = random.uniform_f64(dims.output_len(), -1.0, 1.0);
            let loss = |x: &[f64], weight: &[f64], bias: &[f64]| {
                weighted_sum(&conv_transpose2d(&dims, x, weight, Some(bias)), &dy)
            };
            let analytic = conv_transpose2d_backward(&dims, &x, &weight, &dy);
            let numeric = gradient(|x| loss(x, &weight, &bias), &x, 1e-4);
            assert_gradient(&format!("{dims:?} input"), &analytic.input, &numeric, 1e-9);
            let numeric = gradient(|weight| loss(&x, weight, &bias), &weight, 1e-4);
            assert_gradient(&format!("{dims:?} weight"), &analytic.weight, &numeric, 1e-9);
            let numeric = gradient(|bias| loss(&x, &weight, bias), &bias, 1e-4);
            assert_gradient(&format!("{dims:?} bias"), &analytic.bias, &numeric, 1e-9);
        }
    }

    #[test]
    #[should_panic(expected = "nothing is left of the output")]
    fn an_output_that_is_cut_off_panics() {
        let _ = ConvTranspose2dDims { padding: [3, 0], ..plain() }.output_len();
    }
}

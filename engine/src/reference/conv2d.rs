//! Two-dimensional convolution (cross-correlation, as deep learning uses the word).

/// Sizes of a convolution, `[height, width]` wherever there are two.
#[derive(Clone, Debug)]
pub struct Conv2dDims {
    /// N: images.
    pub batch: usize,
    /// C: channels of the input.
    pub in_channels: usize,
    /// H: rows of the input.
    pub height: usize,
    /// W: columns of the input.
    pub width: usize,
    /// O: channels of the output.
    pub out_channels: usize,
    /// Kh, Kw: rows and columns of the kernel.
    pub kernel: [usize; 2],
    /// Steps of the kernel, at least 1.
    pub stride: [usize; 2],
    /// Zeros added at each of the two sides.
    pub padding: [usize; 2],
    /// Distance of neighbouring kernel elements in the input, at least 1.
    pub dilation: [usize; 2],
    /// Channel groups that do not see each other; divides C and O.
    pub groups: usize,
}

/// Gradients of a convolution.
#[derive(Clone, Debug)]
pub struct Conv2dGradients {
    /// By the input, `[N, C, H, W]`.
    pub input: Vec<f64>,
    /// By the weight, `[O, C / groups, Kh, Kw]`.
    pub weight: Vec<f64>,
    /// By the bias, `[O]`.
    pub bias: Vec<f64>,
}

impl Conv2dDims {
    /// Ho: rows of the output.
    ///
    /// # Panics
    ///
    /// If the kernel does not fit into the padded input or a size is impossible.
    pub fn out_height(&self) -> usize {
        self.positions(0, self.height)
    }

    /// Wo: columns of the output.
    ///
    /// # Panics
    ///
    /// If the kernel does not fit into the padded input or a size is impossible.
    pub fn out_width(&self) -> usize {
        self.positions(1, self.width)
    }

    /// N · C · H · W.
    pub fn input_len(&self) -> usize {
        self.batch * self.in_channels * self.height * self.width
    }

    /// O · (C / groups) · Kh · Kw.
    pub fn weight_len(&self) -> usize {
        self.out_channels * (self.in_channels / self.groups) * self.kernel[0] * self.kernel[1]
    }

    /// N · O · Ho · Wo.
    ///
    /// # Panics
    ///
    /// If the kernel does not fit into the padded input or a size is impossible.
    pub fn output_len(&self) -> usize {
        self.batch * self.out_channels * self.out_height() * self.out_width()
    }

    /// In how many places along one axis the kernel lies wholly within the padded input.
    fn positions(&self, axis: usize, size: usize) -> usize {
        let (kernel, stride, dilation) =
            (self.kernel[axis], self.stride[axis], self.dilation[axis]);
        assert!(
            kernel > 0 && stride > 0 && dilation > 0,
            "kernel, stride and dilation are at least 1: {self:?}"
        );
        let padded = size + 2 * self.padding[axis];
        let positions =
            (0..).take_while(|place| place * stride + (kernel - 1) * dilation < padded).count();
        assert!(positions > 0, "kernel larger than padded input: {self:?}");
        positions
    }

    /// Calls `visit` once for each product x · w that is added to an output y.
    ///
    /// Products with padding are left out: they are zero.
    fn for_each_product(&self, mut visit: impl FnMut(Product)) {
        assert!(
            self.groups > 0
                && self.in_channels.is_multiple_of(self.groups)
                && self.out_channels.is_multiple_of(self.groups),
            "groups divide both channel counts: {self:?}"
        );
        let (out_height, out_width) = (self.out_height(), self.out_width());
        let in_per_group = self.in_channels / self.groups;
        let out_per_group = self.out_channels / self.groups;
        let [kernel_height, kernel_width] = self.kernel;
        let [pad_top, pad_left] = self.padding;
        let x_shape = [self.batch, self.in_channels, self.height, self.width];
        let w_shape = [self.out_channels, in_per_group, kernel_height, kernel_width];
        let y_shape = [self.batch, self.out_channels, out_height, out_width];
        // Both work on coordinates of the padded input.
        let in_rows = |h| h >= pad_top && h < pad_top + self.height;
        let in_columns = |w| w >= pad_left && w < pad_left + self.width;
        for n in 0..self.batch {
            for o in 0..self.out_channels {
                let first_c = o / out_per_group * in_per_group;
                for ho in 0..out_height {
                    for wo in 0..out_width {
                        let y = index(y_shape, [n, o, ho, wo]);
                        for c in 0..in_per_group {
                            for kh in 0..kernel_height {
                                for kw in 0..kernel_width {
                                    let h = ho * self.stride[0] + kh * self.dilation[0];
                                    let w = wo * self.stride[1] + kw * self.dilation[1];
                                    if in_rows(h) && in_columns(w) {
                                        let (h, w) = (h - pad_top, w - pad_left);
                                        visit(Product {
                                            x: index(x_shape, [n, first_c + c, h, w]),
                                            w: index(w_shape, [o, c, kh, kw]),
                                            y,
                                        });
                                    }
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
        let plane = self.out_height() * self.out_width();
        for n in 0..self.batch {
            for o in 0..self.out_channels {
                for p in 0..plane {
                    visit(o, (n * self.out_channels + o) * plane + p);
                }
            }
        }
    }
}

/// Indices of the input, the weight and the output that one product connects.
struct Product {
    x: usize,
    w: usize,
    y: usize,
}

/// Where element `at` of a row-major tensor of this shape lies.
fn index(shape: [usize; 4], at: [usize; 4]) -> usize {
    ((at[0] * shape[1] + at[1]) * shape[2] + at[2]) * shape[3] + at[3]
}

/// y `[N, O, Ho, Wo]` of x `[N, C, H, W]`, weight `[O, C / groups, Kh, Kw]` and bias `[O]`:
///
/// y\[n, o, ho, wo\] = bias\[o\] + Σ x\[n, c, ho·Sh + kh·Dh − Ph, wo·Sw + kw·Dw − Pw\] ·
/// weight\[o, c, kh, kw\], the sum running over the channels c of the group of o and over kh, kw,
/// with x zero outside the image.
///
/// # Panics
///
/// If the sizes are impossible or a slice has not the length that they ask for.
pub fn conv2d(dims: &Conv2dDims, x: &[f64], weight: &[f64], bias: Option<&[f64]>) -> Vec<f64> {
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

/// Gradients of [`conv2d`] for the upstream gradient dy `[N, O, Ho, Wo]`.
///
/// Each product x · w of the forward pass adds w · dy to dx and x · dy to dw.
///
/// # Panics
///
/// If the sizes are impossible or a slice has not the length that they ask for.
pub fn conv2d_backward(
    dims: &Conv2dDims,
    x: &[f64],
    weight: &[f64],
    dy: &[f64],
) -> Conv2dGradients {
    assert_eq!(x.len(), dims.input_len(), "x is [N, C, H, W]: {dims:?}");
    assert_eq!(weight.len(), dims.weight_len(), "weight: {dims:?}");
    assert_eq!(dy.len(), dims.output_len(), "dy is [N, O, Ho, Wo]: {dims:?}");
    let mut gradients = Conv2dGradients {
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
    use crate::reference::gemm::{GemmDims, gemm};
    use crate::reference::random::Random;

    /// 2 images of 4 channels, 7 rows, 6 columns under six kernels of 3 rows and 2 columns.
    fn plain() -> Conv2dDims {
        Conv2dDims {
            batch: 2,
            in_channels: 4,
            height: 7,
            width: 6,
            out_channels: 6,
            kernel: [3, 2],
            stride: [1, 1],
            padding: [0, 0],
            dilation: [1, 1],
            groups: 1,
        }
    }

    /// Whole numbers, so that identities hold exactly: x, weight, bias.
    fn whole(dims: &Conv2dDims) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
        let mut random = Random::new(21);
        (
            random.whole_f64(dims.input_len(), 9),
            random.whole_f64(dims.weight_len(), 9),
            random.whole_f64(dims.out_channels, 9),
        )
    }

    #[test]
    fn forward_by_hand() {
        let dims = Conv2dDims {
            batch: 1,
            in_channels: 1,
            height: 2,
            width: 3,
            out_channels: 2,
            kernel: [2, 2],
            ..plain()
        };
        let x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let weight = [1.0, 10.0, 100.0, 1000.0, 1.0, 1.0, 0.0, 0.0];
        let y = conv2d(&dims, &x, &weight, Some(&[0.5, -0.5]));
        assert_eq!(y, [5421.5, 6532.5, 2.5, 4.5]);
        assert_eq!(conv2d(&dims, &x, &weight, None), [5421.0, 6532.0, 3.0, 5.0]);
    }

    #[test]
    fn output_sizes_of_the_mnist_network() {
        let mut dims =
            Conv2dDims { height: 28, width: 28, kernel: [5, 5], stride: [2, 2], ..plain() };
        assert_eq!([dims.out_height(), dims.out_width()], [12, 12]);
        (dims.height, dims.width, dims.kernel) = (12, 12, [3, 3]);
        assert_eq!([dims.out_height(), dims.out_width()], [5, 5]);
        (dims.padding, dims.dilation) = ([1, 0], [1, 2]);
        assert_eq!([dims.out_height(), dims.out_width()], [6, 4]);
    }

    #[test]
    fn kernel_of_one_is_a_matrix_product() {
        let dims = Conv2dDims { batch: 1, kernel: [1, 1], ..plain() };
        let (x, weight, _) = whole(&dims);
        let mut y = vec![0.0; dims.output_len()];
        let (m, n, k) = (dims.out_channels, 7 * 6, dims.in_channels);
        gemm(&GemmDims { m, n, k }, 1.0, &weight, &x, 0.0, &mut y);
        assert_eq!(conv2d(&dims, &x, &weight, None), y);
    }

    #[test]
    fn stride_picks_from_the_dense_output() {
        let dense = plain();
        let strided = Conv2dDims { stride: [2, 3], ..plain() };
        let (x, weight, bias) = whole(&dense);
        let all = conv2d(&dense, &x, &weight, Some(&bias));
        // The dense output is 5 x 5: every second row and every third column of it.
        let mut picked = Vec::new();
        for plane in all.chunks(25) {
            for row in [0, 2, 4] {
                picked.extend([plane[row * 5], plane[row * 5 + 3]]);
            }
        }
        assert_eq!(conv2d(&strided, &x, &weight, Some(&bias)), picked);
    }

    #[test]
    fn padding_is_a_frame_of_zeros() {
        let padded = Conv2dDims { padding: [1, 2], ..plain() };
        let framed = Conv2dDims { height: 9, width: 10, ..plain() };
        let (x, weight, bias) = whole(&padded);
        let mut frame = vec![0.0; framed.input_len()];
        for plane in 0..8 {
            for h in 0..7 {
                for w in 0..6 {
                    frame[(plane * 9 + h + 1) * 10 + w + 2] = x[(plane * 7 + h) * 6 + w];
                }
            }
        }
        assert_eq!(
            conv2d(&padded, &x, &weight, Some(&bias)),
            conv2d(&framed, &frame, &weight, Some(&bias))
        );
    }

    #[test]
    fn dilation_is_a_kernel_with_holes() {
        let dilated = Conv2dDims { dilation: [2, 3], ..plain() };
        let holed = Conv2dDims { kernel: [5, 4], ..plain() };
        let (x, weight, bias) = whole(&dilated);
        let mut holes = vec![0.0; holed.weight_len()];
        for plane in 0..24 {
            for kh in 0..3 {
                for kw in 0..2 {
                    holes[(plane * 5 + kh * 2) * 4 + kw * 3] = weight[(plane * 3 + kh) * 2 + kw];
                }
            }
        }
        assert_eq!(
            conv2d(&dilated, &x, &weight, Some(&bias)),
            conv2d(&holed, &x, &holes, Some(&bias))
        );
    }

    #[test]
    fn groups_are_convolutions_side_by_side() {
        let grouped = Conv2dDims { batch: 1, groups: 2, ..plain() };
        let half = Conv2dDims { batch: 1, in_channels: 2, out_channels: 3, ..plain() };
        let (x, weight, bias) = whole(&grouped);
        let (x0, x1) = x.split_at(half.input_len());
        let (weight0, weight1) = weight.split_at(half.weight_len());
        let mut halves = conv2d(&half, x0, weight0, Some(&bias[..3]));
        halves.extend(conv2d(&half, x1, weight1, Some(&bias[3..])));
        assert_eq!(conv2d(&grouped, &x, &weight, Some(&bias)), halves);
    }

    #[test]
    fn backward_agrees_with_central_differences() {
        let cases = [
            plain(),
            Conv2dDims { stride: [2, 3], ..plain() },
            Conv2dDims { padding: [2, 1], ..plain() },
            Conv2dDims { dilation: [3, 2], ..plain() },
            Conv2dDims { groups: 2, ..plain() },
            Conv2dDims { in_channels: 3, groups: 3, kernel: [1, 4], ..plain() },
            Conv2dDims { kernel: [7, 6], ..plain() },
            Conv2dDims { stride: [3, 2], padding: [2, 3], dilation: [2, 3], groups: 2, ..plain() },
        ];
        for dims in cases {
            let mut random = Random::new(22);
            let x = random.uniform_f64(dims.input_len(), -1.0, 1.0);
            let weight = random.uniform_f64(dims.weight_len(), -1.0, 1.0);
            let bias = random.uniform_f64(dims.out_channels, -1.0, 1.0);
            let dy = random.uniform_f64(dims.output_len(), -1.0, 1.0);
            let loss = |x: &[f64], weight: &[f64], bias: &[f64]| {
                weighted_sum(&conv2d(&dims, x, weight, Some(bias)), &dy)
            };
            let analytic = conv2d_backward(&dims, &x, &weight, &dy);
            let numeric = gradient(|x| loss(x, &weight, &bias), &x, 1e-4);
            assert_gradient(&format!("{dims:?} input"), &analytic.input, &numeric, 1e-9);
            let numeric = gradient(|weight| loss(&x, weight, &bias), &weight, 1e-4);
            assert_gradient(&format!("{dims:?} weight"), &analytic.weight, &numeric, 1e-9);
            let numeric = gradient(|bias| loss(&x, &weight, bias), &bias, 1e-4);
            assert_gradient(&format!("{dims:?} bias"), &analytic.bias, &numeric, 1e-9);
        }
    }

    #[test]
    #[should_panic(expected = "kernel larger than padded input")]
    fn kernel_that_does_not_fit_panics() {
        let dims = Conv2dDims { kernel: [3, 7], ..plain() };
        let _ = dims.output_len();
    }

    #[test]
    #[should_panic(expected = "groups divide both channel counts")]
    fn groups_that_do_not_divide_panic() {
        let dims = Conv2dDims { groups: 4, ..plain() };
        let (x, weight, _) = whole(&dims);
        conv2d(&dims, &x, &weight, None);
    }
}

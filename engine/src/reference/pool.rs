//! Pooling of planes: the largest pixel or the mean of windows, and upsampling to blocks of equal pixels.

/// Windows that move over padded planes, `[height, width]` wherever there are two.
#[derive(Clone, Debug)]
pub struct Pool2d {
    /// N · C: planes one behind the other.
    pub planes: usize,
    /// H, W.
    pub size: [usize; 2],
    /// Kh, Kw.
    pub kernel: [usize; 2],
    /// Steps of the window, at least 1.
    pub stride: [usize; 2],
    /// Pixels added at each of the two sides.
    pub padding: [usize; 2],
    /// Distance of neighbouring pixels of a window, at least 1.
    pub dilation: [usize; 2],
}

impl Pool2d {
    /// Ho, Wo: in how many places along each axis the window lies wholly within the padded plane.
    ///
    /// # Panics
    ///
    /// If the window does not fit or a step is 0.
    pub fn output_size(&self) -> [usize; 2] {
        [0, 1].map(|axis| {
            assert!(self.kernel[axis] > 0 && self.stride[axis] > 0, "{self:?}");
            let extent = (self.kernel[axis] - 1) * self.dilation[axis] + 1;
            let padded = self.size[axis] + 2 * self.padding[axis];
            let places = (0..).take_while(|o| o * self.stride[axis] + extent <= padded).count();
            assert!(places > 0, "window larger than padded plane: {self:?}");
            places
        })
    }

    /// The index in x of the pixels of each window, row by row, for one output after the other.
    fn windows(&self) -> Vec<Vec<usize>> {
        let [height, width] = self.size;
        let [out_height, out_width] = self.output_size();
        let mut windows = Vec::new();
        for plane in 0..self.planes {
            for ho in 0..out_height {
                for wo in 0..out_width {
                    let mut window = Vec::new();
                    for kh in 0..self.kernel[0] {
                        for kw in 0..self.kernel[1] {
                            let h = ho * self.stride[0] + kh * self.dilation[0];
                            let w = wo * self.stride[1] + kw * self.dilation[1];
                            let inside = h >= self.padding[0]
                                && w >= self.padding[1]
                                && h < self.padding[0] + height
                                && w < self.padding[1] + width;
                            if inside {
                                let (h, w) = (h - self.padding[0], w - self.padding[1]);
                                window.push((plane * height + h) * width + w);
                            }
                        }
                    }
                    windows.push(window);
                }
            }
        }
        windows
    }

    fn len(&self) -> usize {
        self.planes * self.size[0] * self.size[1]
    }

    /// Pixels of a window, by which its sum is divided.
    fn divisor(&self, count_include_pad: bool, window: &[usize]) -> f64 {
        let count = if count_include_pad { self.kernel[0] * self.kernel[1] } else { window.len() };
        count as f64
    }
}

/// The pixel of a window that is its maximum: a later one wins only if it is larger, or NaN.
fn winner(x: &[f64], window: &[usize]) -> Option<usize> {
    let mut pixels = window.iter().copied();
    let mut winner = pixels.next()?;
    for pixel in pixels {
        if x[pixel] > x[winner] || x[pixel].is_nan() {
            winner = pixel;
        }
    }
    Some(winner)
}

/// The largest pixel of each window: the first of several, the last NaN if there is one, −∞ if it meets
/// padding alone.
///
/// # Panics
///
/// If the sizes are impossible or x does not have the length that they ask for.
pub fn max_pool2d(pool: &Pool2d, x: &[f64]) -> Vec<f64> {
    assert_eq!(x.len(), pool.len(), "x is [planes, H, W]");
    let value = |window: &Vec<usize>| winner(x, window).map_or(f64::NEG_INFINITY, |i| x[i]);
    pool.windows().iter().map(value).collect()
}

/// Gradient of [`max_pool2d`] by x.
///
/// # Panics
///
/// As [`max_pool2d`], and if dy has not one element for each window.
pub fn max_pool2d_backward(pool: &Pool2d, x: &[f64], dy: &[f64]) -> Vec<f64> {
    assert_eq!(x.len(), pool.len(), "x is [planes, H, W]");
    let (windows, mut dx) = (pool.windows(), vec![0.0; x.len()]);
    assert_eq!(dy.len(), windows.len(), "dy is [planes, Ho, Wo]");
    for (window, dy) in windows.iter().zip(dy) {
        if let Some(pixel) = winner(x, window) {
            dx[pixel] += dy;
        }
    }
    dx
}

/// The sum of the pixels of each window, divided by the pixels of the kernel or by those of the window.
/// The dilation must be 1.
///
/// # Panics
///
/// If the sizes are impossible or x does not have the length that they ask for.
pub fn avg_pool2d(pool: &Pool2d, count_include_pad: bool, x: &[f64]) -> Vec<f64> {
    assert_eq!(pool.dilation, [1, 1], "windows without gaps");
    assert_eq!(x.len(), pool.len(), "x is [planes, H, W]");
    let mean = |window: &Vec<usize>| {
        window.iter().map(|&i| x[i]).sum::<f64>() / pool.divisor(count_include_pad, window)
    };
    pool.windows().iter().map(mean).collect()
}

/// Gradient of [`avg_pool2d`] by x.
///
/// # Panics
///
/// If the sizes are impossible or dy has not one element for each window.
pub fn avg_pool2d_backward(pool: &Pool2d, count_include_pad: bool, dy: &[f64]) -> Vec<f64> {
    let (windows, mut dx) = (pool.windows(), vec![0.0; pool.len()]);
    assert_eq!(dy.len(), windows.len(), "dy is [planes, Ho, Wo]");
    for (window, dy) in windows.iter().zip(dy) {
        for &i in window {
            dx[i] += dy / pool.divisor(count_include_pad, window);
        }
    }
    dx
}

/// Planes of one size that become planes of another.
#[derive(Clone, Debug)]
pub struct Resize2d {
    /// N · C: planes one behind the other.
    pub planes: usize,
    /// H, W.
    pub size: [usize; 2],
    /// Ho, Wo.
    pub output_size: [usize; 2],
}

impl Resize2d {
    /// For each output its index, and those of the pixels from `begin` to below `end` of its row and column.
    fn windows(&self, edges: impl Fn(usize, usize, usize) -> (usize, usize)) -> Vec<Vec<usize>> {
        let ([height, width], [out_height, out_width]) = (self.size, self.output_size);
        let mut windows = Vec::new();
        for plane in 0..self.planes {
            for ho in 0..out_height {
                for wo in 0..out_width {
                    let (top, bottom) = edges(ho, height, out_height);
                    let (left, right) = edges(wo, width, out_width);
                    let row = |h| (left..right).map(move |w| (plane * height + h) * width + w);
                    windows.push((top..bottom).flat_map(row).collect());
                }
            }
        }
        windows
    }

    /// Output `o` of `outputs` covers the part from o / outputs to (o + 1) / outputs of the pixels.
    fn shares(&self) -> Vec<Vec<usize>> {
        self.windows(|o, size, outputs| {
            let begin = (o as f64 * size as f64 / outputs as f64).floor();
            let end = ((o + 1) as f64 * size as f64 / outputs as f64).ceil();
            (begin as usize, end as usize)
        })
    }

    /// The one pixel that an output of an upsampling shows.
    fn nearest(&self) -> Vec<Vec<usize>> {
        self.windows(|o, size, outputs| {
            assert!(outputs.is_multiple_of(size), "a whole factor: {self:?}");
            let pixel = o / (outputs / size);
            (pixel, pixel + 1)
        })
    }
}

fn means(windows: &[Vec<usize>], x: &[f64]) -> Vec<f64> {
    let mean = |w: &Vec<usize>| w.iter().map(|&i| x[i]).sum::<f64>() / w.len() as f64;
    windows.iter().map(mean).collect()
}

fn means_backward(windows: &[Vec<usize>], dy: &[f64], len: usize) -> Vec<f64> {
    assert_eq!(dy.len(), windows.len(), "dy is [planes, Ho, Wo]");
    let mut dx = vec![0.0; len];
    for (window, dy) in windows.iter().zip(dy) {
        for &i in window {
            dx[i] += dy / window.len() as f64;
        }
    }
    dx
}

/// The mean of the pixels that each output covers a part of, if the outputs share out the plane.
///
/// # Panics
///
/// If x does not have the length that the sizes ask for.
pub fn adaptive_avg_pool2d(resize: &Resize2d, x: &[f64]) -> Vec<f64> {
    assert_eq!(x.len(), resize.planes * resize.size[0] * resize.size[1], "x is [planes, H, W]");
    means(&resize.shares(), x)
}

/// Gradient of [`adaptive_avg_pool2d`] by x.
///
/// # Panics
///
/// If dy does not have the length that the sizes ask for.
pub fn adaptive_avg_pool2d_backward(resize: &Resize2d, dy: &[f64]) -> Vec<f64> {
    means_backward(&resize.shares(), dy, resize.planes * resize.size[0] * resize.size[1])
}

/// The pixel that each output lies in.
///
/// # Panics
///
/// If x does not have the length that the sizes ask for, or the output size is no multiple of the size.
pub fn upsample_nearest2d(resize: &Resize2d, x: &[f64]) -> Vec<f64> {
    assert_eq!(x.len(), resize.planes * resize.size[0] * resize.size[1], "x is [planes, H, W]");
    means(&resize.nearest(), x)
}

/// Gradient of [`upsample_nearest2d`] by x.
///
/// # Panics
///
/// If dy does not have the length that the sizes ask for, or the output size is no multiple of the size.
pub fn upsample_nearest2d_backward(resize: &Resize2d, dy: &[f64]) -> Vec<f64> {
    means_backward(&resize.nearest(), dy, resize.planes * resize.size[0] * resize.size[1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::finite::{assert_gradient, gradient, weighted_sum};
    use crate::reference::random::Random;

    fn pool(kernel: usize, stride: usize, padding: usize, dilation: usize) -> Pool2d {
        Pool2d {
            planes: 2,
            size: [6, 7],
            kernel: [kernel, kernel],
            stride: [stride, stride],
            padding: [padding, padding],
            dilation: [dilation, dilation],
        }
    }

    #[test]
    fn values_by_hand() {
        let x = [1.0, 5.0, 2.0, 4.0, 3.0, 6.0];
        let pool = Pool2d { planes: 1, size: [2, 3], ..pool(2, 1, 0, 1) };
        assert_eq!(max_pool2d(&pool, &x), [5.0, 6.0]);
        assert_eq!(max_pool2d_backward(&pool, &x, &[1.0, 2.0]), [0.0, 1.0, 0.0, 0.0, 0.0, 2.0]);
        assert_eq!(avg_pool2d(&pool, true, &x), [3.25, 4.0]);
        let padded = Pool2d { padding: [1, 1], stride: [3, 2], ..pool };
        assert_eq!(max_pool2d(&padded, &x), [1.0, 5.0]);
        assert_eq!(avg_pool2d(&padded, true, &x), [0.25, 1.75]);
        assert_eq!(avg_pool2d(&padded, false, &x), [1.0, 3.5]);
        let resize = Resize2d { planes: 1, size: [2, 3], output_size: [1, 2] };
        assert_eq!(adaptive_avg_pool2d(&resize, &x), [3.25, 4.0]);
        let resize = Resize2d { output_size: [2, 6], ..resize };
        assert_eq!(upsample_nearest2d(&resize, &x)[..6], [1.0, 1.0, 5.0, 5.0, 2.0, 2.0]);
        assert_eq!(upsample_nearest2d_backward(&resize, &[1.0; 12]), [2.0; 6]);
    }

    #[test]
    fn the_first_of_the_largest_and_the_last_nan_win() {
        let pool = Pool2d { planes: 1, size: [2, 2], ..pool(2, 1, 0, 1) };
        let gradient = |x: [f64; 4]| max_pool2d_backward(&pool, &x, &[1.0]);
        assert_eq!(gradient([2.0, 3.0, 3.0, 3.0]), [0.0, 1.0, 0.0, 0.0]);
        assert_eq!(gradient([f64::NEG_INFINITY; 4]), [1.0, 0.0, 0.0, 0.0]);
        assert_eq!(gradient([1.0, f64::NAN, f64::NAN, 5.0]), [0.0, 0.0, 1.0, 0.0]);
        assert!(max_pool2d(&pool, &[1.0, f64::NAN, 2.0, 5.0])[0].is_nan());
    }

    #[test]
    fn gradients_agree_with_central_differences() {
        for (kernel, stride, padding, dilation) in
            [(2, 2, 0, 1), (3, 2, 1, 1), (3, 1, 1, 1), (2, 3, 1, 1), (3, 2, 2, 2), (5, 1, 2, 1)]
        {
            let pool = pool(kernel, stride, padding, dilation);
            let mut random = Random::new(51);
            let x = random.uniform_f64(pool.len(), -1.0, 1.0);
            let dy = random.uniform_f64(pool.windows().len(), -1.0, 1.0);
            let what = format!("{pool:?}");
            let numeric = gradient(|x| weighted_sum(&max_pool2d(&pool, x), &dy), &x, 1e-6);
            assert_gradient(&what, &max_pool2d_backward(&pool, &x, &dy), &numeric, 1e-8);
            for include in [true, false] {
                if dilation == 1 {
                    let loss = |x: &[f64]| weighted_sum(&avg_pool2d(&pool, include, x), &dy);
                    let numeric = gradient(loss, &x, 1e-5);
                    let analytic = avg_pool2d_backward(&pool, include, &dy);
                    assert_gradient(&what, &analytic, &numeric, 1e-8);
                }
            }
        }
        for output_size in [[1, 1], [3, 2], [4, 4], [9, 12]] {
            let resize = Resize2d { planes: 2, size: [5, 6], output_size };
            let mut random = Random::new(52);
            let x = random.uniform_f64(60, -1.0, 1.0);
            let dy = random.uniform_f64(2 * output_size[0] * output_size[1], -1.0, 1.0);
            let loss = |x: &[f64]| weighted_sum(&adaptive_avg_pool2d(&resize, x), &dy);
            let analytic = adaptive_avg_pool2d_backward(&resize, &dy);
            assert_gradient("adaptive", &analytic, &gradient(loss, &x, 1e-5), 1e-8);
        }
        let resize = Resize2d { planes: 2, size: [2, 3], output_size: [6, 6] };
        let mut random = Random::new(53);
        let (x, dy) = (random.uniform_f64(12, -1.0, 1.0), random.uniform_f64(72, -1.0, 1.0));
        let loss = |x: &[f64]| weighted_sum(&upsample_nearest2d(&resize, x), &dy);
        let analytic = upsample_nearest2d_backward(&resize, &dy);
        assert_gradient("upsample", &analytic, &gradient(loss, &x, 1e-5), 1e-8);
    }
}

//! Batch normalisation: each channel by its own values over the batch and all positions.
//!
//! Source: S. Ioffe, C. Szegedy, "Batch Normalization: Accelerating Deep Network Training by
//! Reducing Internal Covariate Shift" (2015). Training normalises with the *biased* variance
//! (divisor: count), the running statistics track the *unbiased* one (divisor: count − 1); both
//! as on the PyTorch documentation page "BatchNorm2d".

/// One batch normalisation of images `[batch, channels, spatial]`.
#[derive(Clone, Copy, Debug)]
pub struct BatchNorm<'a> {
    /// N.
    pub batch: usize,
    /// C.
    pub channels: usize,
    /// H · W; 1 for plain rows of features.
    pub spatial: usize,
    /// Scale of each channel, `[C]`.
    pub weight: &'a [f64],
    /// Offset of each channel, `[C]`.
    pub bias: &'a [f64],
    /// Added to the variance.
    pub eps: f64,
}

/// Mean and variance of each channel, `[C]` both.
#[derive(Clone, Debug)]
pub struct Statistics {
    /// Means.
    pub mean: Vec<f64>,
    /// Variances: biased where they describe a batch, unbiased where they are running.
    pub variance: Vec<f64>,
}

/// Gradients of a batch normalisation.
#[derive(Clone, Debug)]
pub struct BatchNormGradients {
    /// By the input, `[N, C, H·W]`.
    pub input: Vec<f64>,
    /// By the weight, `[C]`.
    pub weight: Vec<f64>,
    /// By the bias, `[C]`.
    pub bias: Vec<f64>,
}

impl BatchNorm<'_> {
    /// Values per channel: N · H · W.
    fn count(&self) -> usize {
        self.batch * self.spatial
    }

    /// Indices of the values of channel `c`.
    fn channel(&self, c: usize) -> impl Iterator<Item = usize> + '_ {
        (0..self.batch).flat_map(move |n| {
            (0..self.spatial).map(move |s| (n * self.channels + c) * self.spatial + s)
        })
    }

    fn check(&self, x: &[f64]) {
        assert_eq!(x.len(), self.count() * self.channels, "x is [N, C, H·W]");
        assert_eq!(self.weight.len(), self.channels, "weight is [C]");
        assert_eq!(self.bias.len(), self.channels, "bias is [C]");
    }

    fn check_training(&self, x: &[f64]) {
        self.check(x);
        assert!(self.count() > 1, "one value per channel has no variance");
    }
}

/// Mean and biased variance of each channel of x `[N, C, H·W]`.
///
/// # Panics
///
/// If a length is wrong, or if there are fewer than two values per channel.
pub fn batch_statistics(norm: &BatchNorm<'_>, x: &[f64]) -> Statistics {
    norm.check_training(x);
    let count = norm.count() as f64;
    let mut statistics =
        Statistics { mean: vec![0.0; norm.channels], variance: vec![0.0; norm.channels] };
    for c in 0..norm.channels {
        let mean = norm.channel(c).map(|i| x[i]).sum::<f64>() / count;
        let squares: f64 = norm.channel(c).map(|i| (x[i] - mean).powi(2)).sum();
        statistics.mean[c] = mean;
        statistics.variance[c] = squares / count;
    }
    statistics
}

/// y `[N, C, H·W]` = (x − mean) / √(variance + eps) · weight + bias, with the statistics of x
/// itself, which are returned too.
///
/// # Panics
///
/// If a length is wrong, or if there are fewer than two values per channel.
pub fn batch_norm(norm: &BatchNorm<'_>, x: &[f64]) -> (Vec<f64>, Statistics) {
    let statistics = batch_statistics(norm, x);
    (batch_norm_inference(norm, x, &statistics), statistics)
}

/// [`batch_norm`] with given statistics instead of those of x.
///
/// # Panics
///
/// If a length is wrong.
pub fn batch_norm_inference(norm: &BatchNorm<'_>, x: &[f64], statistics: &Statistics) -> Vec<f64> {
    norm.check(x);
    assert_eq!(statistics.mean.len(), norm.channels, "mean is [C]");
    assert_eq!(statistics.variance.len(), norm.channels, "variance is [C]");
    let mut y = vec![0.0; x.len()];
    for c in 0..norm.channels {
        let deviation = (statistics.variance[c] + norm.eps).sqrt();
        for i in norm.channel(c) {
            let normalised = (x[i] - statistics.mean[c]) / deviation;
            y[i] = normalised * norm.weight[c] + norm.bias[c];
        }
    }
    y
}

/// running ← (1 − momentum) · running + momentum · batch, with the variance of the batch made
/// unbiased: multiplied by count / (count − 1), where `count` = N · H · W.
///
/// # Panics
///
/// If lengths differ, or if `count` is below two.
pub fn update_running_statistics(
    running: &mut Statistics,
    batch: &Statistics,
    count: usize,
    momentum: f64,
) {
    assert!(count > 1, "one value per channel has no variance");
    let channels = batch.mean.len();
    assert_eq!(batch.variance.len(), channels, "batch variance is [C]");
    assert_eq!(running.mean.len(), channels, "running mean is [C]");
    assert_eq!(running.variance.len(), channels, "running variance is [C]");
    let unbias = count as f64 / (count - 1) as f64;
    for c in 0..channels {
        let (mean, variance) = (batch.mean[c], batch.variance[c] * unbias);
        running.mean[c] = (1.0 - momentum) * running.mean[c] + momentum * mean;
        running.variance[c] = (1.0 - momentum) * running.variance[c] + momentum * variance;
    }
}

/// Gradients of [`batch_norm`] for the upstream gradient dy `[N, C, H·W]`; mean and variance are
/// functions of x and are differentiated with it.
///
/// # Panics
///
/// If a length is wrong, or if there are fewer than two values per channel.
pub fn batch_norm_backward(norm: &BatchNorm<'_>, x: &[f64], dy: &[f64]) -> BatchNormGradients {
    let statistics = batch_statistics(norm, x);
    assert_eq!(dy.len(), x.len(), "dy is [N, C, H·W]");
    let count = norm.count() as f64;
    let mut gradients = BatchNormGradients {
        input: vec![0.0; x.len()],
        weight: vec![0.0; norm.channels],
        bias: vec![0.0; norm.channels],
    };
    for c in 0..norm.channels {
        let mean = statistics.mean[c];
        let deviation = (statistics.variance[c] + norm.eps).sqrt();
        for i in norm.channel(c) {
            gradients.weight[c] += dy[i] * (x[i] - mean) / deviation;
            gradients.bias[c] += dy[i];
        }
        // With z = (x − mean) / deviation and dz = dy · weight, the chain rule through mean and
        // variance gives dx = (dz − average(dz) − z · average(dz · z)) / deviation. The averages
        // are those of dy and dy · z, times weight.
        let average_dz = gradients.bias[c] * norm.weight[c] / count;
        let average_dz_z = gradients.weight[c] * norm.weight[c] / count;
        for i in norm.channel(c) {
            let z = (x[i] - mean) / deviation;
            let dz = dy[i] * norm.weight[c];
            gradients.input[i] = (dz - average_dz - z * average_dz_z) / deviation;
        }
    }
    gradients
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::finite::{assert_gradient, gradient, weighted_sum};
    use crate::reference::random::Random;

    /// Two channels of the values 1, 3, 5, 7 and 0, 0, 0, 4, as two images of two positions.
    const X: [f64; 8] = [1.0, 3.0, 0.0, 0.0, 5.0, 7.0, 0.0, 4.0];
    const NORM: BatchNorm<'_> = BatchNorm {
        batch: 2,
        channels: 2,
        spatial: 2,
        weight: &[2.0, -1.0],
        bias: &[10.0, 0.5],
        eps: 1.0,
    };

    #[test]
    fn statistics_by_hand() {
        let statistics = batch_statistics(&NORM, &X);
        assert_eq!(statistics.mean, [4.0, 1.0]);
        assert_eq!(statistics.variance, [5.0, 3.0]);
    }

    #[test]
    fn forward_by_hand() {
        let (y, statistics) = batch_norm(&NORM, &X);
        assert_eq!(statistics.variance, [5.0, 3.0]);
        let scale = 2.0 / 6.0_f64.sqrt();
        // The second channel has deviation √(3 + 1) = 2.
        let expected = [
            10.0 - 3.0 * scale,
            10.0 - scale,
            1.0,
            1.0,
            10.0 + scale,
            10.0 + 3.0 * scale,
            1.0,
            -1.0,
        ];
        for (y, expected) in y.iter().zip(expected) {
            assert!((y - expected).abs() < 1e-14, "{y} is not {expected}");
        }
    }

    #[test]
    fn inference_uses_the_given_statistics() {
        let statistics = Statistics { mean: vec![1.0, 2.0], variance: vec![3.0, 0.0] };
        let y = batch_norm_inference(&NORM, &X, &statistics);
        assert_eq!(y, [10.0, 12.0, 2.5, 2.5, 14.0, 16.0, 2.5, -1.5]);
    }

    #[test]
    fn running_variance_is_unbiased() {
        let mut running = Statistics { mean: vec![0.0, 8.0], variance: vec![1.0, 1.0] };
        let batch = batch_statistics(&NORM, &X);
        update_running_statistics(&mut running, &batch, 4, 0.25);
        assert_eq!(running.mean, [1.0, 6.25]);
        // Unbiased: 20 / 3 and 12 / 3.
        assert!((running.variance[0] - (0.75 + 5.0 / 3.0)).abs() < 1e-15);
        assert_eq!(running.variance[1], 1.75);
    }

    #[test]
    fn backward_agrees_with_central_differences() {
        for (batch, channels, spatial) in [(2, 1, 1), (1, 2, 6), (5, 3, 1), (3, 2, 4)] {
            let mut random = Random::new(31);
            let len = batch * channels * spatial;
            let x = random.uniform_f64(len, -1.0, 3.0);
            let weight = random.uniform_f64(channels, -2.0, 2.0);
            let bias = random.uniform_f64(channels, -1.0, 1.0);
            let dy = random.uniform_f64(len, -1.0, 1.0);
            let norm =
                BatchNorm { batch, channels, spatial, weight: &weight, bias: &bias, eps: 0.01 };
            let loss = |norm: BatchNorm<'_>, x: &[f64]| weighted_sum(&batch_norm(&norm, x).0, &dy);
            let what = |tensor| format!("[{batch}, {channels}, {spatial}] {tensor}");
            let analytic = batch_norm_backward(&norm, &x, &dy);
            let numeric = gradient(|x| loss(norm, x), &x, 1e-5);
            assert_gradient(&what("input"), &analytic.input, &numeric, 1e-7);
            let numeric = gradient(|weight| loss(BatchNorm { weight, ..norm }, &x), &weight, 1e-5);
            assert_gradient(&what("weight"), &analytic.weight, &numeric, 1e-8);
            let numeric = gradient(|bias| loss(BatchNorm { bias, ..norm }, &x), &bias, 1e-5);
            assert_gradient(&what("bias"), &analytic.bias, &numeric, 1e-8);
        }
    }

    #[test]
    #[should_panic(expected = "one value per channel")]
    fn one_value_per_channel_panics() {
        let norm = BatchNorm { batch: 1, spatial: 1, ..NORM };
        batch_norm(&norm, &[1.0, 2.0]);
    }
}

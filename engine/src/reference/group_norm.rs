//! Group normalisation: each group of channels of an image by its own values.
//!
//! Source: Y. Wu, K. He, "Group Normalization" (2018); the variance is the biased one (divisor: values
//! of a group), as on the PyTorch documentation page "GroupNorm".

use std::ops::Range;

/// One group normalisation of images `[batch, channels, spatial]`.
#[derive(Clone, Copy, Debug)]
pub struct GroupNorm<'a> {
    /// N.
    pub batch: usize,
    /// C.
    pub channels: usize,
    /// H · W.
    pub spatial: usize,
    /// Groups of neighbouring channels; a divisor of C.
    pub groups: usize,
    /// Scale of each channel, `[C]`.
    pub weight: &'a [f64],
    /// Offset of each channel, `[C]`.
    pub bias: &'a [f64],
    /// Added to the variance.
    pub eps: f64,
}

/// Mean and 1 / √(variance + eps) of each group of each image, `[N, groups]` both.
#[derive(Clone, Debug)]
pub struct Statistics {
    /// Means.
    pub mean: Vec<f64>,
    /// 1 / √(variance + eps).
    pub inv_std: Vec<f64>,
}

/// Gradients of a group normalisation.
#[derive(Clone, Debug)]
pub struct GroupNormGradients {
    /// By the input, `[N, C, H·W]`.
    pub input: Vec<f64>,
    /// By the weight, `[C]`.
    pub weight: Vec<f64>,
    /// By the bias, `[C]`.
    pub bias: Vec<f64>,
}

impl GroupNorm<'_> {
    fn check(&self, x: &[f64]) {
        assert!(
            self.groups > 0 && self.channels.is_multiple_of(self.groups),
            "groups divide the channels"
        );
        assert!(self.channels * self.spatial > 0, "a group without values has no mean");
        assert_eq!(x.len(), self.batch * self.channels * self.spatial, "x is [N, C, H·W]");
        assert_eq!(self.weight.len(), self.channels, "weight is [C]");
        assert_eq!(self.bias.len(), self.channels, "bias is [C]");
    }

    /// Indices of the values of group `g` of image `n`.
    fn group(&self, n: usize, g: usize) -> Range<usize> {
        let first = self.channels / self.groups * g;
        let end = self.channels / self.groups * (g + 1);
        (n * self.channels + first) * self.spatial..(n * self.channels + end) * self.spatial
    }

    /// The channel of element `i`.
    fn channel(&self, i: usize) -> usize {
        i / self.spatial % self.channels
    }
}

/// y `[N, C, H·W]` = (x − mean) / √(variance + eps) · weight + bias, with mean and biased variance of
/// each group of each image, which are returned too.
///
/// # Panics
///
/// If a length is wrong, the groups do not divide the channels, or a group has no values.
pub fn group_norm(norm: &GroupNorm<'_>, x: &[f64]) -> (Vec<f64>, Statistics) {
    norm.check(x);
    let mut y = vec![0.0; x.len()];
    let mut statistics = Statistics { mean: vec![], inv_std: vec![] };
    for n in 0..norm.batch {
        for g in 0..norm.groups {
            let group = norm.group(n, g);
            let count = group.len() as f64;
            let mean = group.clone().map(|i| x[i]).sum::<f64>() / count;
            let variance = group.clone().map(|i| (x[i] - mean).powi(2)).sum::<f64>() / count;
            let deviation = (variance + norm.eps).sqrt();
            for i in group {
                let c = norm.channel(i);
                y[i] = (x[i] - mean) / deviation * norm.weight[c] + norm.bias[c];
            }
            statistics.mean.push(mean);
            statistics.inv_std.push(1.0 / deviation);
        }
    }
    (y, statistics)
}

/// Gradients of [`group_norm`] for the upstream gradient dy `[N, C, H·W]`.
///
/// # Panics
///
/// As [`group_norm`].
pub fn group_norm_backward(norm: &GroupNorm<'_>, x: &[f64], dy: &[f64]) -> GroupNormGradients {
    assert_eq!(dy.len(), x.len(), "dy is [N, C, H·W]");
    let (_, statistics) = group_norm(norm, x);
    let mut gradients = GroupNormGradients {
        input: vec![0.0; x.len()],
        weight: vec![0.0; norm.channels],
        bias: vec![0.0; norm.channels],
    };
    for n in 0..norm.batch {
        for g in 0..norm.groups {
            let group = norm.group(n, g);
            let count = group.len() as f64;
            let mean = statistics.mean[n * norm.groups + g];
            let inv_std = statistics.inv_std[n * norm.groups + g];
            let z = |i: usize| (x[i] - mean) * inv_std;
            let dz = |i: usize| dy[i] * norm.weight[norm.channel(i)];
            // The chain rule through mean and variance gives
            // dx = (dz − average(dz) − z · average(dz · z)) · inv_std.
            let average_dz = group.clone().map(dz).sum::<f64>() / count;
            let average_dz_z = group.clone().map(|i| dz(i) * z(i)).sum::<f64>() / count;
            for i in group {
                gradients.weight[norm.channel(i)] += dy[i] * z(i);
                gradients.bias[norm.channel(i)] += dy[i];
                gradients.input[i] = (dz(i) - average_dz - z(i) * average_dz_z) * inv_std;
            }
        }
    }
    gradients
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::finite::{assert_gradient, gradient, weighted_sum};
    use crate::reference::random::Random;

    #[test]
    fn forward_by_hand() {
        let norm = GroupNorm {
            batch: 1,
            channels: 4,
            spatial: 2,
            groups: 2,
            weight: &[1.0, 2.0, 3.0, 4.0],
            bias: &[0.0, 0.5, 0.0, -0.5],
            eps: 1.0,
        };
        // Means 1 and 10, variances 3 and 0: deviations 2 and 1.
        let x = [0.0, 0.0, 0.0, 4.0, 10.0, 10.0, 10.0, 10.0];
        let (y, statistics) = group_norm(&norm, &x);
        assert_eq!(y, [-0.5, -0.5, -0.5, 3.5, 0.0, 0.0, -0.5, -0.5]);
        assert_eq!(statistics.mean, [1.0, 10.0]);
        assert_eq!(statistics.inv_std, [0.5, 1.0]);
    }

    #[test]
    fn backward_agrees_with_central_differences() {
        for (batch, channels, spatial, groups) in
            [(1, 2, 1, 1), (2, 4, 3, 2), (3, 3, 4, 3), (2, 6, 1, 2), (1, 4, 5, 1)]
        {
            let mut random = Random::new(33);
            let len = batch * channels * spatial;
            let x = random.uniform_f64(len, -1.0, 3.0);
            let weight = random.uniform_f64(channels, -2.0, 2.0);
            let bias = random.uniform_f64(channels, -1.0, 1.0);
            let dy = random.uniform_f64(len, -1.0, 1.0);
            let (weight, bias) = (&weight[..], &bias[..]);
            let norm = GroupNorm { batch, channels, spatial, groups, weight, bias, eps: 0.01 };
            let loss = |norm: GroupNorm<'_>, x: &[f64]| weighted_sum(&group_norm(&norm, x).0, &dy);
            let what = |tensor| format!("[{batch}, {channels}, {spatial}] / {groups} {tensor}");
            let analytic = group_norm_backward(&norm, &x, &dy);
            let numeric = gradient(|x| loss(norm, x), &x, 1e-5);
            assert_gradient(&what("input"), &analytic.input, &numeric, 1e-7);
            let numeric = gradient(|weight| loss(GroupNorm { weight, ..norm }, &x), weight, 1e-5);
            assert_gradient(&what("weight"), &analytic.weight, &numeric, 1e-8);
            let numeric = gradient(|bias| loss(GroupNorm { bias, ..norm }, &x), bias, 1e-5);
            assert_gradient(&what("bias"), &analytic.bias, &numeric, 1e-8);
        }
    }

    #[test]
    #[should_panic(expected = "groups divide the channels")]
    fn groups_that_do_not_divide_panic() {
        let (weight, bias) = (&[1.0; 3][..], &[0.0; 3][..]);
        let norm =
            GroupNorm { batch: 1, channels: 3, spatial: 1, groups: 2, weight, bias, eps: 0.0 };
        group_norm(&norm, &[1.0, 2.0, 3.0]);
    }
}

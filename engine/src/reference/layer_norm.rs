//! Layer normalisation: each row by its own values.
//!
//! Source: J. Ba, J. Kiros, G. Hinton, "Layer Normalization" (2016); the variance is the biased
//! one (divisor: features), as on the PyTorch documentation page "LayerNorm".

/// One layer normalisation of rows `[rows, features]`.
#[derive(Clone, Copy, Debug)]
pub struct LayerNorm<'a> {
    /// N, or all leading axes together.
    pub rows: usize,
    /// Values per row.
    pub features: usize,
    /// Scale of each feature, `[features]`.
    pub weight: &'a [f64],
    /// Offset of each feature, `[features]`.
    pub bias: &'a [f64],
    /// Added to the variance.
    pub eps: f64,
}

/// Gradients of a layer normalisation.
#[derive(Clone, Debug)]
pub struct LayerNormGradients {
    /// By the input, `[rows, features]`.
    pub input: Vec<f64>,
    /// By the weight, `[features]`.
    pub weight: Vec<f64>,
    /// By the bias, `[features]`.
    pub bias: Vec<f64>,
}

impl LayerNorm<'_> {
    fn check(&self, x: &[f64]) {
        assert!(self.features > 0, "a row without features has no mean");
        assert_eq!(x.len(), self.rows * self.features, "x is [rows, features]");
        assert_eq!(self.weight.len(), self.features, "weight is [features]");
        assert_eq!(self.bias.len(), self.features, "bias is [features]");
    }

    /// (x − mean) / √(variance + eps) of one row, and that root.
    fn normalise(&self, row: &[f64]) -> (Vec<f64>, f64) {
        let count = self.features as f64;
        let mean = row.iter().sum::<f64>() / count;
        let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
        let deviation = (variance + self.eps).sqrt();
        let normalised = row.iter().map(|x| (x - mean) / deviation).collect();
        (normalised, deviation)
    }
}

/// y `[rows, features]` = (x − mean) / √(variance + eps) · weight + bias, with mean and biased
/// variance of each row.
///
/// # Panics
///
/// If a length is wrong or there are no features.
pub fn layer_norm(norm: &LayerNorm<'_>, x: &[f64]) -> Vec<f64> {
    norm.check(x);
    let mut y = Vec::with_capacity(x.len());
    for row in x.chunks(norm.features) {
        let (z, _) = norm.normalise(row);
        for i in 0..norm.features {
            y.push(z[i] * norm.weight[i] + norm.bias[i]);
        }
    }
    y
}

/// Gradients of [`layer_norm`] for the upstream gradient dy `[rows, features]`.
///
/// # Panics
///
/// If a length is wrong or there are no features.
pub fn layer_norm_backward(norm: &LayerNorm<'_>, x: &[f64], dy: &[f64]) -> LayerNormGradients {
    norm.check(x);
    assert_eq!(dy.len(), x.len(), "dy is [rows, features]");
    let count = norm.features as f64;
    let mut gradients = LayerNormGradients {
        input: Vec::with_capacity(x.len()),
        weight: vec![0.0; norm.features],
        bias: vec![0.0; norm.features],
    };
    for (row, dy) in x.chunks(norm.features).zip(dy.chunks(norm.features)) {
        let (z, deviation) = norm.normalise(row);
        // With dz = dy · weight, the chain rule through mean and variance gives
        // dx = (dz − average(dz) − z · average(dz · z)) / deviation.
        let (mut average_dz, mut average_dz_z) = (0.0, 0.0);
        for i in 0..norm.features {
            gradients.weight[i] += dy[i] * z[i];
            gradients.bias[i] += dy[i];
            average_dz += dy[i] * norm.weight[i] / count;
            average_dz_z += dy[i] * norm.weight[i] * z[i] / count;
        }
        for i in 0..norm.features {
            let dz = dy[i] * norm.weight[i];
            let dx = (dz - average_dz - z[i] * average_dz_z) / deviation;
            gradients.input.push(dx);
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
        let norm = LayerNorm {
            rows: 2,
            features: 4,
            weight: &[1.0, 2.0, 3.0, 4.0],
            bias: &[0.0, 0.5, 0.0, -0.5],
            eps: 1.0,
        };
        // Means 1 and 10, variances 3 and 0: deviations 2 and 1.
        let x = [0.0, 0.0, 0.0, 4.0, 10.0, 10.0, 10.0, 10.0];
        let y = layer_norm(&norm, &x);
        assert_eq!(y, [-0.5, -0.5, -1.5, 5.5, 0.0, 0.5, 0.0, -0.5]);
    }

    #[test]
    fn backward_agrees_with_central_differences() {
        for (rows, features) in [(1, 2), (1, 9), (4, 3), (3, 16)] {
            let mut random = Random::new(32);
            let x = random.uniform_f64(rows * features, -1.0, 3.0);
            let weight = random.uniform_f64(features, -2.0, 2.0);
            let bias = random.uniform_f64(features, -1.0, 1.0);
            let dy = random.uniform_f64(rows * features, -1.0, 1.0);
            let norm = LayerNorm { rows, features, weight: &weight, bias: &bias, eps: 0.01 };
            let loss = |norm: LayerNorm<'_>, x: &[f64]| weighted_sum(&layer_norm(&norm, x), &dy);
            let what = |tensor| format!("[{rows}, {features}] {tensor}");
            let analytic = layer_norm_backward(&norm, &x, &dy);
            let numeric = gradient(|x| loss(norm, x), &x, 1e-5);
            assert_gradient(&what("input"), &analytic.input, &numeric, 1e-7);
            let numeric = gradient(|weight| loss(LayerNorm { weight, ..norm }, &x), &weight, 1e-5);
            assert_gradient(&what("weight"), &analytic.weight, &numeric, 1e-8);
            let numeric = gradient(|bias| loss(LayerNorm { bias, ..norm }, &x), &bias, 1e-5);
            assert_gradient(&what("bias"), &analytic.bias, &numeric, 1e-8);
        }
    }

    #[test]
    #[should_panic(expected = "x is [rows, features]")]
    fn wrong_length_panics() {
        let norm =
            LayerNorm { rows: 2, features: 2, weight: &[1.0, 1.0], bias: &[0.0, 0.0], eps: 0.0 };
        layer_norm(&norm, &[1.0, 2.0, 3.0]);
    }
}

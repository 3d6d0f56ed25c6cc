//! Fully connected layer.

/// Sizes of a fully connected layer.
#[derive(Clone, Copy, Debug)]
pub struct LinearDims {
    /// N: rows of the input and the output.
    pub batch: usize,
    /// Values per row of the input.
    pub in_features: usize,
    /// Values per row of the output.
    pub out_features: usize,
}

/// Gradients of a fully connected layer.
#[derive(Clone, Debug)]
pub struct LinearGradients {
    /// By the input, `[N, in]`.
    pub input: Vec<f64>,
    /// By the weight, `[out, in]`.
    pub weight: Vec<f64>,
    /// By the bias, `[out]`.
    pub bias: Vec<f64>,
}

impl LinearDims {
    fn check(&self, x: &[f64], weight: &[f64]) {
        assert_eq!(x.len(), self.batch * self.in_features, "x: {self:?}");
        let weight_len = self.out_features * self.in_features;
        assert_eq!(weight.len(), weight_len, "weight: {self:?}");
    }
}

/// y `[N, out]` = x `[N, in]` · weightᵀ + bias, for weight `[out, in]` and bias `[out]`.
///
/// # Panics
///
/// If a slice has not exactly the length that `dims` asks for.
pub fn linear(dims: &LinearDims, x: &[f64], weight: &[f64], bias: Option<&[f64]>) -> Vec<f64> {
    dims.check(x, weight);
    if let Some(bias) = bias {
        assert_eq!(bias.len(), dims.out_features, "bias: {dims:?}");
    }
    let mut y = vec![0.0; dims.batch * dims.out_features];
    for n in 0..dims.batch {
        for o in 0..dims.out_features {
            let mut sum = bias.map_or(0.0, |bias| bias[o]);
            for i in 0..dims.in_features {
                sum += x[n * dims.in_features + i] * weight[o * dims.in_features + i];
            }
            y[n * dims.out_features + o] = sum;
        }
    }
    y
}

/// Gradients of [`linear`] for the upstream gradient dy `[N, out]`:
/// dx = dy · weight, dweight = dyᵀ · x, dbias = Σₙ dy.
///
/// # Panics
///
/// If a slice has not exactly the length that `dims` asks for.
pub fn linear_backward(
    dims: &LinearDims,
    x: &[f64],
    weight: &[f64],
    dy: &[f64],
) -> LinearGradients {
    dims.check(x, weight);
    assert_eq!(dy.len(), dims.batch * dims.out_features, "dy: {dims:?}");
    let mut gradients = LinearGradients {
        input: vec![0.0; x.len()],
        weight: vec![0.0; weight.len()],
        bias: vec![0.0; dims.out_features],
    };
    for n in 0..dims.batch {
        for o in 0..dims.out_features {
            let upstream = dy[n * dims.out_features + o];
            gradients.bias[o] += upstream;
            for i in 0..dims.in_features {
                let (x_at, w_at) = (n * dims.in_features + i, o * dims.in_features + i);
                gradients.input[x_at] += upstream * weight[w_at];
                gradients.weight[w_at] += upstream * x[x_at];
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
        let dims = LinearDims { batch: 2, in_features: 3, out_features: 2 };
        let x = [1.0, 2.0, 3.0, -1.0, 0.0, 1.0];
        let weight = [1.0, 10.0, 100.0, 2.0, 20.0, 200.0];
        let y = linear(&dims, &x, &weight, Some(&[0.5, -0.5]));
        assert_eq!(y, [321.5, 641.5, 99.5, 197.5]);
        let y = linear(&dims, &x, &weight, None);
        assert_eq!(y, [321.0, 642.0, 99.0, 198.0]);
    }

    #[test]
    fn backward_agrees_with_central_differences() {
        for (batch, in_features, out_features) in [(1, 1, 1), (1, 7, 3), (4, 3, 5), (3, 8, 1)] {
            let dims = LinearDims { batch, in_features, out_features };
            let mut random = Random::new(11);
            let x = random.uniform_f64(batch * in_features, -1.0, 1.0);
            let weight = random.uniform_f64(out_features * in_features, -1.0, 1.0);
            let bias = random.uniform_f64(out_features, -1.0, 1.0);
            let dy = random.uniform_f64(batch * out_features, -1.0, 1.0);
            let loss = |x: &[f64], weight: &[f64], bias: &[f64]| {
                weighted_sum(&linear(&dims, x, weight, Some(bias)), &dy)
            };
            let analytic = linear_backward(&dims, &x, &weight, &dy);
            let numeric = gradient(|x| loss(x, &weight, &bias), &x, 1e-4);
            assert_gradient(&format!("{dims:?} input"), &analytic.input, &numeric, 1e-9);
            let numeric = gradient(|weight| loss(&x, weight, &bias), &weight, 1e-4);
            assert_gradient(&format!("{dims:?} weight"), &analytic.weight, &numeric, 1e-9);
            let numeric = gradient(|bias| loss(&x, &weight, bias), &bias, 1e-4);
            assert_gradient(&format!("{dims:?} bias"), &analytic.bias, &numeric, 1e-9);
        }
    }
}

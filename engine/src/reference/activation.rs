//! Activation functions, element by element.

/// max(x, 0); NaN stays NaN.
pub fn relu(x: &[f64]) -> Vec<f64> {
    x.iter().map(|&x| if x <= 0.0 { 0.0 } else { x }).collect()
}

/// Gradient of [`relu`] by x: dy where x > 0, else 0.
///
/// # Panics
///
/// If the lengths differ.
pub fn relu_backward(x: &[f64], dy: &[f64]) -> Vec<f64> {
    chain(x, dy, |x| if x > 0.0 { 1.0 } else { 0.0 })
}

/// x where x > 0, else `slope` · x.
pub fn leaky_relu(slope: f64, x: &[f64]) -> Vec<f64> {
    x.iter().map(|&x| if x > 0.0 { x } else { slope * x }).collect()
}

/// Gradient of [`leaky_relu`] by x: dy where x > 0, else `slope` · dy.
///
/// # Panics
///
/// If the lengths differ.
pub fn leaky_relu_backward(slope: f64, x: &[f64], dy: &[f64]) -> Vec<f64> {
    chain(x, dy, |x| if x > 0.0 { 1.0 } else { slope })
}

/// 1 / (1 + exp(−x)).
pub fn sigmoid(x: &[f64]) -> Vec<f64> {
    x.iter().map(|&x| logistic(x)).collect()
}

/// Gradient of [`sigmoid`] by x: dy · s(x) · (1 − s(x)), where x is the input of the sigmoid,
/// not its output.
///
/// # Panics
///
/// If the lengths differ.
pub fn sigmoid_backward(x: &[f64], dy: &[f64]) -> Vec<f64> {
    // 1 − s(x) = s(−x), which keeps its digits where s(x) rounds to 1.
    chain(x, dy, |x| logistic(x) * logistic(-x))
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn chain(x: &[f64], dy: &[f64], derivative: impl Fn(f64) -> f64) -> Vec<f64> {
    assert_eq!(x.len(), dy.len(), "x and dy have one length");
    x.iter().zip(dy).map(|(&x, &dy)| dy * derivative(x)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::finite::{assert_gradient, gradient, weighted_sum};
    use crate::reference::random::Random;

    #[test]
    fn values_by_hand() {
        assert_eq!(relu(&[-2.0, 0.0, 3.0]), [0.0, 0.0, 3.0]);
        assert_eq!(leaky_relu(0.5, &[-2.0, 0.0, 3.0]), [-1.0, 0.0, 3.0]);
        assert_eq!(sigmoid(&[0.0, 3.0_f64.ln()]), [0.5, 0.75]);
    }

    #[test]
    fn sigmoid_saturates_without_nan() {
        assert_eq!(sigmoid(&[-1e4, 1e4]), [0.0, 1.0]);
        assert_eq!(sigmoid_backward(&[-1e4, 1e4], &[1.0, 1.0]), [0.0, 0.0]);
        let derivative = sigmoid_backward(&[40.0], &[1.0])[0];
        assert!((derivative / (-40.0_f64).exp() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn nan_passes_through() {
        assert!(relu(&[f64::NAN])[0].is_nan());
        assert!(leaky_relu(0.1, &[f64::NAN])[0].is_nan());
        assert!(sigmoid(&[f64::NAN])[0].is_nan());
    }

    #[test]
    fn slope_at_zero_is_the_left_one() {
        assert_eq!(relu_backward(&[0.0], &[5.0]), [0.0]);
        assert_eq!(leaky_relu_backward(0.5, &[0.0], &[5.0]), [2.5]);
    }

    #[test]
    fn backward_agrees_with_central_differences() {
        let mut random = Random::new(12);
        // At least 0.01 away from the kink at zero, on both sides of it.
        let x: Vec<f64> = (0..40)
            .map(|i| random.uniform(0.01, 4.0) * if i % 2 == 0 { 1.0 } else { -1.0 })
            .collect();
        let dy = random.uniform_f64(x.len(), -1.0, 1.0);
        let numeric =
            |f: &dyn Fn(&[f64]) -> Vec<f64>| gradient(|x| weighted_sum(&f(x), &dy), &x, 1e-5);
        assert_gradient("relu", &relu_backward(&x, &dy), &numeric(&relu), 1e-8);
        assert_gradient(
            "leaky_relu",
            &leaky_relu_backward(0.02, &x, &dy),
            &numeric(&|x| leaky_relu(0.02, x)),
            1e-8,
        );
        assert_gradient("sigmoid", &sigmoid_backward(&x, &dy), &numeric(&sigmoid), 1e-8);
    }
}

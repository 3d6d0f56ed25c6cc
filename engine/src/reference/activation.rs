//! Activation functions, element by element.

use super::normal;
use std::f64::consts::PI;

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

/// tanh x.
pub fn tanh(x: &[f64]) -> Vec<f64> {
    x.iter().map(|x| x.tanh()).collect()
}

/// Gradient of [`tanh`] by x: dy / cosh² x, where x is the input.
///
/// # Panics
///
/// If the lengths differ.
pub fn tanh_backward(x: &[f64], dy: &[f64]) -> Vec<f64> {
    chain(x, dy, |x| x.cosh().powi(-2))
}

/// x / (1 + exp(−x)).
pub fn silu(x: &[f64]) -> Vec<f64> {
    x.iter().map(|&x| x * logistic(x)).collect()
}

/// Gradient of [`silu`] by x: dy · (s(x) + x · s(x) · s(−x)) with s(x) = 1 / (1 + exp(−x)).
///
/// # Panics
///
/// If the lengths differ.
pub fn silu_backward(x: &[f64], dy: &[f64]) -> Vec<f64> {
    chain(x, dy, |x| logistic(x) + x * logistic(x) * logistic(-x))
}

/// x · Φ(x), where Φ is the distribution function of the normal distribution.
pub fn gelu(x: &[f64]) -> Vec<f64> {
    x.iter().map(|&x| x * normal::distribution(x)).collect()
}

/// Gradient of [`gelu`] by x: dy · (Φ(x) + x · φ(x)).
///
/// # Panics
///
/// If the lengths differ.
pub fn gelu_backward(x: &[f64], dy: &[f64]) -> Vec<f64> {
    let density = |x: f64| (-x * x / 2.0).exp() / (2.0 * PI).sqrt();
    chain(x, dy, |x| normal::distribution(x) + x * density(x))
}

/// ½ x (1 + tanh u) with u = √(2 / π) · (x + 0.044715 x³).
pub fn gelu_tanh(x: &[f64]) -> Vec<f64> {
    x.iter().map(|&x| x * logistic(2.0 * inner(x))).collect()
}

/// Gradient of [`gelu_tanh`] by x: dy · (½ (1 + tanh u) + ½ x u′ / cosh² u).
///
/// # Panics
///
/// If the lengths differ.
pub fn gelu_tanh_backward(x: &[f64], dy: &[f64]) -> Vec<f64> {
    chain(x, dy, |x| {
        let u = inner(x);
        let slope = (2.0 / PI).sqrt() * (1.0 + 3.0 * 0.044715 * x * x);
        logistic(2.0 * u) + 0.5 * x * slope * u.cosh().powi(-2)
    })
}

/// u of [`gelu_tanh`]. ½ (1 + tanh u) = 1 / (1 + exp(−2 u)), which keeps its digits where tanh u is near −1.
fn inner(x: f64) -> f64 {
    (2.0 / PI).sqrt() * (x + 0.044715 * x.powi(3))
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
        assert_eq!(silu(&[0.0, 3.0_f64.ln()]), [0.0, 0.75 * 3.0_f64.ln()]);
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-15, "{a}, not {b}");
        near(tanh(&[0.5 * 3.0_f64.ln()])[0], 0.5);
        // Φ(1) = 0.841344746068543.
        near(gelu(&[1.0])[0], 0.841_344_746_068_543);
        let u = (2.0 / PI).sqrt() * 1.044715;
        near(gelu_tanh(&[1.0])[0], 0.5 * (1.0 + u.tanh()));
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
        for f in [sigmoid, tanh, silu, gelu, gelu_tanh] {
            assert!(f(&[f64::NAN])[0].is_nan());
        }
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
        type Function = fn(&[f64]) -> Vec<f64>;
        type Gradient = fn(&[f64], &[f64]) -> Vec<f64>;
        let smooth: [(&str, Function, Gradient); 5] = [
            ("sigmoid", sigmoid, sigmoid_backward),
            ("tanh", tanh, tanh_backward),
            ("silu", silu, silu_backward),
            ("gelu", gelu, gelu_backward),
            ("gelu_tanh", gelu_tanh, gelu_tanh_backward),
        ];
        for (what, function, backward) in smooth {
            assert_gradient(what, &backward(&x, &dy), &numeric(&function), 1e-8);
        }
    }
}

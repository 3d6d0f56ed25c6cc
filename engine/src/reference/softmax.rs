//! Softmax along the middle axis of `[outer, classes, inner]`, and its logarithm.

/// Outer, classes, inner.
pub type Dims = [usize; 3];

/// exp(x) / Σ exp(x), the sum along the classes; the largest is subtracted first.
///
/// # Panics
///
/// If x is not as long as `dims` say, as everywhere below.
pub fn softmax(dims: Dims, x: &[f64]) -> Vec<f64> {
    log_softmax(dims, x).iter().map(|y| y.exp()).collect()
}

/// x − ln Σ exp(x), the sum along the classes.
pub fn log_softmax(dims: Dims, x: &[f64]) -> Vec<f64> {
    each_line(dims, [x, x], |[x, _]| {
        let largest = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = x.iter().map(|x| (x - largest).exp()).sum();
        x.iter().map(|x| x - largest - sum.ln()).collect()
    })
}

/// Gradient of [`softmax`] by x, where y is its output: y · (dy − Σ y · dy).
pub fn softmax_backward(dims: Dims, y: &[f64], dy: &[f64]) -> Vec<f64> {
    each_line(dims, [y, dy], |[y, dy]| {
        let sum: f64 = y.iter().zip(dy).map(|(y, dy)| y * dy).sum();
        y.iter().zip(dy).map(|(y, dy)| y * (dy - sum)).collect()
    })
}

/// Gradient of [`log_softmax`] by x, where y is its output: dy − exp(y) · Σ dy.
pub fn log_softmax_backward(dims: Dims, y: &[f64], dy: &[f64]) -> Vec<f64> {
    each_line(dims, [y, dy], |[y, dy]| {
        let sum: f64 = dy.iter().sum();
        y.iter().zip(dy).map(|(y, dy)| dy - y.exp() * sum).collect()
    })
}

/// `f` of every line of classes.
fn each_line(
    [outer, classes, inner]: Dims,
    tensors: [&[f64]; 2],
    f: impl Fn([&[f64]; 2]) -> Vec<f64>,
) -> Vec<f64> {
    assert!(tensors.iter().all(|t| t.len() == outer * classes * inner), "a length");
    let mut output = vec![0.0; outer * classes * inner];
    for o in 0..outer {
        for i in 0..inner {
            let at = |class: usize| (o * classes + class) * inner + i;
            let line = |t: &[f64]| (0..classes).map(|class| t[at(class)]).collect::<Vec<f64>>();
            let [a, b] = tensors.map(line);
            for (class, value) in f([&a, &b]).into_iter().enumerate() {
                output[at(class)] = value;
            }
        }
    }
    output
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::finite::{assert_gradient, gradient, weighted_sum};
    use crate::reference::random::Random;

    #[test]
    fn values_by_hand() {
        let three = 3.0_f64.ln();
        // The lines are (0, ln 3) and (5, 5).
        let y = softmax([1, 2, 2], &[0.0, 5.0, three, 5.0]);
        for (y, expected) in y.iter().zip([0.25, 0.5, 0.75, 0.5]) {
            assert!((y - expected).abs() < 1e-15, "{y}, not {expected}");
        }
        assert_eq!(softmax([2, 1, 1], &[1e300, -1e300]), [1.0, 1.0]);
        assert_eq!(log_softmax([1, 2, 1], &[1e3, 0.0]), [0.0, -1e3]);
        assert!(softmax([1, 2, 1], &[f64::NAN, 0.0]).iter().all(|y| y.is_nan()));
    }

    #[test]
    fn backward_agrees_with_central_differences() {
        let mut random = Random::new(31);
        for dims in [[3, 5, 1], [2, 3, 4], [1, 1, 6]] {
            let len = dims.iter().product();
            let x = random.uniform_f64(len, -3.0, 3.0);
            let dy = random.uniform_f64(len, -1.0, 1.0);
            let numeric =
                |f: &dyn Fn(&[f64]) -> Vec<f64>| gradient(|x| weighted_sum(&f(x), &dy), &x, 1e-5);
            if dims[1] > 1 {
                let (f, y) = (|x: &[f64]| softmax(dims, x), softmax(dims, &x));
                assert_gradient("softmax", &softmax_backward(dims, &y, &dy), &numeric(&f), 1e-8);
                let (f, y) = (|x: &[f64]| log_softmax(dims, x), log_softmax(dims, &x));
                let analytic = log_softmax_backward(dims, &y, &dy);
                assert_gradient("log_softmax", &analytic, &numeric(&f), 1e-8);
            } else {
                // Of one class, nothing changes the output.
                let y = softmax(dims, &x);
                assert_eq!(softmax_backward(dims, &y, &dy), vec![0.0; len]);
            }
        }
    }
}

//! Losses, each reduced to its mean, with the gradient by the prediction.

mod cross_entropy;

pub use cross_entropy::{CrossEntropy, cross_entropy};

/// A loss and what it compares the prediction to.
#[derive(Clone, Copy, Debug)]
pub enum Loss<'a> {
    /// Binary cross-entropy of probabilities; targets in [0, 1], one per prediction.
    Bce(&'a [f64]),
    /// Binary cross-entropy of logits; targets in [0, 1], one per prediction.
    BceWithLogits(&'a [f64]),
    /// Mean squared error; one target per prediction.
    Mse(&'a [f64]),
    /// Mean absolute error; one target per prediction.
    L1(&'a [f64]),
    /// Cross-entropy of logits `[N, C]`; the right class of each of the N rows.
    CrossEntropy(&'a [usize]),
}

/// Value of a loss and its gradient.
#[derive(Clone, Debug)]
pub struct LossGradient {
    /// The loss.
    pub value: f64,
    /// Its gradient by the prediction, in the prediction's layout.
    pub gradient: Vec<f64>,
}

impl LossGradient {
    /// The loss and its gradient times `factor`: the number of elements or rows makes a sum of a mean.
    pub fn times(mut self, factor: f64) -> LossGradient {
        self.value *= factor;
        self.gradient.iter_mut().for_each(|g| *g *= factor);
        self
    }
}

impl Loss<'_> {
    /// The loss of `prediction`.
    ///
    /// # Panics
    ///
    /// As the function of the same name in this module.
    pub fn of(&self, prediction: &[f64]) -> LossGradient {
        match self {
            Self::Bce(target) => bce(prediction, target),
            Self::BceWithLogits(target) => bce_with_logits(prediction, target),
            Self::Mse(target) => mse(prediction, target),
            Self::L1(target) => l1(prediction, target),
            Self::CrossEntropy(target) => cross_entropy(prediction, target),
        }
    }
}

/// Binary cross-entropy: the mean of −t · ln p − (1 − t) · ln(1 − p) over all elements.
///
/// As on the PyTorch documentation page "BCELoss", each logarithm is clamped to −100 or above.
/// The gradient is PyTorch's too: (p − t) / max(p · (1 − p), 1e-12) / count, which knows nothing
/// of that clamp.
///
/// # Panics
///
/// If the lengths differ, if there are no elements, or if a probability lies outside [0, 1].
pub fn bce(probability: &[f64], target: &[f64]) -> LossGradient {
    assert!(probability.iter().all(|p| (0.0..=1.0).contains(p)), "probabilities lie in [0, 1]");
    mean_over_elements(probability, target, |p, t| {
        let log_p = p.ln().max(-100.0);
        let log_not_p = (-p).ln_1p().max(-100.0);
        let value = -t * log_p - (1.0 - t) * log_not_p;
        (value, (p - t) / (p * (1.0 - p)).max(1e-12))
    })
}

/// Binary cross-entropy of p = 1 / (1 + exp(−x)) for logits x, in a form that cannot overflow:
/// the mean of max(x, 0) − x · t + ln(1 + exp(−|x|)). Its gradient is (p − t) / count.
///
/// # Panics
///
/// If the lengths differ or if there are no elements.
pub fn bce_with_logits(logit: &[f64], target: &[f64]) -> LossGradient {
    mean_over_elements(logit, target, |x, t| {
        let value = x.max(0.0) - x * t + (-x.abs()).exp().ln_1p();
        (value, 1.0 / (1.0 + (-x).exp()) - t)
    })
}

/// Mean squared error: the mean of (x − t)². Its gradient is 2 · (x − t) / count.
///
/// # Panics
///
/// If the lengths differ or if there are no elements.
pub fn mse(prediction: &[f64], target: &[f64]) -> LossGradient {
    mean_over_elements(prediction, target, |x, t| ((x - t).powi(2), 2.0 * (x - t)))
}

/// Mean absolute error: the mean of |x − t|. Its gradient is sign(x − t) / count, 0 where x = t.
///
/// # Panics
///
/// If the lengths differ or if there are no elements.
pub fn l1(prediction: &[f64], target: &[f64]) -> LossGradient {
    mean_over_elements(prediction, target, |x, t| {
        let sign = if x == t { 0.0 } else { (x - t).signum() };
        ((x - t).abs(), sign)
    })
}

/// The mean of a loss over elements, from its value and derivative at one element.
fn mean_over_elements(
    prediction: &[f64],
    target: &[f64],
    element: impl Fn(f64, f64) -> (f64, f64),
) -> LossGradient {
    assert_eq!(prediction.len(), target.len(), "one target per prediction");
    assert!(!prediction.is_empty(), "a mean needs at least one element");
    let count = prediction.len() as f64;
    let mut loss = LossGradient { value: 0.0, gradient: Vec::with_capacity(prediction.len()) };
    for (&x, &t) in prediction.iter().zip(target) {
        let (value, derivative) = element(x, t);
        loss.value += value / count;
        loss.gradient.push(derivative / count);
    }
    loss
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::finite::{assert_gradient, gradient};
    use crate::reference::random::Random;

    fn assert_near(actual: f64, expected: f64) {
        let error = (actual - expected).abs();
        assert!(error <= 1e-14 * expected.abs(), "{actual} is not {expected}");
    }

    #[test]
    fn bce_by_hand() {
        let loss = bce(&[0.5, 0.25], &[1.0, 0.5]);
        let second = -0.5 * 0.25_f64.ln() - 0.5 * 0.75_f64.ln();
        assert_near(loss.value, (2.0_f64.ln() + second) / 2.0);
        assert_near(loss.gradient[0], -1.0);
        assert_near(loss.gradient[1], -0.25 / 0.1875 / 2.0);
    }

    #[test]
    fn bce_clamps_the_logarithm_and_the_denominator() {
        let loss = bce(&[0.0, 1.0, 0.0, 1.0], &[1.0, 0.0, 0.0, 1.0]);
        assert_eq!(loss.value, 50.0);
        assert_eq!(loss.gradient, [-0.25e12, 0.25e12, 0.0, 0.0]);
        // ln 1e-50 is about −115.
        assert_eq!(bce(&[1e-50], &[1.0]).value, 100.0);
    }

    #[test]
    #[should_panic(expected = "probabilities lie in [0, 1]")]
    fn bce_of_a_logit_panics() {
        bce(&[1.5], &[1.0]);
    }

    #[test]
    #[should_panic(expected = "probabilities lie in [0, 1]")]
    fn bce_of_nan_panics() {
        bce(&[f64::NAN], &[1.0]);
    }

    #[test]
    fn bce_with_logits_is_bce_of_the_sigmoid() {
        let logits = Random::new(41).uniform_f64(20, -6.0, 6.0);
        let target = Random::new(42).uniform_f64(20, 0.0, 1.0);
        let probability: Vec<f64> = logits.iter().map(|x| 1.0 / (1.0 + (-x).exp())).collect();
        let value = bce_with_logits(&logits, &target).value;
        assert!((value - bce(&probability, &target).value).abs() < 1e-14);
    }

    #[test]
    fn bce_with_logits_stays_finite() {
        let loss = bce_with_logits(&[1000.0, -1000.0], &[0.0, 1.0]);
        assert_eq!(loss.value, 1000.0);
        assert_eq!(loss.gradient, [0.5, -0.5]);
    }

    #[test]
    fn mse_by_hand() {
        let loss = mse(&[1.0, -2.0], &[3.0, -5.0]);
        assert_eq!(loss.value, 6.5);
        assert_eq!(loss.gradient, [-2.0, 3.0]);
    }

    #[test]
    fn l1_by_hand() {
        let loss = l1(&[1.0, -2.0, 4.0], &[3.0, -5.0, 4.0]);
        assert_near(loss.value, 5.0 / 3.0);
        assert_eq!(loss.gradient, [-1.0 / 3.0, 1.0 / 3.0, 0.0]);
        assert_near(loss.times(3.0).value, 5.0);
    }

    #[test]
    fn gradients_agree_with_central_differences() {
        let mut random = Random::new(43);
        let target = random.uniform_f64(12, 0.0, 1.0);
        let probability = random.uniform_f64(12, 0.05, 0.95);
        let real = random.uniform_f64(12, -3.0, 3.0);
        let cases = [
            (Loss::Bce(&target), &probability),
            (Loss::BceWithLogits(&target), &real),
            (Loss::Mse(&target), &real),
            (Loss::L1(&target), &real),
            (Loss::CrossEntropy(&[2, 0, 3]), &real),
            (Loss::CrossEntropy(&[11]), &real),
        ];
        for (loss, prediction) in cases {
            let numeric = gradient(|x| loss.of(x).value, prediction, 1e-5);
            let analytic = loss.of(prediction).gradient;
            assert_gradient(&format!("{loss:?}"), &analytic, &numeric, 1e-7);
        }
    }
}

//! Cross-entropies, with the gradient by the logits.

use super::LossGradient;

/// Cross-entropy of the softmax: the mean over N rows of ln Σⱼ exp(xⱼ) − x\[target\], for logits
/// x `[N, C]` and one class below C per row. Its gradient is (softmax(x) − onehot(target)) / N.
///
/// # Panics
///
/// If there are no rows, if `logits` does not divide into them, or if a class is C or more.
pub fn cross_entropy(logits: &[f64], targets: &[usize]) -> LossGradient {
    let rows = targets.len();
    assert!(rows > 0, "a mean needs at least one row");
    assert!(
        !logits.is_empty() && logits.len().is_multiple_of(rows),
        "{} logits do not make {rows} rows",
        logits.len()
    );
    let classes = logits.len() / rows;
    let mut loss = LossGradient { value: 0.0, gradient: Vec::with_capacity(logits.len()) };
    for (row, &target) in logits.chunks(classes).zip(targets) {
        assert!(target < classes, "class {target} of {classes}");
        // Softmax does not change when a constant is taken from every logit; with the largest
        // taken, no exponential exceeds 1.
        let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = row.iter().map(|x| (x - largest).exp()).sum();
        loss.value += (sum.ln() + largest - row[target]) / rows as f64;
        for class in 0..classes {
            let softmax = (row[class] - largest).exp() / sum;
            let one_hot = if class == target { 1.0 } else { 0.0 };
            loss.gradient.push((softmax - one_hot) / rows as f64);
        }
    }
    loss
}

/// The sum over rows of −Σⱼ wⱼ · sⱼ · ln softmax(x)ⱼ, for logits x and targets t, both `[N, C]`, and
/// s = (1 − smoothing) · t + smoothing / C.
#[derive(Clone, Copy, Debug)]
pub struct CrossEntropy<'a> {
    /// t
    pub target: &'a [f64],
    /// How much of the targets is spread over all classes.
    pub smoothing: f64,
    /// w `[C]`
    pub weight: &'a [f64],
}

impl CrossEntropy<'_> {
    /// The loss of `logits`, element by element: ∂/∂xᵢ of −wⱼ sⱼ ln softmax(x)ⱼ is wⱼ sⱼ (softmax(x)ᵢ − δᵢⱼ).
    ///
    /// # Panics
    ///
    /// If `logits` and `target` are not rows of as many elements as there are weights.
    pub fn of(&self, logits: &[f64]) -> LossGradient {
        let classes = self.weight.len();
        assert_eq!(logits.len(), self.target.len(), "one target per logit");
        assert!(logits.len().is_multiple_of(classes), "whole rows");
        let mut loss = LossGradient { value: 0.0, gradient: vec![0.0; logits.len()] };
        for (row, x) in logits.chunks(classes).enumerate() {
            let largest = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let exponentials: Vec<f64> = x.iter().map(|x| (x - largest).exp()).collect();
            let sum: f64 = exponentials.iter().sum();
            for j in 0..classes {
                let t = self.target[row * classes + j];
                let share = self.smoothing / classes as f64 + (1.0 - self.smoothing) * t;
                let factor = self.weight[j] * share;
                loss.value += factor * (sum.ln() + largest - x[j]);
                for i in 0..classes {
                    let one_hot = if i == j { 1.0 } else { 0.0 };
                    let softmax = exponentials[i] / sum;
                    loss.gradient[row * classes + i] += factor * (softmax - one_hot);
                }
            }
        }
        loss
    }
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
    fn cross_entropy_by_hand() {
        let ln3 = 3.0_f64.ln();
        let loss = cross_entropy(&[0.0, ln3, 7.0, 7.0], &[1, 0]);
        assert_near(loss.value, ((4.0_f64 / 3.0).ln() + 2.0_f64.ln()) / 2.0);
        for (actual, expected) in loss.gradient.iter().zip([0.125, -0.125, -0.25, 0.25]) {
            assert_near(*actual, expected);
        }
    }

    #[test]
    fn cross_entropy_does_not_see_a_common_offset() {
        let small = cross_entropy(&[1.0, 2.0, 3.0], &[0]);
        let large = cross_entropy(&[1001.0, 1002.0, 1003.0], &[0]);
        assert!((small.value - large.value).abs() < 1e-12);
        assert_eq!(small.gradient, large.gradient);
    }

    #[test]
    #[should_panic(expected = "class 3 of 3")]
    fn cross_entropy_without_such_a_class_panics() {
        cross_entropy(&[1.0, 2.0, 3.0], &[3]);
    }

    #[test]
    fn one_hot_targets_are_classes() {
        let logits = Random::new(44).uniform_f64(6, -3.0, 3.0);
        let target = [0.0, 1.0, 0.0, 1.0, 0.0, 0.0];
        let all = CrossEntropy { target: &target, smoothing: 0.0, weight: &[1.0; 3] };
        let (sum, mean) = (all.of(&logits), cross_entropy(&logits, &[1, 0]));
        assert_near(sum.value, mean.value * 2.0);
        for (sum, mean) in sum.gradient.iter().zip(&mean.gradient) {
            assert_near(*sum, mean * 2.0);
        }
    }

    #[test]
    fn smoothing_and_weights_by_hand() {
        // Softmax is ½ everywhere, so each class costs its weight times its share times ln 2.
        let of = CrossEntropy { target: &[1.0, 0.0], smoothing: 0.2, weight: &[3.0, 5.0] };
        let loss = of.of(&[7.0, 7.0]);
        assert_near(loss.value, (3.0 * 0.9 + 5.0 * 0.1) * 2.0_f64.ln());
        assert_near(loss.gradient[0], 3.2 / 2.0 - 2.7);
        assert_near(loss.gradient[1], 3.2 / 2.0 - 0.5);
    }

    #[test]
    fn the_gradient_of_smoothed_weighted_targets_agrees_with_central_differences() {
        let mut random = Random::new(45);
        let logits = random.uniform_f64(12, -3.0, 3.0);
        let target = random.uniform_f64(12, 0.0, 1.0);
        let weight = random.uniform_f64(4, 0.0, 3.0);
        let of = CrossEntropy { target: &target, smoothing: 0.3, weight: &weight };
        let numeric = gradient(|x| of.of(x).value, &logits, 1e-5);
        assert_gradient("cross-entropy", &of.of(&logits).gradient, &numeric, 1e-7);
    }
}

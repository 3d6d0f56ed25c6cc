//! What outputs say of the classes.

use crate::layers::Layer;
use crate::spec::NetworkSpec;

/// Turns the outputs of one item into a number from 0 to 1 for each class.
///
/// If the last layer is a `Sigmoid` the outputs are scores, one for each class by itself, and stay as they
/// are; they need not sum to 1. The outputs of a `Softmax` are probabilities already. Otherwise they are taken for
/// logits: row ← exp(row) / Σ exp(row) (softmax),
/// computed as exp(row − max), so that large logits do not overflow.
///
/// A row that holds NaN or +∞ becomes NaN as a whole.
pub fn probabilities(spec: &NetworkSpec, row: &mut [f32]) {
    if matches!(spec.layers.last(), Some(Layer::Sigmoid(_) | Layer::Softmax(_))) {
        return;
    }
    let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    // In f64, whose exp is the same function on every machine to far below a float's last bit.
    let mut sum = 0.0;
    for value in &*row {
        sum += f64::from(value - max).exp();
    }
    for value in row {
        *value = (f64::from(*value - max).exp() / sum) as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nets::mnist_cnn;

    fn logits(row: &[f32]) -> Vec<f32> {
        let spec = NetworkSpec { input: vec![row.len()], layers: vec![] };
        let mut row = row.to_vec();
        probabilities(&spec, &mut row);
        row
    }

    #[test]
    fn scores_of_a_sigmoid_stay() {
        let mut row = [0.9, 0.8, 0.0];
        probabilities(&mnist_cnn(), &mut row);
        assert_eq!(row, [0.9, 0.8, 0.0]);
    }

    #[test]
    fn logits_become_shares() {
        assert_eq!(logits(&[2.0, 2.0]), [0.5, 0.5]);
        assert_eq!(logits(&[0.0, 3.0_f32.ln()]), [0.25, 0.75]);
        assert_eq!(logits(&[1e38, -1e38, 1e38, 0.0]), [0.5, 0.0, 0.5, 0.0]);
        assert_eq!(logits(&[-1000.0]), [1.0]);
        assert_eq!(logits(&[]), [0.0; 0]);
    }

    #[test]
    fn what_is_no_number_spoils_the_row() {
        for row in [[f32::NAN, 1.0], [f32::INFINITY, 1.0], [f32::NEG_INFINITY; 2]] {
            assert!(logits(&row).iter().all(|p| p.is_nan()), "{row:?}");
        }
    }
}

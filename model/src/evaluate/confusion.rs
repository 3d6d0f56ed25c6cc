//! Which classes are taken for which.

use super::Score;
use serde::Serialize;

/// How often items of each class were put into each class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfusionMatrix {
    classes: usize,
    /// `[true class, predicted class]`
    counts: Vec<u64>,
}

/// Means over the classes, each of which counts the same however many items it has.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Averages {
    /// Of [`ConfusionMatrix::precision`].
    pub precision: f64,
    /// Of [`ConfusionMatrix::recall`].
    pub recall: f64,
    /// Of [`ConfusionMatrix::f1`].
    pub f1: f64,
}

impl ConfusionMatrix {
    /// The matrix of items given as (true class, predicted class).
    ///
    /// # Panics
    /// If a class is not below `classes`, or there are more than 2¹⁶ classes.
    pub fn new(classes: usize, items: impl IntoIterator<Item = (usize, usize)>) -> ConfusionMatrix {
        assert!(classes <= 1 << 16, "at most 2^16 classes, found {classes}");
        let mut counts = vec![0; classes * classes];
        for (label, predicted) in items {
            assert!(label < classes && predicted < classes, "classes below {classes}");
            counts[label * classes + predicted] += 1;
        }
        ConfusionMatrix { classes, counts }
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// One row for each true class: how often it was put into each class.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[u64]> {
        self.counts.chunks_exact(self.classes.max(1))
    }

    /// Items of the class `label` that were put into the class `predicted`.
    ///
    /// # Panics
    /// If one of them is no class.
    pub fn count(&self, label: usize, predicted: usize) -> u64 {
        assert!(predicted < self.classes, "classes below {}", self.classes);
        self.counts[label * self.classes + predicted]
    }

    /// Items of a class.
    pub fn items(&self, class: usize) -> u64 {
        self.counts[class * self.classes..][..self.classes].iter().sum()
    }

    /// Items that were put into a class.
    pub fn predictions(&self, class: usize) -> u64 {
        (0..self.classes).map(|label| self.count(label, class)).sum()
    }

    /// Items in the right class, and all items.
    pub fn score(&self) -> Score {
        let correct = (0..self.classes).map(|class| self.count(class, class)).sum::<u64>();
        let items = self.counts.iter().sum::<u64>();
        Score { correct: correct as usize, items: items as usize }
    }

    /// The share of the items put into a class that belong there; none if no item was.
    pub fn precision(&self, class: usize) -> Option<f64> {
        share(self.count(class, class), self.predictions(class))
    }

    /// The share of the items of a class that were put there; none if it has no item.
    pub fn recall(&self, class: usize) -> Option<f64> {
        share(self.count(class, class), self.items(class))
    }

    /// 2 · right / (items + predictions), the harmonic mean of precision and recall; none if there are neither
    /// items nor predictions.
    pub fn f1(&self, class: usize) -> Option<f64> {
        share(2 * self.count(class, class), self.items(class) + self.predictions(class))
    }

    /// Macro averages, as in scikit-learn's `classification_report`: over the classes that have items or
    /// predictions; a number that a class lacks counts as 0. None if there are no items.
    pub fn averages(&self) -> Option<Averages> {
        let present = |&class: &usize| self.items(class) + self.predictions(class) > 0;
        let classes: Vec<usize> = (0..self.classes).filter(present).collect();
        let mean = |of: &dyn Fn(usize) -> Option<f64>| {
            classes.iter().map(|&class| of(class).unwrap_or(0.0)).sum::<f64>()
                / classes.len() as f64
        };
        (!classes.is_empty()).then(|| Averages {
            precision: mean(&|class| self.precision(class)),
            recall: mean(&|class| self.recall(class)),
            f1: mean(&|class| self.f1(class)),
        })
    }

    /// Up to `n` pairs of a true and another, predicted class, with their count, most frequent first, then in
    /// the order of the classes. Pairs that never occurred are left out.
    pub fn confused(&self, n: usize) -> Vec<(usize, usize, u64)> {
        let mut pairs: Vec<(usize, usize, u64)> = (0..self.counts.len())
            .map(|i| (i / self.classes, i % self.classes, self.counts[i]))
            .filter(|&(label, predicted, count)| label != predicted && count > 0)
            .collect();
        pairs.sort_by_key(|&(.., count)| std::cmp::Reverse(count));
        pairs.truncate(n);
        pairs
    }
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 3 of 4 items of class 0 are right, one is taken for 1; the item of class 1 is taken for 0; the item of
    /// class 2 for 1. Class 3 has nothing.
    fn small() -> ConfusionMatrix {
        let items = [(0, 0), (0, 0), (0, 1), (0, 0), (1, 0), (2, 1)];
        ConfusionMatrix::new(4, items)
    }

    #[test]
    fn numbers_of_a_small_matrix() {
        let matrix = small();
        let rows: Vec<&[u64]> = matrix.rows().collect();
        assert_eq!(rows, [[3, 1, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]);
        assert_eq!(matrix.score(), Score { correct: 3, items: 6 });
        assert_eq!((matrix.items(0), matrix.predictions(1)), (4, 2));
        let of = |class| (matrix.precision(class), matrix.recall(class), matrix.f1(class));
        assert_eq!(of(0), (Some(0.75), Some(0.75), Some(0.75)));
        assert_eq!(of(1), (Some(0.0), Some(0.0), Some(0.0)));
        assert_eq!(of(2), (None, Some(0.0), Some(0.0)));
        assert_eq!(of(3), (None, None, None));
        assert_eq!(matrix.confused(2), [(0, 1, 1), (1, 0, 1)]);
        assert_eq!(matrix.confused(9).len(), 3);
    }

    /// `sklearn.metrics.precision_recall_fscore_support(…, average="macro", zero_division=0)`.
    #[test]
    fn averages_are_those_of_scikit_learn() {
        let Averages { precision, recall, f1 } = small().averages().unwrap();
        assert_eq!((precision, recall, f1), (0.25, 0.25, 0.25));
        let matrix = ConfusionMatrix::new(3, [(0, 0), (0, 0), (1, 0), (2, 2)]);
        let Averages { precision, recall, f1 } = matrix.averages().unwrap();
        assert!((precision - 0.555_555_555_555_555_5).abs() < 1e-15, "{precision}");
        assert!((recall - 0.666_666_666_666_666_6).abs() < 1e-15, "{recall}");
        assert!((f1 - 0.6).abs() < 1e-15, "{f1}");
    }

    #[test]
    fn without_items_there_is_nothing_to_say() {
        for classes in [0, 3] {
            let matrix = ConfusionMatrix::new(classes, []);
            assert_eq!(matrix.score(), Score::default());
            assert_eq!(matrix.averages(), None);
            assert_eq!(matrix.confused(3), []);
            assert_eq!(matrix.rows().len(), classes);
        }
    }

    proptest! {
        #[test]
        fn every_item_is_counted_once(items in prop::collection::vec((0..5_usize, 0..5_usize), 1..60)) {
            let matrix = ConfusionMatrix::new(5, items.iter().copied());
            let right = items.iter().filter(|(label, predicted)| label == predicted).count();
            prop_assert_eq!(matrix.score(), Score { correct: right, items: items.len() });
            let wrong: u64 = matrix.confused(25).iter().map(|pair| pair.2).sum();
            prop_assert_eq!(wrong as usize, items.len() - right);
            let sums = (0..5).map(|c| (matrix.items(c), matrix.predictions(c)));
            let (labels, predictions) = sums.fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
            prop_assert_eq!((labels, predictions), (items.len() as u64, items.len() as u64));
            for class in 0..5 {
                for number in [matrix.precision(class), matrix.recall(class), matrix.f1(class)] {
                    prop_assert!(number.is_none_or(|n| (0.0..=1.0).contains(&n)));
                }
                // F1 lies between the two.
                if let (Some(p), Some(r)) = (matrix.precision(class), matrix.recall(class)) {
                    let f1 = matrix.f1(class).unwrap();
                    prop_assert!(f1 <= p.max(r) + 1e-12 && f1 + 1e-12 >= p.min(r));
                }
            }
            let Averages { precision, recall, f1 } = matrix.averages().unwrap();
            prop_assert!([precision, recall, f1].iter().all(|n| (0.0..=1.0).contains(n)));
        }
    }
}

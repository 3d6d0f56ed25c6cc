//! What a network says of every item.

use super::outputs::for_each_batch;
use super::probabilities::probabilities;
use super::{ConfusionMatrix, Score, largest};
use crate::Error;
use crate::data::Dataset;
use crate::loss::{Loss, LossOptions};
use crate::network::Network;
use crate::normalization::Normalization;
use crate::spec::NetworkSpec;
use loupe_engine::Context;

/// Items whose loss is computed at a time.
const LOSS_ROWS: usize = 1024;

/// The outputs of a network for every item of a data set, and what they say.
#[derive(Clone, Debug)]
pub struct Classification {
    spec: NetworkSpec,
    classes: usize,
    /// `[N, classes]`
    outputs: Vec<f32>,
    /// `[N]`
    labels: Vec<u8>,
    /// `[N]`
    predicted: Vec<usize>,
}

/// An item in a wrong class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mistake {
    /// Its place in the data set, from 0.
    pub item: usize,
    /// Its class.
    pub label: usize,
    /// The class that it was put into.
    pub predicted: usize,
    /// Of the class that it was put into, by [`probabilities`].
    pub probability: f32,
    /// Of its own class.
    pub label_probability: f32,
}

/// What `network` says of every item of `data`, which is classified by its largest output, the first of
/// equals. By batch statistics every item is a batch of its own.
///
/// # Errors
/// As [`evaluate`](crate::evaluate()).
pub fn classify(
    cx: &Context,
    network: &Network,
    data: &Dataset,
    normalization: Normalization,
) -> Result<Classification, Error> {
    let each = |_: &[usize], outputs: &[f32], kept: &mut Vec<f32>| kept.extend_from_slice(outputs);
    let outputs = for_each_batch(cx, network, data, normalization, each)?.concat();
    let classes = data.classes();
    let predicted = outputs.chunks_exact(classes).map(largest).collect();
    let (spec, labels) = (network.spec().clone(), data.labels().to_vec());
    Ok(Classification { spec, classes, outputs, labels, predicted })
}

impl Classification {
    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The outputs as the network gave them, `[N, classes]`.
    pub fn outputs(&self) -> &[f32] {
        &self.outputs
    }

    /// The class of each item.
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// The class that each item was put into.
    pub fn predicted(&self) -> &[usize] {
        &self.predicted
    }

    /// Items in the right class, and all items.
    pub fn score(&self) -> Score {
        let pairs = self.labels.iter().zip(&self.predicted);
        let correct = pairs.filter(|&(&label, &predicted)| usize::from(label) == predicted).count();
        Score { correct, items: self.labels.len() }
    }

    /// How often items of each class were put into each class.
    pub fn confusion(&self) -> ConfusionMatrix {
        let labels = self.labels.iter().map(|&label| usize::from(label));
        ConfusionMatrix::new(self.classes, labels.zip(self.predicted.iter().copied()))
    }

    /// The mean of `loss` over the items, each with a target of 1 for its class and 0 for all others.
    ///
    /// # Errors
    /// As [`LossOptions::evaluate`].
    pub fn mean_loss(&self, cx: &Context, loss: Loss) -> Result<f64, Error> {
        let (classes, loss) = (self.classes, LossOptions::from(loss));
        let mut targets = vec![0.0; LOSS_ROWS.min(self.labels.len()) * classes];
        let mut sum = 0.0;
        let outputs = self.outputs.chunks(LOSS_ROWS * classes);
        for (labels, outputs) in self.labels.chunks(LOSS_ROWS).zip(outputs) {
            let targets = &mut targets[..outputs.len()];
            targets.fill(0.0);
            for (row, &label) in targets.chunks_exact_mut(classes).zip(labels) {
                row[usize::from(label)] = 1.0;
            }
            let mean = loss.evaluate(cx, classes, outputs, targets, None)?;
            sum += f64::from(mean) * labels.len() as f64;
        }
        Ok(sum / self.labels.len() as f64)
    }

    /// Up to `n` items in a wrong class, the most wrong first: by the largest probability of the wrong class,
    /// then the smallest of their own, then their place in the data set.
    pub fn mistakes(&self, n: usize) -> Vec<Mistake> {
        let mut mistakes: Vec<Mistake> = (0..self.labels.len())
            .filter(|&item| usize::from(self.labels[item]) != self.predicted[item])
            .map(|item| self.mistake(item))
            .collect();
        mistakes.sort_by(|a, b| {
            let by_wrong = b.probability.total_cmp(&a.probability);
            by_wrong.then(a.label_probability.total_cmp(&b.label_probability))
        });
        mistakes.truncate(n);
        mistakes
    }

    fn mistake(&self, item: usize) -> Mistake {
        let mut row = self.outputs[item * self.classes..][..self.classes].to_vec();
        probabilities(&self.spec, &mut row);
        let (label, predicted) = (usize::from(self.labels[item]), self.predicted[item]);
        let (probability, label_probability) = (row[predicted], row[label]);
        Mistake { item, label, predicted, probability, label_probability }
    }
}

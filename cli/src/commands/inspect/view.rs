//! What there is to see.

use crate::picked::Picked;
use anyhow::Result;
use loupe_engine::Context;
use loupe_model::trace::{LayerTrace, Trace};
use loupe_model::{FlatLayer, Layer, Network, probabilities};

/// A network that has looked at one picture.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) model: &'a str,
    pub(super) network: &'a Network,
    pub(super) picked: &'a Picked,
    pub(super) trace: &'a Trace,
    /// From 0 to 1 for each class.
    pub(super) scores: Vec<f32>,
    /// The class of the largest score, the first of equals.
    pub(super) winner: usize,
    /// Of the winning score by each value of the input; in front of a last sigmoid, which would only make all
    /// of them smaller.
    pub(super) gradient: Vec<f32>,
    /// |gradient × input|
    pub(super) influence: Vec<f32>,
    classes: Vec<String>,
}

impl<'a> View<'a> {
    pub(super) fn new(
        cx: &Context,
        model: &'a str,
        network: &'a Network,
        picked: &'a Picked,
        classes: Vec<String>,
        trace: &'a Trace,
    ) -> Result<View<'a>> {
        let mut scores = trace.output().to_vec();
        let mut winner = 0;
        for (class, &score) in scores.iter().enumerate() {
            if score > scores[winner] || scores[winner].is_nan() {
                winner = class;
            }
        }
        probabilities(network.spec(), &mut scores);
        let layers = network.layers();
        let last = layers.last().map(|layer| &layer.layer);
        let through = layers.len() - usize::from(matches!(last, Some(Layer::Sigmoid(_))));
        let mut class = vec![0.0; scores.len()];
        class[winner] = 1.0;
        let gradients = trace.backward_through(cx, network, through, &class)?;
        let gradient = gradients.values.into_iter().next().expect("by the inputs");
        let influence = gradient.iter().zip(&trace.inputs).map(|(g, x)| (g * x).abs()).collect();
        Ok(View { model, network, picked, trace, scores, winner, gradient, influence, classes })
    }

    /// The layers in order, with what reaches them and what they make of it.
    pub(super) fn layers(&self) -> impl Iterator<Item = Seen<'_>> {
        self.network.layers().iter().zip(&self.trace.layers).map(|(layer, after)| {
            let FlatLayer { path, layer, inputs, .. } = layer;
            Seen { path, layer, input: self.trace.value(inputs[0]), after }
        })
    }

    /// What a class is called.
    pub(super) fn class(&self, class: usize) -> String {
        match self.classes.get(class).filter(|_| self.classes.len() == self.scores.len()) {
            Some(name) => name.clone(),
            None => class.to_string(),
        }
    }

    /// The name of the picture, and its class if that is known.
    pub(super) fn title(&self) -> String {
        let name = &self.picked.name;
        self.picked
            .label
            .map_or_else(|| name.clone(), |label| format!("{name}, class {}", self.class(label)))
    }
}

/// One layer.
#[derive(Debug)]
pub(super) struct Seen<'a> {
    pub(super) path: &'a str,
    pub(super) layer: &'a Layer,
    pub(super) input: &'a [f32],
    pub(super) after: &'a LayerTrace,
}

/// Values as maps: how many, and rows and columns of each. Values without axes of an image are a map of one
/// row.
pub(super) fn maps(shape: &[usize]) -> (usize, [usize; 2]) {
    match *shape {
        [ref channels @ .., height, width] => (channels.iter().product(), [height, width]),
        _ => (1, [1, shape.iter().product()]),
    }
}

/// `10 × 12 × 12`
pub(super) fn times(shape: &[usize]) -> String {
    shape.iter().map(usize::to_string).collect::<Vec<_>>().join(" × ")
}

//! Where a step first leaves the range of numbers.

use super::{Range, trace};
use crate::Error;
use crate::loss::LossOptions;
use crate::network::Network;
use crate::normalization::Normalization;
use crate::spec::FlatLayer;
use loupe_engine::Context;
use std::fmt;

/// Values of a training step. Layers are numbered as in [`Network::layers`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// The inputs of the batch.
    Inputs,
    /// A parameter of a layer.
    Parameter {
        /// The layer.
        layer: usize,
        /// Its name, as in [`TensorInfo`](crate::TensorInfo).
        name: String,
    },
    /// Mean and variance that a normalisation takes of the batch.
    Statistics {
        /// The layer.
        layer: usize,
    },
    /// The output of a layer.
    Output {
        /// The layer.
        layer: usize,
    },
    /// The targets of the batch.
    Targets,
    /// The loss.
    Loss,
    /// The gradient of the loss by the output of a layer.
    OutputGradient {
        /// The layer.
        layer: usize,
    },
    /// The gradient of the loss by a parameter of a layer.
    ParameterGradient {
        /// The layer.
        layer: usize,
        /// The parameter's name.
        name: String,
    },
}

impl Place {
    fn layer(&self) -> Option<usize> {
        match *self {
            Place::Inputs | Place::Targets | Place::Loss => None,
            Place::Parameter { layer, .. }
            | Place::Statistics { layer }
            | Place::Output { layer }
            | Place::OutputGradient { layer }
            | Place::ParameterGradient { layer, .. } => Some(layer),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Inputs => f.pad("inputs"),
            Place::Parameter { name, .. } => f.pad(name),
            Place::Statistics { .. } => f.pad("mean and variance"),
            Place::Output { .. } => f.pad("output"),
            Place::Targets => f.pad("targets"),
            Place::Loss => f.pad("loss"),
            Place::OutputGradient { .. } => f.pad("gradient by output"),
            Place::ParameterGradient { name, .. } => f.pad(&format!("gradient by {name}")),
        }
    }
}

/// The first values of a training step that are not all finite, and the ranges of those before.
///
/// It prints as a sentence and a table of the ranges from the layer before on.
#[derive(Clone, Debug, PartialEq)]
pub struct NonFinite {
    /// All places that were looked at, in order; the last is the one that is not finite.
    pub ranges: Vec<(Place, Range)>,
    /// The layers of [`Network::layers`]: place and name, `3, ReLU()`.
    pub layers: Vec<String>,
}

impl NonFinite {
    /// Where the values are.
    pub fn place(&self) -> &Place {
        &self.last().0
    }

    fn last(&self) -> &(Place, Range) {
        self.ranges.last().expect("the place that is not finite")
    }
}

impl fmt::Display for NonFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (place, range) = self.last();
        write!(f, "{} of {} values are not finite: {place}", range.non_finite, range.len)?;
        if let Some(layer) = place.layer() {
            write!(f, " of layer {}", self.layers[layer])?;
        }
        let head = ["least", "mean", "largest", "not finite"];
        write!(f, "\n  {:<26}{:>12}{:>12}{:>12}{:>12}", "", head[0], head[1], head[2], head[3])?;
        let mut shown = None;
        for (place, range) in &self.ranges {
            if place.layer() != shown {
                shown = place.layer();
                if let Some(layer) = shown {
                    write!(f, "\n  layer {}", self.layers[layer])?;
                }
            }
            let indent = if shown.is_some() { "  " } else { "" };
            let Range { min, max, mean, non_finite, .. } = range;
            write!(f, "\n  {:<26}", format!("{indent}{place}"))?;
            for value in [min, mean, max] {
                write!(f, "{:>12}", number(*value))?;
            }
            write!(f, "{non_finite:>12}")?;
        }
        Ok(())
    }
}

/// Four decimals, or an exponent where they would say little; NaN is a range of no values.
fn number(value: f32) -> String {
    match value.abs() {
        size if size.is_nan() => "–".into(),
        0.0 => "0".into(),
        1e-3..1e5 => format!("{value:.4}"),
        _ => format!("{value:.3e}"),
    }
}

/// Where the values of a training step on `inputs` `[N, …]` and `targets` `[N, outputs]` are first not all
/// finite, if they are not. In order: the inputs; of each layer the parameters, mean and variance, the
/// output; the targets and the loss; then from the last layer to the first the gradients by output and
/// parameters.
///
/// # Errors
/// As [`trace`] and [`LossOptions::evaluate`].
pub fn find_non_finite(
    cx: &Context,
    network: &Network,
    loss: impl Into<LossOptions>,
    inputs: &[f32],
    targets: &[f32],
) -> Result<Option<NonFinite>, Error> {
    let name = |layer: &FlatLayer| format!("{}, {}", layer.path, layer.layer);
    let layers = || network.layers().iter().map(name).collect();
    let mut search = Search::default();
    let found = search.step(cx, network, &loss.into(), inputs, targets)?;
    Ok(found.then(|| NonFinite { ranges: search.ranges, layers: layers() }))
}

#[derive(Default)]
struct Search {
    ranges: Vec<(Place, Range)>,
}

impl Search {
    /// Takes note of the range of a place; whether the search is over.
    fn ends_at(&mut self, place: Place, values: &[f32]) -> bool {
        let range = Range::of(values);
        self.ranges.push((place, range));
        !range.is_finite()
    }

    /// Whether some place is not finite.
    fn step(
        &mut self,
        cx: &Context,
        network: &Network,
        loss: &LossOptions,
        inputs: &[f32],
        targets: &[f32],
    ) -> Result<bool, Error> {
        let trace = trace(cx, network, inputs, Normalization::BatchStatistics)?;
        if self.ends_at(Place::Inputs, inputs) {
            return Ok(true);
        }
        for (layer, values) in trace.layers.iter().enumerate() {
            for (name, parameter) in parameters(network, layer, network.tensors()) {
                if self.ends_at(Place::Parameter { layer, name }, parameter) {
                    return Ok(true);
                }
            }
            if let Some(statistics) = &values.statistics {
                let both = [&statistics.mean[..], &statistics.variance].concat();
                if self.ends_at(Place::Statistics { layer }, &both) {
                    return Ok(true);
                }
            }
            if self.ends_at(Place::Output { layer }, &values.output) {
                return Ok(true);
            }
        }
        if self.ends_at(Place::Targets, targets) {
            return Ok(true);
        }
        let output = trace.output();
        let mut gradient = vec![0.0; output.len()];
        let outputs = output.len() / trace.batch;
        let value = loss.evaluate(cx, outputs, output, targets, Some(&mut gradient))?;
        if self.ends_at(Place::Loss, &[value]) {
            return Ok(true);
        }
        let gradients = trace.backward(cx, network, &gradient)?;
        for layer in (0..trace.layers.len()).rev() {
            if self.ends_at(Place::OutputGradient { layer }, &gradients.values[layer + 1]) {
                return Ok(true);
            }
            for (name, gradient) in parameters(network, layer, gradients.parameters()) {
                if self.ends_at(Place::ParameterGradient { layer, name }, gradient) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

/// Names and values of the tensors of one layer.
fn parameters<'a>(
    network: &Network,
    layer: usize,
    tensors: impl Iterator<Item = (&'a crate::TensorInfo, &'a [f32])>,
) -> impl Iterator<Item = (String, &'a [f32])> {
    let places = network.layout.layers[layer].parameters.clone();
    tensors
        .filter(move |(info, _)| places.contains(&info.range))
        .map(|(info, values)| (info.name.clone(), values))
}

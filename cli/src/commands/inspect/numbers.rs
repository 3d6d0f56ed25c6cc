//! What there is to see, as JSON.

use super::view::{Seen, View};
use loupe_model::Normalization;
use loupe_model::trace::Range;
use serde_json::{Value, json};

pub(super) fn all(view: &View<'_>) -> Value {
    let statistics = match view.trace.normalization {
        Normalization::BatchStatistics => "batch",
        Normalization::RunningStatistics => "running",
    };
    json!({
        "model": view.model,
        "picture": view.picked.name,
        "true_class": view.picked.label,
        "class": view.winner,
        "label": view.class(view.winner),
        "probabilities": view.scores,
        "statistics": view.network.has_batch_norm().then_some(statistics),
        "input": {
            "shape": view.network.spec().input,
            "range": Range::of(&view.trace.inputs),
            "values": view.trace.inputs,
        },
        "layers": view.layers().map(|seen| layer(view, &seen)).collect::<Vec<_>>(),
        "gradient": { "range": Range::of(&view.gradient), "values": view.gradient },
    })
}

fn layer(view: &View<'_>, seen: &Seen<'_>) -> Value {
    let prefix = format!("{}.", seen.path);
    let parameters = view.network.tensors().filter(|(info, _)| info.name.starts_with(&prefix));
    let parameters: Vec<Value> = parameters
        .map(|(info, values)| {
            json!({ "name": info.name, "shape": info.shape, "range": Range::of(values), "values": values })
        })
        .collect();
    let mut fields = json!({
        "layer": seen.path,
        "name": seen.layer.to_string(),
        "shape": seen.after.shape,
        "range": Range::of(&seen.after.output),
        "parameters": parameters,
        "values": seen.after.output,
    });
    if let Some(statistics) = &seen.after.statistics {
        fields["mean"] = json!(statistics.mean);
        fields["variance"] = json!(statistics.variance);
    }
    fields
}

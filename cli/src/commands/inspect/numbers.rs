//! What there is to see, as JSON.

use super::view::{Seen, View};
use loupe_model::trace::Range;
use serde_json::{Value, json};

pub(super) fn all(view: &View<'_>) -> Value {
    json!({
        "model": view.model,
        "picture": view.picked.name,
        "class": view.picked.label.map(|label| view.class(label)),
        "statistics": view.network.has_batch_norm().then(|| view.normalization.to_string()),
        "input": {
            "shape": view.network.spec().input,
            "range": Range::of(&view.trace.inputs),
            "values": view.trace.inputs,
        },
        "layers": view.layers().map(|seen| layer(view, &seen)).collect::<Vec<_>>(),
        "scores": (0..view.scores.len())
            .map(|class| json!({ "class": view.class(class), "score": view.scores[class] }))
            .collect::<Vec<_>>(),
        "winner": view.class(view.winner),
        "gradient": { "range": Range::of(&view.gradient), "values": view.gradient },
    })
}

fn layer(view: &View<'_>, seen: &Seen<'_>) -> Value {
    let prefix = format!("{}.", seen.index);
    let parameters = view.network.tensors().filter(|(info, _)| info.name.starts_with(&prefix));
    let parameters: Vec<Value> = parameters
        .map(|(info, values)| {
            json!({ "name": info.name, "shape": info.shape, "range": Range::of(values), "values": values })
        })
        .collect();
    let mut fields = json!({
        "layer": seen.index,
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

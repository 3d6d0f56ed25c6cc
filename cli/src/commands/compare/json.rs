//! A comparison as JSON.

use super::Comparison;
use super::claims::Claim;
use super::entrant::{Entrant, Epoch};
use crate::scores::ModeScore;
use loupe_model::{Normalization, Score};
use serde_json::{Map, Value, json};
use std::path::Path;

/// All numbers. Times are in seconds, memory in bytes, accuracies from 0 to 1.
pub(super) fn comparison(comparison: &Comparison<'_>, claims: &[Claim]) -> Value {
    let Comparison { recipe, folder, entrants, interrupted, environment } = comparison;
    let training = entrants[0].training();
    let networks = entrants.iter().zip(folder.runs());
    let claims: Vec<Value> = claims.iter().map(Claim::to_json).collect();
    json!({
        "folder": folder.path().display().to_string(),
        "interrupted": interrupted,
        "configuration": configuration(&recipe.to_toml()),
        "environment": environment,
        "training_items": training.data().len(),
        "steps_per_epoch": training.steps_per_epoch(),
        "networks": networks.map(|(entrant, run)| network(entrant, run.path())).collect::<Vec<_>>(),
        "claims": claims,
    })
}

/// The recipe, but for the network.
fn configuration(toml: &str) -> Option<Value> {
    let mut value: Value = toml::from_str(toml).ok()?;
    value.as_object_mut()?.remove("network");
    Some(value)
}

fn network(entrant: &Entrant<'_>, folder: &Path) -> Value {
    let (summary, memory, times) = (&entrant.summary, &entrant.memory, entrant.times());
    json!({
        "name": entrant.name(),
        "folder": folder.display().to_string(),
        "parameters": summary.parameters(),
        "statistics": summary.statistics(),
        "multiply_adds": summary.multiply_adds(),
        "training_flops": entrant.training_flops,
        "training_bytes": memory.total(),
        "training_memory": {
            "parameters": memory.parameters,
            "statistics": memory.statistics,
            "parameter_gradients": memory.parameter_gradients,
            "optimizer": memory.optimizer,
            "targets": memory.targets,
            "plan": memory.plan,
        },
        "inference_bytes": entrant.inference_bytes,
        "steps": entrant.step_count(),
        "seconds": times.map(|times| times.sum),
        "step_seconds": times.map(|times| json!({ "median": times.median, "mean": times.mean })),
        "images_per_second": entrant.speed(),
        "epochs": entrant.epochs.iter().map(epoch).collect::<Vec<_>>(),
        "scores": scores(&entrant.scores),
    })
}

fn epoch(epoch: &Epoch) -> Value {
    json!({
        "epoch": epoch.record.epoch,
        "seconds": epoch.seconds,
        "mean_loss": epoch.record.mean_loss,
        "lr": epoch.record.lr,
        "training_accuracy": epoch.record.training.ratio(),
        "scores": scores(&epoch.scores),
    })
}

/// By the name of the statistics; `score` without batch normalisation, null where it is not defined.
fn scores(scores: &[ModeScore]) -> Value {
    let field = |of: &ModeScore| {
        let name = match of.mode {
            Some(Normalization::BatchStatistics) => "batch_statistics",
            Some(Normalization::RunningStatistics) => "running_statistics",
            None => "score",
        };
        let value = of.score.as_ref().ok().map(|score| {
            let Score { correct, items } = *score;
            json!({ "correct": correct, "items": items, "accuracy": score.ratio() })
        });
        (name.to_owned(), value.into())
    };
    Value::Object(scores.iter().map(field).collect::<Map<_, _>>())
}

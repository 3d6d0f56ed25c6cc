//! Scores as JSON.

use super::Judgement;
use loupe_model::{ConfusionMatrix, Mistake, Normalization};
use serde_json::{Value, json};

/// One mode: its score, loss, classes and confusion matrix, and the `mistakes` most wrong items.
pub(crate) fn judgement_json(judgement: &Judgement, names: &[String], mistakes: usize) -> Value {
    let statistics = judgement.mode.map(|mode| match mode {
        Normalization::BatchStatistics => "batch",
        Normalization::RunningStatistics => "running",
    });
    let judged = match &judgement.result {
        Ok(judged) => judged,
        Err(reason) => return json!({ "statistics": statistics, "undefined": reason.to_string() }),
    };
    let matrix = judged.classification.confusion();
    let score = matrix.score();
    let classes: Vec<Value> =
        names.iter().enumerate().map(|(class, name)| class_json(&matrix, class, name)).collect();
    let mistakes: Vec<Value> =
        judged.classification.mistakes(mistakes).iter().map(|m| mistake_json(m, names)).collect();
    json!({
        "statistics": statistics,
        "correct": score.correct,
        "items": score.items,
        "accuracy": score.ratio(),
        "mean_loss": judged.mean_loss,
        "classes": classes,
        "mean_of_classes": matrix.averages(),
        "confusion": matrix.rows().collect::<Vec<_>>(),
        "mistakes": mistakes,
    })
}

fn class_json(matrix: &ConfusionMatrix, class: usize, name: &str) -> Value {
    json!({
        "class": class,
        "name": name,
        "items": matrix.items(class),
        "predictions": matrix.predictions(class),
        "precision": matrix.precision(class),
        "recall": matrix.recall(class),
        "f1": matrix.f1(class),
    })
}

fn mistake_json(mistake: &Mistake, names: &[String]) -> Value {
    json!({
        "item": mistake.item,
        "label": mistake.label,
        "label_name": names[mistake.label],
        "predicted": mistake.predicted,
        "predicted_name": names[mistake.predicted],
        "probability": mistake.probability,
        "label_probability": mistake.label_probability,
    })
}

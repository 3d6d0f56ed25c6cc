//! How well a network does, in text and JSON.

mod confusion;
mod json;
mod table;

pub(crate) use confusion::print_confusion;
pub(crate) use json::judgement_json;
pub(crate) use table::print_classes;

use crate::output::Output;
use crate::shell::Word;
use anyhow::Result;
use loupe_engine::Context;
use loupe_model::data::Dataset;
use loupe_model::{
    Classification, Layer, Loss, Network, Normalization, Score, SpecError, classify,
};
use std::path::Path;

/// Points (hundredths of the accuracy) between the two ways of normalising that are worth a hint.
const HINT: f64 = 0.5;

/// The score by one way of normalising.
#[derive(Clone, Debug)]
pub(crate) struct ModeScore {
    /// None for a network without batch normalisation.
    pub(crate) mode: Option<Normalization>,
    /// Or why batch statistics of single items are not defined.
    pub(crate) score: Result<Score, SpecError>,
}

/// All that is known of a network by one way of normalising.
pub(crate) struct Judgement {
    pub(crate) mode: Option<Normalization>,
    /// Or why batch statistics of single items are not defined.
    pub(crate) result: Result<Judged, SpecError>,
}

pub(crate) struct Judged {
    pub(crate) classification: Classification,
    pub(crate) mean_loss: f64,
}

impl Judgement {
    pub(crate) fn score(&self) -> ModeScore {
        let score = self.result.as_ref().map(|judged| judged.classification.score());
        ModeScore { mode: self.mode, score: score.map_err(SpecError::clone) }
    }
}

/// A way of normalising.
pub(crate) struct Mode {
    /// None for a network without batch normalisation, whose outputs do not depend on it.
    pub(crate) name: Option<Normalization>,
    /// Or why it cannot be done with single items.
    pub(crate) possible: Result<(), SpecError>,
}

impl Mode {
    /// What to normalise by.
    pub(crate) fn normalization(&self) -> Normalization {
        self.name.unwrap_or(Normalization::RunningStatistics)
    }
}

/// The ways of normalising in which a network is scored.
pub(crate) fn modes(network: &Network) -> Result<Vec<Mode>> {
    if !network.has_batch_norm() {
        return Ok(vec![Mode { name: None, possible: Ok(()) }]);
    }
    let single = match network.check_single() {
        Err(other) if !matches!(other, SpecError::OneValuePerChannel { .. }) => {
            return Err(other.into());
        }
        single => single,
    };
    Ok(vec![
        Mode { name: Some(Normalization::BatchStatistics), possible: single },
        Mode { name: Some(Normalization::RunningStatistics), possible: Ok(()) },
    ])
}

/// All that is known of a network on a data set by one way of normalising.
pub(crate) fn judge(
    cx: &Context,
    network: &Network,
    data: &Dataset,
    loss: Loss,
    mode: Mode,
) -> Result<Judgement> {
    let by = mode.normalization();
    let result = match mode.possible {
        Ok(()) => {
            let classification = classify(cx, network, data, by)?;
            let mean_loss = classification.mean_loss(cx, loss)?;
            Ok(Judged { classification, mean_loss })
        }
        Err(reason) => Err(reason),
    };
    Ok(Judgement { mode: mode.name, result })
}

/// Prints `<mode> <correct> <items> <correct / items>` for each mode.
pub(crate) fn print_scores(output: &mut Output, scores: &[ModeScore]) {
    for ModeScore { mode, score } in scores {
        let mode = mode.map_or("score".into(), |mode| mode.to_string());
        match score {
            Ok(score) => output.line(format_args!(
                "{mode:<19} {} {} {:.4}",
                score.correct,
                score.items,
                score.ratio()
            )),
            Err(reason) => output.line(format_args!("{mode:<19} not defined: {reason}")),
        }
    }
}

/// Points that running statistics lose against batch statistics, if both were scored.
pub(crate) fn lost_points(scores: &[ModeScore]) -> Option<f64> {
    let ratio = |wanted| {
        let of = scores.iter().find(|score| score.mode == Some(wanted))?;
        Some(of.score.as_ref().ok()?.ratio())
    };
    let batch = ratio(Normalization::BatchStatistics)?;
    Some((batch - ratio(Normalization::RunningStatistics)?) * 100.0)
}

/// One line for whoever wonders why the two ways of normalising score so differently, if they do. `batch_size` is
/// that of the training, if known; `run` is where the network is.
pub(crate) fn hint(scores: &[ModeScore], batch_size: Option<usize>, run: &Path) -> Option<String> {
    let lost = lost_points(scores)?;
    let run = Word(run);
    if lost > HINT {
        let why = match batch_size {
            Some(1) => {
                "training at batch size 1 normalised every image by itself, which averages over all \
                 images do not describe"
                    .to_owned()
            }
            Some(size) => {
                format!("averages over all images do not describe the batches of {size} in training")
            }
            None => "averages over all images do not describe what training normalised by".to_owned(),
        };
        Some(format!("running statistics lose {lost:.2} points: {why}; see `loupe doctor {run}`"))
    } else if lost < -HINT {
        let why = match batch_size {
            Some(1) => {
                "though training at batch size 1 went by them too, so more of it may turn this round"
            }
            _ => "here every image is a batch of its own, which it was not in training",
        };
        Some(format!("batch statistics lose {:.2} points: {why}; see `loupe doctor {run}`", -lost))
    } else {
        None
    }
}

/// The loss that fits what a network gives, and its name.
pub(crate) fn loss_of(network: &Network) -> (Loss, &'static str) {
    match network.spec().layers.last() {
        Some(Layer::Sigmoid(_)) => (Loss::Bce, "BCE"),
        _ => (Loss::CrossEntropy, "cross-entropy"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(batch: Result<usize, SpecError>, running: usize) -> Vec<ModeScore> {
        let score = |correct| Score { correct, items: 1000 };
        [
            (Normalization::BatchStatistics, batch.map(score)),
            (Normalization::RunningStatistics, Ok(score(running))),
        ]
        .map(|(mode, score)| ModeScore { mode: Some(mode), score })
        .to_vec()
    }

    #[test]
    fn a_hint_is_given_where_the_modes_differ() {
        let run = Path::new("runs/cnn-1");
        let text = hint(&scores(Ok(978), 958), Some(1), run).unwrap();
        assert!(text.starts_with("running statistics lose 2.00 points: training at batch size 1 "));
        assert!(text.ends_with("; see `loupe doctor runs/cnn-1`"), "{text}");
        assert!(hint(&scores(Ok(978), 958), Some(8), run).unwrap().contains("batches of 8"));
        let text = hint(&scores(Ok(900), 958), None, run).unwrap();
        assert!(text.starts_with("batch statistics lose 5.80 points: "), "{text}");
        let text = hint(&scores(Ok(900), 958), Some(1), run).unwrap();
        assert!(text.contains(": though training at batch size 1 went by them too"), "{text}");
        assert_eq!(hint(&scores(Ok(962), 958), Some(1), run), None);
        let reason =
            SpecError::OneValuePerChannel { path: "1".into(), layer: "BatchNorm2d(4)".into() };
        assert_eq!(hint(&scores(Err(reason), 10), Some(1), run), None);
        assert_eq!(hint(&scores(Ok(978), 958)[..1], Some(1), run), None);
    }
}

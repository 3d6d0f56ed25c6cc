//! What a run has come to: scores on the test items, printed, drawn and reported.

use super::session::Session;
use crate::draw::{self, Curve, Drawing, LossChart, confusion, loss_chart, mistakes};
use crate::output::{Output, Thousands};
use crate::recipe::Recipe;
use crate::report::{ClassRow, EpochRow, LayerRow, Report, ScoreRow, html};
use crate::run_folder::{CONFUSION, LOSS, MISTAKES, write};
use crate::scores::{Judged, Judgement, ModeScore, hint, judge, modes, print_scores};
use crate::training_data::Data;
use anyhow::Result;
use loupe_model::data::{Dataset, Grey};
use loupe_model::{EpochRecord, Network, Score, Summary};
use serde_json::Value;

/// Most wrong items that are drawn, and how many stand in a row.
const DRAWN_MISTAKES: [usize; 2] = [40, 10];
/// Pixels of a drawn item, about.
const ITEM_SIZE: usize = 56;

/// Scores the network on the test items, prints that, and writes pictures and report into the run's folder.
pub(super) fn write_all(
    session: &Session<'_>,
    name: &str,
    recipe: &Recipe,
    data: &Data,
    output: &mut Output,
) -> Result<()> {
    let training = session.training();
    let judgements = judgements(session, training.network(), &data.test)?;
    let scores: Vec<ModeScore> = judgements.iter().map(Judgement::score).collect();
    print_scores(output, &scores);
    let best = best_line(session, data)?;
    if let Some(line) = &best {
        output.note(format_args!("{line}"));
    }
    let batch_size = recipe.batch_size.get().min(data.training.len());
    let hint = hint(&scores, Some(batch_size), session.folder().path());
    // Initial weights tell nothing.
    let hint = hint.filter(|_| !training.history().losses().is_empty());
    if let Some(hint) = &hint {
        output.note(format_args!("{hint}"));
    }

    // The way of normalising that the run was judged by, or else the other.
    let shown = judgements.iter().filter(|of| of.result.is_ok());
    let shown = shown.max_by_key(|of| of.mode == Some(recipe.judged_by()));
    let shown = shown.and_then(|of| Some((of, of.result.as_ref().ok()?)));
    let loss = loss_picture(session, name, data.judge());
    let confusion = shown.map(|(of, judged)| confusion_picture(of, judged, &data.test));
    let mistakes = shown.and_then(|(of, judged)| mistakes_picture(of, judged, &data.test));
    let pictures =
        [(LOSS, Some(&loss)), (CONFUSION, confusion.as_ref()), (MISTAKES, mistakes.as_ref())];
    let pictures: Vec<(&str, &Drawing)> =
        pictures.into_iter().filter_map(|(file, drawing)| Some((file, drawing?))).collect();
    write_pictures(session, &pictures)?;

    let subtitle = subtitle(session, name, recipe, &data.training);
    let configuration = recipe.to_toml();
    let names = data.test.class_names();
    let report = Report {
        title: &session.folder().path().display().to_string(),
        steps: training.history().losses().len(),
        subtitle: &subtitle,
        scores: scores.iter().filter_map(score_row).collect(),
        numbers: numbers(session, shown.map(|(_, judged)| judged)),
        notes: best.into_iter().chain(hint).collect(),
        loss_chart: Some(&loss),
        epochs: epoch_rows(session, data.training.len()),
        confusion: confusion.as_ref(),
        classes: shown.map(|(_, judged)| class_rows(judged, names)).unwrap_or_default(),
        mistakes: mistakes.as_ref(),
        layers: layer_rows(training.network())?,
        configuration: Some(&configuration),
        environment: environment_rows(session),
    };
    write(&session.folder().report(), html(&report).as_bytes())
}

/// Writes each drawing as SVG and PNG; on threads of their own where the run has several, for painting takes a
/// tenth of a second.
fn write_pictures(session: &Session<'_>, pictures: &[(&str, &Drawing)]) -> Result<()> {
    let folder = session.folder().path();
    let write_picture = |&(file, drawing): &(&str, &Drawing)| {
        let path = folder.join(file);
        write(&path.with_extension("svg"), drawing.to_svg().as_bytes())?;
        write(&path.with_extension("png"), &drawing.to_rgb(1).to_png())
    };
    if session.training().trainer().context().threads().count() == 1 {
        return pictures.iter().try_for_each(write_picture);
    }
    std::thread::scope(|scope| {
        let spawn = |picture| scope.spawn(move || write_picture(picture));
        let written: Vec<_> = pictures.iter().map(spawn).collect();
        written.into_iter().try_for_each(|picture| picture.join().expect("painting does not panic"))
    })
}

/// The network by each way of normalising.
fn judgements(session: &Session<'_>, network: &Network, test: &Dataset) -> Result<Vec<Judgement>> {
    let trainer = session.training().trainer();
    let (cx, loss) = (trainer.context(), trainer.loss().function);
    modes(network)?.into_iter().map(|mode| judge(cx, network, test, loss, mode)).collect()
}

/// How the weights of the best epoch do, if there was one and they are not the last.
fn best_line(session: &Session<'_>, data: &Data) -> Result<Option<String>> {
    let training = session.training();
    let history = training.history();
    let Some(record) = history.best() else { return Ok(None) };
    let file = session.folder().best_weights();
    if history.epochs().last().is_some_and(|last| last.epoch == record.epoch) {
        return Ok(Some(format!(
            "the last epoch was the best: {} has the same weights",
            file.display()
        )));
    }
    let Some(best) = training.best() else { return Ok(None) };
    let scores = judgements(session, best, &data.test)?;
    let scores = scores.iter().map(|of| {
        let mode = of.mode.map_or("score".to_owned(), |mode| mode.to_string());
        let score = of.result.as_ref().map(|judged| judged.classification.score());
        score.map_or(format!("{mode} not defined"), |score| {
            format!("{mode} {} {} {:.4}", score.correct, score.items, score.ratio())
        })
    });
    let scores = scores.collect::<Vec<_>>().join(", ");
    Ok(Some(format!("best epoch {} ({}): {scores}", record.epoch, file.display())))
}

fn loss_picture(session: &Session<'_>, name: &str, judge: &str) -> Drawing {
    let training = session.training();
    let history = training.history();
    let steps = training.steps_per_epoch();
    let ends: Vec<usize> = (1..=history.epochs().len()).map(|epoch| epoch * steps).collect();
    let curve = |name: String, score: fn(&EpochRecord) -> Option<Score>| {
        let points = history.epochs().iter();
        let points = points.filter_map(|e| Some(((e.epoch * steps) as f64, score(e)?.ratio())));
        Curve { name, points: points.collect() }
    };
    let both = history.epochs().iter().any(|epoch| epoch.batch_statistics.is_some());
    let running = if both { format!("{judge} (running)") } else { judge.to_owned() };
    let accuracies = [
        curve("training".to_owned(), |epoch| Some(epoch.training)),
        curve(format!("{judge} (batch)"), |epoch| epoch.batch_statistics),
        curve(running, |epoch| epoch.running_statistics),
    ];
    let accuracies: Vec<Curve> =
        accuracies.into_iter().filter(|curve| !curve.points.is_empty()).collect();
    let title = format!("{name}: loss of every step");
    loss_chart(&LossChart {
        title: &title,
        losses: history.losses(),
        epoch_ends: &ends,
        accuracies: &accuracies,
    })
}

fn by(judgement: &Judgement) -> String {
    judgement.mode.map_or(String::new(), |mode| format!(", by {mode}"))
}

fn confusion_picture(judgement: &Judgement, judged: &Judged, test: &Dataset) -> Drawing {
    let matrix = judged.classification.confusion();
    let counts: Vec<Vec<u64>> = matrix.rows().map(<[u64]>::to_vec).collect();
    let title =
        format!("Test items: class (row) and what it was taken for (column){}", by(judgement));
    confusion(&counts, test.class_names(), &title)
}

/// None if nothing is wrong.
fn mistakes_picture(judgement: &Judgement, judged: &Judged, test: &Dataset) -> Option<Drawing> {
    let [count, columns] = DRAWN_MISTAKES;
    let items = judged.classification.mistakes(count);
    if items.is_empty() {
        return None;
    }
    let names = test.class_names();
    let item = |mistake: &loupe_model::Mistake| {
        let pixels = test.image(mistake.item).ok()?.to_vec();
        let picture = Grey::new(test.height(), test.width(), pixels).ok()?;
        Some(draw::Mistake {
            picture: draw::bytes(&picture),
            truth: names[mistake.label].clone(),
            predicted: names[mistake.predicted].clone(),
            score: mistake.probability,
        })
    };
    let items: Vec<draw::Mistake> = items.iter().filter_map(item).collect();
    let scale = (ITEM_SIZE / test.height().max(test.width())).max(1);
    let title = format!("The most wrong test items{}", by(judgement));
    Some(mistakes(&items, columns, scale, &title))
}

fn subtitle(session: &Session<'_>, name: &str, recipe: &Recipe, data: &Dataset) -> String {
    let training = session.training();
    format!(
        "{name}, {} parameters, trained with {} on {} items of {} in batches of {}: {}",
        Thousands(training.network().parameter_count()),
        recipe.loss.function,
        Thousands(data.len()),
        recipe.data.display(),
        recipe.batch_size,
        session.place(),
    )
}

fn score_row(score: &ModeScore) -> Option<ScoreRow<'static>> {
    let Score { correct, items } = *score.score.as_ref().ok()?;
    let mode = match score.mode {
        Some(loupe_model::Normalization::BatchStatistics) => "batch statistics",
        Some(loupe_model::Normalization::RunningStatistics) => "running statistics",
        None => "score",
    };
    Some(ScoreRow { mode, correct, items })
}

fn numbers(session: &Session<'_>, shown: Option<&Judged>) -> Vec<(&'static str, String)> {
    let epochs = session.training().history().epochs();
    let training = epochs.last().map(|epoch| ("training loss", format!("{:.4}", epoch.mean_loss)));
    let test = shown.map(|judged| ("test loss", format!("{:.4}", judged.mean_loss)));
    let time = ("training time", format!("{:.2} s", session.seconds()));
    let speed = session.speed().filter(|_| !epochs.is_empty());
    let speed = speed.map(|speed| ("images per second", Thousands(speed as usize).to_string()));
    training.into_iter().chain(test).chain([time]).chain(speed).collect()
}

fn epoch_rows(session: &Session<'_>, items: usize) -> Vec<EpochRow> {
    let epochs = session.training().history().epochs().iter();
    let row = |epoch: &EpochRecord| {
        let seconds = session.epoch_seconds(epoch.epoch);
        EpochRow {
            epoch: epoch.epoch,
            mean_loss: epoch.mean_loss,
            batch_accuracy: epoch.batch_statistics.map(Score::ratio),
            running_accuracy: epoch.running_statistics.map(Score::ratio),
            seconds,
            images_per_second: seconds.map(|seconds| items as f64 / seconds.max(1e-9)),
        }
    };
    epochs.map(row).collect()
}

fn class_rows<'a>(judged: &Judged, names: &'a [String]) -> Vec<ClassRow<'a>> {
    let matrix = judged.classification.confusion();
    let row = |(class, name): (usize, &'a String)| ClassRow {
        name,
        items: matrix.items(class),
        precision: matrix.precision(class),
        recall: matrix.recall(class),
        f1: matrix.f1(class),
    };
    names.iter().enumerate().map(row).collect()
}

fn layer_rows(network: &Network) -> Result<Vec<LayerRow>> {
    let layers = Summary::new(network.spec(), 1)?.layers.into_iter();
    let row = |layer: loupe_model::LayerSummary| LayerRow {
        name: layer.layer,
        output: format!("{:?}", layer.output),
        parameters: layer.parameters,
    };
    Ok(layers.map(row).collect())
}

/// What the run has noted of its environment; nothing if that cannot be read.
fn environment_rows(session: &Session<'_>) -> Vec<(&'static str, String)> {
    let text = std::fs::read(session.folder().environment()).unwrap_or_default();
    let environment: Value = serde_json::from_slice(&text).unwrap_or_default();
    let shown = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            items.iter().map(|item| item.as_str().unwrap_or_default()).collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    };
    let names = [
        "loupe",
        "started",
        "command",
        "seed",
        "cpu",
        "cores",
        "threads",
        "tier",
        "tiers",
        "system",
        "architecture",
    ];
    names.iter().filter_map(|name| Some((*name, shown(environment.get(name)?)))).collect()
}

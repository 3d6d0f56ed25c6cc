//! `loupe eval`

use crate::args::{self, CommonArguments, TrainedArguments};
use crate::data;
use crate::output::Output;
use crate::scores::{
    Judged, Judgement, ModeScore, hint, judge, judgement_json, loss_of, modes, print_classes,
    print_confusion, print_scores,
};
use crate::trained::Trained;
use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use loupe_model::data::Dataset;
use loupe_model::{Layer, Normalization};
use serde_json::{Value, json};

#[derive(Debug, Args)]
pub(crate) struct EvalArguments {
    #[command(flatten)]
    pub(crate) trained: TrainedArguments,

    /// Which items
    #[arg(long, value_enum, default_value_t = args::Split::Test)]
    pub(crate) split: args::Split,

    /// What batch normalisations normalise by: each image's own statistics, the running ones, or one after the other
    #[arg(long, value_enum, default_value_t = Statistics::Both)]
    pub(crate) statistics: Statistics,

    /// List the items that are most surely put into a wrong class
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) mistakes: usize,

    /// Write JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) common: CommonArguments,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Statistics {
    Batch,
    Running,
    Both,
}

impl Statistics {
    fn include(self, mode: Option<Normalization>) -> bool {
        match mode {
            Some(Normalization::BatchStatistics) => self != Statistics::Running,
            Some(Normalization::RunningStatistics) => self != Statistics::Batch,
            None => true,
        }
    }
}

pub(crate) fn run(arguments: &EvalArguments, mut output: Output) -> Result<()> {
    let cx = data::context(&arguments.common.threads)?;
    let trained = arguments.trained.open()?;
    let folder = arguments.common.data(trained.recipe.as_ref());
    let data = data::open(folder, arguments.split.into(), trained.network.spec())?;
    let (loss, loss_name) = loss_of(&trained.network);
    let mut judgements = Vec::new();
    for mode in modes(&trained.network)? {
        if !arguments.statistics.include(mode.name) {
            continue;
        }
        judgements.push(judge(&cx, &trained.network, &data, loss, mode)?);
    }
    let scores: Vec<ModeScore> = judgements.iter().map(Judgement::score).collect();
    if let [ModeScore { mode: Some(mode), score: Err(reason) }] = &scores[..] {
        bail!("{}: {mode}: no score: {reason}", arguments.trained.run.display());
    }
    let batch_size = trained.recipe.as_ref().map(|recipe| recipe.batch_size.get());
    let hint = hint(&scores, batch_size, &arguments.trained.run);
    let names = trained.class_names(&data);
    if arguments.json {
        let modes = judgements.iter().map(|of| judgement_json(of, names, arguments.mistakes));
        let report = json!({
            "model": trained.name,
            "data": folder.to_string_lossy(),
            "split": arguments.split.to_string(),
            "class_names": names,
            "loss": loss_name,
            "scores": modes.collect::<Vec<Value>>(),
            "hint": hint,
        });
        output.line(format_args!("{report:#}"));
        return output.finish();
    }
    print_scores(&mut output, &scores);
    if !output.quiet() {
        output.line(format_args!(""));
        print_classes(&mut output, &judgements, names, loss_name);
        if let Some((best, judged)) = best(&judgements) {
            let matrix = judged.classification.confusion();
            print_confusion(&mut output, &matrix, names, &by(best));
        }
    }
    if arguments.mistakes > 0 {
        for judgement in &judgements {
            print_mistakes(&mut output, judgement, names, arguments.mistakes, &trained, &data);
        }
    }
    if let Some(hint) = hint {
        output.note(format_args!("\n{hint}"));
    }
    output.finish()
}

/// The mode in which most items are right, the first of equals.
fn best(judgements: &[Judgement]) -> Option<(&Judgement, &Judged)> {
    let defined = judgements.iter().filter_map(|of| Some((of, of.result.as_ref().ok()?)));
    defined.rev().max_by_key(|(_, judged)| judged.classification.score().correct)
}

/// How the heading of a list says by which statistics.
fn by(judgement: &Judgement) -> String {
    judgement.mode.map_or(String::new(), |mode| format!(", by {mode}"))
}

fn print_mistakes(
    output: &mut Output,
    judgement: &Judgement,
    names: &[String],
    wanted: usize,
    trained: &Trained,
    data: &Dataset,
) {
    let Ok(judged) = &judgement.result else { return };
    let score = judged.classification.score();
    let wrong = score.items - score.correct;
    let mistakes = judged.classification.mistakes(wanted);
    let by = by(judgement);
    output.line(format_args!("\nthe {} most wrong of {wrong} wrong items{by}", mistakes.len()));
    if mistakes.is_empty() {
        return;
    }
    let what = match trained.network.spec().layers.last() {
        Some(Layer::Sigmoid(_)) => "score",
        _ => "probability",
    };
    let place = data.len().to_string().len().max(4);
    let pairs = mistakes.iter().map(|m| format!("{} → {}", names[m.label], names[m.predicted]));
    let pairs: Vec<String> = pairs.collect();
    let wide = pairs.iter().map(|pair| pair.chars().count()).chain([15]).max().unwrap_or(0);
    let head = "true → taken as";
    output.line(format_args!("{:>place$}  {head:wide$}  {what:>11}  of the true class", "item"));
    for (mistake, pair) in mistakes.iter().zip(pairs) {
        let numbers = [mistake.probability, mistake.label_probability];
        let [probability, own] = numbers.map(|number| format!("{number:.4}"));
        output.line(format_args!(
            "{:>place$}  {pair:wide$}  {probability:>11}  {own:>17}",
            mistake.item
        ));
    }
}

//! `loupe predict`

use crate::args::{ThreadArguments, TrainedArguments};
use crate::data;
use crate::draw;
use crate::inputs::{Input, Preparation};
use crate::output::Output;
use crate::recipe::{Statistics, at_least_one};
use anyhow::{Result, bail};
use clap::Args;
use loupe_engine::Context;
use loupe_model::{Error, Layer, Network, Normalization, Plan, SpecError, probabilities};
use serde::Serialize;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// Columns of a picture in the terminal.
const WIDTH: usize = 80;

#[derive(Debug, Args)]
pub(crate) struct PredictArguments {
    #[command(flatten)]
    pub(crate) trained: TrainedArguments,

    /// Pictures (PNG, JPEG, PGM, PPM, PBM) and IDX files of images, plain or .gz; - is standard input
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,

    /// Only resize pictures; do not find the ink, invert it and centre it as in MNIST
    #[arg(long)]
    pub(crate) raw: bool,

    /// What batch normalisations normalise by: the statistics of the image itself or the running ones
    /// [default: batch, where an image has more than one value per channel]
    #[arg(long, value_enum)]
    pub(crate) statistics: Option<Statistics>,

    /// List so many classes of each image
    #[arg(long, value_name = "N", default_value = "3", value_parser = at_least_one)]
    pub(crate) top: NonZeroUsize,

    /// The first image to take from an IDX file, counted from 0 [default: all images]
    #[arg(long, value_name = "I")]
    pub(crate) index: Option<usize>,

    /// Take at most so many images of an IDX file [default: 1 with --index]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(crate) count: Option<NonZeroUsize>,

    /// Print JSON: a list with an object for each image
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) threads: ThreadArguments,
}

pub(crate) fn run(arguments: &PredictArguments, mut output: Output) -> Result<()> {
    let cx = data::context(&arguments.threads)?;
    let trained = arguments.trained.open()?;
    let network = &trained.network;
    let Some(size) = data::picture_size(network.spec()) else {
        bail!(
            "{}: the network takes inputs of {:?}; expected [1, height, width], which a picture is",
            arguments.trained.run.display(),
            network.spec().input
        );
    };
    let inputs = inputs(arguments, size)?;
    let (normalization, why) =
        normalization(&cx, network, arguments.statistics.map(Into::into).or(trained.statistics()))?;
    let mut predictor = Predictor { cx, plan: Plan::new(network, 1)?, network, normalization };
    let classes = network.spec().output_len()?;
    let names = trained.classes.clone();
    let names = names.unwrap_or_else(|| (0..classes).map(|class| class.to_string()).collect());
    let predictions = inputs.iter().map(|input| predictor.predict(input, &names));
    let predictions: Vec<Prediction<'_>> = predictions.collect::<Result<_>>()?;
    if arguments.json {
        print_json(&mut output, &predictions)?;
        return output.finish();
    }
    let by = if network.has_batch_norm() { format!(" by {normalization}") } else { String::new() };
    let [what, meaning] = what(network);
    output.note(format_args!("{}: {what}{by}, {meaning}", arguments.trained.run.display()));
    if let Some(why) = why {
        output.note(format_args!("not by batch statistics: {why}"));
    }
    for input in &inputs {
        output.detail(format_args!("{}: {}", input.shown(), input.done));
    }
    if let [input] = &inputs[..] {
        let picture = draw::terminal(&draw::bytes(&input.picture), WIDTH, draw::colour());
        output.note(format_args!("{}", picture.trim_end_matches('\n')));
    }
    print_text(&mut output, &inputs, &predictions, &names, arguments.top.get());
    output.finish()
}

/// All images of all files, so that a bad file is found out before anything is printed.
fn inputs(arguments: &PredictArguments, size: [usize; 2]) -> Result<Vec<Input>> {
    let PredictArguments { files, raw, index, count, .. } = arguments;
    if files.iter().filter(|file| *file == Path::new("-")).count() > 1 {
        bail!("standard input (-) is named twice, but can be read only once");
    }
    let preparation =
        Preparation { size, raw: *raw, index: *index, count: count.map(NonZeroUsize::get) };
    let mut inputs = Vec::new();
    for file in files {
        inputs.extend(preparation.read(file)?);
    }
    Ok(inputs)
}

/// The way of normalising, and why not by batch statistics if they would be the default.
fn normalization(
    cx: &Context,
    network: &Network,
    asked: Option<Normalization>,
) -> Result<(Normalization, Option<String>)> {
    match asked {
        Some(normalization) => return Ok((normalization, None)),
        None if !network.has_batch_norm() => return Ok((Normalization::RunningStatistics, None)),
        None => {}
    }
    match Plan::new(network, 1)?.infer(cx, network, Normalization::BatchStatistics) {
        Ok(_) => Ok((Normalization::BatchStatistics, None)),
        Err(Error::Spec(why @ SpecError::OneValuePerChannel { .. })) => {
            Ok((Normalization::RunningStatistics, Some(why.to_string())))
        }
        Err(error) => Err(error.into()),
    }
}

/// What the numbers are.
fn what(network: &Network) -> [&'static str; 2] {
    match network.spec().layers.last() {
        Some(Layer::Sigmoid(_)) => ["scores", "each class by itself from 0 to 1"],
        _ => ["probabilities", "which sum to 1"],
    }
}

struct Predictor<'a> {
    cx: Context,
    plan: Plan,
    network: &'a Network,
    normalization: Normalization,
}

/// What the network says of an image.
#[derive(Debug, Serialize)]
struct Prediction<'a> {
    file: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
    class: usize,
    label: &'a str,
    /// Scores, if the network ends with a `Sigmoid`.
    probabilities: Vec<f32>,
    /// None for a network that does not depend on them.
    #[serde(skip_serializing_if = "Option::is_none")]
    statistics: Option<&'static str>,
}

impl Predictor<'_> {
    fn predict<'a>(&mut self, input: &'a Input, names: &'a [String]) -> Result<Prediction<'a>> {
        for (x, &byte) in self.plan.input_mut().iter_mut().zip(input.picture.pixels()) {
            *x = f32::from(byte) / 255.0;
        }
        let outputs = self.plan.infer(&self.cx, self.network, self.normalization)?;
        let mut row = outputs.to_vec();
        if let Some(value) = row.iter().find(|value| !value.is_finite()) {
            bail!("{}: the network gives {value}; expected finite numbers", input.shown());
        }
        probabilities(self.network.spec(), &mut row);
        let class = ranked(&row)[0];
        let statistics = match self.normalization {
            Normalization::BatchStatistics => "batch",
            Normalization::RunningStatistics => "running",
        };
        Ok(Prediction {
            file: &input.file,
            index: input.index,
            class,
            label: &names[class],
            probabilities: row,
            statistics: self.network.has_batch_norm().then_some(statistics),
        })
    }
}

/// The classes by falling probability, the first of equals first, those that are not numbers last.
fn ranked(row: &[f32]) -> Vec<usize> {
    let mut classes: Vec<usize> = (0..row.len()).collect();
    let key = |class: usize| if row[class].is_nan() { f32::NEG_INFINITY } else { row[class] };
    classes.sort_by(|&a, &b| key(b).total_cmp(&key(a)));
    classes
}

/// A list with an image a line.
fn print_json(output: &mut Output, predictions: &[Prediction<'_>]) -> Result<()> {
    let lines: Vec<String> =
        predictions.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
    output.line(format_args!("[\n{}\n]", lines.join(",\n")));
    Ok(())
}

fn print_text(
    output: &mut Output,
    inputs: &[Input],
    predictions: &[Prediction<'_>],
    names: &[String],
    top: usize,
) {
    let widest = |texts: &mut dyn Iterator<Item = &str>| {
        texts.map(|text| text.chars().count()).max().unwrap_or(0)
    };
    let shown: Vec<String> = inputs.iter().map(Input::shown).collect();
    let file_width = widest(&mut shown.iter().map(String::as_str));
    let name_width = widest(&mut names.iter().map(String::as_str));
    for (shown, Prediction { probabilities, .. }) in shown.iter().zip(predictions) {
        let of =
            |class: usize| format!("{:<name_width$} {:.4}", names[class], probabilities[class]);
        let classes: Vec<String> = ranked(probabilities).into_iter().take(top).map(of).collect();
        output.line(format_args!("{shown:<file_width$}  {}", classes.join("   ")));
    }
}

#[cfg(test)]
mod tests {
    use super::ranked;

    #[test]
    fn classes_by_rank() {
        assert_eq!(ranked(&[0.1, 0.7, 0.2]), [1, 2, 0]);
        assert_eq!(ranked(&[0.5, 0.5, 0.9]), [2, 0, 1]);
        assert_eq!(ranked(&[f32::NAN, 0.5, 0.9]), [2, 1, 0]);
    }
}

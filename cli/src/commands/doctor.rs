//! `loupe doctor`

use crate::args::{CommonArguments, TrainedArguments};
use crate::data;
use crate::new_file::{NewFile, expect_ending, write_new};
use crate::output::{Output, Thousands};
use crate::recipe::at_least_one;
use crate::scores::{ModeScore, print_scores};
use crate::shell::Word;
use crate::trained::Trained;
use anyhow::{Result, bail};
use clap::Args;
use loupe_engine::Context;
use loupe_model::data::{Dataset, Order, Split};
use loupe_model::{
    Normalization, NormalizationReport, Reestimate, ReestimateOptions, compare_normalization,
    reestimate_running_statistics,
};
use serde_json::{Value, json};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// Batch sizes whose statistics are compared with the running ones.
const BATCH_SIZES: [usize; 3] = [1, 16, 64];

/// Running means that are off by more than this many standard deviations are called rough.
const ROUGH: f64 = 0.05;

#[derive(Debug, Args)]
pub(crate) struct DoctorArguments {
    #[command(flatten)]
    pub(crate) trained: TrainedArguments,

    /// Average the running statistics anew over the training images, and score again
    #[arg(long)]
    pub(crate) reestimate: bool,

    /// Images of a batch whose statistics are averaged
    #[arg(long, value_name = "N", default_value = "64", value_parser = at_least_one, requires = "reestimate")]
    pub(crate) batch_size: NonZeroUsize,

    /// Write the weights with the new running statistics to this file [default: write nothing]
    #[arg(long, value_name = "FILE", requires = "reestimate")]
    pub(crate) out: Option<PathBuf>,

    /// Replace the file if there is one
    #[arg(long, requires = "out")]
    pub(crate) force: bool,

    /// Write JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) common: CommonArguments,
}

/// Running statistics averaged anew, and what they did to the score.
struct Mended {
    reestimate: Reestimate,
    batch_size: usize,
    report: NormalizationReport,
    written: Option<PathBuf>,
}

pub(crate) fn run(arguments: &DoctorArguments, mut output: Output) -> Result<()> {
    let cx = data::context(&arguments.common.threads)?;
    let mut trained = arguments.trained.open()?;
    let file =
        arguments.out.as_ref().map(|out| NewFile { out: out.clone(), force: arguments.force });
    if let Some(file) = &file {
        expect_ending(&file.out, "safetensors")?;
        file.check()?;
    }
    if file.is_some() && !trained.network.has_batch_norm() {
        bail!(
            "{}: the network has no batch normalisation, so there is nothing to write",
            arguments.trained.run.display()
        );
    }
    let folder = arguments.common.data(trained.recipe.as_ref()).to_owned();
    let test = data::open(&folder, Split::Test, trained.network.spec())?;
    let report = compare_normalization(&cx, &trained.network, &test, &BATCH_SIZES)?;
    let mended = match arguments.reestimate && !report.layers.is_empty() {
        true => {
            let training = data::open(&folder, Split::Train, trained.network.spec())?;
            Some(mend(&cx, &mut trained, arguments.batch_size, file.as_ref(), [&training, &test])?)
        }
        false => None,
    };
    if arguments.json {
        let report = json!({
            "model": trained.name,
            "before": report_json(&report),
            "reestimated": mended.as_ref().map(mended_json),
        });
        output.line(format_args!("{report:#}"));
        return output.finish();
    }
    print_scores(&mut output, &mode_scores(&report));
    if report.layers.is_empty() {
        output.line(format_args!(
            "\nThe network has no batch normalisation: there is one way to score it, and nothing to mend."
        ));
        return output.finish();
    }
    output.line(format_args!("\n{}", diagnosis(&report)));
    print_spreads(&mut output, &report);
    if let Some(rough) = roughness(&report) {
        output.line(format_args!("{rough}"));
    }
    output.line(format_args!("\n{}", advice(&report, &arguments.trained.run, mended.is_some())));
    if let Some(mended) = &mended {
        print_mended(&mut output, mended, &report);
    }
    output.finish()
}

/// Averages the running statistics over the first of the sets and scores the second.
fn mend(
    cx: &Context,
    trained: &mut Trained,
    batch_size: NonZeroUsize,
    file: Option<&NewFile>,
    [training, test]: [&Dataset; 2],
) -> Result<Mended> {
    let order = Order::Shuffled { seed: 0 };
    let options = ReestimateOptions { batch_size, batches: None, order };
    let network = &mut trained.network;
    let reestimate = reestimate_running_statistics(cx, network, training, &options)?;
    let report = compare_normalization(cx, network, test, &BATCH_SIZES)?;
    if let Some(file) = file {
        write_new(file, &network.described_weights(trained.classes.as_deref()))?;
    }
    let batch_size = batch_size.get().min(training.len());
    Ok(Mended { reestimate, batch_size, report, written: file.map(|file| file.out.clone()) })
}

fn mode_scores(report: &NormalizationReport) -> Vec<ModeScore> {
    if report.layers.is_empty() {
        return vec![ModeScore { mode: None, score: Ok(report.running) }];
    }
    vec![
        ModeScore { mode: Some(Normalization::BatchStatistics), score: report.batch.clone() },
        ModeScore { mode: Some(Normalization::RunningStatistics), score: Ok(report.running) },
    ]
}

/// What is the matter, in words.
fn diagnosis(report: &NormalizationReport) -> String {
    let Some(lost) = report.lost_points() else {
        return "A single image brings one value per channel to a batch normalisation, so it has no variance of \
                its own:\nonly running statistics can score single images."
            .to_owned();
    };
    if lost > 0.0 && report.recommended() == Normalization::BatchStatistics {
        format!(
            "Running statistics lose {lost:.2} points.\n\
             By batch statistics every image is normalised by its own mean and variance, which is instance\n\
             normalisation. Training at batch size 1 does the same, so the network has learnt with it. The running\n\
             statistics are averages over all images; where single images lie far from them, the layers behind\n\
             get values of another size than they have learnt with."
        )
    } else if lost < -0.5 {
        format!(
            "Batch statistics lose {:.2} points.\n\
             By batch statistics every image is normalised by its own mean and variance. In training whole batches\n\
             were, whose statistics are near the running ones; those of a single image are not.",
            -lost
        )
    } else {
        format!("The two ways differ by {:.2} points: either will do.", lost.abs())
    }
}

fn print_spreads(output: &mut Output, report: &NormalizationReport) {
    let spreads = report.layers.iter().flat_map(|layer| &layer.spreads);
    if spreads.clone().next().is_none() {
        return;
    }
    let width =
        report.layers.iter().map(|layer| layer.layer.chars().count()).max().unwrap_or(0) + 4;
    output.line(format_args!(
        "\nHow far the statistics of batches of test images lie from the running ones:\n"
    ));
    output.line(format_args!(
        "{:width$}  {:>8}  {:>13}  {:>23}",
        "", "", "distance", "variance / running one"
    ));
    output.line(format_args!(
        "{:width$}  {:>8}  {:>13}  {:>7} {:>7} {:>7}",
        "layer", "batch of", "of means", "5 %", "median", "95 %"
    ));
    for layer in &report.layers {
        let mut name = format!("{:>2}  {}", layer.path, layer.layer);
        for spread in &layer.spreads {
            let [low, median, high] = spread.variance_ratio;
            output.line(format_args!(
                "{name:width$}  {:>8}  {:>13.2}  {low:>7.2} {median:>7.2} {high:>7.2}",
                spread.batch_size, spread.mean_distance
            ));
            name.clear();
        }
    }
    output.line(format_args!(
        "\nThe distance is the root mean square of (batch mean − running mean) / √(running variance)."
    ));
}

/// What is wrong with the running statistics themselves, if they are far from the averages over large batches.
fn roughness(report: &NormalizationReport) -> Option<String> {
    let largest = report.layers.iter().filter_map(|layer| Some((layer, layer.spreads.last()?)));
    let off = |ratio: f64| ratio.ln().abs();
    let (layer, spread) = largest.max_by(|(_, a), (_, b)| {
        off(a.average_variance_ratio).total_cmp(&off(b.average_variance_ratio))
    })?;
    let (distance, ratio) = (spread.average_mean_distance, spread.average_variance_ratio);
    (distance > ROUGH || off(ratio) > 2.0 * ROUGH).then(|| {
        format!(
            "The running statistics of layer {} are rough themselves: averages over these batches lie {distance:.2}\n\
             from the running means, and are {ratio:.2} times the running variances. With PyTorch's momentum of 0.1\n\
             they remember little more than the last 10 batches of the training.",
            layer.path
        )
    })
}

/// What can be done.
fn advice(report: &NormalizationReport, run: &Path, is_mended: bool) -> String {
    let run = Word(run);
    let mut lines = vec!["What to do:".to_owned()];
    match report.recommended() {
        Normalization::BatchStatistics => {
            lines.push(format!(
                "- Score images one by one by batch statistics, as the tutorial does:\n  \
                 loupe eval {run} --statistics batch"
            ));
            lines.push(
                "- Or train with batches of 16 or more, whose statistics the running ones describe:\n  \
                 loupe train --batch-size 16 --shuffle"
                    .to_owned(),
            );
        }
        Normalization::RunningStatistics => lines.push(format!(
            "- Score by running statistics, as PyTorch does after eval():\n  \
             loupe eval {run} --statistics running"
        )),
    }
    let could_help =
        report.recommended() == Normalization::BatchStatistics || roughness(report).is_some();
    if could_help && !is_mended {
        lines.push(format!(
            "- See what running statistics averaged anew over the training images would give:\n  \
             loupe doctor {run} --reestimate"
        ));
    }
    lines.join("\n")
}

fn print_mended(output: &mut Output, mended: &Mended, before: &NormalizationReport) {
    let Mended { reestimate, batch_size, report, written } = mended;
    output.line(format_args!(
        "\nRunning statistics averaged over {} {} of {batch_size} ({} training images):\n",
        Thousands(reestimate.batches),
        if reestimate.batches == 1 { "batch" } else { "batches" },
        Thousands(reestimate.items)
    ));
    for (what, score) in [("before", before.running), ("after", report.running)] {
        let (correct, items) = (score.correct, score.items);
        let ratio = score.ratio();
        output.line(format_args!("running statistics  {correct} {items} {ratio:.4}  {what}"));
    }
    let points = (report.running.ratio() - before.running.ratio()) * 100.0;
    let verdict = match points {
        gained if gained > 0.05 => format!("They gain {gained:.2} points."),
        lost if lost < -0.05 => format!("They lose {:.2} points: keep the old ones.", -lost),
        _ => "They change nothing that matters.".to_owned(),
    };
    output.line(format_args!("\n{verdict}"));
    match written {
        Some(path) => output.note(format_args!("wrote {}", path.display())),
        None => output
            .note(format_args!("nothing was written; --out FILE writes the weights with them")),
    }
}

fn report_json(report: &NormalizationReport) -> Value {
    let score = |score: &loupe_model::Score| json!({ "correct": score.correct, "items": score.items, "accuracy": score.ratio() });
    let recommended = match (report.layers.is_empty(), report.recommended()) {
        (true, _) => None,
        (false, Normalization::BatchStatistics) => Some("batch"),
        (false, Normalization::RunningStatistics) => Some("running"),
    };
    json!({
        "batch": report.batch.as_ref().ok().map(score),
        "batch_undefined": report.batch.as_ref().err().map(ToString::to_string),
        "running": score(&report.running),
        "lost_points": report.lost_points(),
        "recommended": recommended,
        "layers": report.layers,
    })
}

fn mended_json(mended: &Mended) -> Value {
    json!({
        "batch_size": mended.batch_size,
        "batches": mended.reestimate.batches,
        "items": mended.reestimate.items,
        "after": report_json(&mended.report),
        "written": mended.written.as_ref().map(|path| path.to_string_lossy()),
    })
}

//! `loupe summary`

use crate::model::Model;
use crate::output::{Output, Thousands};
use crate::recipe::at_least_one;
use crate::trained::spec_of;
use anyhow::{Context, Result};
use clap::Args;
use loupe_model::{LayerSummary, Summary};
use serde_json::{Value, json};
use std::num::NonZeroUsize;

#[derive(Debug, Args)]
pub(crate) struct SummaryArguments {
    /// cnn, mlp, a network file (.toml or .json), a folder that `train` has written, or a file that `export` has
    /// written
    #[arg(value_name = "NETWORK|RUN", default_value = "cnn")]
    pub(crate) network: String,

    /// Inputs of a batch
    #[arg(long, value_name = "N", default_value = "1", value_parser = at_least_one)]
    pub(crate) batch_size: NonZeroUsize,

    /// Write JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(arguments: &SummaryArguments, mut output: Output) -> Result<()> {
    let Model { name, spec } = spec_of(&arguments.network)?;
    let batch = arguments.batch_size.get();
    let summary = Summary::new(&spec, batch)?;
    let training_flops = spec.training_flops()?.saturating_mul(batch as u64);
    if arguments.json {
        let mut report = serde_json::to_value(&summary).context("cannot write JSON")?;
        report["model"] = name.into();
        report["totals"] = totals(&summary, training_flops);
        output.line(format_args!("{report:#}"));
    } else {
        print(&mut output, &name, &summary, training_flops);
    }
    output.finish()
}

fn totals(summary: &Summary, training_flops: u64) -> Value {
    json!({
        "parameters": summary.parameters(),
        "statistics": summary.statistics(),
        "multiply_adds": summary.multiply_adds(),
        "forward_flops": summary.multiply_adds().saturating_mul(2),
        "training_flops": training_flops,
        "input_bytes": summary.input_bytes(),
        "output_bytes": summary.output_bytes(),
        "parameter_bytes": parameter_bytes(summary),
    })
}

/// Bytes of parameters and running statistics.
fn parameter_bytes(summary: &Summary) -> u64 {
    let numbers = summary.parameters() as u64 + summary.statistics() as u64;
    numbers.saturating_mul(size_of::<f32>() as u64)
}

fn print(output: &mut Output, name: &str, summary: &Summary, training_flops: u64) {
    let batch = summary.batch_size;
    output.note(format_args!("{name}, batch size {}\n", Thousands(batch)));
    let shape = |shape: &[usize]| {
        let axes = std::iter::once(batch).chain(shape.iter().copied());
        format!("[{}]", axes.map(|axis| axis.to_string()).collect::<Vec<_>>().join(", "))
    };
    let mut rows = vec![
        ["", "layer", "output", "parameters", "multiply-adds", "bytes"].map(String::from),
        [
            "".into(),
            "input".into(),
            shape(&summary.input),
            "".into(),
            "".into(),
            count(summary.input_bytes()),
        ],
    ];
    for layer in blocks_first(&summary.layers) {
        let LayerSummary { path, layer, output, parameters, multiply_adds, output_bytes, .. } =
            layer;
        let (parameters, bytes) = (count(*parameters as u64), count(*output_bytes));
        let depth = path.matches('.').count();
        rows.push([
            path.clone(),
            format!("{:depth$}{layer}", ""),
            shape(output),
            parameters,
            count(*multiply_adds),
            bytes,
        ]);
    }
    rows.push([
        "".into(),
        "all layers".into(),
        "".into(),
        count(summary.parameters() as u64),
        count(summary.multiply_adds()),
        count(summary.output_bytes()),
    ]);
    let widths: [usize; 6] = std::array::from_fn(|column| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)
    });
    let line = |[index, layer, shape, numbers @ ..]: &[String; 6]| {
        let [index_width, layer_width, shape_width, ..] = widths;
        let mut line = format!("{index:<index_width$} {layer:layer_width$}  {shape:shape_width$}");
        for (number, width) in numbers.iter().zip(&widths[3..]) {
            line += &format!("  {number:>width$}");
        }
        line.trim_end().to_owned()
    };
    let rule = "─".repeat(widths.iter().sum::<usize>() + 9);
    for (i, row) in rows.iter().enumerate() {
        if i + 1 == rows.len() {
            output.line(format_args!("{rule}"));
        }
        output.line(format_args!("{}", line(row)));
        if i == 0 {
            output.line(format_args!("{rule}"));
        }
    }
    let forward = summary.multiply_adds().saturating_mul(2);
    output.line(format_args!(""));
    for (what, number, unit) in [
        ("trainable parameters", summary.parameters() as u64, ""),
        ("running statistics", summary.statistics() as u64, ""),
        ("floating-point operations, forward", forward, ""),
        ("floating-point operations, training", training_flops, ""),
        ("memory of the input", summary.input_bytes(), " bytes"),
        ("memory of all outputs", summary.output_bytes(), " bytes"),
        ("memory of parameters and statistics", parameter_bytes(summary), " bytes"),
    ] {
        let number = Thousands(number as usize).to_string();
        output.line(format_args!("{what:<36} {number:>16}{unit}"));
    }
}

/// The layers with each block in front of the layers that it holds; its sum is computed behind them.
fn blocks_first(layers: &[LayerSummary]) -> Vec<&LayerSummary> {
    // A block's path is the beginning of theirs, and `layers` comes before `shortcut` in the alphabet.
    let place = |layer: &LayerSummary| -> Vec<(usize, String)> {
        let parts = layer.path.split('.');
        parts.map(|part| (part.parse().unwrap_or(0), part.to_owned())).collect()
    };
    let mut layers: Vec<&LayerSummary> = layers.iter().collect();
    layers.sort_by_cached_key(|layer| place(layer));
    layers
}

/// A number with commas; nothing for 0.
fn count(number: u64) -> String {
    if number == 0 { String::new() } else { Thousands(number as usize).to_string() }
}

//! `loupe explain`

use crate::args::ThreadArguments;
use crate::data;
use crate::machine::Machine;
use crate::model::Model;
use crate::output::{Output, Thousands};
use crate::recipe::at_least_one;
use anyhow::{Context as _, Result};
use clap::Args;
use loupe_model::{
    ExplainOptions, Explanation, Layer, Loss, Memory, Network, Operation, OptimizerOptions, explain,
};
use serde_json::Value;
use std::num::NonZeroUsize;
use std::time::Duration;

/// Characters of a line, where that can be chosen.
const WIDTH: usize = 100;

#[derive(Debug, Args)]
pub(crate) struct ExplainArguments {
    /// cnn, mlp, or a network file (.toml or .json)
    #[arg(long, value_name = "NAME|FILE", default_value = "cnn")]
    pub(crate) model: String,

    /// Inputs of a step
    #[arg(long, value_name = "N", default_value = "1", value_parser = at_least_one)]
    pub(crate) batch_size: NonZeroUsize,

    /// Write JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) threads: ThreadArguments,
}

pub(crate) fn run(arguments: &ExplainArguments, mut output: Output) -> Result<()> {
    let cx = data::context(&arguments.threads)?;
    let model = Model::named(&arguments.model)?;
    let network = Network::new(model.spec.clone(), 0)?;
    let parameters = network.parameter_count();
    // The loss of `train` takes outputs from 0 to 1 only.
    let (loss, loss_name) = match model.spec.layers.last() {
        Some(Layer::Sigmoid(_)) => (Loss::Bce, "BCE"),
        _ => (Loss::Mse, "MSE"),
    };
    let batch = arguments.batch_size.get();
    let options = ExplainOptions {
        batch,
        loss,
        optimizer: OptimizerOptions::default(),
        time: Duration::from_secs(1),
    };
    let explanation = explain(&cx, network, &options)?;
    let machine = Machine::of(&cx);
    if arguments.json {
        let mut report = machine.to_json();
        report.insert("model".into(), model.name.into());
        report.insert("parameters".into(), parameters.into());
        report.insert("batch_size".into(), batch.into());
        report.insert("loss".into(), loss_name.into());
        let explanation = serde_json::to_value(&explanation).context("cannot write JSON")?;
        let Value::Object(fields) = explanation else { unreachable!("a struct is an object") };
        report.extend(fields);
        output.line(format_args!("{:#}", Value::Object(report)));
    } else {
        output.line(format_args!("{machine}\n"));
        output.line(format_args!(
            "{}: {} parameters, batch size {batch}, {loss_name} loss, Adam",
            model.name,
            Thousands(parameters),
        ));
        print(&mut output, &machine, &explanation, batch);
    }
    output.finish()
}

fn print(output: &mut Output, machine: &Machine, explanation: &Explanation, batch: usize) {
    output.line(format_args!("plan {}", explanation.plan));
    if let Some(why) = &explanation.why_layers {
        wrapped(output, &format!("not unit by unit: {why}"));
    }
    let rate = explanation.flops as f64 / explanation.step_seconds;
    output.line(format_args!(
        "step {:.1} µs, {:.0} inputs/s, {:.1} GFLOP/s, {:.0} % of the peak; median of {} steps\n",
        explanation.step_seconds * 1e6,
        batch as f64 / explanation.step_seconds,
        rate / 1e9,
        rate / machine.peak * 100.0,
        explanation.steps,
    ));
    let row = |what: &str, path: &str, numbers: [&str; 7]| {
        let [flops, bytes, time, share, rate, peak, threads] = numbers;
        let line = format!(
            "  {what:<17} {path:<23} {flops:>9} {bytes:>9} {time:>9} {share:>6} {rate:>8} {peak:>5} \
             {threads}"
        );
        line.trim_end().to_owned()
    };
    let head = ["MFLOP", "KiB", "µs", "share", "GFLOP/s", "peak", "thr."];
    output.line(format_args!("{}", row("", "", head)));
    let mut reasons = Vec::new();
    let mut layers = None;
    for operation in &explanation.operations {
        if layers != Some(&operation.layers) {
            layers = Some(&operation.layers);
            wrapped(output, &heading(operation));
        }
        let share = operation.seconds / explanation.timed_step_seconds * 100.0;
        let (mut rate, mut peak, mut flops) = <(String, String, String)>::default();
        if operation.flops > 0 {
            let per_second = operation.flops as f64 / operation.seconds;
            flops = number(operation.flops as f64 / 1e6);
            rate = format!("{:.1}", per_second / 1e9);
            peak = format!("{:.0} %", per_second / machine.peak * 100.0);
        }
        let bytes = match operation.bytes {
            0 => String::new(),
            bytes => number(bytes as f64 / 1024.0),
        };
        let threads = format!("{}{}", operation.threads, mark(operation, &mut reasons));
        let time = number(operation.seconds * 1e6);
        let share = format!("{share:.1} %");
        let numbers = [&flops[..], &bytes, &time, &share, &rate, &peak, &threads];
        output.line(format_args!("{}", row(operation.what, operation.path, numbers)));
    }
    let other = explanation.other_seconds;
    let share = format!("{:.1} %", other / explanation.timed_step_seconds * 100.0);
    let time = number(other * 1e6);
    output.line(format_args!("{}", row("other", "", ["", "", &time, &share, "", "", ""])));
    let time = number(explanation.timed_step_seconds * 1e6);
    output.line(format_args!("{}", row("sum", "", ["", "", &time, "100 %", "", "", ""])));
    if !reasons.is_empty() {
        output.line(format_args!("\nfewer threads than allowed:"));
    }
    for (letter, reason) in ('a'..='z').zip(&reasons) {
        output.line(format_args!("  {letter}  {reason}"));
    }
    print_memory(output, &explanation.memory);
}

/// The layers of an operation and the shapes before and behind them.
fn heading(operation: &Operation) -> String {
    let Operation { layers, names, input, output, .. } = operation;
    match &layers[..] {
        [] => "batch and parameters".into(),
        [first, .., last] => {
            format!("{first}–{last} {}: {input:?} to {output:?}", names.join(", "))
        }
        [layer] if input == output => format!("{layer} {}: {input:?}", names[0]),
        [layer] => format!("{layer} {}: {input:?} to {output:?}", names[0]),
    }
}

/// The letter under which it is said why an operation has fewer threads than allowed.
fn mark<'a>(operation: &'a Operation, reasons: &mut Vec<&'a str>) -> String {
    let Some(why) = &operation.why_fewer else { return String::new() };
    let known = reasons.iter().position(|reason| reason == why).unwrap_or_else(|| {
        reasons.push(why);
        reasons.len() - 1
    });
    ('a'..='z').nth(known).map_or("*".into(), String::from)
}

fn print_memory(output: &mut Output, memory: &Memory) {
    let plan = &memory.plan;
    output.line(format_args!("\nmemory{:>36}", "bytes"));
    for (what, bytes) in [
        ("parameters", memory.parameters),
        ("running statistics", memory.statistics),
        ("gradients by parameters", memory.parameter_gradients),
        ("state of the optimiser", memory.optimizer),
        ("targets", memory.targets),
        ("values", plan.values),
        ("gradients by values", plan.gradients),
        ("packed weights", plan.packed),
        ("sums of tasks", plan.sums),
        ("scratch of all threads", memory.scratch),
        ("sum", memory.total()),
    ] {
        output.line(format_args!("  {what:<24}{:>16}", Thousands(bytes).to_string()));
    }
}

/// Three digits, and all those in front of the point.
fn number(value: f64) -> String {
    match value.abs() {
        large if large >= 99.95 => format!("{value:.0}"),
        some if some >= 9.995 => format!("{value:.1}"),
        small if small >= 0.9995 || small == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// Writes words in lines of at most [`WIDTH`] characters, but for longer words.
fn wrapped(output: &mut Output, text: &str) {
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.trim_start().is_empty() && line.chars().count() + 1 + word.chars().count() > WIDTH
        {
            output.line(format_args!("{line}"));
            line = "   ".into();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    output.line(format_args!("{line}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        for (value, text) in [
            (0.0, "0.00"),
            (-0.1234, "-0.123"),
            (9.99, "9.99"),
            (9.999, "10.0"),
            (99.96, "100"),
            (123456.7, "123457"),
        ] {
            assert_eq!(number(value), text);
        }
    }
}

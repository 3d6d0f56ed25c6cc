//! `loupe bench`

use crate::args::{ThreadArguments, seconds};
use crate::data;
use crate::machine::Machine;
use crate::model::Model;
use crate::output::Output;
use anyhow::Result;
use clap::Args;
use loupe_engine::optim::AdamOptions;
use loupe_engine::{Context, Threads};
use loupe_model::{Loss, Network, Normalization, OptimizerOptions, Plan, Trainer};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const BATCH_SIZES: [usize; 5] = [1, 8, 64, 256, 1024];
/// In a round each measurement lasts at least this long.
const SLOT: Duration = Duration::from_millis(2);
/// The fewest rounds that a median is taken of.
const LEAST_ROUNDS: usize = 3;

#[derive(Debug, Args)]
pub(crate) struct BenchArguments {
    /// Write JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,

    /// How long to measure, about
    #[arg(long, value_name = "S", default_value = "5", value_parser = seconds)]
    pub(crate) seconds: f64,

    #[command(flatten)]
    pub(crate) threads: ThreadArguments,
}

pub(crate) fn run(arguments: &BenchArguments, mut output: Output) -> Result<()> {
    let cx = data::context(&arguments.threads)?;
    let machine = Machine::of(&cx);
    let mut measurements = prepare(&cx)?;
    let started = Instant::now();
    let mut rounds = 0;
    while rounds < LEAST_ROUNDS || started.elapsed().as_secs_f64() < arguments.seconds {
        for measurement in &mut measurements {
            measurement.measure()?;
        }
        rounds += 1;
    }
    if arguments.json {
        let mut report = machine.to_json();
        report.insert("rounds".into(), rounds.into());
        let results = measurements.iter().map(|m| m.to_json(&machine)).collect();
        report.insert("results".into(), Value::Array(results));
        output.line(format_args!("{:#}", Value::Object(report)));
    } else {
        print(&mut output, &machine, &measurements, rounds);
    }
    output.finish()
}

/// One number of the table, again and again.
struct Measurement {
    model: String,
    batch: usize,
    threads: usize,
    /// Of a step or a batch.
    flops: f64,
    work: Work,
    seconds: Vec<f64>,
}

enum Work {
    Train { trainer: Box<Trainer>, inputs: Vec<f32>, targets: Vec<f32> },
    Infer { cx: Context, network: Box<Network>, plan: Box<Plan> },
}

/// All measurements: training and inference of each line of the table, one behind the other.
fn prepare(cx: &Context) -> Result<Vec<Measurement>> {
    let mut contexts = vec![Context::new(cx.isa(), Threads::serial())];
    if cx.threads().count() > 1 {
        contexts.push(cx.clone());
    }
    let mut measurements = Vec::new();
    for name in ["cnn", "mlp"] {
        let Model { name, spec } = Model::named(name)?;
        for batch in BATCH_SIZES {
            for cx in &contexts {
                let network = Network::new(spec.clone(), 0)?;
                let (inputs, targets) = digits(batch, spec.input_len()?, spec.output_len()?);
                let mut plan = Box::new(Plan::new(&network, batch)?);
                plan.input_mut().copy_from_slice(&inputs);
                let infer =
                    Work::Infer { cx: cx.clone(), network: Box::new(network.clone()), plan };
                // So small a step that the network stays what it is, however long this takes.
                let adam = AdamOptions { lr: 1e-9, ..AdamOptions::default() };
                let optimizer = OptimizerOptions::Adam(adam);
                let trainer = Box::new(Trainer::new(cx.clone(), network, Loss::Bce, optimizer));
                let train = Work::Train { trainer, inputs, targets };
                for (work, flops) in
                    [(train, spec.training_flops()?), (infer, spec.forward_flops()?)]
                {
                    let mut measurement = Measurement {
                        model: name.clone(),
                        batch,
                        threads: cx.threads().count(),
                        flops: flops as f64 * batch as f64,
                        work,
                        seconds: Vec::new(),
                    };
                    // The first call makes what the others find.
                    measurement.work.run()?;
                    measurements.push(measurement);
                }
            }
        }
    }
    Ok(measurements)
}

/// Inputs that differ, with one target of 1 each.
fn digits(batch: usize, input_len: usize, output_len: usize) -> (Vec<f32>, Vec<f32>) {
    let pixel = |i: usize| (i.wrapping_mul(2_654_435_761) >> 8 & 0xff) as f32 / 255.0;
    let mut targets = vec![0.0; batch * output_len];
    for (i, row) in targets.chunks_exact_mut(output_len).enumerate() {
        row[i % output_len] = 1.0;
    }
    ((0..batch * input_len).map(pixel).collect(), targets)
}

impl Work {
    fn run(&mut self) -> Result<()> {
        match self {
            Work::Train { trainer, inputs, targets } => {
                trainer.step(inputs, targets)?;
            }
            Work::Infer { cx, network, plan } => {
                plan.infer(cx, network, Normalization::RunningStatistics)?;
            }
        }
        Ok(())
    }
}

impl Measurement {
    /// The mean time of a call, over a slot.
    fn measure(&mut self) -> Result<()> {
        let started = Instant::now();
        let mut calls = 0;
        while calls == 0 || started.elapsed() < SLOT {
            self.work.run()?;
            calls += 1;
        }
        self.seconds.push(started.elapsed().as_secs_f64() / f64::from(calls));
        Ok(())
    }

    fn median(&self) -> f64 {
        let mut sorted = self.seconds.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    }

    fn images_per_second(&self) -> f64 {
        self.batch as f64 / self.median()
    }

    fn flops_per_second(&self) -> f64 {
        self.flops / self.median()
    }

    fn share_of_peak(&self, machine: &Machine) -> f64 {
        let peak = if self.threads == 1 { machine.core_peak } else { machine.peak };
        self.flops_per_second() / peak
    }

    fn to_json(&self, machine: &Machine) -> Value {
        json!({
            "model": self.model,
            "what": match self.work {
                Work::Train { .. } => "train",
                Work::Infer { .. } => "infer",
            },
            "batch_size": self.batch,
            "threads": self.threads,
            "seconds": self.median(),
            "images_per_second": self.images_per_second(),
            "flops_per_second": self.flops_per_second(),
            "share_of_peak": self.share_of_peak(machine),
        })
    }

    fn columns(&self, machine: &Machine) -> String {
        format!(
            "{:>10.1}{:>12.0}{:>9.1}{:>5.0} %",
            self.median() * 1e6,
            self.images_per_second(),
            self.flops_per_second() / 1e9,
            self.share_of_peak(machine) * 100.0,
        )
    }
}

fn print(output: &mut Output, machine: &Machine, measurements: &[Measurement], rounds: usize) {
    output.line(format_args!("{machine}\nmedians of {rounds} rounds\n"));
    let columns = format!("{:>10}{:>12}{:>9}{:>7}", "µs", "images/s", "GFLOP/s", "peak");
    output.line(format_args!("{:18}{:>38}{:>38}", "", "training step", "inference"));
    output.line(format_args!("{:4}{:>6}{:>8}{columns}{columns}", "", "batch", "threads"));
    for pair in measurements.chunks(2) {
        let Measurement { model, batch, threads, .. } = &pair[0];
        let columns: String = pair.iter().map(|m| m.columns(machine)).collect();
        output.line(format_args!("{model:<4}{batch:>6}{threads:>8}{columns}"));
    }
}

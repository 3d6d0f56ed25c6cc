//! Steps with clocks and without.

use super::Explanation;
use super::describe::Description;
use crate::memory::Memory;
use crate::plan::probe::{Measured, Op, Probe, Record};
use crate::plan::{Plan, Units};
use crate::{Error, Loss, Network, OptimizerOptions, Trainer};
use loupe_engine::Context;
use loupe_engine::measure::scratch_bytes;
use rand_pcg::Pcg64;
use rand_pcg::rand_core::{Rng, SeedableRng};
use std::time::{Duration, Instant};

/// How a step is explained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExplainOptions {
    /// N.
    pub batch: usize,
    /// Its outputs must be such as the loss takes.
    pub loss: Loss,
    /// Which optimiser, with which options.
    pub optimizer: OptimizerOptions,
    /// How long steps are timed; five of each kind at least.
    pub time: Duration,
}

/// Trains `network` for a while on a batch of random inputs in [0, 1) with one target of 1 each, and says
/// where the time and the memory of a step go.
///
/// # Errors
/// As [`Trainer::step`]; [`Error::NonFiniteLoss`] if a step has such a loss.
pub fn explain(
    cx: &Context,
    network: Network,
    options: &ExplainOptions,
) -> Result<Explanation, Error> {
    let spec = network.spec().clone();
    let flat = spec.flatten()?;
    let tensors = &network.layout.layers;
    let weights: Vec<usize> = tensors
        .iter()
        .map(|tensors| tensors.parameters.iter().map(|place| place.len()).sum())
        .collect();
    let parameters = network.parameters.len();
    let batch = options.batch;
    let mut trainer = Trainer::new(cx.clone(), network, options.loss, options.optimizer);
    let memory = Memory::of(&mut trainer, batch)?;
    let plan = trainer.plan(batch)?;
    let (nodes, units) = (plan.nodes().to_vec(), plan.units());
    let factored: usize = plan.factors().map(|factors| factors.place.len()).sum();
    let times = measure(&mut trainer, cx, options, nodes.len())?;

    let description = Description {
        input: &spec.input,
        flat: &flat,
        weights: &weights,
        nodes: &nodes,
        batch,
        units,
        tier: cx.isa().tier(),
        threads: cx.threads().count(),
        parameters: parameters - factored,
        state: memory.optimizer / size_of::<f32>() / parameters.max(1),
    };
    let mut operations: Vec<_> = times.operations.iter().collect();
    // What concerns no layer comes last.
    operations.sort_by_key(|times| times.op.node.unwrap_or(usize::MAX));
    let operations: Vec<_> = operations
        .into_iter()
        .map(|times| description.operation(times.op, &times.measured, median(&times.seconds)))
        .collect();
    let timed_step_seconds = median(&times.timed);
    Ok(Explanation {
        plan: plan_in_words(units),
        tasks: units.map(|units| units.runs),
        why_layers: units.is_none().then(|| Plan::why_layers(trainer.network(), batch)),
        steps: times.plain.len(),
        step_seconds: median(&times.plain),
        timed_step_seconds,
        other_seconds: timed_step_seconds - operations.iter().map(|o| o.seconds).sum::<f64>(),
        flops: spec.training_flops()?.saturating_mul(batch as u64),
        operations,
        memory: Memory { scratch: scratch_bytes(), ..memory },
    })
}

fn plan_in_words(units: Option<Units>) -> String {
    match units {
        None => "layer by layer".into(),
        Some(Units { images: 1, units, .. }) => {
            format!("unit by unit: {units} of one image, 16 channels in a vector")
        }
        Some(Units { images, units, .. }) => {
            format!("unit by unit: {units} of {images} images, {images} images in a vector")
        }
    }
}

/// What steps took, in seconds.
struct Times {
    plain: Vec<f64>,
    timed: Vec<f64>,
    operations: Vec<OperationTimes>,
}

struct OperationTimes {
    op: Op,
    /// In the last step.
    measured: Measured,
    seconds: Vec<f64>,
}

/// Steps with and without clocks by turns.
fn measure(
    trainer: &mut Trainer,
    cx: &Context,
    options: &ExplainOptions,
    nodes: usize,
) -> Result<Times, Error> {
    const LEAST: usize = 5;
    const MOST: usize = 5000;
    let input_len: usize = trainer.network().spec().input_len()?;
    let output_len = trainer.network().spec().output_len()?;
    let mut random = Pcg64::seed_from_u64(0);
    let unit = 2.0_f32.powi(-24);
    let mut inputs = vec![0.0; options.batch * input_len];
    inputs.fill_with(|| (random.next_u32() >> 8) as f32 * unit);
    let mut targets = vec![0.0; options.batch * output_len];
    for row in targets.chunks_exact_mut(output_len) {
        row[random.next_u32() as usize % output_len] = 1.0;
    }
    let record = Record::new(cx, nodes);
    let mut steps = 0;
    let mut step = |probe| {
        let started = Instant::now();
        let loss = trainer.step_probed(&inputs, &targets, probe)?;
        let nanos = started.elapsed().as_nanos() as f64;
        steps += 1;
        // Such a step ends with the loss.
        if !loss.is_finite() {
            return Err(Error::NonFiniteLoss { epoch: 1, step: steps, loss });
        }
        Ok(nanos)
    };
    let mut times = Times { plain: Vec::new(), timed: Vec::new(), operations: Vec::new() };
    step(Probe::default())?;
    step(Probe::new(&record))?;
    for (op, measured) in record.take().0 {
        times.operations.push(OperationTimes { op, measured, seconds: Vec::new() });
    }
    let started = Instant::now();
    while times.plain.len() < LEAST
        || (started.elapsed() < options.time && times.plain.len() < MOST)
    {
        times.plain.push(step(Probe::default())? / 1e9);
        let nanos = step(Probe::new(&record))?;
        let (operations, overhead) = record.take();
        times.timed.push((nanos - overhead) / 1e9);
        debug_assert_eq!(operations.len(), times.operations.len());
        for (times, (op, measured)) in times.operations.iter_mut().zip(operations) {
            debug_assert_eq!(times.op, op);
            times.measured = measured;
            times.seconds.push(measured.nanos / 1e9);
        }
    }
    Ok(times)
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

//! The outputs of a network for all items of a data set, shared out to threads.

use crate::Error;
use crate::data::Dataset;
use crate::network::Network;
use crate::normalization::Normalization;
use crate::plan::Plan;
use loupe_engine::{Context, Threads};

/// Items of a batch when they are scored by running statistics, where they do not see each other.
const RUNNING_BATCH: usize = 64;

/// Items of a task. It depends on neither data nor threads, and neither do the results.
const TASK: usize = 4 * RUNNING_BATCH;

/// Threads take whole tasks, each with a plan of its own, if a plan is no larger than this. Larger ones
/// are run one after the other, and the threads share their operations.
const SMALL_PLAN: usize = 4 << 20;

/// Calls `each(items, outputs, result)` with the items and outputs `[items, classes]` of every batch. There is
/// one result for each task, in the order of the items, that begins as the default; a task's batches
/// come in order.
///
/// By batch statistics an item is a batch of its own.
///
/// # Errors
/// As [`check_fit`] and [`Plan::infer`].
pub(super) fn for_each_batch<R: Default + Send>(
    cx: &Context,
    network: &Network,
    data: &Dataset,
    normalization: Normalization,
    each: impl Fn(&[usize], &[f32], &mut R) + Sync,
) -> Result<Vec<R>, Error> {
    check_fit(network, data)?;
    let batch = match normalization {
        Normalization::BatchStatistics if network.has_batch_norm() => 1,
        _ => RUNNING_BATCH.min(data.len()),
    };
    let serial = Context::new(cx.isa(), Threads::serial());
    let (tasks_on, operations_on) = match Plan::new(network, batch)?.memory().total() <= SMALL_PLAN
    {
        true => (cx, &serial),
        false => (&serial, cx),
    };
    let task = |items: &[usize]| -> Result<R, Error> {
        let mut plan = Plan::new(network, batch)?;
        let mut result = R::default();
        for items in items.chunks(batch) {
            if items.len() < batch {
                plan = Plan::new(network, items.len())?;
            }
            data.write_images(items, plan.input_mut())?;
            each(items, plan.infer(operations_on, network, normalization)?, &mut result);
        }
        Ok(result)
    };
    let indices: Vec<usize> = (0..data.len()).collect();
    let mut results: Vec<_> = indices.chunks(TASK).map(|_| Ok(R::default())).collect();
    let tasks = results.len();
    let work = usize::try_from(network.spec().forward_flops()?).unwrap_or(usize::MAX);
    let work = work.saturating_mul(data.len());
    tasks_on.threads().for_each_chunk(tasks, work, [(&mut results, 1)], |i, [result]| {
        result[0] = task(&indices[i * TASK..indices.len().min((i + 1) * TASK)]);
    });
    results.into_iter().collect()
}

/// Whether inputs and outputs of the network are the images and classes of the data set.
pub(crate) fn check_fit(network: &Network, data: &Dataset) -> Result<(), Error> {
    let spec = network.spec();
    let (input, outputs) = (spec.input_len()?, spec.output_len()?);
    if input != data.pixels() {
        return Err(Error::Mismatch {
            what: "takes inputs of",
            network: format!("{:?}, {input} values", spec.input),
            data: format!("images of {} × {} pixels", data.height(), data.width()),
        });
    }
    if outputs != data.classes() {
        return Err(Error::Mismatch {
            what: "gives",
            network: format!("{outputs} outputs"),
            data: format!("{} classes", data.classes()),
        });
    }
    Ok(())
}

//! The subcommands.

pub(crate) mod bench;
pub(crate) mod convolve;
pub(crate) mod eval;
pub(crate) mod explain;
pub(crate) mod inspect;
pub(crate) mod train;

use crate::output::Output;
use anyhow::Result;
use loupe_engine::Context;
use loupe_model::data::Dataset;
use loupe_model::{Network, Normalization, evaluate};

/// Prints `score items ratio` for each way of normalising; for a network without batch
/// normalisation once.
fn print_scores(
    output: &mut Output,
    cx: &Context,
    network: &Network,
    data: &Dataset,
) -> Result<()> {
    let modes = [Normalization::BatchStatistics, Normalization::RunningStatistics];
    for mode in modes {
        let score = evaluate(cx, network, data, mode)?;
        let (correct, items, ratio) = (score.correct, score.items, score.ratio());
        if !network.has_batch_norm() {
            output.line(format_args!("score               {correct} {items} {ratio:.4}"));
            break;
        }
        output.line(format_args!("{mode:<19} {correct} {items} {ratio:.4}"));
    }
    Ok(())
}

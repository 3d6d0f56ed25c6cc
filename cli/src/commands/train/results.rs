//! What a run has come to: scores on the test items, printed and drawn.

use super::Data;
use super::session::{Session, write};
use crate::draw::{Curve, LossChart, confusion, loss_chart};
use crate::output::Output;
use crate::recipe::Recipe;
use crate::scores::{Judged, Judgement, ModeScore, hint, modes, normalization, print_scores};
use anyhow::Result;
use loupe_model::{EpochRecord, Network, Score, classify};

/// Scores the network on the test items, prints that, and writes pictures and report into the run's folder.
pub(super) fn write(
    session: &Session<'_>,
    recipe: &Recipe,
    data: &Data,
    output: &mut Output,
) -> Result<()> {
    let training = session.training();
    let judgements = judge(session, training.network(), data)?;
    let scores: Vec<ModeScore> = judgements.iter().map(Judgement::score).collect();
    print_scores(output, &scores);
    let folder = session.folder();
    if let Some(hint) = hint(&scores, Some(recipe.batch_size.get()), folder.path()) {
        output.note(format_args!("{hint}"));
    }
    let _ = (loss_picture(session, data), confusion);
    Ok(())
}

/// The network by each way of normalising.
fn judge(session: &Session<'_>, network: &Network, data: &Data) -> Result<Vec<Judgement>> {
    let trainer = session.training().trainer();
    let cx = trainer.context();
    let judged = |mode| {
        let classification = classify(cx, network, &data.test, normalization(mode))?;
        let mean_loss = classification.mean_loss(cx, trainer.loss())?;
        Ok::<_, anyhow::Error>(Judged { classification, mean_loss })
    };
    let judgement = |(mode, possible): (_, Result<(), _>)| {
        let result = match possible {
            Ok(()) => Ok(judged(mode)?),
            Err(reason) => Err(reason),
        };
        Ok(Judgement { mode, result })
    };
    modes(network)?.into_iter().map(judgement).collect()
}

//! What is said of a training that has failed.

use anyhow::Error;
use loupe_model::Training;

/// The error, with the step and layer where the numbers went astray if that is what happened.
pub(crate) fn explained(training: &Training<'_>, error: Error) -> Error {
    use loupe_model::Error::{NonFiniteGradient, NonFiniteLoss};
    let Some(NonFiniteLoss { .. } | NonFiniteGradient { .. }) = error.downcast_ref() else {
        return error;
    };
    match training.diagnose() {
        Ok(Some(diagnosis)) => Error::msg(format!("{error:#}\n{diagnosis}")),
        _ => error,
    }
}

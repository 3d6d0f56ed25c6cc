//! Charts: losses and accuracies of a training and of several, and the confusion matrix.

mod axis;
mod columns;
mod compare;
mod confusion;
mod loss;
mod panel;

pub(crate) use compare::{RunCurves, curves};
pub(crate) use confusion::confusion;
pub(crate) use loss::{LossChart, loss_chart};
pub(crate) use panel::Curve;

const WIDTH: usize = 1200;
const HEIGHT: usize = 700;
const TITLE: f32 = 22.0;
const LABEL: f32 = 14.0;

/// The height that a title takes.
fn head(title: &str) -> f32 {
    if title.is_empty() { 4.0 } else { 46.0 }
}

//! Cross-entropy of the softmax of each row.

use super::rows::{ClassRows, ProbabilityRows};
use super::{BLOCK, Reduction, invalid, sum_blocks};
use crate::buffer::with_scratch;
use crate::error::expect_len;
use crate::{Context, Error};
use std::ops::Range;

/// Operations for one logit.
const WORK: usize = 32;

/// Settings of the cross-entropies. The default is PyTorch's: nothing is smoothed, all classes count
/// alike, and the loss is a mean.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CrossEntropyOptions<'a> {
    /// ε: so much of a row's target is spread evenly over all classes, 0 to 1.
    pub label_smoothing: f64,
    /// w `[C]`: how much each class counts, finite and not negative; 1 each if there are none.
    pub weight: Option<&'a [f32]>,
    /// The mean or sum over the rows.
    pub reduction: Reduction,
}

impl CrossEntropyOptions<'_> {
    fn check(&self, op: &'static str, classes: usize) -> Result<(), Error> {
        if !(0.0..=1.0).contains(&self.label_smoothing) {
            let found = self.label_smoothing.to_string();
            return Err(invalid(op, "label_smoothing", "from 0 to 1", found));
        }
        let Some(weight) = self.weight else { return Ok(()) };
        expect_len(op, "weight", classes, weight.len())?;
        match weight.iter().position(|w| !w.is_finite() || *w < 0.0) {
            Some(class) => {
                let found = format!("{} for class {class}", weight[class]);
                Err(invalid(op, "weight", "finite and not negative", found))
            }
            None => Ok(()),
        }
    }

    /// Calls `f` with the [`Shares`] of these options, none if a target stays as it is but for the divisor.
    fn with_shares<R>(
        &self,
        classes: usize,
        divisor: f64,
        f: impl FnOnce(Option<Shares<'_>>) -> R,
    ) -> R {
        let smoothing = self.label_smoothing;
        if self.weight.is_none() && smoothing == 0.0 {
            return f(None);
        }
        with_scratch(2 * classes, |memory| {
            let (kept, spread) = memory.split_at_mut(classes);
            for (class, (kept, spread)) in kept.iter_mut().zip(&mut *spread).enumerate() {
                let weight = self.weight.map_or(1.0, |weight| f64::from(weight[class])) / divisor;
                *kept = (weight * (1.0 - smoothing)) as f32;
                *spread = (weight * smoothing / classes as f64) as f32;
            }
            f(Some(Shares { kept, spread: (smoothing > 0.0).then_some(spread) }))
        })
    }
}

/// What smoothing, weights and divisor make of a row's target t: keptⱼ · tⱼ + spreadⱼ for class j.
#[derive(Clone, Copy)]
pub(super) struct Shares<'a> {
    /// (1 − ε) · wⱼ / divisor
    pub(super) kept: &'a [f32],
    /// ε / C · wⱼ / divisor; none if ε is 0.
    pub(super) spread: Option<&'a [f32]>,
}

/// Cross-entropy of logits x `[N, C]` and the class y of each of N rows. The loss of a row is
/// −Σⱼ wⱼ · sⱼ · ln softmax(x)ⱼ with s = (1 − ε) · onehot(y) + ε / C, by default ln Σⱼ exp(xⱼ) − x\[y\].
/// The divisor of a mean is the sum of w\[y\] over the rows, by default N. The gradient `[N, C]` is
/// (softmax(x) · Σⱼ wⱼ · sⱼ − w · s) / divisor.
///
/// Source: PyTorch, `CrossEntropyLoss` with class indices. A row that holds NaN or +∞ makes the loss
/// NaN, and so does a mean of rows whose weights are all 0.
///
/// # Errors
/// [`Error::Invalid`] if there are no rows, if the logits do not divide into them, if a class is
/// C or more, or if an option lies outside its range; [`Error::Length`] if there is not one weight for each
/// class, or the gradient is not as long as the logits.
pub fn cross_entropy(
    cx: &Context,
    options: &CrossEntropyOptions<'_>,
    logits: &[f32],
    target: &[usize],
    gradient: Option<&mut [f32]>,
) -> Result<f32, Error> {
    const OP: &str = "cross_entropy";
    let rows = target.len();
    if rows == 0 {
        return Err(invalid(OP, "target", "at least one class", "none".into()));
    }
    if logits.is_empty() || !logits.len().is_multiple_of(rows) {
        let found = format!("{} elements for {rows} rows", logits.len());
        return Err(invalid(OP, "logits", "C ≥ 1 elements for each row", found));
    }
    let classes = logits.len() / rows;
    options.check(OP, classes)?;
    if let Some(row) = target.iter().position(|&class| class >= classes) {
        let found = format!("class {} of {classes} in row {row}", target[row]);
        return Err(invalid(OP, "target", "below the number of classes", found));
    }
    let divisor = match (options.reduction, options.weight) {
        (Reduction::Mean, Some(weight)) => target.iter().map(|&y| f64::from(weight[y])).sum(),
        (reduction, _) => reduction.divisor(rows),
    };
    let logits = Logits { op: OP, classes, logits };
    options.with_shares(classes, divisor, |shares| {
        let divisor = if shares.is_some() { 1.0 } else { divisor };
        logits.sum(cx, gradient, divisor, |rows, logits, gradient, scale| {
            let target = &target[rows];
            cx.isa().run(ClassRows { classes, logits, target, shares, gradient, scale })
        })
    })
}

/// Cross-entropy of logits x and probabilities t, both `[N, C]` with C = `classes`. The loss of a row is
/// −Σⱼ wⱼ · sⱼ · ln softmax(x)ⱼ with s = (1 − ε) · t + ε / C. The divisor of a mean is N, whatever the
/// weights are. The gradient `[N, C]` is (softmax(x) · Σⱼ wⱼ · sⱼ − w · s) / divisor.
///
/// Source: PyTorch, `CrossEntropyLoss` with class probabilities; as there, a row of t need not sum to
/// 1. A row that holds NaN or +∞ makes the loss NaN.
///
/// # Errors
/// [`Error::Invalid`] if `classes` is 0, if there are no rows, if the logits do not divide into
/// rows, or if an option lies outside its range; [`Error::Length`] if there is not one weight for each class,
/// or the target or the gradient is not as long as the logits.
pub fn cross_entropy_probabilities(
    cx: &Context,
    options: &CrossEntropyOptions<'_>,
    classes: usize,
    logits: &[f32],
    target: &[f32],
    gradient: Option<&mut [f32]>,
) -> Result<f32, Error> {
    const OP: &str = "cross_entropy_probabilities";
    if classes == 0 {
        return Err(invalid(OP, "classes", "at least 1", "0".into()));
    }
    if logits.is_empty() || !logits.len().is_multiple_of(classes) {
        let found = format!("{} elements for rows of {classes}", logits.len());
        return Err(invalid(OP, "logits", "one or more whole rows", found));
    }
    options.check(OP, classes)?;
    expect_len(OP, "target", logits.len(), target.len())?;
    let divisor = options.reduction.divisor(logits.len() / classes);
    let logits = Logits { op: OP, classes, logits };
    options.with_shares(classes, divisor, |shares| {
        let divisor = if shares.is_some() { 1.0 } else { divisor };
        logits.sum(cx, gradient, divisor, |rows, logits, gradient, scale| {
            let target = &target[rows.start * classes..rows.end * classes];
            cx.isa().run(ProbabilityRows { classes, logits, target, shares, gradient, scale })
        })
    })
}

/// One or more rows of one or more logits.
struct Logits<'a> {
    op: &'static str,
    classes: usize,
    logits: &'a [f32],
}

impl Logits<'_> {
    /// Sum over the rows, over `divisor`. `block(rows, their logits, their gradient, 1 / divisor)` returns
    /// the sum over a range of rows.
    fn sum(
        &self,
        cx: &Context,
        gradient: Option<&mut [f32]>,
        divisor: f64,
        block: impl Fn(Range<usize>, &[f32], Option<&mut [f32]>, f32) -> f32 + Sync,
    ) -> Result<f32, Error> {
        if let Some(gradient) = &gradient {
            expect_len(self.op, "gradient", self.logits.len(), gradient.len())?;
        }
        let rows = self.logits.len() / self.classes;
        let block_rows = (BLOCK / self.classes).max(1);
        let scale = (1.0 / divisor) as f32;
        let gradient = gradient.map(|gradient| (gradient, block_rows * self.classes));
        let work = self.logits.len().saturating_mul(WORK);
        let sum = sum_blocks(cx, rows.div_ceil(block_rows), work, gradient, |i, gradient| {
            let rows = i * block_rows..rows.min((i + 1) * block_rows);
            let logits = &self.logits[rows.start * self.classes..rows.end * self.classes];
            block(rows, logits, gradient, scale)
        });
        Ok((sum / divisor) as f32)
    }
}

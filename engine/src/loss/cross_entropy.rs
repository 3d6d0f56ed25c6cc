//! Cross-entropy of the softmax of each row.

use super::{BLOCK, invalid, sum_blocks};
use crate::error::expect_len;
use crate::simd::{Kernel, Simd, exp, fold, largest, ln, update, update_fold};
use crate::{Context, Error};
use std::ops::Range;

/// Operations for one logit.
const WORK: usize = 32;

/// Mean over N rows of ln Σⱼ exp(xⱼ) − x\[class\], for logits x `[N, C]` and the class of each row.
/// The gradient `[N, C]` is (softmax(x) − onehot(class)) / N.
///
/// Source: PyTorch, `CrossEntropyLoss` with class indices. A row that holds NaN or +∞ makes the loss
/// NaN.
///
/// # Errors
/// [`Error::Invalid`] if there are no rows, if the logits do not divide into them, or if a class is
/// C or more; [`Error::Length`] if the gradient is not as long as the logits.
pub fn cross_entropy(
    cx: &Context,
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
    if let Some(row) = target.iter().position(|&class| class >= classes) {
        let found = format!("class {} of {classes} in row {row}", target[row]);
        return Err(invalid(OP, "target", "below the number of classes", found));
    }
    let logits = Logits { op: OP, classes, logits };
    logits.mean(cx, gradient, |rows, logits, gradient, scale| {
        cx.isa().run(ClassRows { classes, logits, target: &target[rows], gradient, scale })
    })
}

/// Mean over N rows of −Σⱼ tⱼ · ln softmax(x)ⱼ, for logits x and probabilities t, both `[N, C]` with
/// C = `classes`. The gradient `[N, C]` is (softmax(x) · Σⱼ tⱼ − t) / N.
///
/// Source: PyTorch, `CrossEntropyLoss` with class probabilities; as there, a row of t need not sum to
/// 1. A row that holds NaN or +∞ makes the loss NaN.
///
/// # Errors
/// [`Error::Invalid`] if `classes` is 0, if there are no rows, or if the logits do not divide into
/// rows; [`Error::Length`] if the target or the gradient is not as long as the logits.
pub fn cross_entropy_probabilities(
    cx: &Context,
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
    expect_len(OP, "target", logits.len(), target.len())?;
    let logits = Logits { op: OP, classes, logits };
    logits.mean(cx, gradient, |rows, logits, gradient, scale| {
        let target = &target[rows.start * classes..rows.end * classes];
        cx.isa().run(ProbabilityRows { classes, logits, target, gradient, scale })
    })
}

/// One or more rows of one or more logits.
struct Logits<'a> {
    op: &'static str,
    classes: usize,
    logits: &'a [f32],
}

impl Logits<'_> {
    /// Mean over the rows. `block(rows, their logits, their gradient, 1 / N)` returns the sum over a
    /// range of rows.
    fn mean(
        &self,
        cx: &Context,
        gradient: Option<&mut [f32]>,
        block: impl Fn(Range<usize>, &[f32], Option<&mut [f32]>, f32) -> f32 + Sync,
    ) -> Result<f32, Error> {
        if let Some(gradient) = &gradient {
            expect_len(self.op, "gradient", self.logits.len(), gradient.len())?;
        }
        let rows = self.logits.len() / self.classes;
        let block_rows = (BLOCK / self.classes).max(1);
        let scale = 1.0 / rows as f32;
        let gradient = gradient.map(|gradient| (gradient, block_rows * self.classes));
        let work = self.logits.len().saturating_mul(WORK);
        let sum = sum_blocks(cx, rows.div_ceil(block_rows), work, gradient, |i, gradient| {
            let rows = i * block_rows..rows.min((i + 1) * block_rows);
            let logits = &self.logits[rows.start * self.classes..rows.end * self.classes];
            block(rows, logits, gradient, scale)
        });
        Ok((sum / rows as f64) as f32)
    }
}

/// Rows whose targets are classes below `classes`.
struct ClassRows<'a> {
    classes: usize,
    logits: &'a [f32],
    target: &'a [usize],
    gradient: Option<&'a mut [f32]>,
    scale: f32,
}

impl Kernel for ClassRows<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) -> f32 {
        let mut total = 0.0_f64;
        for (row, &class) in self.target.iter().enumerate() {
            let elements = row * self.classes..(row + 1) * self.classes;
            let logits = &self.logits[elements.clone()];
            let gradient = self.gradient.as_deref_mut().map(|gradient| &mut gradient[elements]);
            let Softmax { largest, sum, exponentials } = Softmax::of(simd, logits, gradient);
            // Subtracting first keeps the digits where all logits are large.
            total += f64::from(scalar_ln(simd, sum) + (largest - logits[class]));
            if let Some(gradient) = exponentials {
                let factor = simd.splat(self.scale / sum);
                update(
                    simd,
                    [],
                    [&mut *gradient],
                    #[inline(always)]
                    |[], [e]| [simd.mul(e, factor)],
                );
                gradient[class] -= self.scale;
            }
        }
        total as f32
    }
}

/// Rows whose targets are probabilities.
struct ProbabilityRows<'a> {
    classes: usize,
    logits: &'a [f32],
    target: &'a [f32],
    gradient: Option<&'a mut [f32]>,
    scale: f32,
}

impl Kernel for ProbabilityRows<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) -> f32 {
        let mut total = 0.0_f64;
        for row in 0..self.logits.len() / self.classes {
            let elements = row * self.classes..(row + 1) * self.classes;
            let (logits, target) = (&self.logits[elements.clone()], &self.target[elements.clone()]);
            let gradient = self.gradient.as_deref_mut().map(|gradient| &mut gradient[elements]);
            let Softmax { largest, sum, exponentials } = Softmax::of(simd, logits, gradient);
            let (ln_sum, largest) = (ln(simd, simd.splat(sum)), simd.splat(largest));
            let [loss, weight] = fold(
                simd,
                [logits, target],
                #[inline(always)]
                |[loss, weight], [x, t]| {
                    // Subtracting first keeps the digits where all logits are large.
                    let negative_ln = simd.add(ln_sum, simd.sub(largest, x));
                    [simd.mul_add(t, negative_ln, loss), simd.add(weight, t)]
                },
            );
            total += f64::from(simd.sum(loss));
            if let Some(gradient) = exponentials {
                let factor = simd.splat(simd.sum(weight) / sum);
                let scale = simd.splat(self.scale);
                update(
                    simd,
                    [target],
                    [gradient],
                    #[inline(always)]
                    |[t], [e]| [simd.mul(simd.sub(simd.mul(e, factor), t), scale)],
                );
            }
        }
        total as f32
    }
}

/// The softmax of a row is its exponentials divided by their sum.
struct Softmax<'a> {
    largest: f32,
    /// Σⱼ exp(xⱼ − largest)
    sum: f32,
    /// exp(xⱼ − largest), where memory for them was given.
    exponentials: Option<&'a mut [f32]>,
}

impl<'a> Softmax<'a> {
    /// Softmax does not change when a constant is taken from every logit; with the largest taken, no
    /// exponential exceeds 1.
    #[inline(always)]
    fn of<S: Simd>(simd: S, logits: &[f32], mut memory: Option<&'a mut [f32]>) -> Softmax<'a> {
        let largest =
            simd.to_array(largest(simd, logits)).into_iter().fold(f32::NEG_INFINITY, f32::max);
        let offset = simd.splat(largest);
        let [sum] = match &mut memory {
            Some(memory) => update_fold(
                simd,
                [logits],
                [memory],
                #[inline(always)]
                |[sum], [x], [_]| {
                    let e = exp(simd, simd.sub(x, offset));
                    ([simd.add(sum, e)], [e])
                },
            ),
            None => fold(
                simd,
                [logits],
                #[inline(always)]
                |[sum], [x]| [simd.add(sum, exp(simd, simd.sub(x, offset)))],
            ),
        };
        Softmax { largest, sum: simd.sum(sum), exponentials: memory }
    }
}

/// ln x of one number.
#[inline(always)]
fn scalar_ln<S: Simd>(simd: S, x: f32) -> f32 {
    simd.to_array(ln(simd, simd.splat(x)))[0]
}

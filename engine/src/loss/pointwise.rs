//! Losses that compare element with element.

use super::{BLOCK, Reduction, invalid, sum_blocks};
use crate::error::expect_len;
use crate::simd::{Kernel, Simd, exp, fold, ln, ln_1p, sigmoid, update_fold};
use crate::{Context, Error};

/// Binary cross-entropy of probabilities p: the mean or sum of −t · ln p − (1 − t) · ln(1 − p).
///
/// Both logarithms are clamped to −100 or above. The gradient is (p − t) / max(p (1 − p), 1e-12) /
/// divisor and knows nothing of that clamp. Source: PyTorch, `BCELoss`.
///
/// A NaN among the inputs makes the loss NaN.
///
/// # Errors
/// [`Error::Length`] if the lengths differ; [`Error::Invalid`] if there are no elements or if a
/// prediction lies outside [0, 1]. In the last case the gradient holds unspecified numbers.
pub fn bce(
    cx: &Context,
    reduction: Reduction,
    prediction: &[f32],
    target: &[f32],
    gradient: Option<&mut [f32]>,
) -> Result<f32, Error> {
    let loss = reduce(cx, Bce, reduction, prediction, target, gradient)?;
    // Outside [0, 1] one of the logarithms is NaN and makes the loss NaN, so a loss that is a number
    // proves that all predictions are valid.
    if loss.is_nan()
        && let Some(i) = prediction.iter().position(|p| !p.is_nan() && !(0.0..=1.0).contains(p))
    {
        let found = format!("{} at index {i}", prediction[i]);
        return Err(invalid(Bce::OP, "prediction", "from 0 to 1", found));
    }
    Ok(loss)
}

/// Binary cross-entropy of p = 1 / (1 + e⁻ˣ) for logits x, in a form that cannot overflow: the mean or
/// sum of max(x, 0) − x t + ln(1 + e^−|x|). The gradient is (p − t) / divisor.
///
/// Source: PyTorch, `BCEWithLogitsLoss`. A NaN among the inputs makes the loss NaN.
///
/// # Errors
/// [`Error::Length`] if the lengths differ; [`Error::Invalid`] if there are no elements.
pub fn bce_with_logits(
    cx: &Context,
    reduction: Reduction,
    prediction: &[f32],
    target: &[f32],
    gradient: Option<&mut [f32]>,
) -> Result<f32, Error> {
    reduce(cx, BceWithLogits, reduction, prediction, target, gradient)
}

/// Squared error: the mean or sum of (x − t)². The gradient is 2 (x − t) / divisor.
///
/// Source: PyTorch, `MSELoss`. A NaN among the inputs makes the loss NaN.
///
/// # Errors
/// [`Error::Length`] if the lengths differ; [`Error::Invalid`] if there are no elements.
pub fn mse(
    cx: &Context,
    reduction: Reduction,
    prediction: &[f32],
    target: &[f32],
    gradient: Option<&mut [f32]>,
) -> Result<f32, Error> {
    reduce(cx, Mse, reduction, prediction, target, gradient)
}

/// Absolute error: the mean or sum of |x − t|. The gradient is sign(x − t) / divisor, and 0 where x = t.
///
/// Source: PyTorch, `L1Loss`. A NaN among the inputs makes the loss NaN; as there, the gradient by such an
/// element is 0.
///
/// # Errors
/// [`Error::Length`] if the lengths differ; [`Error::Invalid`] if there are no elements.
pub fn l1(
    cx: &Context,
    reduction: Reduction,
    prediction: &[f32],
    target: &[f32],
    gradient: Option<&mut [f32]>,
) -> Result<f32, Error> {
    reduce(cx, L1, reduction, prediction, target, gradient)
}

/// A loss of one element.
trait Pointwise: Copy + Sync {
    /// The operation's name.
    const OP: &'static str;
    /// Operations for one element.
    const WORK: usize;

    /// Loss and derivative by x of 16 elements.
    fn apply<S: Simd>(self, simd: S, x: S::Vector, t: S::Vector) -> (S::Vector, S::Vector);
}

fn reduce<L: Pointwise>(
    cx: &Context,
    loss: L,
    reduction: Reduction,
    prediction: &[f32],
    target: &[f32],
    gradient: Option<&mut [f32]>,
) -> Result<f32, Error> {
    let len = prediction.len();
    expect_len(L::OP, "target", len, target.len())?;
    if let Some(gradient) = &gradient {
        expect_len(L::OP, "gradient", len, gradient.len())?;
    }
    if len == 0 {
        return Err(invalid(L::OP, "prediction", "at least one element", "none".into()));
    }
    let divisor = reduction.divisor(len);
    let scale = (1.0 / divisor) as f32;
    let gradient = gradient.map(|gradient| (gradient, BLOCK));
    let work = len.saturating_mul(L::WORK);
    let sum = sum_blocks(cx, len.div_ceil(BLOCK), work, gradient, |block, gradient| {
        let first = block * BLOCK;
        let elements = first..len.min(first + BLOCK);
        let (prediction, target) = (&prediction[elements.clone()], &target[elements]);
        cx.isa().run(Block { loss, prediction, target, gradient, scale })
    });
    Ok((sum / divisor) as f32)
}

/// One block: the sum of its losses, and `scale` times its derivatives.
struct Block<'a, L> {
    loss: L,
    prediction: &'a [f32],
    target: &'a [f32],
    gradient: Option<&'a mut [f32]>,
    scale: f32,
}

impl<L: Pointwise> Kernel for Block<'_, L> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f32 {
        let Block { loss, prediction, target, gradient, scale } = self;
        let inputs = [prediction, target];
        let [sum] = match gradient {
            Some(gradient) => {
                let scale = simd.splat(scale);
                update_fold(
                    simd,
                    inputs,
                    [gradient],
                    #[inline(always)]
                    |[sum], [x, t], [_]| {
                        let (value, derivative) = loss.apply(simd, x, t);
                        ([simd.add(sum, value)], [simd.mul(derivative, scale)])
                    },
                )
            }
            None => fold(
                simd,
                inputs,
                #[inline(always)]
                |[sum], [x, t]| {
                    let (value, _) = loss.apply(simd, x, t);
                    [simd.add(sum, value)]
                },
            ),
        };
        simd.sum(sum)
    }
}

#[derive(Clone, Copy)]
struct Bce;

impl Pointwise for Bce {
    const OP: &'static str = "bce";
    const WORK: usize = 64;

    #[inline(always)]
    fn apply<S: Simd>(self, simd: S, p: S::Vector, t: S::Vector) -> (S::Vector, S::Vector) {
        let one = simd.splat(1.0);
        // Constants come first: max returns its second argument for NaN.
        let lowest = simd.splat(-100.0);
        let ln_p = simd.max(lowest, ln(simd, p));
        let ln_not_p = simd.max(lowest, ln_1p(simd, simd.sub(simd.zero(), p)));
        let value = simd.sub(simd.mul(simd.sub(t, one), ln_not_p), simd.mul(t, ln_p));
        let denominator = simd.max(simd.splat(1e-12), simd.mul(p, simd.sub(one, p)));
        (value, simd.div(simd.sub(p, t), denominator))
    }
}

#[derive(Clone, Copy)]
struct BceWithLogits;

impl Pointwise for BceWithLogits {
    const OP: &'static str = "bce_with_logits";
    const WORK: usize = 64;

    #[inline(always)]
    fn apply<S: Simd>(self, simd: S, x: S::Vector, t: S::Vector) -> (S::Vector, S::Vector) {
        // The constant comes first: max returns its second argument for NaN.
        let hinge = simd.sub(simd.max(simd.zero(), x), simd.mul(x, t));
        let e = exp(simd, simd.sub(simd.zero(), simd.abs(x)));
        (simd.add(hinge, ln_1p(simd, e)), simd.sub(sigmoid(simd, x), t))
    }
}

#[derive(Clone, Copy)]
struct Mse;

impl Pointwise for Mse {
    const OP: &'static str = "mse";
    const WORK: usize = 5;

    #[inline(always)]
    fn apply<S: Simd>(self, simd: S, x: S::Vector, t: S::Vector) -> (S::Vector, S::Vector) {
        let difference = simd.sub(x, t);
        (simd.mul(difference, difference), simd.add(difference, difference))
    }
}

#[derive(Clone, Copy)]
struct L1;

impl Pointwise for L1 {
    const OP: &'static str = "l1";
    const WORK: usize = 5;

    #[inline(always)]
    fn apply<S: Simd>(self, simd: S, x: S::Vector, t: S::Vector) -> (S::Vector, S::Vector) {
        let difference = simd.sub(x, t);
        let [one, zero] = [simd.splat(1.0), simd.zero()];
        let negative = simd.select(simd.gt(zero, difference), simd.splat(-1.0), zero);
        (simd.abs(difference), simd.select(simd.gt(difference, zero), one, negative))
    }
}

//! Adam and AdamW.

use super::gradient::{Gradient, update_by};
use super::{CHUNK, decayed, expect_not_negative, invalid};
use crate::error::expect_len;
use crate::simd::{Kernel, Simd, flush};
use crate::{Context, Error};

/// Settings of [`adam_step`]. The default is PyTorch's.
///
/// They are `f64` as in PyTorch, because 1 − β₂ from a β₂ in `f32` is 1.3e-5 off.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamOptions {
    /// Learning rate.
    pub lr: f64,
    /// β₁ and β₂: how much of the old moments is kept.
    pub betas: [f64; 2],
    /// Added to the denominator. With 0, a parameter whose second moment is 0 is divided by 0.
    pub eps: f64,
    /// This times the parameters is added to the gradient.
    pub weight_decay: f64,
}

impl Default for AdamOptions {
    fn default() -> AdamOptions {
        AdamOptions { lr: 1e-3, betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.0 }
    }
}

/// Settings of [`adamw_step`]. The default is PyTorch's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWOptions {
    /// Learning rate.
    pub lr: f64,
    /// β₁ and β₂, as in [`AdamOptions`].
    pub betas: [f64; 2],
    /// Added to the denominator, as in [`AdamOptions`].
    pub eps: f64,
    /// A step shrinks the parameters by the share lr · weight_decay of them.
    pub weight_decay: f64,
}

impl Default for AdamWOptions {
    fn default() -> AdamWOptions {
        AdamWOptions { lr: 1e-3, betas: [0.9, 0.999], eps: 1e-8, weight_decay: 1e-2 }
    }
}

/// What [`adam_step`] and [`adamw_step`] work on.
#[derive(Debug)]
pub struct AdamState<'a> {
    /// θ
    pub parameters: &'a mut [f32],
    /// g
    pub gradient: Gradient<'a>,
    /// m: the running mean of g, zeros before the first step.
    pub first_moment: &'a mut [f32],
    /// v: the running mean of g², zeros before the first step.
    pub second_moment: &'a mut [f32],
}

/// One step of Adam; `step` counts from 1:
///
/// g ← g + weight_decay · θ,
/// m ← m + (1 − β₁)(g − m), v ← β₂ v + (1 − β₂) g²,
/// θ ← θ − lr / (1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + eps), with t = `step`.
///
/// Sources: D. P. Kingma and J. Ba, "Adam: A Method for Stochastic Optimization", 2015; the order of
/// operations is that of `torch.optim.Adam`, with factors calculated in `f64` and rounded to `f32`.
///
/// # Errors
/// [`Error::Length`] if the slices differ in length, [`Error::Overflow`] if the gradient's length is
/// beyond a `usize`; [`Error::Invalid`] if `step` is 0, a beta lies
/// outside [0, 1), or lr, eps or weight_decay is negative or beyond what f32 can hold. Then nothing has
/// changed.
pub fn adam_step(
    cx: &Context,
    options: &AdamOptions,
    step: u64,
    state: AdamState<'_>,
) -> Result<(), Error> {
    take_step(cx, "adam_step", options, 1.0, step, state)
}

/// One step of AdamW; `step` counts from 1: θ ← (1 − lr · weight_decay) · θ, then a step of
/// [Adam](adam_step) whose gradient knows nothing of that.
///
/// Sources: I. Loshchilov and F. Hutter, "Decoupled Weight Decay Regularization", 2019; `torch.optim.AdamW`.
///
/// # Errors
/// As [`adam_step`].
pub fn adamw_step(
    cx: &Context,
    options: &AdamWOptions,
    step: u64,
    state: AdamState<'_>,
) -> Result<(), Error> {
    const OP: &str = "adamw_step";
    let AdamWOptions { lr, betas, eps, weight_decay } = *options;
    expect_not_negative(OP, "weight_decay", weight_decay)?;
    let kept = 1.0 - lr * weight_decay;
    let adam = AdamOptions { lr, betas, eps, weight_decay: 0.0 };
    take_step(cx, OP, &adam, kept, step, state)
}

/// A step of Adam on `kept` times the parameters.
fn take_step(
    cx: &Context,
    op: &'static str,
    options: &AdamOptions,
    kept: f64,
    step: u64,
    state: AdamState<'_>,
) -> Result<(), Error> {
    let AdamState { parameters, gradient, first_moment, second_moment } = state;
    let len = parameters.len();
    expect_len(op, "gradient", len, gradient.len(op)?)?;
    expect_len(op, "first_moment", len, first_moment.len())?;
    expect_len(op, "second_moment", len, second_moment.len())?;
    let AdamOptions { lr, betas, eps, weight_decay } = *options;
    expect_not_negative(op, "lr", lr)?;
    expect_not_negative(op, "eps", eps)?;
    expect_not_negative(op, "weight_decay", weight_decay)?;
    if !(kept as f32).is_finite() {
        let expected = "such that lr times it is within the range of f32";
        return Err(invalid(op, "weight_decay", expected, format!("a product of {}", 1.0 - kept)));
    }
    if !betas.iter().all(|beta| (0.0..1.0).contains(beta)) {
        return Err(invalid(op, "betas", "at least 0 and below 1", format!("{betas:?}")));
    }
    if step == 0 {
        return Err(invalid(op, "step", "at least 1", "0".into()));
    }
    let [correction1, correction2] = betas.map(|beta| 1.0 - beta.powf(step as f64));
    let factors = AdamFactors {
        decay: weight_decay as f32,
        kept_parameter: kept as f32,
        gradient_share: (1.0 - betas[0]) as f32,
        kept: betas[1] as f32,
        square_share: (1.0 - betas[1]) as f32,
        root_factor: (1.0 / correction2.sqrt()) as f32,
        eps: eps as f32,
        negative_rate: (-lr / correction1) as f32,
    };
    let outputs = [(parameters, CHUNK), (first_moment, CHUNK), (second_moment, CHUNK)];
    let tasks = len.div_ceil(CHUNK);
    let work = len.saturating_mul(32);
    cx.threads().for_each_chunk(tasks, work, outputs, |task, state| {
        cx.isa().run(Adam { factors, gradient, start: task * CHUNK, state });
    });
    Ok(())
}

#[derive(Clone, Copy)]
struct AdamFactors {
    /// Of the parameter, added to the gradient.
    decay: f32,
    /// 1, or 1 − lr · weight_decay of AdamW.
    kept_parameter: f32,
    /// 1 − β₁
    gradient_share: f32,
    /// β₂
    kept: f32,
    /// 1 − β₂
    square_share: f32,
    /// 1 / √(1 − β₂ᵗ)
    root_factor: f32,
    eps: f32,
    /// −lr / (1 − β₁ᵗ)
    negative_rate: f32,
}

impl AdamFactors {
    /// θ, m, v after the step.
    #[inline(always)]
    fn step<S: Simd>(
        self,
        simd: S,
        g: S::Vector,
        [parameter, m, v]: [S::Vector; 3],
    ) -> [S::Vector; 3] {
        let m = simd.mul_add(simd.sub(g, m), simd.splat(self.gradient_share), m);
        let square = simd.mul(simd.mul(simd.splat(self.square_share), g), g);
        let v = simd.mul_add(simd.splat(self.kept), v, square);
        let (m, v) = (flush(simd, m), flush(simd, v));
        let root = simd.sqrt(v);
        let denominator = simd.mul_add(root, simd.splat(self.root_factor), simd.splat(self.eps));
        let direction = simd.div(m, denominator);
        [simd.mul_add(direction, simd.splat(self.negative_rate), parameter), m, v]
    }
}

struct Adam<'a> {
    factors: AdamFactors,
    gradient: Gradient<'a>,
    /// Where the state begins within the gradient.
    start: usize,
    /// θ, m, v.
    state: [&'a mut [f32]; 3],
}

impl Kernel for Adam<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Adam { factors: f, gradient, start, state } = self;
        if gradient.scale() == 1.0 && f.decay == 0.0 && f.kept_parameter == 1.0 {
            // The same bits as below, by fewer operations.
            return update_by(
                simd,
                gradient,
                start,
                state,
                #[inline(always)]
                |g, state| f.step(simd, g, state),
            );
        }
        let scale = simd.splat(gradient.scale());
        update_by(
            simd,
            gradient,
            start,
            state,
            #[inline(always)]
            |g, [parameter, m, v]| {
                let g = decayed(simd, simd.mul(g, scale), f.decay, parameter);
                f.step(simd, g, [simd.mul(parameter, simd.splat(f.kept_parameter)), m, v])
            },
        );
    }
}

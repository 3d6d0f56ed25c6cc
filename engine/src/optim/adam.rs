//! Adam.

use super::gradient::{Gradient, update_by};
use super::{CHUNK, expect_not_negative, flush, invalid};
use crate::error::expect_len;
use crate::simd::{Kernel, Simd};
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
}

impl Default for AdamOptions {
    fn default() -> AdamOptions {
        AdamOptions { lr: 1e-3, betas: [0.9, 0.999], eps: 1e-8 }
    }
}

/// What [`adam_step`] works on.
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
/// m ← m + (1 − β₁)(g − m), v ← β₂ v + (1 − β₂) g²,
/// θ ← θ − lr / (1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + eps), with t = `step`.
///
/// Sources: D. P. Kingma and J. Ba, "Adam: A Method for Stochastic Optimization", 2015; the order of
/// operations is that of `torch.optim.Adam`, with factors calculated in `f64` and rounded to `f32`.
///
/// # Errors
/// [`Error::Length`] if the slices differ in length, [`Error::Overflow`] if the gradient's length is
/// beyond a `usize`; [`Error::Invalid`] if `step` is 0, a beta lies
/// outside [0, 1), or lr or eps is negative or beyond what f32 can hold. Then nothing has changed.
pub fn adam_step(
    cx: &Context,
    options: &AdamOptions,
    step: u64,
    state: AdamState<'_>,
) -> Result<(), Error> {
    const OP: &str = "adam_step";
    let AdamState { parameters, gradient, first_moment, second_moment } = state;
    let len = parameters.len();
    expect_len(OP, "gradient", len, gradient.len(OP)?)?;
    expect_len(OP, "first_moment", len, first_moment.len())?;
    expect_len(OP, "second_moment", len, second_moment.len())?;
    let AdamOptions { lr, betas, eps } = *options;
    expect_not_negative(OP, "lr", lr)?;
    expect_not_negative(OP, "eps", eps)?;
    if !betas.iter().all(|beta| (0.0..1.0).contains(beta)) {
        return Err(invalid(OP, "betas", "at least 0 and below 1", format!("{betas:?}")));
    }
    if step == 0 {
        return Err(invalid(OP, "step", "at least 1", "0".into()));
    }
    let [correction1, correction2] = betas.map(|beta| 1.0 - beta.powf(step as f64));
    let factors = AdamFactors {
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
        let f = self.factors;
        update_by(
            simd,
            self.gradient,
            self.start,
            self.state,
            #[inline(always)]
            |g, [parameter, m, v]| {
                let m = simd.mul_add(simd.sub(g, m), simd.splat(f.gradient_share), m);
                let square = simd.mul(simd.mul(simd.splat(f.square_share), g), g);
                let v = simd.mul_add(simd.splat(f.kept), v, square);
                let (m, v) = (flush(simd, m), flush(simd, v));
                let root = simd.sqrt(v);
                let denominator = simd.mul_add(root, simd.splat(f.root_factor), simd.splat(f.eps));
                let direction = simd.div(m, denominator);
                [simd.mul_add(direction, simd.splat(f.negative_rate), parameter), m, v]
            },
        );
    }
}

//! Stochastic gradient descent.

use super::gradient::{Gradient, update_by};
use super::{CHUNK, decayed, expect_not_negative, invalid};
use crate::error::expect_len;
use crate::simd::{Kernel, Simd, flush};
use crate::{Context, Error};

/// Settings of [`sgd_step`]. The default is PyTorch's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SgdOptions {
    /// Learning rate.
    pub lr: f64,
    /// How much of the old velocity is kept; 0 for plain descent.
    pub momentum: f64,
    /// This times the parameters is added to the gradient.
    pub weight_decay: f64,
    /// Whether a step looks ahead by momentum · velocity, which must then not be 0.
    pub nesterov: bool,
}

impl Default for SgdOptions {
    fn default() -> SgdOptions {
        SgdOptions { lr: 1e-3, momentum: 0.0, weight_decay: 0.0, nesterov: false }
    }
}

/// One step of stochastic gradient descent with momentum, for parameters θ and gradient g:
///
/// g ← g + weight_decay · θ, velocity ← momentum · velocity + g, θ ← θ − lr · velocity; with Nesterov's
/// momentum θ ← θ − lr · (g + momentum · velocity).
///
/// A velocity of zeros before the first step makes that step PyTorch's, which starts from the
/// gradient. Source: `torch.optim.SGD`, with a dampening of 0.
///
/// # Errors
/// [`Error::Length`] if the slices differ in length, [`Error::Overflow`] if the gradient's length is
/// beyond a `usize`; [`Error::Invalid`] if lr, momentum or weight_decay is
/// negative or beyond what f32 can hold, or if Nesterov's momentum is 0. Then nothing has changed.
pub fn sgd_step(
    cx: &Context,
    options: &SgdOptions,
    parameters: &mut [f32],
    gradient: Gradient<'_>,
    velocity: &mut [f32],
) -> Result<(), Error> {
    const OP: &str = "sgd_step";
    let len = parameters.len();
    expect_len(OP, "gradient", len, gradient.len(OP)?)?;
    expect_len(OP, "velocity", len, velocity.len())?;
    let SgdOptions { lr, momentum, weight_decay, nesterov } = *options;
    expect_not_negative(OP, "lr", lr)?;
    expect_not_negative(OP, "momentum", momentum)?;
    expect_not_negative(OP, "weight_decay", weight_decay)?;
    if nesterov && momentum == 0.0 {
        return Err(invalid(OP, "momentum", "above 0 with nesterov", momentum.to_string()));
    }
    let factors = SgdFactors {
        negative_rate: -lr as f32,
        momentum: momentum as f32,
        decay: weight_decay as f32,
        nesterov,
    };
    let outputs = [(parameters, CHUNK), (velocity, CHUNK)];
    let tasks = len.div_ceil(CHUNK);
    let work = len.saturating_mul(5);
    cx.threads().for_each_chunk(tasks, work, outputs, |task, state| {
        cx.isa().run(Sgd { factors, gradient, start: task * CHUNK, state });
    });
    Ok(())
}

#[derive(Clone, Copy)]
struct SgdFactors {
    negative_rate: f32,
    momentum: f32,
    decay: f32,
    nesterov: bool,
}

struct Sgd<'a> {
    factors: SgdFactors,
    gradient: Gradient<'a>,
    /// Where the state begins within the gradient.
    start: usize,
    /// Parameters and velocity.
    state: [&'a mut [f32]; 2],
}

impl Kernel for Sgd<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let f = self.factors;
        let rate = simd.splat(f.negative_rate);
        let momentum = simd.splat(f.momentum);
        let Sgd { gradient, start, state, .. } = self;
        if gradient.scale() == 1.0 && f.decay == 0.0 && !f.nesterov {
            // The same bits as below, in a twentieth less time.
            return update_by(
                simd,
                gradient,
                start,
                state,
                #[inline(always)]
                |g, [parameter, velocity]| {
                    let velocity = flush(simd, simd.mul_add(momentum, velocity, g));
                    [simd.mul_add(velocity, rate, parameter), velocity]
                },
            );
        }
        let scale = simd.splat(gradient.scale());
        update_by(
            simd,
            gradient,
            start,
            state,
            #[inline(always)]
            |g, [parameter, velocity]| {
                let g = decayed(simd, simd.mul(g, scale), f.decay, parameter);
                let velocity = flush(simd, simd.mul_add(momentum, velocity, g));
                let direction =
                    if f.nesterov { simd.mul_add(momentum, velocity, g) } else { velocity };
                [simd.mul_add(direction, rate, parameter), velocity]
            },
        );
    }
}

//! Stochastic gradient descent.

use super::gradient::{Gradient, update_by};
use super::{CHUNK, expect_not_negative, flush};
use crate::error::expect_len;
use crate::simd::{Kernel, Simd};
use crate::{Context, Error};

/// Settings of [`sgd_step`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SgdOptions {
    /// Learning rate.
    pub lr: f64,
    /// How much of the old velocity is kept; 0 for plain descent.
    pub momentum: f64,
}

/// One step of stochastic gradient descent with momentum:
///
/// velocity ← momentum · velocity + gradient, parameters ← parameters − lr · velocity.
///
/// A velocity of zeros before the first step makes that step PyTorch's, which starts from the
/// gradient. Source: `torch.optim.SGD`, without dampening, Nesterov or weight decay.
///
/// # Errors
/// [`Error::Length`] if the slices differ in length, [`Error::Overflow`] if the gradient's length is
/// beyond a `usize`; [`Error::Invalid`] if lr or momentum is
/// negative or beyond what f32 can hold. Then nothing has changed.
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
    expect_not_negative(OP, "lr", options.lr)?;
    expect_not_negative(OP, "momentum", options.momentum)?;
    let (negative_rate, momentum) = (-options.lr as f32, options.momentum as f32);
    let outputs = [(parameters, CHUNK), (velocity, CHUNK)];
    let tasks = len.div_ceil(CHUNK);
    let work = len.saturating_mul(5);
    cx.threads().for_each_chunk(tasks, work, outputs, |task, state| {
        let start = task * CHUNK;
        cx.isa().run(Sgd { negative_rate, momentum, gradient, start, state });
    });
    Ok(())
}

struct Sgd<'a> {
    negative_rate: f32,
    momentum: f32,
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
        let rate = simd.splat(self.negative_rate);
        let momentum = simd.splat(self.momentum);
        update_by(
            simd,
            self.gradient,
            self.start,
            self.state,
            #[inline(always)]
            |g, [parameter, velocity]| {
                let velocity = flush(simd, simd.mul_add(momentum, velocity, g));
                [simd.mul_add(velocity, rate, parameter), velocity]
            },
        );
    }
}

//! Where a step gets the gradient from.

use crate::Error;
use crate::simd::{Simd, update};

/// The gradient of a step: one number for each parameter, in memory or as factors, and a number that all of
/// them are multiplied by.
#[derive(Clone, Copy, Debug)]
pub struct Gradient<'a> {
    values: Values<'a>,
    scale: f32,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Values<'a> {
    Dense(&'a [f32]),
    Outer { dy: &'a [f32], x: &'a [f32] },
}

impl<'a> Gradient<'a> {
    /// One number for each parameter.
    pub fn dense(gradient: &'a [f32]) -> Gradient<'a> {
        Gradient { values: Values::Dense(gradient), scale: 1.0 }
    }

    /// That of a weight `[out, in]` of a fully connected layer by a single input: dy · xᵀ, with the bits that
    /// [`linear_backward_weight`](crate::linear::linear_backward_weight) gives it, for the gradient dy `[out]`
    /// by the layer's output and its input x `[in]`. It is never in memory: for a large weight, to write and
    /// read it takes a good part of the time that the step takes.
    pub fn outer(dy: &'a [f32], x: &'a [f32]) -> Gradient<'a> {
        Gradient { values: Values::Outer { dy, x }, scale: 1.0 }
    }

    /// `factor` times this gradient. The step multiplies while it reads; 1 changes no bit.
    pub fn scaled(self, factor: f32) -> Gradient<'a> {
        Gradient { scale: self.scale * factor, ..self }
    }

    /// Without the scale.
    pub(super) fn values(&self) -> Values<'a> {
        self.values
    }

    pub(super) fn scale(&self) -> f32 {
        self.scale
    }

    /// The number of parameters.
    pub(super) fn len(&self, op: &'static str) -> Result<usize, Error> {
        match self.values {
            Values::Dense(gradient) => Ok(gradient.len()),
            Values::Outer { dy, x } => {
                dy.len().checked_mul(x.len()).ok_or(Error::Overflow { op, what: "gradient" })
            }
        }
    }
}

impl<'a> From<&'a [f32]> for Gradient<'a> {
    fn from(gradient: &'a [f32]) -> Gradient<'a> {
        Gradient::dense(gradient)
    }
}

/// Replaces the elements of `state` by `f(gradient, state)`, lane by lane, for the gradient without its scale. The state's element 0 belongs to
/// the gradient's element `start`.
///
/// # Panics
/// If the slices differ in length or reach beyond the gradient.
#[inline(always)]
pub(super) fn update_by<S: Simd, const O: usize>(
    simd: S,
    gradient: Gradient<'_>,
    start: usize,
    mut state: [&mut [f32]; O],
    f: impl Fn(S::Vector, [S::Vector; O]) -> [S::Vector; O],
) {
    let len = state[0].len();
    match gradient.values {
        Values::Dense(gradient) => update(
            simd,
            [&gradient[start..][..len]],
            state,
            #[inline(always)]
            |[g], state| f(g, state),
        ),
        Values::Outer { dy, x } => {
            let mut at = start;
            while at < start + len {
                // The rest of a row of the weight, or the part of it that the state holds.
                let (row, column) = (at / x.len(), at % x.len());
                let columns = (x.len() - column).min(start + len - at);
                let part = state
                    .each_mut()
                    .map(|state| state.split_off_mut(..columns).expect("slices of one length"));
                let dy = simd.splat(dy[row]);
                update(
                    simd,
                    [&x[column..][..columns]],
                    part,
                    // The sum of a single product, begun at 0 as all sums are: -0 becomes 0.
                    #[inline(always)]
                    |[x], state| f(simd.mul_add(dy, x, simd.zero()), state),
                );
                at += columns;
            }
        }
    }
}

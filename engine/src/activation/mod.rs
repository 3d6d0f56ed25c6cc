//! Activations, forward and backward: element by element, and softmax along one axis.
//!
//! All slices of a call of an elementwise activation have one length, whatever shape the tensors have.

mod gelu;
mod relu;
mod sigmoid;
mod silu;
mod softmax;
mod tanh;

pub use gelu::{GeluApproximation, gelu, gelu_backward};
pub use relu::{leaky_relu, leaky_relu_backward, relu, relu_backward};
pub use sigmoid::{sigmoid, sigmoid_backward};
pub use silu::{silu, silu_backward};
pub use softmax::{Softmax, log_softmax, log_softmax_backward, softmax, softmax_backward};
pub use tanh::{tanh, tanh_backward};

use crate::error::expect_len;
use crate::simd::{self, Kernel, Simd};
use crate::{Context, Error};

/// Elements of a task.
const CHUNK: usize = 1 << 14;

/// A function of one element of each of I slices.
trait Function<const I: usize>: Copy + Sync {
    /// Operations for one element.
    const WORK: usize;

    /// The function of 16 elements.
    fn apply<S: Simd>(self, simd: S, x: [S::Vector; I]) -> S::Vector;
}

/// y = function(x), for the operation `op`.
fn forward(
    cx: &Context,
    op: &'static str,
    function: impl Function<1>,
    x: &[f32],
    y: &mut [f32],
) -> Result<(), Error> {
    expect_len(op, "y", x.len(), y.len())?;
    elementwise(cx, function, [x], y);
    Ok(())
}

/// dx = function(value, dy), for the operation `op`, where `value` is the input or the output of the
/// forward pass.
fn backward(
    cx: &Context,
    op: &'static str,
    function: impl Function<2>,
    value: &[f32],
    dy: &[f32],
    dx: &mut [f32],
) -> Result<(), Error> {
    expect_len(op, "dy", value.len(), dy.len())?;
    expect_len(op, "dx", value.len(), dx.len())?;
    elementwise(cx, function, [value, dy], dx);
    Ok(())
}

fn elementwise<F: Function<I>, const I: usize>(
    cx: &Context,
    function: F,
    inputs: [&[f32]; I],
    output: &mut [f32],
) {
    let tasks = output.len().div_ceil(CHUNK);
    let work = output.len().saturating_mul(F::WORK);
    cx.threads().for_each_chunk(tasks, work, [(output, CHUNK)], |task, [output]| {
        let inputs = inputs.map(|input| &input[task * CHUNK..][..output.len()]);
        cx.isa().run(Apply { function, inputs, output });
    });
}

struct Apply<'a, F, const I: usize> {
    function: F,
    inputs: [&'a [f32]; I],
    output: &'a mut [f32],
}

impl<F: Function<I>, const I: usize> Kernel for Apply<'_, F, I> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let function = self.function;
        simd::map(
            simd,
            self.inputs,
            self.output,
            #[inline(always)]
            |x| function.apply(simd, x),
        );
    }
}

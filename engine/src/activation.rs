//! Elementwise activations, forward and backward.
//!
//! All slices of a call have one length, whatever shape the tensors have.

use crate::error::expect_len;
use crate::simd::{self, Kernel, Simd};
use crate::{Context, Error};

/// Elements of a task.
const CHUNK: usize = 1 << 14;

/// y = max(x, 0), NaN where x is NaN.
///
/// # Errors
/// [`Error::Length`] if y is not as long as x.
pub fn relu(cx: &Context, x: &[f32], y: &mut [f32]) -> Result<(), Error> {
    expect_len("relu", "y", x.len(), y.len())?;
    elementwise(cx, Relu, [x], y);
    Ok(())
}

/// Gradient of [`relu`]: dx = dy where x > 0, 0 elsewhere. x is the input or the output of the
/// forward pass; dx is overwritten.
///
/// # Errors
/// [`Error::Length`] if dy or dx is not as long as x.
pub fn relu_backward(cx: &Context, x: &[f32], dy: &[f32], dx: &mut [f32]) -> Result<(), Error> {
    expect_len("relu_backward", "dy", x.len(), dy.len())?;
    expect_len("relu_backward", "dx", x.len(), dx.len())?;
    elementwise(cx, ReluBackward, [x, dy], dx);
    Ok(())
}

/// y = x where x > 0, slope · x elsewhere; NaN where x is NaN.
///
/// # Errors
/// [`Error::Length`] if y is not as long as x.
pub fn leaky_relu(cx: &Context, slope: f32, x: &[f32], y: &mut [f32]) -> Result<(), Error> {
    expect_len("leaky_relu", "y", x.len(), y.len())?;
    elementwise(cx, LeakyRelu { slope }, [x], y);
    Ok(())
}

/// Gradient of [`leaky_relu`]: dx = dy where x > 0, slope · dy elsewhere. x is the input of the
/// forward pass, or its output if slope > 0; dx is overwritten.
///
/// # Errors
/// [`Error::Length`] if dy or dx is not as long as x.
pub fn leaky_relu_backward(
    cx: &Context,
    slope: f32,
    x: &[f32],
    dy: &[f32],
    dx: &mut [f32],
) -> Result<(), Error> {
    expect_len("leaky_relu_backward", "dy", x.len(), dy.len())?;
    expect_len("leaky_relu_backward", "dx", x.len(), dx.len())?;
    elementwise(cx, LeakyReluBackward { slope }, [x, dy], dx);
    Ok(())
}

/// y = 1 / (1 + e⁻ˣ), at most 3 ULP off where y is a normal number; NaN where x is NaN.
///
/// # Errors
/// [`Error::Length`] if y is not as long as x.
pub fn sigmoid(cx: &Context, x: &[f32], y: &mut [f32]) -> Result<(), Error> {
    expect_len("sigmoid", "y", x.len(), y.len())?;
    elementwise(cx, Sigmoid, [x], y);
    Ok(())
}

/// Gradient of [`sigmoid`]: dx = dy · y · (1 − y), where y is the *output* of the forward pass; dx
/// is overwritten.
///
/// # Errors
/// [`Error::Length`] if dy or dx is not as long as y.
pub fn sigmoid_backward(cx: &Context, y: &[f32], dy: &[f32], dx: &mut [f32]) -> Result<(), Error> {
    expect_len("sigmoid_backward", "dy", y.len(), dy.len())?;
    expect_len("sigmoid_backward", "dx", y.len(), dx.len())?;
    elementwise(cx, SigmoidBackward, [y, dy], dx);
    Ok(())
}

/// A function of one element of each of I slices.
trait Function<const I: usize>: Copy + Sync {
    /// Operations for one element.
    const WORK: usize;

    /// The function of 16 elements.
    fn apply<S: Simd>(self, simd: S, x: [S::Vector; I]) -> S::Vector;
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

#[derive(Clone, Copy)]
struct Relu;

impl Function<1> for Relu {
    const WORK: usize = 1;

    #[inline(always)]
    fn apply<S: Simd>(self, simd: S, [x]: [S::Vector; 1]) -> S::Vector {
        // In this order, because max returns its second argument for NaN.
        simd.max(simd.zero(), x)
    }
}

#[derive(Clone, Copy)]
struct ReluBackward;

impl Function<2> for ReluBackward {
    const WORK: usize = 2;

    #[inline(always)]
    fn apply<S: Simd>(self, simd: S, [x, dy]: [S::Vector; 2]) -> S::Vector {
        simd.select(simd.gt(x, simd.zero()), dy, simd.zero())
    }
}

#[derive(Clone, Copy)]
struct LeakyRelu {
    slope: f32,
}

impl Function<1> for LeakyRelu {
    const WORK: usize = 3;

    #[inline(always)]
    fn apply<S: Simd>(self, simd: S, [x]: [S::Vector; 1]) -> S::Vector {
        simd::leaky_relu(simd, x, simd.splat(self.slope))
    }
}

#[derive(Clone, Copy)]
struct LeakyReluBackward {
    slope: f32,
}

impl Function<2> for LeakyReluBackward {
    const WORK: usize = 3;

    #[inline(always)]
    fn apply<S: Simd>(self, simd: S, [x, dy]: [S::Vector; 2]) -> S::Vector {
        let scaled = simd.mul(dy, simd.splat(self.slope));
        simd.select(simd.gt(x, simd.zero()), dy, scaled)
    }
}

#[derive(Clone, Copy)]
struct Sigmoid;

impl Function<1> for Sigmoid {
    const WORK: usize = 32;

    #[inline(always)]
    fn apply<S: Simd>(self, simd: S, [x]: [S::Vector; 1]) -> S::Vector {
        simd::sigmoid(simd, x)
    }
}

#[derive(Clone, Copy)]
struct SigmoidBackward;

impl Function<2> for SigmoidBackward {
    const WORK: usize = 3;

    #[inline(always)]
    fn apply<S: Simd>(self, simd: S, [y, dy]: [S::Vector; 2]) -> S::Vector {
        simd.mul(dy, simd.mul(y, simd.sub(simd.splat(1.0), y)))
    }
}

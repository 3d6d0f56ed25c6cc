//! The norm of a gradient, and the factor that keeps it within bounds.

use super::gradient::{Gradient, Values};
use super::invalid;
use crate::buffer::with_scratch;
use crate::simd::{Kernel, Simd, fold};
use crate::{Context, Error};

/// Elements of a task. Each of the 16 lanes adds 256 squares.
const BLOCK: usize = 4096;

/// The 2-norm over all `parts` of a gradient, as one vector. It is not finite if an element is not, or if it
/// is beyond what f32 can hold.
///
/// Sums are taken in `f32` in blocks of a fixed size and added in order in `f64`. A block whose sum exceeds
/// f32 is summed in `f64`; elements below about 1e-19, whose squares f32 does not hold, may count as 0. The
/// norm of dy · xᵀ is that of dy times that of x, so a gradient that is
/// [never in memory](Gradient::outer) is not computed here either.
///
/// Source: PyTorch, `torch.nn.utils.get_total_norm`, whose sums overflow at elements of 1.8e19.
pub fn gradient_norm<'a>(cx: &Context, parts: impl IntoIterator<Item = Gradient<'a>>) -> f32 {
    let of_part = |gradient: Gradient<'_>| {
        let squares = match gradient.values() {
            Values::Dense(values) => sum_of_squares(cx, values),
            Values::Outer { dy, x } => sum_of_squares(cx, dy) * sum_of_squares(cx, x),
        };
        f64::from(gradient.scale()).powi(2) * squares
    };
    parts.into_iter().map(of_part).fold(0.0, |sum, part| sum + part).sqrt() as f32
}

/// min(1, `max_norm` / (`norm` + 1e-6)): a gradient of this norm times the factor has a norm of at most
/// `max_norm`. [`Gradient::scaled`] takes it.
///
/// Source: PyTorch, `torch.nn.utils.clip_grad_norm_` with `error_if_nonfinite`.
///
/// # Errors
/// [`Error::Invalid`] if `norm` is not finite, or `max_norm` is negative or NaN.
pub fn clip_factor(norm: f32, max_norm: f64) -> Result<f32, Error> {
    const OP: &str = "clip_factor";
    if max_norm.is_nan() || max_norm < 0.0 {
        return Err(invalid(OP, "max_norm", "at least 0", max_norm.to_string()));
    }
    if !norm.is_finite() {
        return Err(invalid(OP, "norm", "finite", norm.to_string()));
    }
    Ok((max_norm / (f64::from(norm) + 1e-6)).min(1.0) as f32)
}

fn sum_of_squares(cx: &Context, values: &[f32]) -> f64 {
    let block = |i: usize| &values[i * BLOCK..values.len().min((i + 1) * BLOCK)];
    let blocks = values.len().div_ceil(BLOCK);
    let work = values.len().saturating_mul(2);
    with_scratch(blocks, |sums| {
        cx.threads().for_each_chunk(blocks, work, [(&mut *sums, 1)], |i, [sum]| {
            sum[0] = cx.isa().run(SumOfSquares(block(i)));
        });
        let sum = |(i, &sum): (usize, &f32)| match sum.is_finite() {
            true => f64::from(sum),
            false => block(i).iter().map(|&x| f64::from(x).powi(2)).sum(),
        };
        sums.iter().enumerate().map(sum).sum()
    })
}

struct SumOfSquares<'a>(&'a [f32]);

impl Kernel for SumOfSquares<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f32 {
        let [sum] = fold(
            simd,
            [self.0],
            #[inline(always)]
            |[sum], [x]| [simd.mul_add(x, x, sum)],
        );
        simd.sum(sum)
    }
}

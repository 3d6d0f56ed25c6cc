//! Losses: value and gradient in one pass.
//!
//! Every loss is a sum over elements, or over rows for the cross-entropies, that is divided by a
//! *divisor* ([`Reduction`]). The gradient by the prediction is written where a slice for it is given, and
//! overwrites it. Sums are taken in `f32` in blocks of a fixed size, and the blocks' sums are added in order
//! in `f64`.

mod cross_entropy;
mod pointwise;
mod rows;

pub use cross_entropy::{CrossEntropyOptions, cross_entropy, cross_entropy_probabilities};
pub use pointwise::{bce, bce_with_logits, l1, mse};

use crate::buffer::with_scratch;
use crate::{Context, Error};

/// How the losses of all elements or rows become one number: PyTorch's `reduction`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reduction {
    /// Their mean; the divisor is their number.
    #[default]
    Mean,
    /// Their sum; the divisor is 1.
    Sum,
}

impl Reduction {
    /// What the sum of `count` losses is divided by.
    fn divisor(self, count: usize) -> f64 {
        match self {
            Reduction::Mean => count as f64,
            Reduction::Sum => 1.0,
        }
    }
}

/// Elements of a block. Each of the 16 lanes adds 256 of them.
const BLOCK: usize = 4096;

/// The gradient of a loss, and how many of its elements belong to a block.
type BlockedGradient<'a> = Option<(&'a mut [f32], usize)>;

/// Sum of the blocks' sums. `block` calculates the sum of the block of that number and fills its
/// part of the gradient; `work` is the operations of all.
fn sum_blocks(
    cx: &Context,
    blocks: usize,
    work: usize,
    gradient: BlockedGradient<'_>,
    block: impl Fn(usize, Option<&mut [f32]>) -> f32 + Sync,
) -> f64 {
    if blocks == 1 {
        // Training with small batches ends here, without memory for sums.
        return block(0, gradient.map(|(gradient, _)| gradient)).into();
    }
    with_scratch(blocks, |sums| {
        match gradient {
            Some(gradient) => {
                let outputs = [(&mut *sums, 1), gradient];
                cx.threads().for_each_chunk(blocks, work, outputs, |i, [sum, gradient]| {
                    sum[0] = block(i, Some(gradient));
                });
            }
            None => {
                cx.threads().for_each_chunk(blocks, work, [(&mut *sums, 1)], |i, [sum]| {
                    sum[0] = block(i, None);
                });
            }
        }
        sums.iter().map(|&sum| f64::from(sum)).sum()
    })
}

fn invalid(op: &'static str, what: &'static str, expected: &'static str, found: String) -> Error {
    Error::Invalid { op, what, expected, found }
}

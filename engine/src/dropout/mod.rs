//! Dropout: elements set to zero at random.
//!
//! Which ones follows from a key and an element's index alone, so nothing is kept for the backward pass, and
//! neither tier nor threads change them.

mod philox;

use crate::error::expect_len;
use crate::simd::{self, Kernel, LANES, Simd};
use crate::{Context, Error};
use philox::philox;

/// Elements that a call of the generator on 16 counters has numbers for.
const BLOCK: usize = 4 * LANES;
/// Elements of a task.
const CHUNK: usize = 256 * BLOCK;
/// Operations for one element.
const WORK: usize = 16;

/// Which elements are dropped: those whose random number of (key, index) is below p.
///
/// The number of element i is a word of Philox 4×32-10 divided by 2³²: word ⌊i / 16⌋ mod 4 for the counter
/// 16 · ⌊i / 64⌋ + i mod 16. The numbers of different keys are independent, those of neighbouring ones too.
///
/// Source: J. Salmon, M. Moraes, R. Dror, D. Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3" (2011).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// Probability that an element is dropped, from 0 to 1.
    pub p: f32,
    /// What the random numbers follow from: another one for each step and each layer.
    pub key: u64,
}

/// y = x · m with m = 0 where an element is dropped and 1 / (1 − p) elsewhere. For p = 0 y is x, for p = 1 all
/// elements are dropped. NaN and ±∞ become NaN where they are dropped.
///
/// Source: PyTorch, `Dropout`; N. Srivastava, G. Hinton, A. Krizhevsky, I. Sutskever, R. Salakhutdinov,
/// "Dropout: A Simple Way to Prevent Neural Networks from Overfitting" (2014).
///
/// # Errors
/// [`Error::Invalid`] if p is not from 0 to 1, [`Error::Length`] if y is not as long as x.
pub fn dropout(cx: &Context, dropout: &Dropout, x: &[f32], y: &mut [f32]) -> Result<(), Error> {
    run(cx, dropout, "dropout", x, ("y", y))
}

/// Gradient of [`dropout`]: dx = dy · m, with the m of the same p and key. dx is overwritten.
///
/// # Errors
/// As [`dropout`].
pub fn dropout_backward(
    cx: &Context,
    dropout: &Dropout,
    dy: &[f32],
    dx: &mut [f32],
) -> Result<(), Error> {
    run(cx, dropout, "dropout_backward", dy, ("dx", dx))
}

fn run(
    cx: &Context,
    &Dropout { p, key }: &Dropout,
    op: &'static str,
    input: &[f32],
    (name, output): (&'static str, &mut [f32]),
) -> Result<(), Error> {
    if !(0.0..=1.0).contains(&p) {
        let (what, expected, found) = ("p", "from 0 to 1", p.to_string());
        return Err(Error::Invalid { op, what, expected, found });
    }
    expect_len(op, name, input.len(), output.len())?;
    // A word below threshold is one below p · 2³². If p is 1, what is kept is multiplied by 0 too.
    let p = f64::from(p);
    let threshold = (p * 2.0_f64.powi(32)).ceil() as u32;
    let scale = if p < 1.0 { (1.0 / (1.0 - p)) as f32 } else { 0.0 };
    let tasks = output.len().div_ceil(CHUNK);
    let work = output.len().saturating_mul(WORK);
    cx.threads().for_each_chunk(tasks, work, [(output, CHUNK)], |task, [output]| {
        let first = task * CHUNK;
        let input = &input[first..][..output.len()];
        let block = (first / BLOCK) as u64;
        cx.isa().run(Apply { key, threshold, scale, block, input, output });
    });
    Ok(())
}

/// Elements from the beginning of a block of that number on.
struct Apply<'a> {
    key: u64,
    threshold: u32,
    scale: f32,
    block: u64,
    input: &'a [f32],
    output: &'a mut [f32],
}

impl Kernel for Apply<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let blocks = self.input.chunks(BLOCK).zip(self.output.chunks_mut(BLOCK));
        for (block, (input, output)) in (self.block..).zip(blocks) {
            let words = philox(self.key, LANES as u64 * block);
            let mut factors = [0.0; BLOCK];
            for (factors, words) in factors.chunks_exact_mut(LANES).zip(&words) {
                for lane in 0..LANES {
                    factors[lane] = if words[lane] < self.threshold { 0.0 } else { self.scale };
                }
            }
            simd::map(
                simd,
                [input, &factors[..input.len()]],
                output,
                #[inline(always)]
                |[x, factor]| simd.mul(x, factor),
            );
        }
    }
}

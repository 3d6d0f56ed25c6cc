//! The machine's limit, and the memory that operations keep.

pub use crate::buffer::scratch_bytes;
use crate::simd::{Kernel, LANES, Simd};
use crate::{Context, Tier};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Multiply-adds of a chain. A task takes some 100 µs.
const ROUNDS: usize = 1 << 16;
/// How long is measured; the best time counts.
const TIME: Duration = Duration::from_millis(100);

/// Floating-point operations per second of all threads of `cx` together, with nothing to do but to
/// multiply and add in registers: two operations for each lane. Takes 0.1 s.
///
/// On tiers with FMA this is the peak that a product can come near to.
pub fn fma_peak(cx: &Context) -> f64 {
    match cx.isa().tier() {
        // Chains enough to keep every unit busy, few enough for the registers: a vector of 16 lanes is
        // one register, two, or four.
        Tier::Avx512 => peak_of::<12>(cx),
        Tier::Avx2 => peak_of::<6>(cx),
        Tier::Portable => peak_of::<3>(cx),
    }
}

fn peak_of<const N: usize>(cx: &Context) -> f64 {
    // Several for each thread: one that begins late still helps.
    let tasks = match cx.threads().count() {
        1 => 1,
        count => 8 * count,
    };
    let flops = (2 * LANES * N * ROUNDS * tasks) as f64;
    let started = Instant::now();
    let mut best = Duration::MAX;
    while started.elapsed() < TIME {
        let call = Instant::now();
        cx.threads().for_each_chunk::<f32, 0>(tasks, usize::MAX, [], |_, []| {
            black_box(cx.isa().run(Chains::<N>));
        });
        best = best.min(call.elapsed());
    }
    flops / best.as_secs_f64()
}

/// `N` chains of operations of which each waits for the one before.
struct Chains<const N: usize>;

impl<const N: usize> Kernel for Chains<N> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f32 {
        let factor = simd.splat(black_box(0.999));
        // Of unknown and so different values, or they would be one chain.
        let mut chains = black_box([1.0; N]).map(
            #[inline(always)]
            |value| simd.splat(value),
        );
        for _ in 0..ROUNDS {
            for chain in &mut chains {
                *chain = simd.mul_add(*chain, factor, factor);
            }
        }
        let mut total = simd.zero();
        for chain in chains {
            total = simd.add(total, chain);
        }
        simd.sum(total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Isa, Threads};

    /// x ← (x + 1) · 0.999 from 1 on comes to rest at 999: all steps of all chains were taken.
    #[test]
    fn the_chains_are_computed() {
        for isa in Isa::available() {
            let sum = isa.run(Chains::<6>);
            assert!((sum / (6.0 * 16.0 * 999.0) - 1.0).abs() < 0.01, "{isa:?}: {sum}");
            let threads = Threads::new(2).unwrap();
            let peak = fma_peak(&Context::new(isa, threads));
            assert!(peak.is_finite() && peak > 0.0, "{isa:?}: {peak}");
        }
    }
}

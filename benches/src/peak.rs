//! The machine's limit: fused multiply-adds that wait for nothing.

use std::sync::OnceLock;

/// GFLOP/s of one thread that does nothing but multiply and add in registers, on the widest vectors that
/// the CPU has; `None` where that is not known. Measured once.
pub fn peak_gflops() -> Option<f64> {
    static PEAK: OnceLock<Option<f64>> = OnceLock::new();
    *PEAK.get_or_init(measure)
}

#[cfg(target_arch = "x86_64")]
fn measure() -> Option<f64> {
    const ROUNDS: usize = 1 << 20;
    // Chains of dependent operations, enough to keep every unit busy.
    const CHAINS: usize = 12;
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: the CPU has AVX-512 F.
        let time = crate::best_time(|| unsafe { x86::chains512::<CHAINS>(ROUNDS) });
        Some((2 * 16 * CHAINS * ROUNDS) as f64 / time.as_secs_f64() / 1e9)
    } else if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        // SAFETY: the CPU has AVX2 and FMA.
        let time = crate::best_time(|| unsafe { x86::chains256::<CHAINS>(ROUNDS) });
        Some((2 * 8 * CHAINS * ROUNDS) as f64 / time.as_secs_f64() / 1e9)
    } else {
        None
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn measure() -> Option<f64> {
    None
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;
    use std::hint::black_box;

    #[target_feature(enable = "avx2,fma")]
    pub(super) fn chains256<const N: usize>(rounds: usize) {
        let factor = _mm256_set1_ps(black_box(0.999));
        let mut chains = [_mm256_set1_ps(1.0); N];
        for _ in 0..rounds {
            for chain in &mut chains {
                *chain = _mm256_fmadd_ps(*chain, factor, factor);
            }
        }
        black_box(chains);
    }

    #[target_feature(enable = "avx512f")]
    pub(super) fn chains512<const N: usize>(rounds: usize) {
        let factor = _mm512_set1_ps(black_box(0.999));
        let mut chains = [_mm512_set1_ps(1.0); N];
        for _ in 0..rounds {
            for chain in &mut chains {
                *chain = _mm512_fmadd_ps(*chain, factor, factor);
            }
        }
        black_box(chains);
    }
}

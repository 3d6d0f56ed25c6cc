//! The machine's limit.

use crate::context;
use loupe_engine::measure::fma_peak;
use std::sync::OnceLock;

/// GFLOP/s of one thread that does nothing but multiply and add in registers, with the
/// instructions of [`context`]. Measured once.
pub fn peak_gflops() -> f64 {
    static PEAK: OnceLock<f64> = OnceLock::new();
    *PEAK.get_or_init(|| fma_peak(&context(1)) / 1e9)
}

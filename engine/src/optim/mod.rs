//! Optimiser updates, in place.
//!
//! All slices of a step have one length. A moment or velocity whose magnitude is below
//! [`f32::MIN_POSITIVE`] becomes 0: left alone, the state of a parameter whose gradient stays 0
//! would decay into denormal numbers, with which CPUs calculate many times slower.

mod adam;
mod clip;
mod gradient;
mod sgd;

pub use adam::{AdamOptions, AdamState, AdamWOptions, adam_step, adamw_step};
pub use clip::{clip_factor, gradient_norm};
pub use gradient::Gradient;
pub use sgd::{SgdOptions, sgd_step};

use crate::Error;
use crate::simd::Simd;

/// Elements of a task.
const CHUNK: usize = 1 << 13;

/// g + decay · θ: the gradient with an L2 penalty. Without decay no bit of g changes, whatever θ is.
#[inline(always)]
fn decayed<S: Simd>(simd: S, g: S::Vector, decay: f32, parameter: S::Vector) -> S::Vector {
    if decay == 0.0 { g } else { simd.mul_add(parameter, simd.splat(decay), g) }
}

fn expect_not_negative(op: &'static str, what: &'static str, value: f64) -> Result<(), Error> {
    // The kernels compute with its nearest f32, which must be no infinity, and no 0 unless it is one.
    let nearest = value as f32;
    if nearest.is_finite() && value >= 0.0 && (nearest > 0.0 || value == 0.0) {
        Ok(())
    } else {
        Err(invalid(op, what, "not negative and within the range of f32", value.to_string()))
    }
}

fn invalid(op: &'static str, what: &'static str, expected: &'static str, found: String) -> Error {
    Error::Invalid { op, what, expected, found }
}

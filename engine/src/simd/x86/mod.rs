//! The x86-64 tiers, on `std::arch`.
//!
//! A token is made only by `detect`, which asks the CPU; so wherever a method runs on a token, the
//! instructions exist. That is the argument for every intrinsic that is called in them.

mod avx2;
mod avx512;

pub(super) use avx2::Avx2;
pub(super) use avx512::Avx512;

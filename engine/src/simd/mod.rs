//! The vector every kernel is written in, and the tiers that implement it.
//!
//! A kernel sees vectors of [`LANES`] = 16 floats, whatever the CPU: one register on AVX-512, two on
//! AVX2, four on SSE2 and NEON. Because the lane count and the order of every horizontal sum are
//! part of the [`Simd`] contract and not of the CPU, tiers with fused multiply-add give equal bits.
//!
//! A kernel is a struct that implements [`Kernel`]; [`Isa::run`] executes it compiled for the tier
//! that the `Isa` stands for. An `Isa` can only be obtained by asking the CPU, so holding one is the
//! proof that its instructions exist.

mod isa;
mod lanes;
mod math;
mod portable;
mod rows;
mod slices;
mod transpose;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use isa::{Isa, Tier};
pub(crate) use lanes::{lanes_to_rows, rows_to_lanes};
pub(crate) use math::{
    exp, exp_not_positive, flush, gentle_relu, leaky_relu, ln, ln_1p, normal, sigmoid,
    sigmoid_fraction, tanh,
};
pub(crate) use rows::{SumRows, column_sums};
pub(crate) use slices::{LANE, fold, largest, load, map, store, update, update_fold};
pub(crate) use transpose::transpose;

/// Number of `f32` lanes in every vector, on every tier.
pub const LANES: usize = 16;

/// Bits of √½: where [`Simd::split_exponent`] cuts the numbers into ranges of a factor of 2.
const SQRT_HALF: u32 = std::f32::consts::FRAC_1_SQRT_2.to_bits();
/// Added to the bits of a positive number, lets the exponent field grow at √½ · 2ⁿ instead of 2ⁿ.
const EXPONENT_SHIFT: u32 = 1.0_f32.to_bits() - SQRT_HALF;

/// Work that is compiled once per tier and run on the one that an [`Isa`] stands for.
///
/// Implementations of [`Kernel::run`] and everything they call must be `#[inline(always)]`: only
/// code that is inlined into the tier's entry point is compiled with the tier's instructions.
/// Threads therefore stay outside: a parallel loop calls [`Isa::run`] in each of its tasks.
pub(crate) trait Kernel {
    /// What the kernel returns.
    type Output;

    /// The kernel's body, generic over the tier.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// Operations on vectors of [`LANES`] floats. `self` is a token that proves that the CPU has the
/// tier's instructions, so all methods except those that take raw pointers are safe.
pub(crate) trait Simd: Copy {
    /// 16 lanes of `f32`.
    type Vector: Copy;
    /// 16 lanes of true or false.
    type Mask: Copy;

    /// Rows of the GEMM register tile: the accumulators and operands of `TILE_ROWS` ×
    /// `TILE_VECTORS` vectors fit the tier's registers.
    const TILE_ROWS: usize;
    /// Vectors (of [`LANES`] columns) across the GEMM register tile: 1 or 2.
    const TILE_VECTORS: usize;

    /// Rows and columns of a tile of dot products: `DOT_ROWS` × `DOT_COLUMNS` accumulators, a vector
    /// for each column and one for a row fit the tier's registers. At most 5 and 4.
    const DOT_ROWS: usize;
    /// See [`Simd::DOT_ROWS`].
    const DOT_COLUMNS: usize;

    /// All lanes equal `value`.
    fn splat(self, value: f32) -> Self::Vector;
    /// Loads 16 floats.
    ///
    /// # Safety
    /// `source` is valid for reading 16 floats; no alignment is needed.
    unsafe fn load(self, source: *const f32) -> Self::Vector;
    /// Stores 16 floats.
    ///
    /// # Safety
    /// `target` is valid for writing 16 floats; no alignment is needed.
    unsafe fn store(self, v: Self::Vector, target: *mut f32);
    /// Loads `count` floats into the first lanes; the others are 0.
    ///
    /// # Safety
    /// `source` is valid for reading `count` floats, `count` ≤ 16.
    unsafe fn load_first(self, source: *const f32, count: usize) -> Self::Vector;
    /// Stores the first `count` lanes.
    ///
    /// # Safety
    /// `target` is valid for writing `count` floats, `count` ≤ 16.
    unsafe fn store_first(self, v: Self::Vector, target: *mut f32, count: usize);

    /// Asks for the cache line of an address, which need not be valid.
    #[inline(always)]
    fn prefetch(self, _address: *const f32) {}

    /// `a + b`
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a - b`
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a * b`
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a / b`, correctly rounded.
    fn div(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// Square root, correctly rounded.
    fn sqrt(self, a: Self::Vector) -> Self::Vector;
    /// `a * b + c`; one rounding on tiers with FMA, two on the others.
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// The larger of each pair; `b` where either is NaN.
    fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The smaller of each pair; `b` where either is NaN.
    fn min(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// Absolute value.
    fn abs(self, a: Self::Vector) -> Self::Vector;
    /// `a > b`, false for NaN.
    fn gt(self, a: Self::Vector, b: Self::Vector) -> Self::Mask;
    /// `a = b`, false for NaN.
    fn eq(self, a: Self::Vector, b: Self::Vector) -> Self::Mask;
    /// `if_true` where the mask is set, `if_false` elsewhere.
    fn select(
        self,
        mask: Self::Mask,
        if_true: Self::Vector,
        if_false: Self::Vector,
    ) -> Self::Vector;
    /// 2ⁿ for whole `n` with -126 ≤ n ≤ 127; 0 for -127; an unspecified number for any other.
    fn exp2_whole(self, n: Self::Vector) -> Self::Vector;
    /// `(m, n)` with `a = m · 2ⁿ`, √½ ≤ `m` < √2 and whole `n`, for normal positive `a`; unspecified
    /// numbers for any other.
    fn split_exponent(self, a: Self::Vector) -> (Self::Vector, Self::Vector);
    /// The lanes in order.
    fn to_array(self, v: Self::Vector) -> [f32; LANES];
    /// The sum of the lanes: `i` and `i + 8` are added first, then `i` and `i + 4`, `i + 2`,
    /// `i + 1`.
    fn sum(self, v: Self::Vector) -> f32;

    /// Lane `j` of vector `i` becomes lane `i` of vector `j`.
    fn transpose(self, v: [Self::Vector; LANES]) -> [Self::Vector; LANES];

    /// Lane `4 q + j` of vector `i` becomes lane `4 q + i` of vector `j`, in each quarter `q`.
    fn transpose_quarters(self, v: [Self::Vector; 4]) -> [Self::Vector; 4];
    /// Loads four floats into each of the first Q quarters of the lanes, 1 to 4; the others are 0.
    ///
    /// # Safety
    /// Each source is valid for reading 4 floats.
    unsafe fn load_quarters<const Q: usize>(self, sources: [*const f32; Q]) -> Self::Vector;
    /// Stores quarter `q` of the lanes, below 4.
    ///
    /// # Safety
    /// `target` is valid for writing 4 floats.
    unsafe fn store_quarter(self, v: Self::Vector, q: usize, target: *mut f32);

    /// All lanes 0.
    #[inline(always)]
    fn zero(self) -> Self::Vector {
        self.splat(0.0)
    }
}

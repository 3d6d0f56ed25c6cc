//! AVX2 and FMA: two registers for a vector.

use super::super::{EXPONENT_SHIFT, Kernel, LANES, SQRT_HALF, Simd};
use std::arch::x86_64::*;

/// Proof that the CPU has AVX2 and FMA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::simd) struct Avx2(());

impl Avx2 {
    pub(in crate::simd) fn detect() -> Option<Avx2> {
        let found = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        found.then_some(Avx2(()))
    }

    #[inline]
    pub(in crate::simd) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx2,fma")]
        fn shell<K: Kernel>(simd: Avx2, kernel: K) -> K::Output {
            kernel.run(simd)
        }
        // SAFETY: the token proves AVX2 and FMA.
        unsafe { shell(self, kernel) }
    }
}

/// Lanes 0–7 and 8–15.
#[derive(Clone, Copy)]
pub(in crate::simd) struct Pair(__m256, __m256);

/// Methods that apply one intrinsic to each half.
macro_rules! halves {
    ($($name:ident($($arg:ident),+) = $intrinsic:ident;)+) => {$(
        #[inline(always)]
        fn $name(self, $($arg: Pair),+) -> Pair {
            // SAFETY: the token proves AVX2 and FMA.
            unsafe { Pair($intrinsic($($arg.0),+), $intrinsic($($arg.1),+)) }
        }
    )+};
}

/// Sixteen lanes of all ones for the mask intrinsics, then sixteen of zeros: the masks of the first `count` of 16
/// lanes start at `16 - count` and `24 - count`.
static FIRST_LANES: [i32; 32] = {
    let mut mask = [0; 32];
    let mut lane = 0;
    while lane < 16 {
        mask[lane] = -1;
        lane += 1;
    }
    mask
};

/// Masks of the lower and upper half that select the first `count` lanes.
#[inline(always)]
fn first_lanes(_: Avx2, count: usize) -> (__m256i, __m256i) {
    assert!(count <= LANES);
    let start = FIRST_LANES[LANES - count..].as_ptr();
    // SAFETY: `start` is followed by 16 + count entries, of which 16 are read; the token proves
    // AVX2.
    unsafe { (_mm256_loadu_si256(start.cast()), _mm256_loadu_si256(start.add(8).cast())) }
}

impl Simd for Avx2 {
    type Vector = Pair;
    type Mask = Pair;

    // 16 registers: 6 × 2 accumulators, 2 for a row of B, 1 for an element of A.
    const TILE_ROWS: usize = 6;
    const TILE_VECTORS: usize = 1;
    // 3 × 2 accumulators and 2 columns of two registers each; rows come from memory.
    const DOT_ROWS: usize = 3;
    const DOT_COLUMNS: usize = 2;

    halves! {
        add(a, b) = _mm256_add_ps;
        sub(a, b) = _mm256_sub_ps;
        mul(a, b) = _mm256_mul_ps;
        div(a, b) = _mm256_div_ps;
        max(a, b) = _mm256_max_ps;
        min(a, b) = _mm256_min_ps;
        sqrt(a) = _mm256_sqrt_ps;
        mul_add(a, b, c) = _mm256_fmadd_ps;
    }

    #[inline(always)]
    fn prefetch(self, address: *const f32) {
        // SAFETY: a hint may name any address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Pair {
        // SAFETY: the token proves AVX2.
        let v = unsafe { _mm256_set1_ps(value) };
        Pair(v, v)
    }

    #[inline(always)]
    unsafe fn load(self, source: *const f32) -> Pair {
        // SAFETY: the caller promises 16 readable floats; the token proves AVX2.
        unsafe { Pair(_mm256_loadu_ps(source), _mm256_loadu_ps(source.add(8))) }
    }

    #[inline(always)]
    unsafe fn store(self, v: Pair, target: *mut f32) {
        // SAFETY: the caller promises 16 writable floats; the token proves AVX2.
        unsafe {
            _mm256_storeu_ps(target, v.0);
            _mm256_storeu_ps(target.add(8), v.1);
        }
    }

    #[inline(always)]
    unsafe fn load_first(self, source: *const f32, count: usize) -> Pair {
        let (low, high) = first_lanes(self, count);
        // SAFETY: lanes outside the mask are not read, those inside are the `count` floats that the
        // caller promises; the token proves AVX2.
        unsafe {
            Pair(_mm256_maskload_ps(source, low), _mm256_maskload_ps(source.wrapping_add(8), high))
        }
    }

    #[inline(always)]
    unsafe fn store_first(self, v: Pair, target: *mut f32, count: usize) {
        let (low, high) = first_lanes(self, count);
        // SAFETY: lanes outside the mask are not written, those inside are the `count` floats that
        // the caller promises; the token proves AVX2.
        unsafe {
            _mm256_maskstore_ps(target, low, v.0);
            _mm256_maskstore_ps(target.wrapping_add(8), high, v.1);
        }
    }

    #[inline(always)]
    fn abs(self, a: Pair) -> Pair {
        // SAFETY: the token proves AVX2.
        unsafe {
            let sign = _mm256_set1_ps(-0.0);
            Pair(_mm256_andnot_ps(sign, a.0), _mm256_andnot_ps(sign, a.1))
        }
    }

    #[inline(always)]
    fn gt(self, a: Pair, b: Pair) -> Pair {
        // SAFETY: the token proves AVX2.
        unsafe {
            Pair(_mm256_cmp_ps::<_CMP_GT_OQ>(a.0, b.0), _mm256_cmp_ps::<_CMP_GT_OQ>(a.1, b.1))
        }
    }

    #[inline(always)]
    fn eq(self, a: Pair, b: Pair) -> Pair {
        // SAFETY: the token proves AVX2.
        unsafe {
            Pair(_mm256_cmp_ps::<_CMP_EQ_OQ>(a.0, b.0), _mm256_cmp_ps::<_CMP_EQ_OQ>(a.1, b.1))
        }
    }

    #[inline(always)]
    fn select(self, mask: Pair, if_true: Pair, if_false: Pair) -> Pair {
        // SAFETY: the token proves AVX2.
        unsafe {
            Pair(
                _mm256_blendv_ps(if_false.0, if_true.0, mask.0),
                _mm256_blendv_ps(if_false.1, if_true.1, mask.1),
            )
        }
    }

    #[inline(always)]
    fn exp2_whole(self, n: Pair) -> Pair {
        // The exponent field of an IEEE 754 single is the power plus 127, above 23 mantissa bits.
        // SAFETY: the token proves AVX2.
        let half = |n| unsafe {
            let biased = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
            _mm256_castsi256_ps(_mm256_slli_epi32::<23>(biased))
        };
        Pair(half(n.0), half(n.1))
    }

    #[inline(always)]
    fn split_exponent(self, a: Pair) -> (Pair, Pair) {
        // SAFETY: the token proves AVX2.
        let (low, high) = unsafe { (split_exponent8(a.0), split_exponent8(a.1)) };
        (Pair(low.0, high.0), Pair(low.1, high.1))
    }

    #[inline(always)]
    fn to_array(self, v: Pair) -> [f32; LANES] {
        let mut lanes = [0.0; LANES];
        // SAFETY: `lanes` holds 16 floats.
        unsafe { self.store(v, lanes.as_mut_ptr()) };
        lanes
    }

    #[inline(always)]
    fn sum(self, v: Pair) -> f32 {
        // SAFETY: the token proves AVX2.
        unsafe { sum8(_mm256_add_ps(v.0, v.1)) }
    }

    #[inline(always)]
    fn transpose(self, v: [Pair; LANES]) -> [Pair; LANES] {
        // The four quarters of the matrix; the upper right and the lower left one change places.
        // SAFETY: the token proves AVX2.
        let (a, b, c, d) = unsafe {
            (
                transpose8(std::array::from_fn(|i| v[i].0)),
                transpose8(std::array::from_fn(|i| v[i + 8].0)),
                transpose8(std::array::from_fn(|i| v[i].1)),
                transpose8(std::array::from_fn(|i| v[i + 8].1)),
            )
        };
        std::array::from_fn(|i| if i < 8 { Pair(a[i], b[i]) } else { Pair(c[i - 8], d[i - 8]) })
    }

    #[inline(always)]
    fn transpose_quarters(self, v: [Pair; 4]) -> [Pair; 4] {
        // SAFETY: the token proves AVX2.
        let (low, high) = unsafe {
            (
                transpose_quarters8([v[0].0, v[1].0, v[2].0, v[3].0]),
                transpose_quarters8([v[0].1, v[1].1, v[2].1, v[3].1]),
            )
        };
        [0, 1, 2, 3].map(
            #[inline(always)]
            |i: usize| Pair(low[i], high[i]),
        )
    }

    #[inline(always)]
    unsafe fn load_quarters<const Q: usize>(self, sources: [*const f32; Q]) -> Pair {
        // SAFETY: the caller promises 4 floats at each source; the token proves AVX2.
        unsafe {
            let mut v = [_mm256_setzero_ps(); 2];
            for q in 0..Q {
                let quarter = _mm_loadu_ps(sources[q]);
                v[q / 2] = if q % 2 == 0 {
                    _mm256_zextps128_ps256(quarter)
                } else {
                    _mm256_insertf128_ps::<1>(v[q / 2], quarter)
                };
            }
            Pair(v[0], v[1])
        }
    }

    #[inline(always)]
    unsafe fn store_quarter(self, v: Pair, q: usize, target: *mut f32) {
        // SAFETY: the caller promises 4 writable floats; the token proves AVX2.
        unsafe {
            let half = if q < 2 { v.0 } else { v.1 };
            let quarter = match q % 2 {
                0 => _mm256_castps256_ps128(half),
                _ => _mm256_extractf128_ps::<1>(half),
            };
            _mm_storeu_ps(target, quarter);
        }
    }
}

/// Lane `j` of vector `i` becomes lane `i` of vector `j`.
///
/// # Safety
/// The CPU has AVX.
#[inline(always)]
unsafe fn transpose8(v: [__m256; 8]) -> [__m256; 8] {
    // Within each half of 128 bits, blocks of 4 × 4 are transposed; then the halves of vectors that
    // are 4 apart come together.
    let mut t = v;
    // SAFETY: the caller promises AVX.
    unsafe {
        for i in [0, 4] {
            let a = _mm256_unpacklo_ps(v[i], v[i + 1]);
            let b = _mm256_unpackhi_ps(v[i], v[i + 1]);
            let c = _mm256_unpacklo_ps(v[i + 2], v[i + 3]);
            let d = _mm256_unpackhi_ps(v[i + 2], v[i + 3]);
            t[i] = _mm256_shuffle_ps::<0x44>(a, c);
            t[i + 1] = _mm256_shuffle_ps::<0xee>(a, c);
            t[i + 2] = _mm256_shuffle_ps::<0x44>(b, d);
            t[i + 3] = _mm256_shuffle_ps::<0xee>(b, d);
        }
        let mut out = t;
        for i in 0..4 {
            out[i] = _mm256_permute2f128_ps::<0x20>(t[i], t[i + 4]);
            out[i + 4] = _mm256_permute2f128_ps::<0x31>(t[i], t[i + 4]);
        }
        out
    }
}

/// [`Simd::transpose_quarters`] of eight lanes. A closure would be no part of the code that is compiled with
/// the tier's instructions, unless the compiler inlines it.
///
/// # Safety
/// The CPU has AVX.
#[inline(always)]
unsafe fn transpose_quarters8(v: [__m256; 4]) -> [__m256; 4] {
    // SAFETY: the caller promises AVX.
    unsafe {
        let a = _mm256_unpacklo_ps(v[0], v[1]);
        let b = _mm256_unpackhi_ps(v[0], v[1]);
        let c = _mm256_unpacklo_ps(v[2], v[3]);
        let d = _mm256_unpackhi_ps(v[2], v[3]);
        [
            _mm256_shuffle_ps::<0x44>(a, c),
            _mm256_shuffle_ps::<0xee>(a, c),
            _mm256_shuffle_ps::<0x44>(b, d),
            _mm256_shuffle_ps::<0xee>(b, d),
        ]
    }
}

/// [`Simd::split_exponent`] of eight lanes.
///
/// # Safety
/// The CPU has AVX2.
#[inline(always)]
unsafe fn split_exponent8(a: __m256) -> (__m256, __m256) {
    // SAFETY: the caller promises AVX2.
    unsafe {
        let shift = _mm256_set1_epi32(EXPONENT_SHIFT as i32);
        let bits = _mm256_add_epi32(_mm256_castps_si256(a), shift);
        let mantissa = _mm256_and_si256(bits, _mm256_set1_epi32(0x007f_ffff));
        let m = _mm256_add_epi32(mantissa, _mm256_set1_epi32(SQRT_HALF as i32));
        let n = _mm256_sub_epi32(_mm256_srli_epi32::<23>(bits), _mm256_set1_epi32(127));
        (_mm256_castsi256_ps(m), _mm256_cvtepi32_ps(n))
    }
}

/// `i` and `i + 4` first, then `i + 2`, then `i + 1`.
///
/// # Safety
/// The CPU has AVX.
#[inline(always)]
pub(super) unsafe fn sum8(v: __m256) -> f32 {
    // SAFETY: the caller promises AVX.
    unsafe {
        let v = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
        let v = _mm_add_ps(v, _mm_movehl_ps(v, v));
        _mm_cvtss_f32(_mm_add_ss(v, _mm_movehdup_ps(v)))
    }
}

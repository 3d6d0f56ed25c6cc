//! AVX-512: one register for a vector.

use super::super::{EXPONENT_SHIFT, Kernel, LANES, SQRT_HALF, Simd};
use super::avx2::{Avx2, sum8};
use std::arch::x86_64::*;

/// Proof that the CPU has AVX-512 F, VL, BW and DQ, and with them AVX2 and FMA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::simd) struct Avx512(());

impl Avx512 {
    pub(in crate::simd) fn detect() -> Option<Avx512> {
        let found = Avx2::detect().is_some()
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq");
        found.then_some(Avx512(()))
    }

    #[inline]
    pub(in crate::simd) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx2,fma,avx512f,avx512vl,avx512bw,avx512dq")]
        fn shell<K: Kernel>(simd: Avx512, kernel: K) -> K::Output {
            kernel.run(simd)
        }
        // SAFETY: the token proves these features.
        unsafe { shell(self, kernel) }
    }
}

/// Methods that are one intrinsic.
macro_rules! whole {
    ($($name:ident($($arg:ident),+) = $intrinsic:ident;)+) => {$(
        #[inline(always)]
        fn $name(self, $($arg: __m512),+) -> __m512 {
            // SAFETY: the token proves AVX-512 F and DQ.
            unsafe { $intrinsic($($arg),+) }
        }
    )+};
}

/// The first `count` lanes.
#[inline(always)]
fn first_lanes_512(count: usize) -> __mmask16 {
    assert!(count <= LANES);
    ((1_u32 << count) - 1) as __mmask16
}

impl Simd for Avx512 {
    type Vector = __m512;
    type Mask = __mmask16;

    // 32 registers: 14 × 2 accumulators, 2 for a row of B, 1 for an element of A.
    const TILE_ROWS: usize = 14;
    const TILE_VECTORS: usize = 2;
    // 5 × 4 accumulators, 4 columns, 1 row.
    const DOT_ROWS: usize = 5;
    const DOT_COLUMNS: usize = 4;

    whole! {
        add(a, b) = _mm512_add_ps;
        sub(a, b) = _mm512_sub_ps;
        mul(a, b) = _mm512_mul_ps;
        div(a, b) = _mm512_div_ps;
        max(a, b) = _mm512_max_ps;
        min(a, b) = _mm512_min_ps;
        sqrt(a) = _mm512_sqrt_ps;
        abs(a) = _mm512_abs_ps;
        mul_add(a, b, c) = _mm512_fmadd_ps;
    }

    #[inline(always)]
    fn prefetch(self, address: *const f32) {
        // SAFETY: a hint may name any address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        // SAFETY: the token proves AVX-512 F.
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn load(self, source: *const f32) -> __m512 {
        // SAFETY: the caller promises 16 readable floats; the token proves AVX-512 F.
        unsafe { _mm512_loadu_ps(source) }
    }

    #[inline(always)]
    unsafe fn store(self, v: __m512, target: *mut f32) {
        // SAFETY: the caller promises 16 writable floats; the token proves AVX-512 F.
        unsafe { _mm512_storeu_ps(target, v) }
    }

    #[inline(always)]
    unsafe fn load_first(self, source: *const f32, count: usize) -> __m512 {
        // SAFETY: lanes outside the mask are not read, those inside are the `count` floats that the
        // caller promises; the token proves AVX-512 F.
        unsafe { _mm512_maskz_loadu_ps(first_lanes_512(count), source) }
    }

    #[inline(always)]
    unsafe fn store_first(self, v: __m512, target: *mut f32, count: usize) {
        // SAFETY: lanes outside the mask are not written, those inside are the `count` floats that
        // the caller promises; the token proves AVX-512 F.
        unsafe { _mm512_mask_storeu_ps(target, first_lanes_512(count), v) }
    }

    #[inline(always)]
    fn gt(self, a: __m512, b: __m512) -> __mmask16 {
        // SAFETY: the token proves AVX-512 F.
        unsafe { _mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, b) }
    }

    #[inline(always)]
    fn eq(self, a: __m512, b: __m512) -> __mmask16 {
        // SAFETY: the token proves AVX-512 F.
        unsafe { _mm512_cmp_ps_mask::<_CMP_EQ_OQ>(a, b) }
    }

    #[inline(always)]
    fn select(self, mask: __mmask16, if_true: __m512, if_false: __m512) -> __m512 {
        // SAFETY: the token proves AVX-512 F.
        unsafe { _mm512_mask_blend_ps(mask, if_false, if_true) }
    }

    #[inline(always)]
    fn exp2_whole(self, n: __m512) -> __m512 {
        // SAFETY: the token proves AVX-512 F.
        unsafe {
            let biased = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
            _mm512_castsi512_ps(_mm512_slli_epi32::<23>(biased))
        }
    }

    #[inline(always)]
    fn split_exponent(self, a: __m512) -> (__m512, __m512) {
        // SAFETY: the token proves AVX-512 F.
        unsafe {
            let shift = _mm512_set1_epi32(EXPONENT_SHIFT as i32);
            let bits = _mm512_add_epi32(_mm512_castps_si512(a), shift);
            let mantissa = _mm512_and_si512(bits, _mm512_set1_epi32(0x007f_ffff));
            let m = _mm512_add_epi32(mantissa, _mm512_set1_epi32(SQRT_HALF as i32));
            let n = _mm512_sub_epi32(_mm512_srli_epi32::<23>(bits), _mm512_set1_epi32(127));
            (_mm512_castsi512_ps(m), _mm512_cvtepi32_ps(n))
        }
    }

    #[inline(always)]
    fn to_array(self, v: __m512) -> [f32; LANES] {
        let mut lanes = [0.0; LANES];
        // SAFETY: `lanes` holds 16 floats.
        unsafe { self.store(v, lanes.as_mut_ptr()) };
        lanes
    }

    #[inline(always)]
    fn sum(self, v: __m512) -> f32 {
        // SAFETY: the token proves AVX-512 F and DQ, and with them AVX.
        unsafe { sum8(_mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps::<1>(v))) }
    }

    #[inline(always)]
    fn transpose(self, v: [__m512; LANES]) -> [__m512; LANES] {
        let (mut t, mut u, mut out) = (v, v, v);
        // SAFETY: the token proves AVX-512 F.
        unsafe {
            // Within each quarter of 128 bits, blocks of 4 × 4 are transposed: element q of t[4 g + j]
            // is column 4 q + j of the rows 4 g to 4 g + 3.
            for g in [0, 4, 8, 12] {
                let a = _mm512_unpacklo_ps(v[g], v[g + 1]);
                let b = _mm512_unpackhi_ps(v[g], v[g + 1]);
                let c = _mm512_unpacklo_ps(v[g + 2], v[g + 3]);
                let d = _mm512_unpackhi_ps(v[g + 2], v[g + 3]);
                t[g] = _mm512_shuffle_ps::<0x44>(a, c);
                t[g + 1] = _mm512_shuffle_ps::<0xee>(a, c);
                t[g + 2] = _mm512_shuffle_ps::<0x44>(b, d);
                t[g + 3] = _mm512_shuffle_ps::<0xee>(b, d);
            }
            // Then the 4 × 4 quarters of the vectors 4 apart are, in two steps: first the quarters
            // 0 and 2, or 1 and 3, of two vectors come together, then those of all four.
            for j in 0..4 {
                u[j] = _mm512_shuffle_f32x4::<0x88>(t[j], t[j + 4]);
                u[j + 4] = _mm512_shuffle_f32x4::<0xdd>(t[j], t[j + 4]);
                u[j + 8] = _mm512_shuffle_f32x4::<0x88>(t[j + 8], t[j + 12]);
                u[j + 12] = _mm512_shuffle_f32x4::<0xdd>(t[j + 8], t[j + 12]);
            }
            for j in 0..4 {
                out[j] = _mm512_shuffle_f32x4::<0x88>(u[j], u[j + 8]);
                out[j + 4] = _mm512_shuffle_f32x4::<0x88>(u[j + 4], u[j + 12]);
                out[j + 8] = _mm512_shuffle_f32x4::<0xdd>(u[j], u[j + 8]);
                out[j + 12] = _mm512_shuffle_f32x4::<0xdd>(u[j + 4], u[j + 12]);
            }
        }
        out
    }

    #[inline(always)]
    fn transpose_quarters(self, v: [__m512; 4]) -> [__m512; 4] {
        // SAFETY: the token proves AVX-512 F.
        unsafe {
            let a = _mm512_unpacklo_ps(v[0], v[1]);
            let b = _mm512_unpackhi_ps(v[0], v[1]);
            let c = _mm512_unpacklo_ps(v[2], v[3]);
            let d = _mm512_unpackhi_ps(v[2], v[3]);
            [
                _mm512_shuffle_ps::<0x44>(a, c),
                _mm512_shuffle_ps::<0xee>(a, c),
                _mm512_shuffle_ps::<0x44>(b, d),
                _mm512_shuffle_ps::<0xee>(b, d),
            ]
        }
    }

    #[inline(always)]
    unsafe fn load_quarters<const Q: usize>(self, sources: [*const f32; Q]) -> __m512 {
        // SAFETY: the caller promises 4 floats at each source; the token proves AVX-512 F.
        unsafe {
            let mut v = _mm512_zextps128_ps512(_mm_loadu_ps(sources[0]));
            for q in 1..Q {
                v = _mm512_mask_broadcast_f32x4(v, 0xf << (4 * q), _mm_loadu_ps(sources[q]));
            }
            v
        }
    }

    #[inline(always)]
    unsafe fn store_quarter(self, v: __m512, q: usize, target: *mut f32) {
        // SAFETY: the caller promises 4 writable floats; the token proves AVX-512 F.
        unsafe {
            let quarter = match q {
                0 => _mm512_castps512_ps128(v),
                1 => _mm512_extractf32x4_ps::<1>(v),
                2 => _mm512_extractf32x4_ps::<2>(v),
                3 => _mm512_extractf32x4_ps::<3>(v),
                _ => unreachable!("quarter {q}"),
            };
            _mm_storeu_ps(target, quarter);
        }
    }
}

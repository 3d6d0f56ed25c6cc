//! The tier for any CPU, on `wide`, whose lanes are fixed when the program is compiled: SSE2 on
//! x86-64, NEON on Arm, SIMD128 on WASM where enabled. The only file that names `wide`.

use super::{EXPONENT_SHIFT, LANES, SQRT_HALF, Simd};
use wide::{f32x4, f32x16};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Portable;

impl Simd for Portable {
    type Vector = f32x16;
    type Mask = f32x16;

    // A vector is four 128-bit registers. x86-64 has 16 of them: 2 × 4 accumulators, 4 for a row of
    // B and one for A. Arm has 32: 6 × 4 + 4 + 1.
    const TILE_ROWS: usize = if cfg!(target_arch = "aarch64") { 6 } else { 2 };
    const TILE_VECTORS: usize = 1;
    // 2 × 1 accumulators of four registers each on x86-64, 5 × 1 on Arm.
    const DOT_ROWS: usize = if cfg!(target_arch = "aarch64") { 5 } else { 2 };
    const DOT_COLUMNS: usize = 1;

    #[inline(always)]
    fn splat(self, value: f32) -> f32x16 {
        f32x16::splat(value)
    }

    #[inline(always)]
    unsafe fn load(self, source: *const f32) -> f32x16 {
        // SAFETY: the caller promises 16 readable floats; an array has the alignment of a float.
        f32x16::from(unsafe { *source.cast::<[f32; LANES]>() })
    }

    #[inline(always)]
    unsafe fn store(self, v: f32x16, target: *mut f32) {
        // SAFETY: the caller promises 16 writable floats; an array has the alignment of a float.
        unsafe { *target.cast::<[f32; LANES]>() = v.to_array() }
    }

    #[inline(always)]
    unsafe fn load_first(self, source: *const f32, count: usize) -> f32x16 {
        assert!(count <= LANES);
        let mut lanes = [0.0; LANES];
        // SAFETY: the caller promises `count` ≤ 16 readable floats; `lanes` holds 16.
        unsafe { std::ptr::copy_nonoverlapping(source, lanes.as_mut_ptr(), count) };
        f32x16::from(lanes)
    }

    #[inline(always)]
    unsafe fn store_first(self, v: f32x16, target: *mut f32, count: usize) {
        assert!(count <= LANES);
        // SAFETY: the caller promises `count` ≤ 16 writable floats; the array holds 16.
        unsafe { std::ptr::copy_nonoverlapping(v.to_array().as_ptr(), target, count) };
    }

    #[inline(always)]
    fn add(self, a: f32x16, b: f32x16) -> f32x16 {
        a + b
    }

    #[inline(always)]
    fn sub(self, a: f32x16, b: f32x16) -> f32x16 {
        a - b
    }

    #[inline(always)]
    fn mul(self, a: f32x16, b: f32x16) -> f32x16 {
        a * b
    }

    #[inline(always)]
    fn div(self, a: f32x16, b: f32x16) -> f32x16 {
        a / b
    }

    #[inline(always)]
    fn sqrt(self, a: f32x16) -> f32x16 {
        a.sqrt()
    }

    #[inline(always)]
    fn mul_add(self, a: f32x16, b: f32x16, c: f32x16) -> f32x16 {
        a.mul_add(b, c)
    }

    #[inline(always)]
    fn max(self, a: f32x16, b: f32x16) -> f32x16 {
        self.select(self.gt(a, b), a, b)
    }

    #[inline(always)]
    fn min(self, a: f32x16, b: f32x16) -> f32x16 {
        self.select(self.gt(b, a), a, b)
    }

    #[inline(always)]
    fn abs(self, a: f32x16) -> f32x16 {
        a.abs()
    }

    #[inline(always)]
    fn gt(self, a: f32x16, b: f32x16) -> f32x16 {
        a.simd_gt(b)
    }

    #[inline(always)]
    fn eq(self, a: f32x16, b: f32x16) -> f32x16 {
        a.simd_eq(b)
    }

    #[inline(always)]
    fn select(self, mask: f32x16, if_true: f32x16, if_false: f32x16) -> f32x16 {
        mask.bitselect(if_true, if_false)
    }

    #[inline(always)]
    fn exp2_whole(self, n: f32x16) -> f32x16 {
        // The exponent field of an IEEE 754 single is the power plus 127, above 23 mantissa bits.
        f32x16::from(
            n.to_array().map(|n| f32::from_bits(((n as i32).wrapping_add(127) as u32) << 23)),
        )
    }

    #[inline(always)]
    fn split_exponent(self, a: f32x16) -> (f32x16, f32x16) {
        let bits = a.to_array().map(|a| a.to_bits().wrapping_add(EXPONENT_SHIFT));
        let m = bits.map(|bits| f32::from_bits((bits & 0x007f_ffff) + SQRT_HALF));
        let n = bits.map(|bits| ((bits >> 23) as i32 - 127) as f32);
        (f32x16::from(m), f32x16::from(n))
    }

    #[inline(always)]
    fn to_array(self, v: f32x16) -> [f32; LANES] {
        v.to_array()
    }

    #[inline(always)]
    fn sum(self, v: f32x16) -> f32 {
        let v = v.to_array();
        let v: [f32; 8] = std::array::from_fn(|i| v[i] + v[i + 8]);
        let v: [f32; 4] = std::array::from_fn(|i| v[i] + v[i + 4]);
        (v[0] + v[2]) + (v[1] + v[3])
    }

    #[inline(always)]
    fn transpose(self, v: [f32x16; LANES]) -> [f32x16; LANES] {
        let rows = v.map(f32x16::to_array);
        let mut out = [[0.0; LANES]; LANES];
        // Blocks of 4 × 4 elements.
        for i in (0..LANES).step_by(4) {
            for j in (0..LANES).step_by(4) {
                let block = f32x4::transpose(std::array::from_fn(|r| {
                    f32x4::from(std::array::from_fn(|c| rows[i + r][j + c]))
                }));
                for c in 0..4 {
                    out[j + c][i..i + 4].copy_from_slice(&block[c].to_array());
                }
            }
        }
        out.map(f32x16::from)
    }

    #[inline(always)]
    fn transpose_quarters(self, v: [f32x16; 4]) -> [f32x16; 4] {
        let v = v.map(f32x16::to_array);
        std::array::from_fn(|j| {
            f32x16::from(std::array::from_fn(|lane| v[lane % 4][lane / 4 * 4 + j]))
        })
    }

    #[inline(always)]
    unsafe fn load_quarters<const Q: usize>(self, sources: [*const f32; Q]) -> f32x16 {
        let mut lanes = [0.0; LANES];
        for q in 0..Q {
            // SAFETY: the caller promises 4 readable floats; an array has the alignment of a float.
            lanes[4 * q..][..4].copy_from_slice(unsafe { &*sources[q].cast::<[f32; 4]>() });
        }
        f32x16::from(lanes)
    }

    #[inline(always)]
    unsafe fn store_quarter(self, v: f32x16, q: usize, target: *mut f32) {
        let lanes = v.to_array();
        let quarter = &lanes[4 * q..][..4];
        // SAFETY: the caller promises 4 writable floats; the slice has 4.
        unsafe { std::ptr::copy_nonoverlapping(quarter.as_ptr(), target, 4) };
    }
}

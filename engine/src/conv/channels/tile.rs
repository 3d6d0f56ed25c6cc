//! The register tile of convolutions with many channels.

use super::ahead::Lines;
use crate::simd::{LANES, Simd};

/// Where one operand's elements lie: element `(block, run, k)` of row or vector 0 is at
/// `block · blocks + run · runs + pixels[run] · pixel + k · step`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Steps {
    pub(super) blocks: usize,
    pub(super) runs: usize,
    pub(super) pixel: usize,
    pub(super) step: usize,
    /// From one row of the tile to the next, for the operand that rows have.
    pub(super) row: usize,
}

impl Steps {
    /// The largest index of the walk for row 0, before `pixels`. It does not wrap: a layout has at most 2²⁴ floats,
    /// and the blocks lie one behind the other in memory that there is.
    #[inline(always)]
    fn reach(&self, walk: &Walk<'_>, pixel: usize) -> usize {
        (walk.blocks - 1) * self.blocks
            + (walk.pixels.len() - 1) * self.runs
            + pixel * self.pixel
            + (walk.len - 1) * self.step
    }
}

/// The terms of a sum: for each block, for each run, `len` products.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walk<'a> {
    pub(super) blocks: usize,
    /// One for each run.
    pub(super) pixels: &'a [usize],
    pub(super) len: usize,
    pub(super) a: Steps,
    pub(super) b: Steps,
}

/// Where a tile is written.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    /// Its first element.
    pub(super) start: *mut f32,
    /// What is added to each row, 16 floats for each vector; if empty, the old values are.
    pub(super) bias: &'a [f32],
    pub(super) row_stride: usize,
    pub(super) columns: usize,
    /// Asked for on the way, with `PACKED`.
    pub(super) lines: Lines,
}

/// `c[r, j] += Σ a[r] · b[j]` over the walks, for `rows` × `target.columns`. A and B of each walk start at the
/// slices' beginnings.
///
/// With `PACKED`, rows of A are 1 apart and its steps are `rows`, whatever the walk says.
///
/// Each element is one chain of multiply-adds in the order of the walks, whatever the tile's size.
///
/// # Panics
/// If a walk leaves its slices, or the tile is larger than the tier's.
///
/// # Safety
/// The target's elements may be read and written.
#[inline(always)]
pub(super) unsafe fn tile<S: Simd, const PACKED: bool>(
    simd: S,
    rows: usize,
    walks: &[(Walk<'_>, &[f32], &[f32])],
    target: Target<'_>,
) {
    let vectors = target.columns.div_ceil(LANES);
    assert!(
        target.bias.is_empty() || target.bias.len() >= vectors * LANES,
        "a bias for each column"
    );
    for (walk, a, b) in walks {
        if walk.blocks == 0 || walk.len == 0 || walk.pixels.is_empty() {
            continue;
        }
        let pixel = walk.pixels.iter().fold(0, |most, &pixel| most.max(pixel));
        let (step, row) = if PACKED { (rows, 1) } else { (walk.a.step, walk.a.row) };
        let last = Steps { step, ..walk.a }.reach(walk, pixel) + (rows - 1) * row;
        assert!(last < a.len(), "a walk beyond A");
        assert!(walk.b.reach(walk, pixel) + vectors * LANES <= b.len(), "a walk beyond B");
    }
    macro_rules! rows {
        ($($n:literal)+) => {
            match (rows, vectors) {
                $(
                    // SAFETY: the walks stay within their slices, as asserted; the caller promises C.
                    ($n, 1) if const { $n <= S::TILE_ROWS } => unsafe {
                        sized::<S, PACKED, $n, 1>(simd, walks, target)
                    },
                    // SAFETY: as above.
                    ($n, 2) if const { $n <= S::TILE_ROWS && S::TILE_VECTORS >= 2 } => unsafe {
                        sized::<S, PACKED, $n, 2>(simd, walks, target)
                    },
                )+
                _ => unreachable!("a tile of {rows} rows and {vectors} vectors"),
            }
        };
    }
    rows!(1 2 3 4 5 6 7 8 9 10 11 12 13 14);
}

/// [`tile`] with its size known to the compiler, so that the accumulators are registers.
///
/// # Safety
/// As [`tile`], for walks that have been checked.
#[inline(always)]
unsafe fn sized<S: Simd, const PACKED: bool, const R: usize, const V: usize>(
    simd: S,
    walks: &[(Walk<'_>, &[f32], &[f32])],
    target: Target<'_>,
) {
    let mut acc = [[simd.zero(); V]; R];
    let lines = target.lines;
    let (mut line_at, mut count) = (lines.start, lines.count);
    for (walk, a, b) in walks {
        let (row, step) = if PACKED { (1, R) } else { (walk.a.row, walk.a.step) };
        for block in 0..walk.blocks {
            for (run, pixel) in walk.pixels.iter().enumerate() {
                let at = |s: &Steps| block * s.blocks + run * s.runs + pixel * s.pixel;
                // Elements of the walk, if it has products.
                let mut a = a.as_ptr().wrapping_add(at(&walk.a));
                let mut b = b.as_ptr().wrapping_add(at(&walk.b));
                // Asking goes on until the run's end. Strided rows leave no registers for it.
                let (mut line, to_next) = if count > 0 { (line_at, lines.step) } else { (b, 0) };
                count = count.saturating_sub(walk.len);
                line_at = line_at.wrapping_add(lines.step.wrapping_mul(walk.len));
                for _ in 0..walk.len {
                    if PACKED {
                        simd.prefetch(line);
                        line = line.wrapping_add(to_next);
                    }
                    let mut vectors = [simd.zero(); V];
                    // SAFETY: V vectors from `b` on and R rows of `a` lie within the slices, as `tile`
                    // has checked for the walk's last element.
                    unsafe {
                        for v in 0..V {
                            vectors[v] = simd.load(b.add(v * LANES));
                        }
                        for r in 0..R {
                            // Every fourth row has a pointer, and the others are 1, 2 and 3 strides
                            // away from one: that many addresses fit the registers.
                            let x = simd.splat(*a.add((r & !3) * row).add((r & 3) * row));
                            for v in 0..V {
                                acc[r][v] = simd.mul_add(x, vectors[v], acc[r][v]);
                            }
                        }
                    }
                    a = a.wrapping_add(step);
                    b = b.wrapping_add(walk.b.step);
                }
            }
        }
    }
    for r in 0..R {
        for v in 0..V {
            let count = target.columns.saturating_sub(v * LANES).min(LANES);
            // SAFETY: the caller promises these rows and columns of C; `tile` has checked that a bias has
            // whole vectors.
            unsafe {
                let c = target.start.add(r * target.row_stride + v * LANES);
                let bias = target.bias.get(v * LANES..).unwrap_or_default();
                let old = if bias.is_empty() {
                    simd.load_first(c, count)
                } else {
                    simd.load(bias.as_ptr())
                };
                let sum = simd.add(old, acc[r][v]);
                if count == LANES {
                    simd.store(sum, c);
                } else {
                    simd.store_first(sum, c, count);
                }
            }
        }
    }
}

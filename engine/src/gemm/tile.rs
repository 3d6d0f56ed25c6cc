//! The micro-kernel: one register tile of C.

use super::operands::{Elements, Rows};
use crate::simd::{LANES, Simd, leaky_relu};

/// What happens to a row of C when its last product has been added.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Epilogue<'a> {
    /// Added to every element of row `i`: `bias[i]`. Empty for none.
    pub(crate) bias: &'a [f32],
    /// Negative elements are then multiplied by this; 1 leaves all as they are.
    pub(crate) negative_slope: f32,
}

/// One tile: `C ← act(alpha · A B + beta · C + bias)`, with the last two only if there is an epilogue.
pub(crate) struct Tile<'a, A, B> {
    /// Length of the sum.
    pub(crate) depth: usize,
    pub(crate) a: A,
    /// Rows of 16 · vectors floats.
    pub(crate) b: B,
    /// Row 0 of C, at the tile's first column.
    pub(crate) c: *mut f32,
    /// From one row of C to the next.
    pub(crate) row_stride: usize,
    pub(crate) columns: usize,
    pub(crate) alpha: f32,
    /// 0 means that C is not read.
    pub(crate) beta: f32,
    /// The bias is that of the tile's rows.
    pub(crate) epilogue: Option<Epilogue<'a>>,
}

/// Computes a tile of `rows` × `columns`.
///
/// Every element of C is one chain of `mul_add` in the order of the depth, whatever the tile's size
/// and position: cutting C differently does not change a bit.
///
/// # Panics
/// If `rows` > `S::TILE_ROWS` or `vectors` > `S::TILE_VECTORS`.
///
/// # Safety
/// `columns` ≤ 16 · `vectors`; `a` is valid for reading `rows` elements at each of `depth` depths, `b` for
/// reading 16 · `vectors` floats in each of its `whole` rows and `columns` in the others up to `depth`, `c` for writing (and, if beta ≠ 0, reading) the rows and
/// columns named.
#[inline(always)]
pub(crate) unsafe fn tile<S: Simd, A: Elements, B: Rows>(
    simd: S,
    rows: usize,
    vectors: usize,
    t: &Tile<'_, A, B>,
) {
    macro_rules! rows {
        ($($n:literal)+) => {
            match (rows, vectors) {
                $(
                    // SAFETY: the caller's promises are those of `sized`.
                    ($n, 1) if const { $n <= S::TILE_ROWS } => unsafe {
                        sized::<S, A, B, $n, 1>(simd, t)
                    },
                    // SAFETY: as above.
                    ($n, 2) if const { $n <= S::TILE_ROWS && S::TILE_VECTORS >= 2 } => unsafe {
                        sized::<S, A, B, $n, 2>(simd, t)
                    },
                )+
                _ => unreachable!("a tile of {rows} rows and {vectors} vectors"),
            }
        };
    }
    rows!(1 2 3 4 5 6 7 8 9 10 11 12 13 14);
}

/// Runs a statement for `r` = 0, 1, … below R ≤ 14, a number that the compiler knows, without a loop: arrays
/// of vectors indexed by `r` stay in registers.
macro_rules! each_row {
    ($limit:expr, $r:ident, $body:expr) => {
        each_row!(@ $limit, $r, $body, 0 1 2 3 4 5 6 7 8 9 10 11 12 13)
    };
    (@ $limit:expr, $r:ident, $body:expr, $($n:literal)+) => {
        $(
            if $n < $limit {
                let $r: usize = $n;
                $body;
            }
        )+
    };
}

pub(super) use each_row;

/// [`tile`] with its size known to the compiler, so that the accumulators are registers.
///
/// # Safety
/// As [`tile`].
#[inline(always)]
unsafe fn sized<S: Simd, A: Elements, B: Rows, const R: usize, const V: usize>(
    simd: S,
    t: &Tile<'_, A, B>,
) {
    let mut acc = [[simd.zero(); V]; R];
    let whole = t.b.whole(t.depth);
    for k in 0..t.depth {
        t.a.prefetch(simd, k);
        let mut row = [simd.zero(); V];
        // SAFETY: B has `depth` rows, all with the tile's columns and `whole` of them with 16 V floats; A
        // has R elements at each depth.
        unsafe {
            let b = t.b.row(k);
            for v in 0..V {
                row[v] = if !B::PARTIAL || k < whole {
                    simd.load(b.add(v * LANES))
                } else {
                    let count = t.columns.saturating_sub(v * LANES).min(LANES);
                    simd.load_first(b.wrapping_add(v * LANES), count)
                };
            }
            for r in 0..R {
                let x = simd.splat(*t.a.at::<R>(k, r));
                for v in 0..V {
                    acc[r][v] = simd.mul_add(x, row[v], acc[r][v]);
                }
            }
        }
    }
    let last = t.columns.wrapping_sub((V - 1) * LANES);
    if t.alpha == 1.0 && t.beta == 0.0 && t.epilogue.is_none() && last <= LANES {
        each_row!(R, r, {
            for v in 0..V {
                // SAFETY: the caller promises these rows of C, of which `last` columns belong to the last
                // vector.
                unsafe {
                    let c = t.c.add(r * t.row_stride + v * LANES);
                    if v + 1 < V || last == LANES {
                        simd.store(acc[r][v], c);
                    } else {
                        simd.store_first(acc[r][v], c, last);
                    }
                }
            }
        });
        return;
    }
    // Only here do the sums go to memory, where a loop can index them.
    let mut sums = [[simd.zero(); V]; R];
    each_row!(R, r, sums[r] = acc[r]);
    for r in 0..R {
        for v in 0..V {
            let first = v * LANES;
            let count = t.columns.saturating_sub(first).min(LANES);
            // SAFETY: the caller promises these rows and columns of C, and a bias for each row.
            unsafe { write(simd, t, r, first, count, sums[r][v]) };
        }
    }
}

/// Writes `count` columns of row `row`, from column `first` of the tile.
///
/// # Safety
/// As [`tile`]; `first + count` ≤ `columns`, `count` ≤ 16.
#[inline(always)]
unsafe fn write<S: Simd, A, B>(
    simd: S,
    t: &Tile<'_, A, B>,
    row: usize,
    first: usize,
    count: usize,
    product: S::Vector,
) {
    // SAFETY: the caller promises that this row of C may be written, and read if beta ≠ 0, at the
    // columns that are touched here.
    unsafe {
        let c = t.c.add(row * t.row_stride + first);
        if count == LANES {
            let old = if t.beta != 0.0 { simd.load(c) } else { simd.zero() };
            simd.store(finish(simd, t, row, product, old), c);
        } else if count > 0 {
            let old = if t.beta != 0.0 { simd.load_first(c, count) } else { simd.zero() };
            simd.store_first(finish(simd, t, row, product, old), c, count);
        }
    }
}

/// What is written for a product: alpha, beta, bias and activation applied. `old` counts only if
/// beta ≠ 0.
#[inline(always)]
fn finish<S: Simd, A, B>(
    simd: S,
    t: &Tile<'_, A, B>,
    row: usize,
    product: S::Vector,
    old: S::Vector,
) -> S::Vector {
    let mut value = product;
    if t.alpha != 1.0 {
        value = simd.mul(value, simd.splat(t.alpha));
    }
    if t.beta != 0.0 {
        value = simd.mul_add(old, simd.splat(t.beta), value);
    }
    if let Some(epilogue) = t.epilogue {
        if let Some(&bias) = epilogue.bias.get(row) {
            value = simd.add(value, simd.splat(bias));
        }
        if epilogue.negative_slope != 1.0 {
            value = leaky_relu(simd, value, simd.splat(epilogue.negative_slope));
        }
    }
    value
}

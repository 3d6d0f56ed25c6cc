//! The micro-kernel: one register tile of C.

use crate::simd::{LANES, Simd, leaky_relu};

/// What happens to a row of C when its last product has been added.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Epilogue<'a> {
    /// Added to every element of row `i`: `bias[i]`. Empty for none.
    pub(crate) bias: &'a [f32],
    /// Negative elements are then multiplied by this; 1 leaves all as they are.
    pub(crate) negative_slope: f32,
}

/// Where the rows of B lie.
pub(crate) trait Rows: Copy {
    /// The address of row `k`, at the tile's first column.
    ///
    /// # Safety
    /// `k` is below the depth that the operand was made for.
    unsafe fn row(self, k: usize) -> *const f32;
}

/// A packed panel: rows of equal length one behind the other.
#[derive(Clone, Copy)]
pub(crate) struct Panel {
    pub(crate) start: *const f32,
    pub(crate) width: usize,
}

impl Rows for Panel {
    #[inline(always)]
    unsafe fn row(self, k: usize) -> *const f32 {
        // SAFETY: the caller promises that the panel has a row `k`.
        unsafe { self.start.add(k * self.width) }
    }
}

/// Rows at offsets of a table.
#[derive(Clone, Copy)]
pub(crate) struct Offsets {
    pub(crate) start: *const f32,
    pub(crate) offsets: *const usize,
}

impl Rows for Offsets {
    #[inline(always)]
    unsafe fn row(self, k: usize) -> *const f32 {
        // SAFETY: the caller promises that the table has an entry `k`, and that it leads to a row.
        unsafe { self.start.add(*self.offsets.add(k)) }
    }
}

/// One tile: `C ← act(alpha · A B + beta · C + bias)`, with the last two only if there is an epilogue.
pub(crate) struct Tile<'a, B> {
    /// Length of the sum.
    pub(crate) depth: usize,
    /// Panel of A: `[depth][rows]`.
    pub(crate) a: *const f32,
    /// B: rows of 16 · vectors floats.
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
/// `columns` ≤ 16 · `vectors`; `a` and `b` are valid for reading `depth` rows, `c` for writing (and, if beta ≠ 0, reading) the rows and
/// columns named; `epilogue.bias` is empty or `rows` long.
#[inline(always)]
pub(crate) unsafe fn tile<S: Simd, B: Rows>(simd: S, rows: usize, vectors: usize, t: &Tile<'_, B>) {
    macro_rules! rows {
        ($($n:literal)+) => {
            match (rows, vectors) {
                $(
                    // SAFETY: the caller's promises are those of `sized`.
                    ($n, 1) => unsafe { sized::<S, B, $n, 1>(simd, t) },
                    // SAFETY: as above.
                    ($n, 2) => unsafe { sized::<S, B, $n, 2>(simd, t) },
                )+
                _ => unreachable!("a tile of {rows} rows and {vectors} vectors"),
            }
        };
    }
    rows!(1 2 3 4 5 6 7 8 9 10 11 12);
}

/// [`tile`] with its size known to the compiler, so that the accumulators are registers.
///
/// # Safety
/// As [`tile`].
#[inline(always)]
unsafe fn sized<S: Simd, B: Rows, const R: usize, const V: usize>(simd: S, t: &Tile<'_, B>) {
    if R > S::TILE_ROWS || V > S::TILE_VECTORS {
        unreachable!("a tile larger than the tier's");
    }
    let mut acc = [[simd.zero(); V]; R];
    let mut a = t.a;
    for k in 0..t.depth {
        // SAFETY: A has `depth` steps of R floats and B `depth` rows of 16 V, and this is one of
        // them; a pointer one past the last step is allowed.
        unsafe {
            let b = t.b.row(k);
            let mut row = [simd.zero(); V];
            for v in 0..V {
                row[v] = simd.load(b.add(v * LANES));
            }
            for r in 0..R {
                let x = simd.splat(*a.add(r));
                for v in 0..V {
                    acc[r][v] = simd.mul_add(x, row[v], acc[r][v]);
                }
            }
            a = a.add(R);
        }
    }
    for r in 0..R {
        for v in 0..V {
            let first = v * LANES;
            let count = t.columns.saturating_sub(first).min(LANES);
            // SAFETY: the caller promises these rows and columns of C, and a bias for each row.
            unsafe { write(simd, t, r, first, count, acc[r][v]) };
        }
    }
}

/// Writes `count` columns of row `row`, from column `first` of the tile.
///
/// # Safety
/// As [`tile`]; `first + count` ≤ `columns`, `count` ≤ 16.
#[inline(always)]
unsafe fn write<S: Simd, B>(
    simd: S,
    t: &Tile<'_, B>,
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
fn finish<S: Simd, B>(
    simd: S,
    t: &Tile<'_, B>,
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

//! Weights times interleaved images.

use crate::conv::classes::{Class, Place};
use crate::gemm::Cut;
use crate::norm::batch::UnitConstants;
use crate::simd::{Kernel, LANES, Simd, gentle_relu, leaky_relu};
use std::ops::Range;

/// The longest sum of products that is made in registers before the next results are begun: so many
/// vectors of sources, 16 KiB, stay in a first-level cache.
pub(super) const DEPTH: usize = 256;

/// Weights times sources for 16 images: `out[m, result] = act(Σₖ a[m, k] · x[source + offsets[k]] + bias[m])`
/// for the results of a class, each a vector; then normalised, if there are constants. With centres it is
/// `x[source + offsets[k]] - centres[k]` that is multiplied.
pub(super) struct Multiply<'a> {
    pub(super) class: &'a Class,
    /// The class's offsets in floats.
    pub(super) offsets: &'a [usize],
    /// M.
    pub(super) rows: usize,
    /// One for each offset, or none.
    pub(super) centres: &'a [f32],
    /// The class's weights: for each block of the depth, for each panel of rows, `[depth][rows]`.
    pub(super) a: &'a [f32],
    /// `[channels, H, W, 16]`
    pub(super) x: &'a [f32],
    /// `[M]`, or empty.
    pub(super) bias: &'a [f32],
    pub(super) finish: Finish<'a>,
    /// `[M, results, 16]`, of all classes.
    pub(super) out: &'a mut [f32],
}

/// What becomes of a sum.
#[derive(Clone, Copy)]
pub(super) struct Finish<'a> {
    pub(super) negative_slope: f32,
    /// All `[M]`.
    pub(super) normalize: Option<UnitConstants<'a>>,
}

impl<'a> Finish<'a> {
    /// That of these rows.
    #[inline(always)]
    pub(super) fn of(self, rows: Range<usize>) -> Finish<'a> {
        let of = |values: &'a [f32]| &values[rows.clone()];
        Finish {
            normalize: self.normalize.map(|UnitConstants { mean, scale, bias }| UnitConstants {
                mean: of(mean),
                scale: of(scale),
                bias: of(bias),
            }),
            ..self
        }
    }
}

impl Kernel for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Multiply { class, offsets, rows, centres, a, x, bias, finish, out } = self;
        if rows == 0 {
            return;
        }
        let row_len = out.len() / rows;
        assert!(out.len() == rows * row_len);
        assert!(a.len() == rows * offsets.len());
        assert!(centres.is_empty() || centres.len() == offsets.len());
        let reach = offsets.iter().max().map_or(0, |&offset| offset + LANES);
        for place in &class.results {
            let (source, result) = (place.source * LANES, place.result * LANES);
            assert!(reach == 0 || source + reach <= x.len(), "a source within x");
            assert!(result + LANES <= row_len, "a result within a row");
        }
        let cut = Cut::new(rows, S::TILE_ROWS);
        // A sum of no products is one empty block, so that the results are written nevertheless.
        let blocks = offsets.len().div_ceil(DEPTH).max(1);
        for block in 0..blocks {
            let depth = block * DEPTH..offsets.len().min((block + 1) * DEPTH);
            let a = &a[depth.start * rows..depth.end * rows];
            for place in &class.results {
                for range in (0..cut.panels()).map(|panel| cut.lanes_of(panel)) {
                    let bias = bias.get(range.clone()).unwrap_or_default();
                    let packed = &a[range.start * depth.len()..range.end * depth.len()];
                    let sums = Sums {
                        place: *place,
                        a: packed.as_ptr(),
                        x: x.as_ptr(),
                        offsets: &offsets[depth.clone()],
                        centres: centres.get(depth.clone()),
                        out: out[range.start * row_len..].as_mut_ptr(),
                        row_len,
                        bias: if block == 0 { bias } else { &[] },
                        is_first: block == 0,
                        finish: (block + 1 == blocks).then(|| finish.of(range.clone())),
                    };
                    // SAFETY: `packed` holds depth · rows floats, and `sum_tile` panics if there are
                    // more rows than a tile has. For each place and offset there is a vector within
                    // x, and for each place one within each of these rows, as asserted.
                    unsafe { sum_tile(simd, range.len(), &sums) };
                }
            }
        }
    }
}

/// Operands of a tile of [`Multiply`].
struct Sums<'a> {
    place: Place,
    /// `[depth][rows]`
    a: *const f32,
    x: *const f32,
    /// One for each step of the depth.
    offsets: &'a [usize],
    /// One for each step of the depth, if there are any.
    centres: Option<&'a [f32]>,
    out: *mut f32,
    /// From one row of the output to the next.
    row_len: usize,
    /// Of the tile's rows, where the sums begin; or empty.
    bias: &'a [f32],
    /// There is nothing yet to add to.
    is_first: bool,
    /// Of the tile's rows; none if there is more to add.
    finish: Option<Finish<'a>>,
}

/// [`sized_sums`] for a number of rows known at run time.
///
/// # Safety
/// As [`sized_sums`] for `rows` rows.
#[inline(always)]
unsafe fn sum_tile<S: Simd>(simd: S, rows: usize, sums: &Sums<'_>) {
    macro_rules! sizes {
        ($($n:literal)+) => {
            match (rows, sums.centres) {
                $(
                    // SAFETY: the caller's promises are those of `sized_sums`.
                    ($n, None) if const { $n <= S::TILE_ROWS } => unsafe {
                        sized_sums::<S, $n, false>(simd, sums, &[])
                    },
                    // SAFETY: as above.
                    ($n, Some(c)) if const { $n <= S::TILE_ROWS } => unsafe {
                        sized_sums::<S, $n, true>(simd, sums, c)
                    },
                )+
                _ => unreachable!("a tile of {rows} rows"),
            }
        };
    }
    sizes!(1 2 3 4 5 6 7 8 9 10 11 12 13 14);
}

/// R rows of a result of [`Multiply`], each a chain of `mul_add` in the order of the depth, which is added to
/// what earlier blocks of the depth gave.
///
/// One result at a time is faster than two that share the weights: those are operands in memory, and the
/// shorter a tile, the more of its end runs beside the next.
///
/// # Safety
/// `a` is valid for reading R floats at each step of the depth, `x` for reading a vector at each offset
/// behind the source, and `out` for reading and writing one at the result in each of R rows.
#[inline(always)]
unsafe fn sized_sums<S: Simd, const R: usize, const CENTRED: bool>(
    simd: S,
    sums: &Sums<'_>,
    centres: &[f32],
) {
    let mut acc = [simd.zero(); R];
    if let Some(bias) = sums.bias.first_chunk::<R>() {
        for r in 0..R {
            acc[r] = simd.splat(bias[r]);
        }
    }
    assert!(!CENTRED || centres.len() == sums.offsets.len());
    let source = sums.x.wrapping_add(sums.place.source * LANES);
    for (k, &offset) in sums.offsets.iter().enumerate() {
        // SAFETY: the caller promises these vectors of x and R floats of `a` at each step; centres are
        // as many as offsets.
        unsafe {
            let mut value = simd.load(source.add(offset));
            if CENTRED {
                value = simd.sub(value, simd.splat(*centres.get_unchecked(k)));
            }
            for r in 0..R {
                acc[r] = simd.mul_add(simd.splat(*sums.a.add(k * R + r)), value, acc[r]);
            }
        }
    }
    let target = sums.out.wrapping_add(sums.place.result * LANES);
    // One small loop for each step: what the compiler does not unroll would keep the sums in memory.
    if !sums.is_first {
        for r in 0..R {
            // SAFETY: the caller promises these vectors of the output.
            acc[r] = simd.add(unsafe { simd.load(target.add(r * sums.row_len)) }, acc[r]);
        }
    }
    if let Some(finish) = &sums.finish {
        let slope = simd.splat(finish.negative_slope);
        if finish.negative_slope > 0.0 && finish.negative_slope < 1.0 {
            for r in 0..R {
                acc[r] = gentle_relu(simd, acc[r], slope);
            }
        } else if finish.negative_slope != 1.0 {
            for r in 0..R {
                acc[r] = leaky_relu(simd, acc[r], slope);
            }
        }
        if let Some(UnitConstants { mean, scale, bias }) = finish.normalize {
            let mean = mean.first_chunk::<R>().expect("a mean for each row");
            let scale = scale.first_chunk::<R>().expect("a scale for each row");
            let bias = bias.first_chunk::<R>().expect("a bias for each row");
            for r in 0..R {
                let distance = simd.sub(acc[r], simd.splat(mean[r]));
                acc[r] = simd.mul_add(distance, simd.splat(scale[r]), simd.splat(bias[r]));
            }
        }
    }
    for r in 0..R {
        // SAFETY: the caller promises these vectors of the output.
        unsafe { simd.store(acc[r], target.add(r * sums.row_len)) };
    }
}

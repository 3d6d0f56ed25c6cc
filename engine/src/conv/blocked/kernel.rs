//! The one kernel on blocked images: numbers times vectors, summed in registers.
//!
//! A tap and a result meet at a number of the image. A result is the sum of the taps' vectors, each times
//! that number; the gradient by a tap is the sum of the results' vectors, each times that number. So one
//! is the other with the two lists exchanged.

use super::table::{Entry, Table};
use crate::norm::batch::UnitConstants;
use crate::simd::{Kernel, LANES, Simd, gentle_relu, leaky_relu};

/// Most sums of one vector each that a tile has on any tier.
const MOST_SUMS: usize = 14;

/// `out[b, result] = act(bias[b] + Σ packed[tap, b] · x[result, tap])` for the vectors b of each result; then
/// normalised, if there are constants.
pub(super) struct Multiply<'a> {
    pub(super) tables: &'a [Table],
    /// `[taps, width]`
    pub(super) packed: &'a [f32],
    /// `[width]`, or empty. The width is that of all vectors of a result, in floats.
    pub(super) bias: &'a [f32],
    pub(super) width: usize,
    pub(super) x: &'a [f32],
    pub(super) negative_slope: f32,
    /// All `[width]`.
    pub(super) normalize: Option<UnitConstants<'a>>,
    /// `[width / 16, results, 16]`
    pub(super) out: &'a mut [f32],
}

impl Kernel for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Multiply { tables, packed, bias, width, x, negative_slope, normalize, out } = self;
        let (vectors, plane) = planes(width, out.len());
        assert!(bias.is_empty() || bias.len() == width);
        if let Some(UnitConstants { mean, scale, bias }) = normalize {
            assert!([mean, scale, bias].iter().all(|values| values.len() == width));
        }
        for Table { taps, results } in tables {
            if results.entries().is_empty() {
                continue;
            }
            assert!(results.last().vector + LANES <= plane, "a result within its plane");
            if !taps.entries().is_empty() {
                assert!(taps.last().vector + width <= packed.len(), "a row of the weights");
                let last = results.last().source + taps.last().source;
                assert!(last < x.len(), "a number within x");
            }
            let mut vector = 0;
            while vector < vectors {
                let count = S::TILE_VECTORS.min(vectors - vector);
                let (at, first) = (vector * LANES, vector * plane);
                let bias = if bias.is_empty() { None } else { Some(bias[at..].as_ptr()) };
                let normalize = normalize.map(|UnitConstants { mean, scale, bias }| {
                    [mean, scale, bias].map(|values| values[at..].as_ptr())
                });
                let end = End::Activate { bias, negative_slope, normalize };
                let mut rest = results.entries();
                while !rest.is_empty() {
                    let (next, after) = rest.split_at(cut::<S>(count, rest.len()));
                    rest = after;
                    let t = Tile {
                        sums: next,
                        terms: taps.entries(),
                        vectors: packed.as_ptr().wrapping_add(at),
                        vector_stride: LANES,
                        numbers: x.as_ptr(),
                        out: out[first..].as_mut_ptr(),
                        out_stride: plane,
                        end,
                    };
                    // SAFETY: as asserted for the last of each list, rows of taps, bias and constants
                    // have `width` floats, `count` vectors of them from `at` on; the numbers of taps
                    // and results lie within x, results in each of `count` planes from `first` on.
                    unsafe { tile(simd, count, &t) };
                }
                vector += count;
            }
        }
    }
}

/// `sums[tap, b] += Σ dz[b, result] · x[result, tap]` for the vectors b of each tap.
pub(super) struct Accumulate<'a> {
    pub(super) tables: &'a [Table],
    /// `[width / 16, results, 16]`
    pub(super) dz: &'a [f32],
    pub(super) width: usize,
    pub(super) x: &'a [f32],
    /// `[taps, width]`
    pub(super) sums: &'a mut [f32],
}

impl Kernel for Accumulate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Accumulate { tables, dz, width, x, sums } = self;
        let (vectors, plane) = planes(width, dz.len());
        for Table { taps, results } in tables {
            if results.entries().is_empty() || taps.entries().is_empty() {
                continue;
            }
            assert!(results.last().vector + LANES <= plane, "a result within its plane");
            assert!(taps.last().vector + width <= sums.len(), "a row of the sums");
            let last = results.last().source + taps.last().source;
            assert!(last < x.len(), "a number within x");
            let mut vector = 0;
            while vector < vectors {
                let count = S::TILE_VECTORS.min(vectors - vector);
                let mut rest = taps.entries();
                while !rest.is_empty() {
                    let (next, after) = rest.split_at(cut::<S>(count, rest.len()));
                    rest = after;
                    let t = Tile {
                        sums: next,
                        terms: results.entries(),
                        vectors: dz[vector * plane..].as_ptr(),
                        vector_stride: plane,
                        numbers: x.as_ptr(),
                        out: sums[vector * LANES..].as_mut_ptr(),
                        out_stride: LANES,
                        end: End::Add,
                    };
                    // SAFETY: a result's vector lies within each of the `count` planes from this one
                    // on; the number of every tap and result lies within x; a tap's row has `width`
                    // floats, of which `count` vectors are touched. All this is asserted for the last
                    // of each list.
                    unsafe { tile(simd, count, &t) };
                }
                vector += count;
            }
        }
    }
}

/// How many vectors a result has, and the floats of each of their planes.
#[inline(always)]
fn planes(width: usize, len: usize) -> (usize, usize) {
    let vectors = width / LANES;
    assert!(vectors > 0 && width == vectors * LANES, "whole vectors");
    let plane = len / vectors;
    assert!(len == vectors * plane, "planes of one size");
    (vectors, plane)
}

/// Sums of a tile that is `vectors` wide.
#[inline(always)]
const fn most_sums<S: Simd>(vectors: usize) -> usize {
    let most = S::TILE_ROWS * S::TILE_VECTORS / vectors;
    if most < MOST_SUMS { most } else { MOST_SUMS }
}

/// Sums of the next tile where `rest` are left: the last two tiles share what is more than one. Tiles may be
/// so small that a division would take as long.
#[inline(always)]
fn cut<S: Simd>(vectors: usize, rest: usize) -> usize {
    let most = most_sums::<S>(vectors);
    if rest <= most {
        rest
    } else if rest < 2 * most {
        rest.div_ceil(2)
    } else {
        most
    }
}

/// Sums of the same vectors with different factors:
/// `out[sum] = Σ numbers[sum.source + term.source] · vectors[term]` over all terms.
struct Tile<'a> {
    sums: &'a [Entry],
    terms: &'a [Entry],
    vectors: *const f32,
    /// From one vector of a term to the next.
    vector_stride: usize,
    numbers: *const f32,
    out: *mut f32,
    /// From one vector of a sum to the next.
    out_stride: usize,
    end: End,
}

/// What becomes of the sums.
#[derive(Clone, Copy)]
enum End {
    /// They are added to the bias, go through LeakyReLU, are normalised by mean, scale and bias, and
    /// written.
    Activate { bias: Option<*const f32>, negative_slope: f32, normalize: Option<[*const f32; 3]> },
    /// They are added to what is there.
    Add,
}

/// [`sized_tile`] for a size known at run time.
///
/// # Safety
/// As [`sized_tile`] for as many sums as there are, and `vectors` vectors.
#[inline(always)]
unsafe fn tile<S: Simd>(simd: S, vectors: usize, t: &Tile<'_>) {
    macro_rules! sizes {
        ($($v:literal: $($n:literal)+;)+) => {
            match (vectors, t.sums.len()) {
                $($(
                    ($v, $n) if const { $v <= S::TILE_VECTORS && $n <= most_sums::<S>($v) } => {
                        // SAFETY: the caller's promises are those of `sized_tile`.
                        unsafe { sized_tile::<S, $n, $v>(simd, t) }
                    }
                )+)+
                size => unreachable!("a tile of {size:?}"),
            }
        };
    }
    sizes! {
        1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14;
        2: 1 2 3 4 5 6 7 8 9 10 11 12 13 14;
    }
}

/// N sums of V vectors.
///
/// # Safety
/// There are N sums. For each term, V vectors are valid for reading, `vector_stride` apart, and one float
/// of `numbers` for each sum and term. For each sum, V vectors of `out`, `out_stride` apart, are valid for
/// writing, and for reading if they are added to. A bias and
/// constants are valid for reading V vectors.
#[inline(always)]
unsafe fn sized_tile<S: Simd, const N: usize, const V: usize>(simd: S, t: &Tile<'_>) {
    let mut acc = [[simd.zero(); V]; N];
    if let End::Activate { bias: Some(bias), .. } = t.end {
        for v in 0..V {
            // SAFETY: the caller promises V vectors of the bias.
            let bias = unsafe { simd.load(bias.add(v * LANES)) };
            for n in 0..N {
                acc[n][v] = bias;
            }
        }
    }
    let sums: &[Entry; N] = t.sums.try_into().expect("as many sums as the tile has");
    let mut sources = [0; N];
    for n in 0..N {
        sources[n] = sums[n].source;
    }
    for term in t.terms {
        // SAFETY: the caller promises V vectors of each term, and a number for each sum and term.
        unsafe {
            let mut vectors = [simd.zero(); V];
            for v in 0..V {
                vectors[v] = simd.load(t.vectors.add(term.vector + v * t.vector_stride));
            }
            let numbers = t.numbers.add(term.source);
            for n in 0..N {
                let number = simd.splat(*numbers.add(sources[n]));
                for v in 0..V {
                    acc[n][v] = simd.mul_add(number, vectors[v], acc[n][v]);
                }
            }
        }
    }
    match t.end {
        End::Activate { negative_slope, normalize, .. } => {
            // One small loop for each step: what the compiler does not unroll would keep the sums in
            // memory.
            let slope = simd.splat(negative_slope);
            if negative_slope > 0.0 && negative_slope < 1.0 {
                for n in 0..N {
                    for v in 0..V {
                        acc[n][v] = gentle_relu(simd, acc[n][v], slope);
                    }
                }
            } else if negative_slope != 1.0 {
                for n in 0..N {
                    for v in 0..V {
                        acc[n][v] = leaky_relu(simd, acc[n][v], slope);
                    }
                }
            }
            if let Some([mean, scale, bias]) = normalize {
                for v in 0..V {
                    // SAFETY: the caller promises V vectors of the constants.
                    let (mean, scale, bias) = unsafe {
                        let at = v * LANES;
                        (simd.load(mean.add(at)), simd.load(scale.add(at)), simd.load(bias.add(at)))
                    };
                    for n in 0..N {
                        acc[n][v] = simd.mul_add(simd.sub(acc[n][v], mean), scale, bias);
                    }
                }
            }
            for n in 0..N {
                for v in 0..V {
                    // SAFETY: the caller promises V vectors of `out` for each sum.
                    unsafe {
                        simd.store(acc[n][v], t.out.add(sums[n].vector + v * t.out_stride));
                    }
                }
            }
        }
        End::Add => {
            for n in 0..N {
                for v in 0..V {
                    // SAFETY: the caller promises V vectors of `out` for each sum.
                    unsafe {
                        let out = t.out.add(sums[n].vector + v * t.out_stride);
                        simd.store(simd.add(simd.load(out), acc[n][v]), out);
                    }
                }
            }
        }
    }
}

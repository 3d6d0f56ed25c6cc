//! The gradient by weights of interleaved images.

use crate::conv::classes::Class;
use crate::gemm::Cut;
use crate::simd::{Kernel, LANES, Simd};

/// The most columns of a tile on any tier.
const MOST_COLUMNS: usize = 4;

/// Output gradients times sources, summed over results and images, and added to what is there:
/// `out[o, c · kernel_len + kernel(t)] += Σ dy[o, result] · x[c, source + offset(t)]` over the results of
/// every class. With means it is `x - mean[c]` that is multiplied.
pub(super) struct Accumulate<'a> {
    pub(super) classes: &'a [Class],
    /// The offsets of each class in floats.
    pub(super) offsets: &'a [Vec<usize>],
    /// Columns of the output for each offset of each class.
    pub(super) columns: &'a [Vec<usize>],
    pub(super) rows: usize,
    /// `[O, Ho, Wo, 16]`
    pub(super) dy: &'a [f32],
    /// `[C, H, W, 16]`
    pub(super) x: &'a [f32],
    /// `[C]`, or empty.
    pub(super) means: &'a [f32],
    /// `Kh · Kw`
    pub(super) kernel_len: usize,
    /// `[O, C, Kh, Kw]`
    pub(super) out: &'a mut [f32],
}

impl Kernel for Accumulate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Accumulate { rows, dy, x, means, kernel_len, out, .. } = self;
        if rows == 0 {
            return;
        }
        let (row_stride, plane_stride) = (out.len() / rows, dy.len() / rows);
        assert!(out.len() == rows * row_stride && dy.len() == rows * plane_stride);
        assert!(self.classes.len() == self.offsets.len());
        assert!(self.classes.len() == self.columns.len());
        let row_cut = Cut::new(rows, S::DOT_ROWS);
        for ((class, offsets), columns) in self.classes.iter().zip(self.offsets).zip(self.columns) {
            assert!(offsets.len() == columns.len());
            assert!(columns.iter().all(|&column| column < row_stride), "a column of the output");
            let reach = offsets.iter().max().map_or(0, |&offset| offset + LANES);
            for place in &class.results {
                assert!(place.source * LANES + reach <= x.len(), "a source within x");
                assert!(
                    (place.result + 1) * LANES <= plane_stride,
                    "a result within a plane of dy"
                );
            }
            for (offsets, columns) in
                offsets.chunks(S::DOT_COLUMNS).zip(columns.chunks(S::DOT_COLUMNS))
            {
                let mut centres = [0.0; MOST_COLUMNS];
                if !means.is_empty() {
                    for (centre, column) in centres.iter_mut().zip(columns) {
                        *centre = means[column / kernel_len];
                    }
                }
                for range in (0..row_cut.panels()).map(|panel| row_cut.lanes_of(panel)) {
                    let dots = Dots {
                        class,
                        dy: dy[range.start * plane_stride..].as_ptr(),
                        plane_stride,
                        x: x.as_ptr(),
                        offsets,
                        columns,
                        centres: (!means.is_empty()).then_some(centres),
                        out: out[range.start * row_stride..].as_mut_ptr(),
                        row_stride,
                    };
                    // SAFETY: these rows of dy and of the output exist, and for every result and
                    // offset a vector lies within a plane of dy and within x, as asserted, and the columns
                    // within a row of the output.
                    unsafe { dot_tile(simd, [range.len(), offsets.len()], &dots) };
                }
            }
        }
    }
}

/// Operands of a tile of [`Accumulate`].
struct Dots<'a> {
    class: &'a Class,
    dy: *const f32,
    /// From one row of dy to the next.
    plane_stride: usize,
    x: *const f32,
    offsets: &'a [usize],
    columns: &'a [usize],
    /// Those of the columns come first.
    centres: Option<[f32; MOST_COLUMNS]>,
    out: *mut f32,
    row_stride: usize,
}

/// [`sized_dots`] for a size known at run time.
///
/// # Safety
/// As [`sized_dots`].
#[inline(always)]
unsafe fn dot_tile<S: Simd>(simd: S, size: [usize; 2], dots: &Dots<'_>) {
    macro_rules! sizes {
        ($($r:literal: $($c:literal)+;)+) => {
            match (size, dots.centres) {
                $($(
                    ([$r, $c], None) if const { $r <= S::DOT_ROWS && $c <= S::DOT_COLUMNS } => {
                        // SAFETY: the caller's promises are those of `sized_dots`.
                        unsafe { sized_dots::<S, $r, $c, false>(simd, dots, [0.0; MOST_COLUMNS]) }
                    }
                    ([$r, $c], Some(centres))
                        if const { $r <= S::DOT_ROWS && $c <= S::DOT_COLUMNS } =>
                    {
                        // SAFETY: as above.
                        unsafe { sized_dots::<S, $r, $c, true>(simd, dots, centres) }
                    }
                )+)+
                _ => unreachable!("a tile of {size:?}"),
            }
        };
    }
    sizes! {
        1: 1 2 3 4;
        2: 1 2 3 4;
        3: 1 2 3 4;
        4: 1 2 3 4;
        5: 1 2 3 4;
    }
}

/// R rows × C columns of the sums of [`Accumulate`].
///
/// # Safety
/// For each result: `dy` is valid for reading a vector in R planes, `x` at each of the C
/// offsets. `out` is valid for reading and writing the C columns in each of R rows.
#[inline(always)]
unsafe fn sized_dots<S: Simd, const R: usize, const C: usize, const CENTRED: bool>(
    simd: S,
    dots: &Dots<'_>,
    centres: [f32; MOST_COLUMNS],
) {
    let mut acc = [[simd.zero(); C]; R];
    let offsets: [usize; C] = std::array::from_fn(|c| dots.offsets[c]);
    for place in &dots.class.results {
        // SAFETY: the caller promises these vectors.
        unsafe {
            let dy = dots.dy.add(place.result * LANES);
            let x = dots.x.add(place.source * LANES);
            let mut sources = [simd.zero(); C];
            for c in 0..C {
                sources[c] = simd.load(x.add(offsets[c]));
                if CENTRED {
                    sources[c] = simd.sub(sources[c], simd.splat(centres[c]));
                }
            }
            for r in 0..R {
                let y = simd.load(dy.add(r * dots.plane_stride));
                for c in 0..C {
                    acc[r][c] = simd.mul_add(y, sources[c], acc[r][c]);
                }
            }
        }
    }
    for r in 0..R {
        for c in 0..C {
            // SAFETY: the caller promises these elements of the output.
            unsafe { *dots.out.add(r * dots.row_stride + dots.columns[c]) += simd.sum(acc[r][c]) };
        }
    }
}

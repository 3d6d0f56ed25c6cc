//! The two kernels on interleaved images.

use crate::conv::classes::Class;
use crate::gemm::{Cut, Epilogue, Offsets, Tile, tile};
use crate::simd::{Kernel, LANES, Simd};

/// The longest sum of products that is made in registers before the next results are begun: so many
/// vectors of sources, 16 KiB, stay in a first-level cache.
pub(super) const DEPTH: usize = 256;

/// Weights times sources for 16 images: `out[m, result] = act(Σₖ a[m, k] · x[source + offsets[k]] + bias[m])`
/// for the results of a class, each a vector.
pub(super) struct Multiply<'a> {
    pub(super) class: &'a Class,
    /// The class's offsets in floats.
    pub(super) offsets: &'a [usize],
    /// M.
    pub(super) rows: usize,
    /// The class's weights: for each block of the depth, for each panel of rows, `[depth][rows]`.
    pub(super) a: &'a [f32],
    /// `[channels, H, W, 16]`
    pub(super) x: &'a [f32],
    /// `[M]`, or empty.
    pub(super) bias: &'a [f32],
    pub(super) negative_slope: f32,
    /// `[M, results, 16]`, of all classes.
    pub(super) out: &'a mut [f32],
}

impl Kernel for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Multiply { class, offsets, rows, a, x, bias, negative_slope, out } = self;
        if rows == 0 {
            return;
        }
        let row_len = out.len() / rows;
        assert!(out.len() == rows * row_len);
        assert!(bias.is_empty() || bias.len() == rows);
        assert!(a.len() == rows * offsets.len());
        let reach = offsets.iter().max().map_or(0, |&offset| offset + LANES);
        let cut = Cut::new(rows, S::TILE_ROWS);
        // A sum of no products is one empty block, so that the results are written nevertheless.
        let blocks = offsets.len().div_ceil(DEPTH).max(1);
        for block in 0..blocks {
            let depth = block * DEPTH..offsets.len().min((block + 1) * DEPTH);
            let a = &a[depth.start * rows..depth.end * rows];
            for place in &class.results {
                let (source, result) = (place.source * LANES, place.result * LANES);
                assert!(reach == 0 || source + reach <= x.len(), "a source within x");
                assert!(result + LANES <= row_len, "a result within a row");
                for range in (0..cut.panels()).map(|panel| cut.lanes_of(panel)) {
                    let packed = &a[range.start * depth.len()..range.end * depth.len()];
                    let epilogue = (block + 1 == blocks).then_some(Epilogue {
                        bias: if bias.is_empty() { bias } else { &bias[range.clone()] },
                        negative_slope,
                    });
                    let t = Tile {
                        depth: depth.len(),
                        a: packed.as_ptr(),
                        b: Offsets {
                            start: x.as_ptr().wrapping_add(source),
                            offsets: offsets[depth.clone()].as_ptr(),
                        },
                        c: out[range.start * row_len + result..].as_mut_ptr(),
                        row_stride: row_len,
                        columns: LANES,
                        alpha: 1.0,
                        beta: if block == 0 { 0.0 } else { 1.0 },
                        epilogue,
                    };
                    // SAFETY: `packed` holds depth · rows floats, and `tile` panics if there are more
                    // rows than a tile has. Every row of B is a vector at source + offset, which lies
                    // within x; without rows its address is not used. The vector at `result` lies
                    // within each row of C.
                    unsafe { tile(simd, range.len(), 1, &t) };
                }
            }
        }
    }
}

/// Output gradients times sources, summed over results and images, and added to what is there:
/// `out[o, c · kernel_len + kernel(t)] += Σ dy[o, result] · x[c, source + offset(t)]` over the results of
/// every class.
pub(super) struct Accumulate<'a> {
    pub(super) classes: &'a [Class],
    /// As in [`Multiply`].
    pub(super) offsets: &'a [Vec<usize>],
    /// Columns of the output for each offset of each class.
    pub(super) columns: &'a [Vec<usize>],
    pub(super) rows: usize,
    /// `[O, Ho, Wo, 16]`
    pub(super) dy: &'a [f32],
    /// `[C, H, W, 16]`
    pub(super) x: &'a [f32],
    /// `[O, C, Kh, Kw]`
    pub(super) out: &'a mut [f32],
}

impl Kernel for Accumulate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Accumulate { rows, dy, x, out, .. } = self;
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
                for range in (0..row_cut.panels()).map(|panel| row_cut.lanes_of(panel)) {
                    let dots = Dots {
                        class,
                        dy: dy[range.start * plane_stride..].as_ptr(),
                        plane_stride,
                        x: x.as_ptr(),
                        offsets,
                        columns,
                        out: out[range.start * row_stride..].as_mut_ptr(),
                        row_stride,
                    };
                    // SAFETY: these rows of dy and of the output exist, and for every result and
                    // offset a vector lies within a plane of dy and within x, as asserted.
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
            match size {
                $($(
                    [$r, $c] => {
                        if $r > S::DOT_ROWS || $c > S::DOT_COLUMNS {
                            unreachable!("a tile larger than the tier's");
                        }
                        // SAFETY: the caller's promises are those of `sized_dots`.
                        unsafe { sized_dots::<S, $r, $c>(simd, dots) }
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
unsafe fn sized_dots<S: Simd, const R: usize, const C: usize>(simd: S, dots: &Dots<'_>) {
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

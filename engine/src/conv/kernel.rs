//! The two kernels of convolution, on phase planes (see [`super::planes`]).

use crate::gemm::{Cut, Epilogue, Offsets, PackedA, Tile, tile};
use crate::simd::{Kernel, LANES, Simd};

/// Weights times patches: `out[o, l] = act(Σₖ a[o, k] · planes[offsets[k] + l] + bias[o])` for the
/// positions `l` of a band.
pub(super) struct Correlate<'a> {
    /// Weights, `[O, K]`.
    pub(super) a: &'a PackedA,
    pub(super) planes: &'a [f32],
    /// K, in the order of the weights.
    pub(super) offsets: &'a [usize],
    /// `[O]`, or empty.
    pub(super) bias: &'a [f32],
    pub(super) negative_slope: f32,
    /// `[O, positions]`, the number of positions rounded up to whole vectors.
    pub(super) out: &'a mut [f32],
}

impl Kernel for Correlate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Correlate { a, planes, offsets, bias, negative_slope, out } = self;
        let rows = a.rows();
        if rows == 0 {
            return;
        }
        let positions = out.len() / rows;
        assert!(out.len() == rows * positions && positions.is_multiple_of(LANES));
        assert!(offsets.len() == a.depth());
        assert!(bias.is_empty() || bias.len() == rows);
        let last = offsets.iter().max().map_or(0, |&offset| offset + positions);
        assert!(last <= planes.len(), "positions beyond the planes");

        let tile_columns = S::TILE_VECTORS * LANES;
        let last_block = a.depth_blocks() - 1;
        for depth_block in 0..=last_block {
            let depth = a.depth_of(depth_block);
            for first in (0..positions).step_by(tile_columns) {
                let columns = tile_columns.min(positions - first);
                for panel in 0..a.panels() {
                    let range = a.rows_of(panel);
                    let packed = a.panel(depth_block, panel);
                    assert!(packed.len() == range.len() * depth.len());
                    let epilogue = (depth_block == last_block).then_some(Epilogue {
                        bias: if bias.is_empty() { bias } else { &bias[range.clone()] },
                        negative_slope,
                    });
                    let t = Tile {
                        depth: depth.len(),
                        a: packed.as_ptr(),
                        b: Offsets {
                            start: planes[first..].as_ptr(),
                            offsets: offsets[depth.clone()].as_ptr(),
                        },
                        c: out[range.start * positions + first..].as_mut_ptr(),
                        row_stride: positions,
                        columns,
                        alpha: 1.0,
                        beta: if depth_block == 0 { 0.0 } else { 1.0 },
                        epilogue,
                    };
                    // SAFETY: `packed` has just been measured, and `tile` panics if it has more rows than the
                    // tier's tile. A row of B begins at first + offset and has `columns` floats;
                    // first + columns ≤ positions, and offset + positions ≤ the length of the planes
                    // for the largest offset. C has `positions` columns in each of its rows.
                    unsafe { tile(simd, range.len(), columns.div_ceil(LANES), &t) };
                }
            }
        }
    }
}

/// Output gradients times transposed patches, added to what is there:
/// `out[o, k] += Σᵤ Σₗ dy[u, o, l] · planes[u, offsets[k] + l]` over units u (bands of images) and
/// positions l.
pub(super) struct Accumulate<'a> {
    pub(super) units: usize,
    /// `[units, O, positions]`, the number of positions rounded up to whole vectors; 0 at numbers
    /// that are no positions.
    pub(super) dy: &'a [f32],
    /// `[units, …]`
    pub(super) planes: &'a [f32],
    pub(super) offsets: &'a [usize],
    /// `[O, K]`
    pub(super) out: &'a mut [f32],
}

/// Sizes of a call of [`dot_tile`].
#[derive(Clone, Copy)]
struct Dots {
    units: usize,
    positions: usize,
    /// From one unit to the next.
    dy_stride: usize,
    planes_stride: usize,
    /// From one row of the output to the next.
    row_stride: usize,
}

impl Kernel for Accumulate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Accumulate { units, dy, planes, offsets, out } = self;
        let depth = offsets.len();
        if units == 0 || depth == 0 || out.is_empty() {
            return;
        }
        let rows = out.len() / depth;
        let positions = dy.len() / units / rows;
        assert!(out.len() == rows * depth);
        assert!(dy.len() == units * rows * positions && positions.is_multiple_of(LANES));
        let planes_stride = planes.len() / units;
        let last = offsets.iter().max().map_or(0, |&offset| offset + positions);
        assert!(last <= planes_stride, "positions beyond the planes");
        let dots = Dots {
            units,
            positions,
            dy_stride: rows * positions,
            planes_stride,
            row_stride: depth,
        };
        let row_cut = Cut::new(rows, S::DOT_ROWS);
        for tile_rows in (0..row_cut.panels()).map(|panel| row_cut.lanes_of(panel)) {
            let row = tile_rows.start;
            let dy = dy[row * positions..].as_ptr();
            for k in (0..depth).step_by(S::DOT_COLUMNS) {
                let offsets = &offsets[k..depth.min(k + S::DOT_COLUMNS)];
                let size = [tile_rows.len(), offsets.len()];
                let out = out[row * depth + k..].as_mut_ptr();
                // SAFETY: these rows of dy and the output's elements in these rows and columns
                // exist, and every offset leaves room for `positions` floats in each unit's planes,
                // as asserted.
                unsafe { dot_tile(simd, size, &dots, dy, planes.as_ptr(), offsets, out) };
            }
        }
    }
}

/// [`sized_dots`] for a size known at run time.
///
/// # Safety
/// As [`sized_dots`].
#[inline(always)]
unsafe fn dot_tile<S: Simd>(
    simd: S,
    size: [usize; 2],
    dots: &Dots,
    dy: *const f32,
    planes: *const f32,
    offsets: &[usize],
    out: *mut f32,
) {
    macro_rules! sizes {
        ($($r:literal: $($c:literal)+;)+) => {
            match size {
                $($(
                    [$r, $c] if const { $r <= S::DOT_ROWS && $c <= S::DOT_COLUMNS } => {
                        // SAFETY: the caller's promises are those of `sized_dots`.
                        unsafe { sized_dots::<S, $r, $c>(simd, dots, dy, planes, offsets, out) }
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

/// R rows × C columns of the products of [`Accumulate`].
///
/// # Safety
/// For each of `dots.units`: `dy` is valid for reading R rows of `positions` floats, `planes` for reading
/// `positions` floats at each of the C `offsets`; `out` is valid for reading and writing C floats in
/// each of R rows.
#[inline(always)]
unsafe fn sized_dots<S: Simd, const R: usize, const C: usize>(
    simd: S,
    dots: &Dots,
    dy: *const f32,
    planes: *const f32,
    offsets: &[usize],
    out: *mut f32,
) {
    let mut acc = [[simd.zero(); C]; R];
    let offsets: [usize; C] = std::array::from_fn(|c| offsets[c]);
    for unit in 0..dots.units {
        // SAFETY: the caller promises the unit's rows and planes.
        let (dy, planes) =
            unsafe { (dy.add(unit * dots.dy_stride), planes.add(unit * dots.planes_stride)) };
        let mut l = 0;
        while l < dots.positions {
            // SAFETY: l + 16 ≤ positions, and so many floats follow each row's and offset's start.
            unsafe {
                let mut x = [simd.zero(); C];
                for c in 0..C {
                    x[c] = simd.load(planes.add(offsets[c] + l));
                }
                for r in 0..R {
                    let y = simd.load(dy.add(r * dots.positions + l));
                    for c in 0..C {
                        acc[r][c] = simd.mul_add(y, x[c], acc[r][c]);
                    }
                }
            }
            l += LANES;
        }
    }
    for r in 0..R {
        for c in 0..C {
            // SAFETY: the caller promises these elements of the output.
            unsafe { *out.add(r * dots.row_stride + c) += simd.sum(acc[r][c]) };
        }
    }
}

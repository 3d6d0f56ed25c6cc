//! Upsampling of planes by whole factors: each pixel becomes a block of equal ones.

use crate::buffer::with_scratch;
use crate::planes::{check_planes, check_size, planes_len};
use crate::simd::{Kernel, Simd, map, update};
use crate::{Context, Error};

/// Elements of the larger planes of a task.
const TASK: usize = 1 << 14;

/// An upsampling of planes of one size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpsampleNearest2d {
    scale: [usize; 2],
    input_size: [usize; 2],
}

impl UpsampleNearest2d {
    /// The upsampling of planes `[height, width]` by the factors `scale` `[rows, columns]`.
    ///
    /// # Errors
    /// [`Error::Invalid`] if a number is 0 or exceeds 2²⁰, [`Error::Overflow`] if a plane would not fit the
    /// address space.
    pub fn new(scale: [usize; 2], input_size: [usize; 2]) -> Result<UpsampleNearest2d, Error> {
        let op = "upsample_nearest2d";
        for axis in [0, 1] {
            check_size(op, "an image size", input_size[axis], 1)?;
            check_size(op, "a scale factor", scale[axis], 1)?;
        }
        planes_len(op, "the input", 1, input_size)?;
        // 2²⁰ times 2²⁰ needs more than 32 bits.
        let [height, width] = [0, 1].map(|axis| input_size[axis].checked_mul(scale[axis]));
        let (Some(height), Some(width)) = (height, width) else {
            return Err(Error::Overflow { op, what: "the output" });
        };
        planes_len(op, "the output", 1, [height, width])?;
        Ok(UpsampleNearest2d { scale, input_size })
    }

    /// Sh, Sw: rows and columns of a block.
    pub fn scale(&self) -> [usize; 2] {
        self.scale
    }

    /// H, W.
    pub fn input_size(&self) -> [usize; 2] {
        self.input_size
    }

    /// H · Sh, W · Sw.
    pub fn output_size(&self) -> [usize; 2] {
        [0, 1].map(|axis| self.input_size[axis] * self.scale[axis])
    }

    /// H · W: pixels of an input plane.
    pub fn input_len(&self) -> usize {
        self.input_size[0] * self.input_size[1]
    }

    /// H · Sh · W · Sw: pixels of an output plane.
    pub fn output_len(&self) -> usize {
        let [height, width] = self.output_size();
        height * width
    }

    fn planes_per_task(&self) -> usize {
        (TASK / self.output_len()).max(1)
    }
}

/// `y[n, c, h, w] = x[n, c, ⌊h / Sh⌋, ⌊w / Sw⌋]`
///
/// x `[N, C, H, W]`, y `[N, C, H · Sh, W · Sw]`; the number of planes is what x holds. y is overwritten.
///
/// Source: PyTorch's page "Upsample", mode `nearest`.
///
/// # Errors
/// [`Error::Invalid`] if x is not a whole number of planes, [`Error::Length`] if y is not as many.
pub fn upsample_nearest2d(
    cx: &Context,
    up: &UpsampleNearest2d,
    x: &[f32],
    y: &mut [f32],
) -> Result<(), Error> {
    let inputs = ("x", x.len(), up.input_size());
    check_planes("upsample_nearest2d", inputs, ("y", y.len(), up.output_size()))?;
    let chunk = up.planes_per_task() * up.output_len();
    let (tasks, work) = (y.len().div_ceil(chunk), y.len());
    cx.threads().for_each_chunk(tasks, work, [(y, chunk)], |task, [y]| {
        let x = &x[task * up.planes_per_task() * up.input_len()..];
        cx.isa().run(Repeat { up, x, y });
    });
    Ok(())
}

struct Repeat<'a> {
    up: &'a UpsampleNearest2d,
    /// Planes, at least as many as y has.
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Kernel for Repeat<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Repeat { up, x, y } = self;
        let ([height, scale], [_, width]) = (up.scale, up.output_size());
        // The rows of all planes lie one behind the other.
        let rows = x.chunks_exact(up.input_size[1]).zip(y.chunks_exact_mut(height * width));
        for (x, y) in rows {
            let (first, others) = y.split_at_mut(width);
            match scale {
                1 => first.copy_from_slice(x),
                2 => repeat::<2>(x, first),
                3 => repeat::<3>(x, first),
                4 => repeat::<4>(x, first),
                _ => {
                    for (y, &x) in first.chunks_exact_mut(scale).zip(x) {
                        y.fill(x);
                    }
                }
            }
            for other in others.chunks_exact_mut(width) {
                other.copy_from_slice(first);
            }
        }
    }
}

/// Writes each element N times: a loop that the compiler turns into vectors.
#[inline(always)]
fn repeat<const N: usize>(x: &[f32], y: &mut [f32]) {
    for (y, &x) in y.as_chunks_mut::<N>().0.iter_mut().zip(x) {
        *y = [x; N];
    }
}

/// Gradient of [`upsample_nearest2d`]: dx is the sum of dy over the block of the pixel, first down its columns,
/// then along them.
///
/// dy `[N, C, H · Sh, W · Sw]`, dx `[N, C, H, W]`; the number of planes is what dy holds. dx is overwritten.
///
/// # Errors
/// [`Error::Invalid`] if dy is not a whole number of planes, [`Error::Length`] if dx is not as many.
pub fn upsample_nearest2d_backward(
    cx: &Context,
    up: &UpsampleNearest2d,
    dy: &[f32],
    dx: &mut [f32],
) -> Result<(), Error> {
    let outputs = ("dy", dy.len(), up.output_size());
    check_planes("upsample_nearest2d_backward", outputs, ("dx", dx.len(), up.input_size()))?;
    let chunk = up.planes_per_task() * up.input_len();
    let (tasks, work) = (dx.len().div_ceil(chunk), dy.len());
    let [_, width] = up.output_size();
    cx.threads().for_each_chunk(tasks, work, [(dx, chunk)], |task, [dx]| {
        let dy = &dy[task * up.planes_per_task() * up.output_len()..];
        with_scratch(width, |columns| cx.isa().run(AddUp { up, dy, dx, columns }));
    });
    Ok(())
}

struct AddUp<'a> {
    up: &'a UpsampleNearest2d,
    /// Planes, at least as many as dx has.
    dy: &'a [f32],
    dx: &'a mut [f32],
    /// For the sums of the columns of a row of blocks.
    columns: &'a mut [f32],
}

impl Kernel for AddUp<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let AddUp { up, dy, dx, columns } = self;
        let ([height, scale], [_, width]) = (up.scale, up.output_size());
        let rows = dx.chunks_exact_mut(up.input_size[1]).zip(dy.chunks_exact(height * width));
        for (dx, dy) in rows {
            let (first, others) = dy.split_at(width);
            let mut others = others.chunks_exact(width);
            let columns: &[f32] = match others.next() {
                None => first,
                Some(second) => {
                    map(simd, [first, second], columns, |[a, b]| simd.add(a, b));
                    for other in others {
                        update(simd, [other], [&mut *columns], |[x], [sum]| [simd.add(sum, x)]);
                    }
                    columns
                }
            };
            match scale {
                1 => dx.copy_from_slice(columns),
                2 => add_up::<2>(columns, dx),
                3 => add_up::<3>(columns, dx),
                4 => add_up::<4>(columns, dx),
                _ => {
                    for (dx, columns) in dx.iter_mut().zip(columns.chunks_exact(scale)) {
                        *dx = columns.iter().fold(0.0, |sum, x| sum + x);
                    }
                }
            }
        }
    }
}

/// Writes the sum of each N elements: a loop that the compiler turns into vectors.
#[inline(always)]
fn add_up<const N: usize>(columns: &[f32], dx: &mut [f32]) {
    for (dx, columns) in dx.iter_mut().zip(columns.as_chunks::<N>().0) {
        *dx = columns[1..].iter().fold(columns[0], |sum, x| sum + x);
    }
}

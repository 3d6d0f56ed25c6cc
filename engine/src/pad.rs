//! Images padded by zeros or by their own pixels, forward and backward.
//!
//! A convolution with a padding mode is this, followed by one without padding. Rows are copied whole;
//! the rows above and below an image are copies of rows that have been padded before.

use crate::error::expect_len;
use crate::simd::{self, Kernel, Simd};
use crate::{Context, Error};

const OP: &str = "pad2d";

/// Which pixels are put around an image. The names are those of PyTorch's layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PaddingMode {
    /// Zeros.
    #[default]
    Zeros,
    /// The image mirrored at its outermost pixels, which are not repeated: `c b | a b c | b a`.
    Reflect,
    /// The outermost pixels, again and again: `a a | a b c | c c`.
    Replicate,
    /// The image once more, as if its sides were joined: `b c | a b c | a b`.
    Circular,
}

/// The padding of images of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pad2d {
    rows: Line,
    cols: Line,
}

/// Elements of an axis, and how many are put before and behind them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Line {
    mode: PaddingMode,
    before: usize,
    size: usize,
    after: usize,
}

impl Line {
    fn new(mode: PaddingMode, size: usize, [before, after]: [usize; 2]) -> Result<Line, Error> {
        let invalid =
            |what, expected, found: String| Err(Error::Invalid { op: OP, what, expected, found });
        if size == 0 {
            return invalid("an image size", "at least 1", size.to_string());
        }
        let most = before.max(after);
        let found = || format!("{most} for {size} pixels");
        match mode {
            PaddingMode::Reflect if most >= size => {
                invalid("the padding that reflects", "smaller than the image", found())
            }
            PaddingMode::Circular if most > size => {
                invalid("the circular padding", "no larger than the image", found())
            }
            _ => Ok(Line { mode, before, size, after }),
        }
    }

    /// Elements with the padding, if that is a number.
    fn checked_len(&self) -> Option<usize> {
        self.before.checked_add(self.size)?.checked_add(self.after)
    }

    fn len(&self) -> usize {
        self.before + self.size + self.after
    }

    /// The elements of the padding that are copies, and of which element of the image each is one. None are
    /// with zeros.
    #[inline(always)]
    fn copies(self) -> impl Iterator<Item = (usize, usize)> {
        let Line { mode, before, size, after } = self;
        let before_source = move |i: usize| match mode {
            PaddingMode::Zeros | PaddingMode::Replicate => 0,
            PaddingMode::Reflect => before - i,
            PaddingMode::Circular => size - before + i,
        };
        let after_source = move |i: usize| match mode {
            PaddingMode::Zeros | PaddingMode::Replicate => size - 1,
            PaddingMode::Reflect => size - 2 - i,
            PaddingMode::Circular => i,
        };
        let [before, after] = match mode {
            PaddingMode::Zeros => [0, 0],
            _ => [before, after],
        };
        let behind = self.before + size;
        (0..before)
            .map(move |i| (i, before_source(i)))
            .chain((0..after).map(move |i| (behind + i, after_source(i))))
    }
}

/// Elements of a task, if one plane does not take more.
const CHUNK: usize = 1 << 14;

impl Pad2d {
    /// The padding of images `[height, width]` by `padding`: rows at the top and at the bottom, columns at
    /// the left and at the right.
    ///
    /// # Errors
    /// [`Error::Invalid`] if a size is 0, or if there are not as many pixels as are asked for: `Reflect`
    /// pads by less than the image's size, `Circular` by no more; [`Error::Overflow`] if a padded image would
    /// not fit the address space.
    pub fn new(
        mode: PaddingMode,
        input_size: [usize; 2],
        padding: [usize; 4],
    ) -> Result<Pad2d, Error> {
        let [top, bottom, left, right] = padding;
        let rows = Line::new(mode, input_size[0], [top, bottom])?;
        let cols = Line::new(mode, input_size[1], [left, right])?;
        let len = rows.checked_len().zip(cols.checked_len()).and_then(|(h, w)| h.checked_mul(w));
        match len {
            Some(len) if len <= isize::MAX as usize / size_of::<f32>() => Ok(Pad2d { rows, cols }),
            _ => Err(Error::Overflow { op: OP, what: "the padded image" }),
        }
    }

    /// Which pixels are put around an image.
    pub fn mode(&self) -> PaddingMode {
        self.rows.mode
    }

    /// H, W.
    pub fn input_size(&self) -> [usize; 2] {
        [self.rows.size, self.cols.size]
    }

    /// Ho, Wo: the sizes with the padding of both sides.
    pub fn output_size(&self) -> [usize; 2] {
        [self.rows.len(), self.cols.len()]
    }

    /// Elements of a plane of x and of y.
    fn plane_lens(&self) -> [usize; 2] {
        [self.input_size(), self.output_size()].map(|[height, width]| height * width)
    }

    /// Planes of a task.
    fn run(&self) -> usize {
        (CHUNK / self.rows.len() / self.cols.len()).max(1)
    }
}

/// The name of a tensor, its length, and the elements of one of its planes.
type Planes = (&'static str, usize, usize);

/// How many planes the first tensor holds. Checks that the second one holds as many.
fn planes_of(
    (what, len, plane): Planes,
    (other, other_len, other_plane): Planes,
) -> Result<usize, Error> {
    if !len.is_multiple_of(plane) {
        let found = format!("{len} for planes of {plane} elements");
        let expected = "a whole number of planes";
        return Err(Error::Invalid { op: OP, what, expected, found });
    }
    let planes = len / plane;
    let overflow = Error::Overflow { op: OP, what: other };
    let expected = planes.checked_mul(other_plane).ok_or(overflow)?;
    expect_len(OP, other, expected, other_len)?;
    Ok(planes)
}

/// y = x with the padding around each plane.
///
/// x `[.., H, W]`, y `[.., Ho, Wo]`; the number of planes is what x holds. y is overwritten.
///
/// # Errors
/// [`Error::Invalid`] if x is not a whole number of planes, [`Error::Length`] if y does not hold as many.
///
/// Source: PyTorch's page "torch.nn.functional.pad".
pub fn pad2d(cx: &Context, pad: &Pad2d, x: &[f32], y: &mut [f32]) -> Result<(), Error> {
    let ([plane, padded], run) = (pad.plane_lens(), pad.run());
    let planes = planes_of(("x", x.len(), plane), ("y", y.len(), padded))?;
    let (tasks, work) = (planes.div_ceil(run), y.len());
    cx.threads().for_each_chunk(tasks, work, [(y, run * padded)], |task, [y]| {
        let x = x[task * run * plane..].chunks_exact(plane);
        x.zip(y.chunks_exact_mut(padded)).for_each(|(x, y)| pad_plane(pad, x, y));
    });
    Ok(())
}

fn pad_plane(pad: &Pad2d, x: &[f32], y: &mut [f32]) {
    let Pad2d { rows, cols } = pad;
    let (width, behind) = (cols.len(), cols.before + cols.size);
    let lines = y.chunks_exact_mut(width).skip(rows.before);
    for (x, y) in x.chunks_exact(cols.size).zip(lines) {
        y[cols.before..behind].copy_from_slice(x);
        if cols.mode == PaddingMode::Zeros {
            y[..cols.before].fill(0.0);
            y[behind..].fill(0.0);
        }
        for (to, from) in cols.copies() {
            y[to] = x[from];
        }
    }
    if rows.mode == PaddingMode::Zeros {
        y[..rows.before * width].fill(0.0);
        y[(rows.before + rows.size) * width..].fill(0.0);
    }
    for (to, from) in rows.copies() {
        let from = (rows.before + from) * width;
        y.copy_within(from..from + width, to * width);
    }
}

/// Gradient of [`pad2d`]: dx is the sum of dy over all elements of y that are copies of an element of x, the
/// pixel itself first, then the padding before it and the padding behind it.
///
/// dy `[.., Ho, Wo]`, dx `[.., H, W]`; the number of planes is what dy holds. dx is overwritten.
///
/// # Errors
/// [`Error::Invalid`] if dy is not a whole number of planes, [`Error::Length`] if dx does not hold as many.
pub fn pad2d_backward(cx: &Context, pad: &Pad2d, dy: &[f32], dx: &mut [f32]) -> Result<(), Error> {
    let ([plane, padded], run) = (pad.plane_lens(), pad.run());
    let planes = planes_of(("dy", dy.len(), padded), ("dx", dx.len(), plane))?;
    let (tasks, work) = (planes.div_ceil(run), dy.len());
    cx.threads().for_each_chunk(tasks, work, [(dx, run * plane)], |task, [dx]| {
        let dy = dy[task * run * padded..].chunks_exact(padded);
        dy.zip(dx.chunks_exact_mut(plane)).for_each(|(dy, dx)| {
            cx.isa().run(Fold { pad, dy, dx });
        });
    });
    Ok(())
}

/// The gradients of one plane.
struct Fold<'a> {
    pad: &'a Pad2d,
    dy: &'a [f32],
    dx: &'a mut [f32],
}

impl Kernel for Fold<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Fold { pad: &Pad2d { rows, cols }, dy, dx } = self;
        let (width, image) = (cols.len(), cols.before..cols.before + cols.size);
        let lines = dy.chunks_exact(width).skip(rows.before);
        for (dy, dx) in lines.zip(dx.chunks_exact_mut(cols.size)) {
            dx.copy_from_slice(&dy[image.clone()]);
            for (from, to) in cols.copies() {
                dx[to] += dy[from];
            }
        }
        for (from, to) in rows.copies() {
            let dy = &dy[from * width..][..width];
            let dx = &mut dx[to * cols.size..][..cols.size];
            simd::update(simd, [&dy[image.clone()]], [&mut *dx], |[dy], [dx]| [simd.add(dx, dy)]);
            for (from, to) in cols.copies() {
                dx[to] += dy[from];
            }
        }
    }
}

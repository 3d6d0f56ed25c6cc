//! Whole tensors, element by element: sums, and denormal numbers.

use crate::buffer::with_scratch;
use crate::error::expect_len;
use crate::simd::{self, Kernel, Simd, below_normal, flush, fold};
use crate::{Context, Error};

/// Elements of a task.
const CHUNK: usize = 1 << 14;

/// y = a + b, for each element; y is overwritten.
///
/// # Errors
/// [`Error::Length`] if b or y is not as long as a.
pub fn add(cx: &Context, a: &[f32], b: &[f32], y: &mut [f32]) -> Result<(), Error> {
    expect_len("add", "b", a.len(), b.len())?;
    expect_len("add", "y", a.len(), y.len())?;
    let (tasks, work) = (y.len().div_ceil(CHUNK), y.len());
    cx.threads().for_each_chunk(tasks, work, [(y, CHUNK)], |task, [y]| {
        let [a, b] = [a, b].map(|input| &input[task * CHUNK..][..y.len()]);
        cx.isa().run(Add { a, b, y });
    });
    Ok(())
}

/// y ← y + x, for each element.
///
/// # Errors
/// [`Error::Length`] if y is not as long as x.
pub fn add_assign(cx: &Context, x: &[f32], y: &mut [f32]) -> Result<(), Error> {
    expect_len("add_assign", "y", x.len(), y.len())?;
    let (tasks, work) = (y.len().div_ceil(CHUNK), y.len());
    cx.threads().for_each_chunk(tasks, work, [(y, CHUNK)], |task, [y]| {
        cx.isa().run(AddAssign { x: &x[task * CHUNK..][..y.len()], y });
    });
    Ok(())
}

/// Whether an element is denormal: its magnitude is below [`f32::MIN_POSITIVE`], and it is not 0.
///
/// CPUs may calculate with such numbers a hundred times slower. To look for them costs next to nothing, and seldom are
/// there any; so inputs are looked at first, and copied and [flushed](flush_denormals) only if they have some.
pub fn has_denormals(cx: &Context, x: &[f32]) -> bool {
    let (tasks, work) = (x.len().div_ceil(CHUNK), x.len());
    with_scratch(tasks, |found| {
        cx.threads().for_each_chunk(tasks, work, [(&mut *found, 1)], |task, [found]| {
            let start = task * CHUNK;
            found[0] = cx.isa().run(SumOfDenormals(&x[start..x.len().min(start + CHUNK)]));
        });
        found.iter().any(|&sum| sum > 0.0)
    })
}

/// x ← 0, for each element that is [denormal](has_denormals); the others, NaN too, stay.
pub fn flush_denormals(cx: &Context, x: &mut [f32]) {
    let (tasks, work) = (x.len().div_ceil(CHUNK), x.len());
    cx.threads().for_each_chunk(tasks, work, [(x, CHUNK)], |_, [x]| cx.isa().run(Flush(x)));
}

struct Add<'a> {
    a: &'a [f32],
    b: &'a [f32],
    y: &'a mut [f32],
}

impl Kernel for Add<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        simd::map(simd, [self.a, self.b], self.y, |[a, b]| simd.add(a, b));
    }
}

struct AddAssign<'a> {
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Kernel for AddAssign<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        simd::update(simd, [self.x], [self.y], |[x], [y]| [simd.add(y, x)]);
    }
}

/// Of the magnitudes of denormal elements: 0 if and only if there are none.
struct SumOfDenormals<'a>(&'a [f32]);

impl Kernel for SumOfDenormals<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f32 {
        let [sum] = fold(
            simd,
            [self.0],
            #[inline(always)]
            |[sum], [x]| {
                let magnitude = simd.select(below_normal(simd, x), simd.abs(x), simd.zero());
                [simd.add(sum, magnitude)]
            },
        );
        simd.sum(sum)
    }
}

struct Flush<'a>(&'a mut [f32]);

impl Kernel for Flush<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        simd::update(simd, [], [self.0], |[], [x]| [flush(simd, x)]);
    }
}

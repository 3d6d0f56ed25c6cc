//! Whole tensors, element by element: sums, and denormal numbers.

use crate::buffer::with_scratch;
use crate::error::expect_len;
use crate::simd::{self, Kernel, Simd};
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
            let x = &x[start..x.len().min(start + CHUNK)];
            found[0] = if cx.isa().run(HasDenormals(x)) { 1.0 } else { 0.0 };
        });
        found.contains(&1.0)
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

/// The smallest magnitude of a normal number, as bits. The next smaller ones are denormal, and the last is 0.
const NORMAL: u32 = f32::MIN_POSITIVE.to_bits();

/// The bits of |x|: whole numbers, since to compare denormal numbers as such is as slow as to calculate with them.
fn magnitude(x: f32) -> u32 {
    x.abs().to_bits()
}

struct HasDenormals<'a>(&'a [f32]);

impl Kernel for HasDenormals<'_> {
    type Output = bool;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> bool {
        // 0 - 1 wraps, and is none.
        let is_denormal = |x: f32| magnitude(x).wrapping_sub(1) < NORMAL - 1;
        self.0.iter().fold(false, |found, &x| found | is_denormal(x))
    }
}

struct Flush<'a>(&'a mut [f32]);

impl Kernel for Flush<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        self.0.iter_mut().for_each(|x| *x = if magnitude(*x) < NORMAL { 0.0 } else { *x });
    }
}

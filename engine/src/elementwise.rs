//! Sums of whole tensors, element by element.

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

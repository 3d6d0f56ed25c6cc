//! Slices that notice what an operation does outside of them.

use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::thread;

/// What lies on either side of a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Borders {
    /// Memory of somebody else, where an address sanitizer or Miri sees each access.
    None,
    /// NaN that no operation may overwrite. A result that depends on them is another than without.
    NotANumber,
}

/// Floats of a border: more than the two vectors of the widest tile.
const BORDER: usize = 40;
/// A NaN that no arithmetic gives.
const NOT_A_NUMBER: u32 = 0x7fab_cdef;

thread_local! {
    static BORDERS: Cell<Borders> = const { Cell::new(Borders::None) };
    static DIGEST: Cell<u64> = const { Cell::new(0) };
}

/// Runs `f`, whose slices have these borders, and returns a number that depends on what each held in the end.
pub(crate) fn digest(borders: Borders, f: impl FnOnce()) -> u64 {
    BORDERS.set(borders);
    DIGEST.set(0);
    f();
    DIGEST.get()
}

/// Floats of a caller.
pub(crate) struct Slice {
    memory: Vec<f32>,
    border: usize,
}

impl Slice {
    pub(crate) fn new(values: impl ExactSizeIterator<Item = f32>) -> Slice {
        let border = if BORDERS.get() == Borders::None { 0 } else { BORDER };
        let mut memory = vec![f32::from_bits(NOT_A_NUMBER); border];
        memory.reserve_exact(values.len() + border);
        memory.extend(values);
        memory.resize(memory.len() + border, f32::from_bits(NOT_A_NUMBER));
        Slice { memory, border }
    }
}

impl Deref for Slice {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.memory[self.border..self.memory.len() - self.border]
    }
}

impl DerefMut for Slice {
    fn deref_mut(&mut self) -> &mut [f32] {
        let end = self.memory.len() - self.border;
        &mut self.memory[self.border..end]
    }
}

impl Clone for Slice {
    fn clone(&self) -> Slice {
        Slice::new(self.iter().copied())
    }
}

impl Drop for Slice {
    fn drop(&mut self) {
        if thread::panicking() {
            return;
        }
        let (before, rest) = self.memory.split_at(self.border);
        let (values, behind) = rest.split_at(rest.len() - self.border);
        let mut borders = before.iter().chain(behind);
        assert!(borders.all(|x| x.to_bits() == NOT_A_NUMBER), "written outside of a slice");
        let digest = values.iter().fold(DIGEST.get(), |digest, x| {
            // Of a NaN only that it is one is specified.
            let bits = if x.is_nan() { NOT_A_NUMBER } else { x.to_bits() };
            (digest ^ u64::from(bits)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
        });
        DIGEST.set(digest);
    }
}

#[test]
fn writing_outside_is_noticed() {
    let written = thread::spawn(|| {
        BORDERS.set(Borders::NotANumber);
        let mut slice = Slice::new([1.0, 2.0].into_iter());
        assert_eq!(*slice, [1.0, 2.0]);
        slice.memory[BORDER + 2] = 3.0;
    });
    let panic = written.join().unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"written outside of a slice"));
}

#[test]
fn reading_outside_is_noticed() {
    // Such as a sum that goes on behind the end.
    let sum = |borders| {
        digest(borders, || {
            let x = Slice::new([1.0, 2.0].into_iter());
            let mut y = Slice::new([0.0].into_iter());
            let end = x.memory.len().min(x.border + 3);
            y[0] = x.memory[x.border..end].iter().sum();
        })
    };
    assert_ne!(sum(Borders::None), sum(Borders::NotANumber));
    let zero = || drop(Slice::new([0.0, f32::NAN].into_iter()));
    assert_eq!(digest(Borders::None, zero), digest(Borders::NotANumber, zero));
}

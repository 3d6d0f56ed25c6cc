//! Memory that starts on a cache line.

use crate::Error;
use std::cell::Cell;
use std::fmt;
use std::hint::black_box;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of a cache line and of the widest vector.
const ALIGNMENT: usize = 64;

/// Floats that are unused at most, so that the first used one lies where it should.
const PADDING: usize = ALIGNMENT / size_of::<f32>() - 1;

/// A fixed number of floats whose first one lies at a multiple of 64 bytes, so that vectors do not
/// straddle cache lines. No operation requires it; all are faster with it.
#[derive(Default)]
pub struct Buffer {
    /// `offset` unused floats, `len` used ones, and up to 15 unused.
    data: Vec<f32>,
    offset: usize,
    len: usize,
}

impl Buffer {
    /// `len` zeros. As with a `Vec`, a program ends that has no memory for them.
    ///
    /// # Panics
    /// If the address space is too small.
    pub fn zeros(len: usize) -> Buffer {
        let data = vec![0.0; len.checked_add(PADDING).expect("an address space for them")];
        // An allocator may give no answer; then the floats start where they are.
        let offset = data.as_ptr().align_offset(ALIGNMENT).min(PADDING);
        Buffer { data, offset, len }
    }

    /// `len` zeros for the tensor `what`, or an error if the system does not give so much memory at once. That
    /// it gives memory is no promise that the machine has it: many systems find out when it is written to.
    ///
    /// # Errors
    /// [`Error::Overflow`] if the address space is too small, [`Error::OutOfMemory`].
    pub fn try_zeros(what: &'static str, len: usize) -> Result<Buffer, Error> {
        // Zeros come from the system without being written. There is no such call that may fail, so it is
        // asked beforehand, for what is large.
        const LARGE: usize = 1 << 20;
        if len >= LARGE {
            let op = "memory";
            let bytes = len.checked_add(PADDING).and_then(|len| len.checked_mul(size_of::<f32>()));
            let bytes = bytes.filter(|&bytes| isize::try_from(bytes).is_ok());
            let bytes = bytes.ok_or(Error::Overflow { op, what })?;
            let mut asked = Vec::<f32>::new();
            asked
                .try_reserve_exact(len + PADDING)
                .map_err(|_| Error::OutOfMemory { what, bytes })?;
            // Or it would be optimised away.
            black_box(&mut asked);
        }
        Ok(Buffer::zeros(len))
    }
}

impl From<&[f32]> for Buffer {
    fn from(values: &[f32]) -> Buffer {
        let mut buffer = Buffer::zeros(values.len());
        buffer.copy_from_slice(values);
        buffer
    }
}

impl Clone for Buffer {
    fn clone(&self) -> Buffer {
        Buffer::from(&**self)
    }
}

impl Deref for Buffer {
    type Target = [f32];

    #[inline]
    fn deref(&self) -> &[f32] {
        &self.data[self.offset..self.offset + self.len]
    }
}

impl DerefMut for Buffer {
    #[inline]
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.data[self.offset..self.offset + self.len]
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.deref().fmt(f)
    }
}

impl PartialEq for Buffer {
    fn eq(&self, other: &Buffer) -> bool {
        **self == **other
    }
}

thread_local! {
    /// Those not in use. The last one was used by the outermost of the latest calls.
    static SCRATCH: Cell<Vec<Buffer>> = const { Cell::new(Vec::new()) };
}

/// Floats of the scratch memory of all threads that are alive or were.
static SCRATCH_LEN: AtomicUsize = AtomicUsize::new(0);

/// Bytes of scratch memory that operations have taken so far, on all threads of the process. Threads keep
/// what they have taken.
pub fn scratch_bytes() -> usize {
    SCRATCH_LEN.load(Ordering::Relaxed) * size_of::<f32>()
}

/// Calls `f` with `len` floats of unspecified content, at the beginning of a cache line.
///
/// They belong to the thread and are kept for its next call, so repeated calls allocate nothing. A
/// call from within `f` is given other memory, which is kept too.
#[inline]
pub fn with_scratch<R>(len: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    if len == 0 {
        return f(&mut []);
    }
    let mut free = SCRATCH.take();
    let mut buffer = free.pop().unwrap_or_default();
    SCRATCH.set(free);
    if buffer.len() < len {
        let more = len - buffer.len();
        buffer = Buffer::zeros(len);
        SCRATCH_LEN.fetch_add(more, Ordering::Relaxed);
    }
    let result = f(&mut buffer[..len]);
    let mut free = SCRATCH.take();
    free.push(buffer);
    SCRATCH.set(free);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_aligned_zeroed_and_stay_so_when_cloned() {
        for len in [0, 1, 16, 1000] {
            let buffer = Buffer::zeros(len);
            for buffer in [&buffer, &buffer.clone()] {
                assert_eq!(buffer.len(), len);
                assert_eq!(buffer.as_ptr().addr() % ALIGNMENT, 0);
                assert!(buffer.iter().all(|&x| x == 0.0));
            }
        }
    }

    #[test]
    fn scratch_is_reused_and_nests() {
        let nested = || {
            with_scratch(100, |a| {
                a.fill(1.0);
                let inner = with_scratch(50, |b| {
                    b.fill(2.0);
                    b.as_ptr().addr()
                });
                assert!(a.iter().all(|&x| x == 1.0));
                (a.as_ptr().addr(), inner)
            })
        };
        let first = nested();
        assert_eq!(nested(), first);
        assert_eq!(with_scratch(80, |a| a.as_ptr().addr()), first.0);
        assert_eq!(nested(), first);
    }

    #[test]
    fn scratch_is_counted() {
        // Other tests take memory too, so there is only a lower bound.
        let before = scratch_bytes();
        std::thread::spawn(|| with_scratch(1000, |a| a.fill(1.0))).join().unwrap();
        assert!(scratch_bytes() >= before + 4000);
    }
}

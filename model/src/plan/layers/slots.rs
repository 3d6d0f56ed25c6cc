//! Memory that values share one after the other.

use super::Target;
use loupe_engine::elementwise::add_assign;
use loupe_engine::{Buffer, Context, Error};

/// A value's place: the first `len` floats of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) buffer: usize,
    pub(super) len: usize,
}

/// Buffers, each as long as the longest of its values.
#[derive(Debug, Default)]
pub(super) struct Slots {
    buffers: Vec<Buffer>,
}

impl Slots {
    pub(super) fn get(&self, slot: Slot) -> &[f32] {
        &self.buffers[slot.buffer][..slot.len]
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> &mut [f32] {
        &mut self.buffers[slot.buffer][..slot.len]
    }

    /// A slot's buffer, to be written while others are read. It is to be put back.
    pub(super) fn take(&mut self, slot: Slot) -> Buffer {
        std::mem::take(&mut self.buffers[slot.buffer])
    }

    pub(super) fn put_back(&mut self, slot: Slot, buffer: Buffer) {
        self.buffers[slot.buffer] = buffer;
    }

    /// Writes the gradient `dy` to a place, or adds it to what is there.
    pub(super) fn pass_on(&mut self, cx: &Context, dy: Slot, target: Target) -> Result<(), Error> {
        let (place, adds) = match target {
            Target::Write(place) => (place, false),
            Target::Add(place, _) => (place, true),
        };
        if adds {
            return self.add(cx, place, dy);
        }
        let mut target = self.take(place);
        target[..place.len].copy_from_slice(self.get(dy));
        self.put_back(place, target);
        Ok(())
    }

    /// Adds a value to another one.
    pub(super) fn add(&mut self, cx: &Context, place: Slot, term: Slot) -> Result<(), Error> {
        let mut target = self.take(place);
        let result = add_assign(cx, self.get(term), &mut target[..place.len]);
        self.put_back(place, target);
        result
    }

    /// Bytes of all buffers.
    pub(super) fn bytes(&self) -> usize {
        self.buffers.iter().map(|buffer| size_of_val(&**buffer)).sum()
    }
}

/// Which buffers there will be, and which of them are free.
#[derive(Debug, Default)]
pub(super) struct Allocation {
    lens: Vec<usize>,
    free: Vec<usize>,
}

impl Allocation {
    /// A place that no living value has.
    pub(super) fn slot(&mut self, len: usize) -> Slot {
        let buffer = self.free.pop().unwrap_or_else(|| {
            self.lens.push(0);
            self.lens.len() - 1
        });
        self.lens[buffer] = self.lens[buffer].max(len);
        Slot { buffer, len }
    }

    /// The value at `slot` is not needed any more.
    pub(super) fn free(&mut self, slot: Slot) {
        self.free.push(slot.buffer);
    }

    /// The buffers.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`]
    pub(super) fn slots(&self) -> Result<Slots, Error> {
        let buffer = |&len: &usize| Buffer::try_zeros("the values of a batch", len);
        Ok(Slots { buffers: self.lens.iter().map(buffer).collect::<Result<_, _>>()? })
    }
}

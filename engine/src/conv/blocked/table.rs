//! Which vectors meet which numbers, worked out once for a convolution.

use crate::conv::classes::Class;
use crate::simd::LANES;

/// A tap or a result of a class: where its vector lies, and how much it adds to the place of the number
/// that a tap and a result meet at. Both in floats.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// For a tap, of its weights or of the sums of their gradients; for a result, of itself.
    pub(super) vector: usize,
    pub(super) source: usize,
}

/// Entries, and how far they reach. They are not changed once they are here, so the reach stays true.
#[derive(Clone, Debug)]
pub(super) struct List {
    entries: Box<[Entry]>,
    last: Entry,
}

impl List {
    fn new(entries: impl Iterator<Item = Entry>) -> List {
        let entries: Box<[Entry]> = entries.collect();
        let last = |of: fn(&Entry) -> usize| entries.iter().map(of).max().unwrap_or(0);
        let last = Entry { vector: last(|entry| entry.vector), source: last(|entry| entry.source) };
        List { entries, last }
    }

    #[inline(always)]
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The largest `vector` and the largest `source` of the entries; 0 if there are none.
    #[inline(always)]
    pub(super) fn last(&self) -> Entry {
        self.last
    }
}

/// Results that meet the same taps: each tap meets each result once.
#[derive(Clone, Debug)]
pub(super) struct Table {
    /// For each channel of the source and each of the class's kernel elements.
    pub(super) taps: List,
    pub(super) results: List,
}

/// How the images lie whose numbers are multiplied with vectors.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sources {
    pub(super) channels: usize,
    /// H · W
    pub(super) plane: usize,
    /// `[ceil(channels / 16), H, W, 16]`, not `[channels, H, W]`.
    pub(super) blocked: bool,
}

impl Sources {
    fn pixel(self, pixel: usize) -> usize {
        if self.blocked { pixel * LANES } else { pixel }
    }

    fn channel(self, channel: usize) -> usize {
        if self.blocked {
            channel / LANES * self.plane * LANES + channel % LANES
        } else {
            channel * self.plane
        }
    }
}

impl Table {
    /// The vectors of the taps are rows of `width` floats, `[channels, Kh · Kw, width]`.
    pub(super) fn new(class: &Class, kernel_len: usize, sources: Sources, width: usize) -> Table {
        // The class's offsets of the first channel come first.
        let taps = (0..sources.channels).flat_map(|channel| {
            let taps = class.kernels.iter().zip(&class.offsets);
            taps.map(move |(kernel, &offset)| Entry {
                vector: (channel * kernel_len + kernel) * width,
                source: sources.channel(channel) + sources.pixel(offset),
            })
        });
        let results = class.results.iter().map(|place| Entry {
            vector: place.result * LANES,
            source: sources.pixel(place.source),
        });
        Table { taps: List::new(taps), results: List::new(results) }
    }
}

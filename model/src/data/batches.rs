//! The order in which an epoch visits the items of a data set.

use rand_pcg::Pcg64;
use rand_pcg::rand_core::Rng;
use std::num::NonZeroUsize;
use std::slice::Chunks;

/// How the items of an epoch are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As they stand in the file, the same in every epoch.
    File,
    /// At random: the same for the same seed and epoch, on every machine and in every version.
    Shuffled {
        /// The seed.
        seed: u64,
    },
}

/// The items of one pass over a data set, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epoch {
    indices: Vec<usize>,
}

impl Epoch {
    /// The order of `count` items in the epoch of this `number`.
    pub fn new(order: Order, count: usize, number: u64) -> Epoch {
        let mut indices: Vec<usize> = (0..count).collect();
        if let Order::Shuffled { seed } = order {
            shuffle(&mut indices, &mut generator(seed, number));
        }
        Epoch { indices }
    }

    /// The items, in order.
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }

    /// The items cut into batches of `batch_size`; the last may be shorter.
    pub fn batches(&self, batch_size: NonZeroUsize) -> Chunks<'_, usize> {
        self.indices.chunks(batch_size.get())
    }
}

/// The numbers that shuffle one epoch.
///
/// PCG64 (XSL-RR 128/64, O'Neill 2014, <https://www.pcg-random.org>) that starts at `seed`. Each
/// epoch begins 2¹²⁸ / φ numbers after the one before, a distance at which no bits of the two
/// states agree regularly.
fn generator(seed: u64, epoch: u64) -> Pcg64 {
    /// Shuffling draws from a stream of its own ("order" in ASCII), so that it does not repeat the
    /// numbers that another user of the same seed drew.
    const STREAM: u128 = 0x6f_72_64_65_72;
    const DISTANCE: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;
    let mut generator = Pcg64::new(seed.into(), STREAM);
    generator.advance(DISTANCE.wrapping_mul(epoch.into()));
    generator
}

/// Fisher and Yates: the last place is given to one of all items, the last but one to one of the
/// rest, and so on.
///
/// Of a 64-bit number r, ⌊r · n / 2⁶⁴⌋ is one of 0 … n − 1, each as likely as the others to within
/// n / 2⁶⁴.
fn shuffle(items: &mut [usize], generator: &mut Pcg64) {
    for last in (1..items.len()).rev() {
        let n = last as u128 + 1;
        let chosen = (u128::from(generator.next_u64()) * n) >> 64;
        items.swap(last, chosen as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{HashMap, HashSet};

    fn shuffled(count: usize, seed: u64, number: u64) -> Vec<usize> {
        Epoch::new(Order::Shuffled { seed }, count, number).indices().to_vec()
    }

    #[test]
    fn batches_follow_the_file_and_the_last_is_shorter() {
        let epoch = Epoch::new(Order::File, 7, 3);
        let batches: Vec<&[usize]> = epoch.batches(NonZeroUsize::new(3).unwrap()).collect();
        assert_eq!(batches, [&[0, 1, 2][..], &[3, 4, 5], &[6]]);
        assert_eq!(epoch.batches(NonZeroUsize::MAX).count(), 1);
        assert_eq!(Epoch::new(Order::File, 0, 0).batches(NonZeroUsize::MIN).count(), 0);
    }

    #[test]
    fn every_item_comes_once_and_orders_differ() {
        for count in [0, 1, 2, 60_000] {
            let mut items = shuffled(count, 5, 1);
            items.sort_unstable();
            assert_eq!(items, Vec::from_iter(0..count));
        }
        let orders: HashSet<Vec<usize>> =
            (0..20).flat_map(|seed| (0..20).map(move |epoch| shuffled(100, seed, epoch))).collect();
        assert_eq!(orders.len(), 400);
    }

    #[test]
    fn every_order_is_as_likely() {
        let mut seen: HashMap<Vec<usize>, u32> = HashMap::new();
        for seed in 0..240 {
            for epoch in 0..100 {
                *seen.entry(shuffled(4, seed, epoch)).or_default() += 1;
            }
        }
        // 24 orders, 1000 of each expected, standard deviation 31.
        assert_eq!(seen.len(), 24);
        assert!(seen.values().all(|count| (850..1150).contains(count)), "{seen:?}");
    }

    /// Computed by a Python program that was written from the PCG paper's definitions.
    #[test]
    fn orders_are_pinned() {
        assert_eq!(shuffled(10, 0, 0), [5, 1, 7, 6, 8, 9, 4, 3, 2, 0]);
        assert_eq!(shuffled(10, 0, 1), [1, 0, 2, 4, 9, 6, 5, 8, 7, 3]);
        assert_eq!(shuffled(10, u64::MAX, u64::MAX), [6, 3, 7, 5, 4, 9, 2, 8, 1, 0]);
    }
}

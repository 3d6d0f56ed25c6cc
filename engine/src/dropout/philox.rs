//! The random numbers of Philox 4×32-10, sixteen counters at a time.
//!
//! Plain loops over arrays of 16: inlined into a kernel, they become the vector instructions of its tier, and
//! whole numbers are the same on all of them.
//!
//! Source: J. Salmon, M. Moraes, R. Dror, D. Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3" (2011).

use crate::simd::LANES;

/// A word of each of 16 counters.
type Words = [u32; LANES];

const ROUNDS: usize = 10;
const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
/// Added to the two words of the key after each round.
const KEY_STEPS: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// The four words for each of the counters `first`, `first` + 1, …, `first` + 15, where `first` is a multiple
/// of 16. The words 2 and 3 of a counter are 0.
#[inline(always)]
pub(super) fn philox(key: u64, first: u64) -> [Words; 4] {
    debug_assert!(first.is_multiple_of(LANES as u64));
    let (low, high) = (first as u32, (first >> 32) as u32);
    let mut counters = [[low; LANES], [high; LANES], [0; LANES], [0; LANES]];
    for lane in 0..LANES {
        counters[0][lane] += lane as u32;
    }
    encrypt([key as u32, (key >> 32) as u32], counters)
}

/// Philox 4×32-10 of any counters.
#[inline(always)]
fn encrypt(mut key: [u32; 2], mut words: [Words; 4]) -> [Words; 4] {
    for _ in 0..ROUNDS {
        let mut next = [[0; LANES]; 4];
        for lane in 0..LANES {
            let (low_0, high_0) = multiply(MULTIPLIERS[0], words[0][lane]);
            let (low_2, high_2) = multiply(MULTIPLIERS[1], words[2][lane]);
            next[0][lane] = high_2 ^ words[1][lane] ^ key[0];
            next[1][lane] = low_2;
            next[2][lane] = high_0 ^ words[3][lane] ^ key[1];
            next[3][lane] = low_0;
        }
        words = next;
        key = [key[0].wrapping_add(KEY_STEPS[0]), key[1].wrapping_add(KEY_STEPS[1])];
    }
    words
}

/// The lower and upper half of a product.
#[inline(always)]
fn multiply(a: u32, b: u32) -> (u32, u32) {
    let product = u64::from(a) * u64::from(b);
    (product as u32, (product >> 32) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_vectors() {
        // Key, counter, result: Random123, tests/kat_vectors, "philox4x32 10".
        let vectors = [
            ([0; 2], [0; 4], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([!0; 2], [!0; 4], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (
                [0xa409_3822, 0x299f_31d0],
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ];
        for (key, counter, expected) in vectors {
            let words = encrypt(key, counter.map(|word| [word; LANES]));
            assert_eq!(words, expected.map(|word| [word; LANES]));
        }
    }

    #[test]
    fn counters_beyond_a_word_go_on_in_the_next() {
        let words = philox(7 << 32 | 5, 3 << 32 | 32);
        let mut counters = [[0; LANES], [3; LANES], [0; LANES], [0; LANES]];
        counters[0] = std::array::from_fn(|lane| 32 + lane as u32);
        assert_eq!(words, encrypt([5, 7], counters));
    }
}

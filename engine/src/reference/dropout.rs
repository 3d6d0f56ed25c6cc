//! Dropout by the numbers of Philox 4×32-10.

/// The number of element `index`: word `index / 16 % 4` of Philox 4×32-10 for the counter
/// 16 · (`index` / 64) + `index` % 16.
///
/// Source: J. Salmon, M. Moraes, R. Dror, D. Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3" (2011).
pub fn random_word(key: u64, index: u64) -> u32 {
    let counter = 16 * (index / 64) + index % 16;
    let low = |x: u64| x & 0xFFFF_FFFF;
    let mut words = [low(counter), counter >> 32, 0, 0];
    let mut keys = [low(key), key >> 32];
    for _ in 0..10 {
        let products = [0xD251_1F53 * words[0], 0xCD9E_8D57 * words[2]];
        words = [
            (products[1] >> 32) ^ words[1] ^ keys[0],
            low(products[1]),
            (products[0] >> 32) ^ words[3] ^ keys[1],
            low(products[0]),
        ];
        keys = [low(keys[0] + 0x9E37_79B9), low(keys[1] + 0xBB67_AE85)];
    }
    words[(index / 16 % 4) as usize] as u32
}

/// y = 0 where the element's number is below `p` · 2³², x / (1 − `p`) elsewhere.
pub fn dropout(p: f64, key: u64, x: &[f64]) -> Vec<f64> {
    let dropped = |index: usize| f64::from(random_word(key, index as u64)) < p * 2.0_f64.powi(32);
    x.iter().enumerate().map(|(i, x)| if dropped(i) { 0.0 } else { x / (1.0 - p) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::finite::{assert_gradient, gradient, weighted_sum};
    use crate::reference::random::Random;

    #[test]
    fn the_first_block_of_key_zero_is_the_published_one() {
        // Random123, tests/kat_vectors: philox4x32 10, counter 0, key 0.
        let words = [0, 16, 32, 48].map(|index| random_word(0, index));
        assert_eq!(words, [0x6627_E8D5, 0xE169_C58D, 0xBC57_AC4C, 0x9B00_DBD8]);
    }

    #[test]
    fn the_gradient_is_the_same_function() {
        let mut random = Random::new(41);
        let (x, dy) = (random.uniform_f64(70, -1.0, 1.0), random.uniform_f64(70, -1.0, 1.0));
        let numeric = gradient(|x| weighted_sum(&dropout(0.3, 5, x), &dy), &x, 1e-3);
        assert_gradient("dropout", &dropout(0.3, 5, &dy), &numeric, 1e-9);
    }

    #[test]
    fn nothing_is_dropped_by_zero_and_everything_by_one() {
        assert_eq!(dropout(0.0, 3, &[1.0, -2.0]), [1.0, -2.0]);
        assert_eq!(dropout(1.0, 3, &[1.0, -2.0]), [0.0, 0.0]);
    }
}

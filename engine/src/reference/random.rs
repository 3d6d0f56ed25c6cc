//! Reproducible test data.

/// The SplitMix64 generator: small, seedable with any number, good enough to fill test tensors.
///
/// Source: G. Steele, D. Lea, C. Flood, "Fast Splittable Pseudorandom Number Generators" (2014).
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// A generator whose numbers depend on `seed` alone.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A whole number in `0..end`. Its slight bias (below `end` / 2⁶⁴) does not matter to tests.
    ///
    /// # Panics
    ///
    /// If `end` is zero.
    pub fn below(&mut self, end: usize) -> usize {
        assert!(end > 0, "nothing lies below zero");
        (self.bits() % end as u64) as usize
    }

    /// A number uniform in `[low, high)`.
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        // 53 bits fill the mantissa of a number in [0, 1) exactly.
        let unit = (self.bits() >> 11) as f64 / (1_u64 << 53) as f64;
        low + unit * (high - low)
    }

    /// `len` numbers uniform in `[low, high)`.
    pub fn uniform_f64(&mut self, len: usize, low: f64, high: f64) -> Vec<f64> {
        (0..len).map(|_| self.uniform(low, high)).collect()
    }

    /// `len` numbers uniform in `[low, high]`: rounding to `f32` can reach `high`.
    pub fn uniform_f32(&mut self, len: usize, low: f32, high: f32) -> Vec<f32> {
        let (low, high) = (f64::from(low), f64::from(high));
        (0..len).map(|_| self.uniform(low, high) as f32).collect()
    }

    /// `len` whole numbers in `-limit..=limit`.
    ///
    /// As long as terms · limit² ≤ 2²⁴, a sum of products of two such numbers is exact in `f32`
    /// in whatever order it is taken, so kernels can be compared for equality.
    pub fn whole_f32(&mut self, len: usize, limit: u16) -> Vec<f32> {
        (0..len).map(|_| self.whole(limit) as f32).collect()
    }

    /// [`Random::whole_f32`] in `f64`; the same seed gives the same numbers.
    pub fn whole_f64(&mut self, len: usize, limit: u16) -> Vec<f64> {
        (0..len).map(|_| f64::from(self.whole(limit))).collect()
    }

    fn whole(&mut self, limit: u16) -> i32 {
        self.below(2 * usize::from(limit) + 1) as i32 - i32::from(limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_numbers_of_seed_zero() {
        let mut random = Random::new(0);
        assert_eq!(random.bits(), 0xE220_A839_7B1D_CDAF);
        assert_eq!(random.bits(), 0x6E78_9E6A_A1B9_65F4);
        assert_eq!(random.bits(), 0x06C4_5D18_8009_454F);
    }

    #[test]
    fn uniform_numbers_fill_their_range() {
        let values = Random::new(1).uniform_f64(10_000, -2.0, 6.0);
        assert!(values.iter().all(|v| (-2.0..6.0).contains(v)));
        let mean = values.iter().sum::<f64>() / 10_000.0;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 10_000.0;
        assert!((mean - 2.0).abs() < 0.1, "mean {mean}");
        assert!((variance - 64.0 / 12.0).abs() < 0.2, "variance {variance}");
    }

    #[test]
    fn f32_numbers_are_the_rounded_f64_numbers() {
        let wide = Random::new(2).uniform_f64(100, -1.0, 1.0);
        let narrow = Random::new(2).uniform_f32(100, -1.0, 1.0);
        assert!(wide.iter().zip(&narrow).all(|(w, n)| *w as f32 == *n));
    }

    #[test]
    fn whole_numbers_reach_both_limits_and_nothing_else() {
        let values = Random::new(3).whole_f32(1000, 2);
        for expected in [-2.0, -1.0, 0.0, 1.0, 2.0] {
            assert!(values.contains(&expected), "{expected} never drawn");
        }
        assert!(values.iter().all(|v| v.abs() <= 2.0 && v.fract() == 0.0));
        let wide = Random::new(3).whole_f64(1000, 2);
        assert!(wide.iter().zip(&values).all(|(w, v)| *w == f64::from(*v)));
    }
}

//! What the operations are given.

use loupe_engine::reference::random::Random;

/// All that some operations compute for a random problem.
pub(crate) type Results = Vec<Vec<f32>>;

/// Which numbers a problem is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// From −1 to 1.
    Ordinary,
    /// Below the normal numbers: from −10⁻³⁸ to 10⁻³⁸.
    Denormal,
    /// Ordinary ones, denormal ones and zeros of both signs.
    Mixed,
    /// From −10³⁰ to 10³⁰: squares and products are beyond f32.
    Huge,
    /// One number for a whole tensor: there is no variance.
    Constant,
    /// Ordinary ones, and now and then one that is NaN.
    Nan,
    /// Ordinary ones, and now and then an infinite one.
    Infinite,
}

impl Kind {
    pub(crate) const OUT_OF_THE_ORDINARY: [Kind; 6] =
        [Kind::Denormal, Kind::Mixed, Kind::Huge, Kind::Constant, Kind::Nan, Kind::Infinite];
}

/// Random numbers of a kind, and sizes.
pub(crate) struct Numbers {
    random: Random,
    kind: Kind,
}

impl Numbers {
    pub(crate) fn new(kind: Kind, seed: u64) -> Numbers {
        Numbers { random: Random::new(seed), kind }
    }

    /// A whole number in `0..end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.random.below(end)
    }

    /// Ordinary numbers, whatever the kind.
    pub(crate) fn uniform_f32(&mut self, len: usize, low: f32, high: f32) -> Vec<f32> {
        self.random.uniform_f32(len, low, high)
    }
}

/// A tensor of the kind's numbers.
pub(crate) fn floats(numbers: &mut Numbers, len: usize) -> Vec<f32> {
    let mut floats = numbers.uniform_f32(len, -1.0, 1.0);
    match numbers.kind {
        Kind::Ordinary => {}
        Kind::Denormal => floats.iter_mut().for_each(|x| *x *= 1e-38),
        Kind::Mixed => {
            let factors = [0.0, 1e-38, 1.0];
            floats.iter_mut().for_each(|x| *x *= factors[numbers.below(3)]);
        }
        Kind::Huge => floats.iter_mut().for_each(|x| *x *= 1e30),
        Kind::Constant => floats.fill(numbers.uniform_f32(1, -1.0, 1.0)[0]),
        Kind::Nan => replace_some(numbers, &mut floats, |_| f32::NAN),
        Kind::Infinite => replace_some(numbers, &mut floats, |x| f32::INFINITY.copysign(x)),
    }
    floats
}

/// One in 500 on average.
fn replace_some(numbers: &mut Numbers, floats: &mut [f32], by: fn(f32) -> f32) {
    let mut next = numbers.below(1000);
    while let Some(x) = floats.get_mut(next) {
        *x = by(*x);
        next += 1 + numbers.below(1000);
    }
}

/// A place for results: what is not written shows.
pub(crate) fn poison(len: usize) -> Vec<f32> {
    vec![f32::NAN; len]
}

pub(crate) fn between(random: &mut Numbers, low: usize, high: usize) -> usize {
    low + random.below(high - low + 1)
}

/// Few or many.
pub(crate) fn batch(random: &mut Numbers) -> usize {
    if random.below(3) == 0 { between(random, 1, 3) } else { between(random, 20, 60) }
}

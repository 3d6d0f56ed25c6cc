//! Loops over slices, vector by vector: the safe way from slices to [`Simd`].
//!
//! Each loop takes slices of one length, runs over whole vectors and finishes with a partial one.
//!
//! A closure of more than a few operations must be marked `#[inline(always)]`, which Rust allows
//! where it is written as an argument: the loops call it twice, and what the compiler does not
//! inline it compiles without the tier's instructions, each of which becomes a function call.

use super::{LANES, Simd};

/// The lanes' numbers.
pub(crate) static LANE: [f32; LANES] = {
    let mut lanes = [0.0; LANES];
    let mut i = 0;
    while i < LANES {
        lanes[i] = i as f32;
        i += 1;
    }
    lanes
};

/// The common length of all slices.
///
/// # Panics
/// If they differ.
#[inline(always)]
fn common_len<const I: usize, const O: usize>(inputs: [&[f32]; I], outputs: [usize; O]) -> usize {
    let len = if I > 0 { inputs[0].len() } else { outputs[0] };
    assert!(
        inputs.iter().all(|input| input.len() == len) && outputs.iter().all(|&n| n == len),
        "slices of one length"
    );
    len
}

/// Replaces the elements of `outputs` by `f(inputs, outputs)`, lane by lane.
///
/// # Panics
/// If the slices differ in length.
#[inline(always)]
pub(crate) fn update<S: Simd, const I: usize, const O: usize>(
    simd: S,
    inputs: [&[f32]; I],
    outputs: [&mut [f32]; O],
    f: impl Fn([S::Vector; I], [S::Vector; O]) -> [S::Vector; O],
) {
    let mut targets = [std::ptr::null_mut(); O];
    let mut lengths = [0; O];
    for n in 0..O {
        targets[n] = outputs[n].as_mut_ptr();
        lengths[n] = outputs[n].len();
    }
    let len = common_len(inputs, lengths);
    let whole = len - len % LANES;
    let rest = len - whole;
    let mut x = [simd.zero(); I];
    let mut y = [simd.zero(); O];
    let mut i = 0;
    while i < whole {
        // SAFETY: i + 16 ≤ whole ≤ len, the length of every slice.
        unsafe {
            for n in 0..I {
                x[n] = simd.load(inputs[n].as_ptr().add(i));
            }
            for n in 0..O {
                y[n] = simd.load(targets[n].add(i));
            }
            y = f(x, y);
            for n in 0..O {
                simd.store(y[n], targets[n].add(i));
            }
        }
        i += LANES;
    }
    if rest > 0 {
        // SAFETY: whole + rest = len, the length of every slice.
        unsafe {
            for n in 0..I {
                x[n] = simd.load_first(inputs[n].as_ptr().add(whole), rest);
            }
            for n in 0..O {
                y[n] = simd.load_first(targets[n].add(whole), rest);
            }
            y = f(x, y);
            for n in 0..O {
                simd.store_first(y[n], targets[n].add(whole), rest);
            }
        }
    }
}

/// Writes `f(inputs)` to `output`, lane by lane.
///
/// # Panics
/// If the slices differ in length.
#[inline(always)]
pub(crate) fn map<S: Simd, const I: usize>(
    simd: S,
    inputs: [&[f32]; I],
    output: &mut [f32],
    f: impl Fn([S::Vector; I]) -> S::Vector,
) {
    update(
        simd,
        inputs,
        [output],
        #[inline(always)]
        |x, _| [f(x)],
    );
}

/// Chains of additions that do not wait for each other, in loops with few accumulators: an addition takes
/// as long as several vectors take to arrive.
const CHAINS: usize = 4;

/// Sums over the inputs: `sums = f(sums, inputs)` must add something to each of the accumulators, which
/// start at 0. Element `i` goes to lane `i % 16`.
///
/// Up to two accumulators are kept in several parts that are added at the end.
///
/// # Panics
/// If the slices differ in length.
#[inline(always)]
pub(crate) fn fold<S: Simd, const I: usize, const A: usize>(
    simd: S,
    inputs: [&[f32]; I],
    f: impl Fn([S::Vector; A], [S::Vector; I]) -> [S::Vector; A],
) -> [S::Vector; A] {
    update_fold(
        simd,
        inputs,
        [],
        #[inline(always)]
        |sums, x, []| (f(sums, x), []),
    )
}

/// [`update`] and [`fold`] in one: `(sums, outputs) = f(sums, inputs, outputs)`, lane by lane.
///
/// # Panics
/// If the slices differ in length.
#[inline(always)]
pub(crate) fn update_fold<S: Simd, const I: usize, const O: usize, const A: usize>(
    simd: S,
    inputs: [&[f32]; I],
    outputs: [&mut [f32]; O],
    f: impl Fn([S::Vector; A], [S::Vector; I], [S::Vector; O]) -> ([S::Vector; A], [S::Vector; O]),
) -> [S::Vector; A] {
    let mut targets = [std::ptr::null_mut(); O];
    let mut lengths = [0; O];
    for n in 0..O {
        targets[n] = outputs[n].as_mut_ptr();
        lengths[n] = outputs[n].len();
    }
    let len = common_len(inputs, lengths);
    let whole = len - len % LANES;
    let rest = len - whole;
    // With more accumulators than two, those are chains enough.
    let step = if A <= 2 { CHAINS * LANES } else { LANES };
    let mut chains = [[simd.zero(); A]; CHAINS];
    let mut i = 0;
    while i + step <= whole {
        for (chain, sums) in chains.iter_mut().enumerate() {
            if chain * LANES < step {
                // SAFETY: i + (chain + 1) · 16 ≤ i + step ≤ len, the length of every slice.
                *sums = unsafe { visit(simd, inputs, targets, i + chain * LANES, *sums, &f) };
            }
        }
        i += step;
    }
    while i < whole {
        // SAFETY: i + 16 ≤ whole ≤ len, the length of every slice.
        chains[0] = unsafe { visit(simd, inputs, targets, i, chains[0], &f) };
        i += LANES;
    }
    let [mut sums, second, third, fourth] = chains;
    if A <= 2 {
        for n in 0..A {
            sums[n] = simd.add(simd.add(sums[n], second[n]), simd.add(third[n], fourth[n]));
        }
    }
    if rest > 0 {
        let mut x = [simd.zero(); I];
        let mut y = [simd.zero(); O];
        // SAFETY: whole + rest = len, the length of every slice; `LANE` holds 16 floats.
        unsafe {
            for n in 0..I {
                x[n] = simd.load_first(inputs[n].as_ptr().add(whole), rest);
            }
            for n in 0..O {
                y[n] = simd.load_first(targets[n].add(whole), rest);
            }
            let (next, y) = f(sums, x, y);
            for n in 0..O {
                simd.store_first(y[n], targets[n].add(whole), rest);
            }
            let used = simd.gt(simd.splat(rest as f32), simd.load(LANE.as_ptr()));
            for n in 0..A {
                sums[n] = simd.select(used, next[n], sums[n]);
            }
        }
    }
    sums
}

/// A vector of [`update_fold`].
///
/// # Safety
/// Sixteen floats from element `i` on lie within every input and target.
#[inline(always)]
unsafe fn visit<S: Simd, const I: usize, const O: usize, const A: usize>(
    simd: S,
    inputs: [&[f32]; I],
    targets: [*mut f32; O],
    i: usize,
    sums: [S::Vector; A],
    f: &impl Fn([S::Vector; A], [S::Vector; I], [S::Vector; O]) -> ([S::Vector; A], [S::Vector; O]),
) -> [S::Vector; A] {
    let mut x = [simd.zero(); I];
    let mut y = [simd.zero(); O];
    // SAFETY: the caller promises these vectors.
    unsafe {
        for n in 0..I {
            x[n] = simd.load(inputs[n].as_ptr().add(i));
        }
        for n in 0..O {
            y[n] = simd.load(targets[n].add(i));
        }
        let (sums, y) = f(sums, x, y);
        for n in 0..O {
            simd.store(y[n], targets[n].add(i));
        }
        sums
    }
}

/// The largest element of each lane, -∞ where there is none; NaN are passed over.
#[inline(always)]
pub(crate) fn largest<S: Simd>(simd: S, x: &[f32]) -> S::Vector {
    let mut largest = simd.splat(f32::NEG_INFINITY);
    let mut vectors = x.chunks_exact(LANES);
    for vector in &mut vectors {
        largest = simd.max(load(simd, vector), largest);
    }
    let rest = vectors.remainder();
    let mut last = [f32::NEG_INFINITY; LANES];
    last[..rest.len()].copy_from_slice(rest);
    simd.max(load(simd, &last), largest)
}

/// The first 16 elements.
///
/// # Panics
/// If there are fewer.
#[inline(always)]
pub(crate) fn load<S: Simd>(simd: S, x: &[f32]) -> S::Vector {
    let x = &x[..LANES];
    // SAFETY: 16 floats.
    unsafe { simd.load(x.as_ptr()) }
}

/// Writes the first 16 elements.
///
/// # Panics
/// If there are fewer.
#[inline(always)]
pub(crate) fn store<S: Simd>(simd: S, v: S::Vector, x: &mut [f32]) {
    let x = &mut x[..LANES];
    // SAFETY: 16 floats.
    unsafe { simd.store(v, x.as_mut_ptr()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Isa, Kernel};

    struct Case {
        len: usize,
    }

    impl Kernel for Case {
        type Output = (Vec<f32>, Vec<f32>, f32, f32, Vec<f32>, [f32; 5]);

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Self::Output {
            let a: Vec<f32> = (0..self.len).map(|i| i as f32 + 1.0).collect();
            let b: Vec<f32> = (0..self.len).map(|i| 3.0 - i as f32).collect();
            let mut mapped = vec![f32::NAN; self.len];
            map(simd, [&a, &b], &mut mapped, |[a, b]| simd.mul_add(a, b, simd.splat(1.0)));
            let mut updated = a.clone();
            update(simd, [&b], [&mut updated], |[b], [a]| [simd.sub(a, b)]);
            // The second accumulator counts elements: lanes beyond the end must not count.
            let [sum, count] = fold(simd, [&a], |[sum, count], [a]| {
                [simd.add(sum, a), simd.add(count, simd.splat(1.0))]
            });
            // The same sum and count in one, while 2 a is written.
            let mut doubled = vec![f32::NAN; self.len];
            let one = simd.splat(1.0);
            let [both] = update_fold(simd, [&a], [&mut doubled], |[both], [a], [_]| {
                ([simd.add(both, simd.add(a, one))], [simd.add(a, a)])
            });
            let [x, y, z] = fold(simd, [&a], |[x, y, z], [a]| {
                [simd.add(x, a), simd.sub(y, a), simd.add(z, one)]
            });
            let largest = simd.to_array(largest(simd, &b)).into_iter().fold(f32::MIN, f32::max);
            let more = [simd.sum(both), simd.sum(x), simd.sum(y), simd.sum(z), largest];
            (mapped, updated, simd.sum(sum), simd.sum(count), doubled, more)
        }
    }

    #[test]
    fn loops_agree_with_scalar_code_around_the_vector_length() {
        for isa in Isa::available() {
            for len in [0, 1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 80, 100, 200] {
                let (mapped, updated, sum, count, doubled, more) = isa.run(Case { len });
                let a = |i: usize| i as f32 + 1.0;
                let b = |i: usize| 3.0 - i as f32;
                assert!((0..len).all(|i| mapped[i] == a(i) * b(i) + 1.0), "{isa:?} {len}");
                assert!((0..len).all(|i| updated[i] == a(i) - b(i)), "{isa:?} {len}");
                assert_eq!(sum, (len * (len + 1) / 2) as f32);
                assert_eq!(count, len as f32);
                assert!((0..len).all(|i| doubled[i] == 2.0 * a(i)), "{isa:?} {len}");
                let largest = if len == 0 { f32::NEG_INFINITY } else { 3.0 };
                assert_eq!(more, [sum + count, sum, -sum, count, largest.max(f32::MIN)]);
            }
        }
    }

    struct Unequal;

    impl Kernel for Unequal {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) {
            map(simd, [&[0.0; 20], &[0.0; 19]], &mut [0.0; 20], |[a, _]| a);
        }
    }

    #[test]
    #[should_panic(expected = "slices of one length")]
    fn unequal_lengths_are_refused() {
        Isa::best().run(Unequal);
    }
}

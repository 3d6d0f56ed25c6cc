//! How far a function of vectors is from the exact one, on every tier.

use crate::simd::{Isa, Kernel, LANES};

/// Kernels that apply one function to 16 numbers.
macro_rules! kernels {
    ($($kernel:ident = $function:ident;)+) => {$(
        struct $kernel([f32; $crate::simd::LANES]);

        impl $crate::simd::Kernel for $kernel {
            type Output = [f32; $crate::simd::LANES];

            #[inline(always)]
            fn run<S: $crate::simd::Simd>(self, simd: S) -> Self::Output {
                // SAFETY: the array holds 16 floats.
                simd.to_array($function(simd, unsafe { simd.load(self.0.as_ptr()) }))
            }
        }
    )+};
}

pub(super) use kernels;

/// The largest error of `kernel` on all tiers, in units of the last place of the `f32` nearest to
/// the exact result; infinite if a result is NaN.
pub(super) fn largest_error<K: Kernel<Output = [f32; LANES]>>(
    inputs: impl Iterator<Item = f32> + Clone,
    kernel: impl Fn([f32; LANES]) -> K,
    exact: impl Fn(f64) -> f64,
) -> f64 {
    let mut largest = 0.0_f64;
    for isa in Isa::available() {
        let mut inputs = inputs.clone();
        loop {
            let mut x = [0.5; LANES];
            let count = x.iter_mut().zip(&mut inputs).map(|(x, input)| *x = input).count();
            for (x, y) in x.into_iter().zip(isa.run(kernel(x))).take(count) {
                let exact = exact(f64::from(x));
                let nearest = (exact as f32).abs();
                let ulp = f64::from(nearest.next_up()) - f64::from(nearest);
                let error = (f64::from(y) - exact).abs() / ulp;
                largest = largest.max(if error.is_nan() { f64::INFINITY } else { error });
            }
            if count < LANES {
                break;
            }
        }
    }
    largest
}

/// Numbers whose bits lie `step` apart, from `first` away from zero to `last`.
pub(super) fn by_bits(first: f32, last: f32, step: usize) -> impl Iterator<Item = f32> + Clone {
    (first.to_bits()..=last.to_bits()).step_by(step).map(f32::from_bits)
}

/// Demands these values and, for the last input, NaN.
pub(super) fn assert_edges<K: Kernel<Output = [f32; LANES]>>(
    kernel: impl Fn([f32; LANES]) -> K,
    edges: &[(f32, f32)],
) {
    let mut x = [f32::NAN; LANES];
    for (x, &(input, _)) in x.iter_mut().zip(edges) {
        *x = input;
    }
    for isa in Isa::available() {
        let y = isa.run(kernel(x));
        for (&(x, expected), y) in edges.iter().zip(y) {
            let agree = y == expected || (y.is_nan() && expected.is_nan());
            assert!(agree, "{isa:?}: f({x}) = {y}, not {expected}");
        }
        assert!(y[edges.len()..].iter().all(|y| y.is_nan()), "{isa:?}: f(NaN) is not NaN");
    }
}

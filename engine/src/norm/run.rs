//! What the kernels compute from a vector of values and their channels' constants, and from a run of values
//! that have the same constants.

use crate::simd::{Simd, fold, map};

/// y = (x - mean) · scale + bias.
#[inline(always)]
pub(super) fn normalised<S: Simd>(simd: S, [x, mean, scale, bias]: [S::Vector; 4]) -> S::Vector {
    simd.mul_add(simd.sub(x, mean), scale, bias)
}

/// y = (x - mean) · scale + bias of a run.
#[inline(always)]
pub(super) fn normalise<S: Simd>(
    simd: S,
    x: &[f32],
    [mean, scale, bias]: [S::Vector; 3],
    y: &mut [f32],
) {
    map(
        simd,
        [x],
        y,
        #[inline(always)]
        |[x]| normalised(simd, [x, mean, scale, bias]),
    );
}

/// Σ dy and Σ dy · (x - mean) of a run, in lanes.
#[inline(always)]
pub(super) fn gradient_sums<S: Simd>(
    simd: S,
    [x, dy]: [&[f32]; 2],
    mean: S::Vector,
) -> [S::Vector; 2] {
    fold(
        simd,
        [x, dy],
        #[inline(always)]
        |[sum, product], [x, dy]| [simd.add(sum, dy), simd.mul_add(dy, simd.sub(x, mean), product)],
    )
}

/// What dx of a batch normalisation is made of beside x and dy.
#[derive(Clone, Copy)]
pub(super) struct Gradient<V> {
    pub(super) mean: V,
    /// weight / √(variance + eps).
    pub(super) scale: V,
    /// The mean of dy.
    pub(super) average: V,
    /// Σ dy · (x - mean) / (variance + eps) / count.
    pub(super) steepness: V,
}

impl<V: Copy> Gradient<V> {
    #[inline(always)]
    pub(super) fn each<U>(self, f: impl Fn(V) -> U) -> Gradient<U> {
        let Gradient { mean, scale, average, steepness } = self;
        Gradient { mean: f(mean), scale: f(scale), average: f(average), steepness: f(steepness) }
    }

    /// dx = scale · (dy - average - (x - mean) · steepness); where x is not positive, times the slope of the
    /// LeakyReLU that x is the output of.
    #[inline(always)]
    pub(super) fn input<S: Simd<Vector = V>>(self, simd: S, slope: V, [x, dy]: [V; 2]) -> V {
        let Gradient { mean, scale, average, steepness } = self;
        let scale = simd.select(simd.gt(x, simd.zero()), scale, simd.mul(scale, slope));
        let distance = simd.mul(simd.sub(x, mean), steepness);
        simd.mul(scale, simd.sub(simd.sub(dy, average), distance))
    }
}

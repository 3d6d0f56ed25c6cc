//! Losses on every tier and on one and three threads, against the f64 oracle.

mod cross_entropy;
mod pointwise;

use loupe_engine::loss::Reduction;
use loupe_engine::reference::compare::{Tolerance, assert_bits, assert_close};
use loupe_engine::reference::loss::LossGradient;
use loupe_engine::{Context, Error, Isa, Threads};

const REDUCTIONS: [Reduction; 2] = [Reduction::Mean, Reduction::Sum];

fn contexts() -> impl Iterator<Item = Context> {
    Isa::available().flat_map(|isa| {
        [Threads::serial(), Threads::new(3).unwrap()].map(|threads| Context::new(isa, threads))
    })
}

/// The value of `loss` and the gradient that it writes over NaN. Without a gradient, the value must
/// be the same to the bit.
fn evaluate(
    len: usize,
    loss: impl Fn(Option<&mut [f32]>) -> Result<f32, Error>,
) -> (f32, Vec<f32>) {
    let mut gradient = vec![f32::NAN; len];
    let value = loss(Some(&mut gradient)).unwrap();
    assert_bits("value without gradient", &[loss(None).unwrap()], &[value]);
    (value, gradient)
}

/// What a loss of `count` elements or rows must be: their sum over `divisor`. `gradient` is the tolerance of a
/// gradient that has not been divided.
struct Expected<'a> {
    sum: &'a LossGradient,
    count: usize,
    divisor: f64,
    gradient: [f64; 2],
}

impl Expected<'_> {
    fn check(&self, what: &str, (value, gradient): (f32, Vec<f32>)) {
        let Expected { sum, count, divisor, gradient: [abs, rel] } = *self;
        let expected = sum.clone().times(1.0 / divisor);
        let tolerance = Tolerance::abs_rel(1e-6 * count as f64 / divisor, 1e-5);
        assert_close(what, &[value], &[expected.value], &tolerance);
        let tolerance = Tolerance::abs_rel(abs / divisor, rel);
        assert_close(&format!("{what}: gradient"), &gradient, &expected.gradient, &tolerance);
    }
}

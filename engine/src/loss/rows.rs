//! The kernels of the cross-entropies: rows of logits, and what their targets are.

use super::cross_entropy::Shares;
use crate::simd::{Kernel, Simd, exp, fold, largest, ln, update, update_fold};

/// Rows whose targets are classes below `classes`.
pub(super) struct ClassRows<'a> {
    pub(super) classes: usize,
    pub(super) logits: &'a [f32],
    pub(super) target: &'a [usize],
    pub(super) shares: Option<Shares<'a>>,
    pub(super) gradient: Option<&'a mut [f32]>,
    /// What the gradient is multiplied by.
    pub(super) scale: f32,
}

impl Kernel for ClassRows<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f32 {
        match self.shares {
            None => self.rows::<S, false>(simd),
            Some(_) => self.rows::<S, true>(simd),
        }
    }
}

impl ClassRows<'_> {
    /// Compiled twice: short rows without shares would otherwise take a tenth longer.
    #[inline(always)]
    fn rows<S: Simd, const SHARES: bool>(mut self, simd: S) -> f32 {
        let scale = self.scale;
        let shares = self.shares.filter(|_| SHARES);
        let spread = shares.and_then(|shares| shares.spread);
        let mut total = 0.0_f64;
        for (row, &class) in self.target.iter().enumerate() {
            let elements = row * self.classes..(row + 1) * self.classes;
            let logits = &self.logits[elements.clone()];
            let gradient = self.gradient.as_deref_mut().map(|gradient| &mut gradient[elements]);
            let softmax = Softmax::of(simd, logits, gradient);
            let ln_sum = scalar_ln(simd, softmax.sum);
            // Subtracting first keeps the digits where all logits are large.
            let negative_ln = ln_sum + (softmax.largest - logits[class]);
            // The share of the class, and the target's sum.
            let share = shares.map_or(1.0, |shares| shares.kept[class]);
            let mut weight = share;
            total += f64::from(share * negative_ln);
            if let Some(spread) = spread {
                let [loss, sum] = softmax.loss(
                    simd,
                    [logits, spread],
                    #[inline(always)]
                    |[_, spread]| spread,
                );
                total += f64::from(loss);
                weight += sum;
            }
            let Some(gradient) = softmax.exponentials else { continue };
            let factor = simd.splat(weight * scale / softmax.sum);
            update(
                simd,
                [],
                [&mut *gradient],
                #[inline(always)]
                |[], [e]| [simd.mul(e, factor)],
            );
            if let Some(spread) = spread {
                let negative = simd.splat(-scale);
                update(
                    simd,
                    [spread],
                    [&mut *gradient],
                    #[inline(always)]
                    |[spread], [g]| [simd.mul_add(spread, negative, g)],
                );
            }
            gradient[class] -= share * scale;
        }
        total as f32
    }
}

/// Rows whose targets are probabilities.
pub(super) struct ProbabilityRows<'a> {
    pub(super) classes: usize,
    pub(super) logits: &'a [f32],
    pub(super) target: &'a [f32],
    pub(super) shares: Option<Shares<'a>>,
    pub(super) gradient: Option<&'a mut [f32]>,
    /// What the gradient is multiplied by.
    pub(super) scale: f32,
}

impl Kernel for ProbabilityRows<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f32 {
        match self.shares {
            None => self.rows::<S, false>(simd),
            Some(_) => self.rows::<S, true>(simd),
        }
    }
}

impl ProbabilityRows<'_> {
    /// Compiled twice, as those of classes.
    #[inline(always)]
    fn rows<S: Simd, const SHARES: bool>(mut self, simd: S) -> f32 {
        let shares = self.shares.filter(|_| SHARES);
        let mut total = 0.0_f64;
        for row in 0..self.logits.len() / self.classes {
            let elements = row * self.classes..(row + 1) * self.classes;
            let (logits, target) = (&self.logits[elements.clone()], &self.target[elements.clone()]);
            let gradient = self.gradient.as_deref_mut().map(|gradient| &mut gradient[elements]);
            let softmax = Softmax::of(simd, logits, gradient);
            total += f64::from(match shares {
                None => softmax.row(
                    simd,
                    [logits, target],
                    self.scale,
                    #[inline(always)]
                    |[_, t]| t,
                ),
                Some(Shares { kept, spread: None }) => softmax.row(
                    simd,
                    [logits, target, kept],
                    self.scale,
                    #[inline(always)]
                    |[_, t, kept]| simd.mul(t, kept),
                ),
                Some(Shares { kept, spread: Some(spread) }) => softmax.row(
                    simd,
                    [logits, target, kept, spread],
                    self.scale,
                    #[inline(always)]
                    |[_, t, kept, spread]| simd.mul_add(t, kept, spread),
                ),
            });
        }
        total as f32
    }
}

/// The softmax of a row is its exponentials divided by their sum.
struct Softmax<'a> {
    largest: f32,
    /// Σⱼ exp(xⱼ − largest)
    sum: f32,
    /// exp(xⱼ − largest), where memory for them was given.
    exponentials: Option<&'a mut [f32]>,
}

impl<'a> Softmax<'a> {
    /// Softmax does not change when a constant is taken from every logit; with the largest taken, no
    /// exponential exceeds 1.
    #[inline(always)]
    fn of<S: Simd>(simd: S, logits: &[f32], mut memory: Option<&'a mut [f32]>) -> Softmax<'a> {
        let largest =
            simd.to_array(largest(simd, logits)).into_iter().fold(f32::NEG_INFINITY, f32::max);
        let offset = simd.splat(largest);
        let [sum] = match &mut memory {
            Some(memory) => update_fold(
                simd,
                [logits],
                [memory],
                #[inline(always)]
                |[sum], [x], [_]| {
                    let e = exp(simd, simd.sub(x, offset));
                    ([simd.add(sum, e)], [e])
                },
            ),
            None => fold(
                simd,
                [logits],
                #[inline(always)]
                |[sum], [x]| [simd.add(sum, exp(simd, simd.sub(x, offset)))],
            ),
        };
        Softmax { largest, sum: simd.sum(sum), exponentials: memory }
    }

    /// −Σⱼ tⱼ · ln softmaxⱼ and Σⱼ tⱼ, for t = `target(inputs)`. The first input is the row's logits.
    #[inline(always)]
    fn loss<S: Simd, const I: usize>(
        &self,
        simd: S,
        inputs: [&[f32]; I],
        target: impl Fn([S::Vector; I]) -> S::Vector,
    ) -> [f32; 2] {
        let (ln_sum, largest) = (ln(simd, simd.splat(self.sum)), simd.splat(self.largest));
        let [loss, weight] = fold(
            simd,
            inputs,
            #[inline(always)]
            |[loss, weight], x| {
                let t = target(x);
                // Subtracting first keeps the digits where all logits are large.
                let negative_ln = simd.add(ln_sum, simd.sub(largest, x[0]));
                [simd.mul_add(t, negative_ln, loss), simd.add(weight, t)]
            },
        );
        [simd.sum(loss), simd.sum(weight)]
    }

    /// The [loss](Softmax::loss) of a row; its gradient times `scale` takes the place of the exponentials.
    #[inline(always)]
    #[expect(clippy::redundant_closure, reason = "it is inlined always, as no reference would be")]
    fn row<S: Simd, const I: usize>(
        self,
        simd: S,
        inputs: [&[f32]; I],
        scale: f32,
        target: impl Fn([S::Vector; I]) -> S::Vector,
    ) -> f32 {
        let [loss, weight] = self.loss(
            simd,
            inputs,
            #[inline(always)]
            |x| target(x),
        );
        if let Some(gradient) = self.exponentials {
            let factor = simd.splat(weight / self.sum);
            let scale = simd.splat(scale);
            update(
                simd,
                inputs,
                [gradient],
                #[inline(always)]
                |x, [e]| [simd.mul(simd.sub(simd.mul(e, factor), target(x)), scale)],
            );
        }
        loss
    }
}

/// ln x of one number.
#[inline(always)]
fn scalar_ln<S: Simd>(simd: S, x: f32) -> f32 {
    simd.to_array(ln(simd, simd.splat(x)))[0]
}

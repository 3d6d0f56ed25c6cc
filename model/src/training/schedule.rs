//! How the learning rate changes over a training.

use super::trigonometry::sin_cos;
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// A learning-rate schedule: the rate of each step as a function of its number alone.
///
/// Names and formulas are those of `torch.optim.lr_scheduler`. `CosineAnnealingLR`, `LinearLR` and `OneCycleLR`
/// are stepped with every step of the training; their `T_max`, `total_iters` and `total_steps` are the number of
/// all its steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", deny_unknown_fields)]
pub enum Schedule {
    /// The same rate throughout.
    #[default]
    Constant,
    /// The rate times `gamma` after every `step_size` epochs.
    StepLR {
        /// Epochs.
        step_size: std::num::NonZeroUsize,
        /// Default 0.1.
        #[serde(default = "tenth")]
        gamma: f64,
    },
    /// From the rate times `start_factor` in a straight line to the rate times `end_factor`. The defaults lead to 0;
    /// PyTorch's, 1/3 and 1, are a warm-up.
    LinearLR {
        /// Default 1.
        #[serde(default = "one")]
        start_factor: f64,
        /// Default 0.
        #[serde(default)]
        end_factor: f64,
    },
    /// From the rate to `eta_min` along half a cosine wave (Loshchilov and Hutter 2017, without restarts).
    CosineAnnealingLR {
        /// Default 0.
        #[serde(default)]
        eta_min: f64,
    },
    /// From the rate / `div_factor` up to the rate, then down to the first / `final_div_factor`, both along half a
    /// cosine wave (Smith and Topin 2018). Momentum stays as it is.
    OneCycleLR {
        /// The share of the steps that go up; default 0.3.
        #[serde(default = "three_tenths")]
        pct_start: f64,
        /// Default 25.
        #[serde(default = "twenty_five")]
        div_factor: f64,
        /// Default 10,000.
        #[serde(default = "ten_thousand")]
        final_div_factor: f64,
    },
}

impl Schedule {
    /// The learning rate of a step: `[epoch, step]` counted from 0, of `[epochs, steps]`; `lr` is the
    /// optimiser's.
    pub fn rate(&self, lr: f64, [epoch, step]: [usize; 2], [epochs, steps]: [usize; 2]) -> f64 {
        let at = epoch as f64 * steps as f64 + step as f64;
        let total = epochs as f64 * steps as f64;
        match *self {
            Schedule::Constant => lr,
            Schedule::StepLR { step_size, gamma } => lr * power(gamma, epoch / step_size.get()),
            Schedule::LinearLR { start_factor, end_factor } => {
                lr * (start_factor + (end_factor - start_factor) * (at / total).min(1.0))
            }
            Schedule::CosineAnnealingLR { eta_min } => {
                along_cosine(lr, eta_min, (at / total).min(1.0))
            }
            Schedule::OneCycleLR { pct_start, div_factor, final_div_factor } => {
                let low = lr / div_factor;
                let top = pct_start * total - 1.0;
                if at <= top {
                    along_cosine(low, lr, at / top.max(1.0))
                } else {
                    // Up to the last step the divisor is no less than the dividend, which is above 0.
                    let share = (at - top) / (total - 1.0 - top);
                    along_cosine(lr, low / final_div_factor, share.min(1.0))
                }
            }
        }
    }

    /// Whether the rate of a step depends on how many epochs the training is to have. To resume such a training
    /// with other epochs is to change its rates from there on.
    pub fn depends_on_epochs(&self) -> bool {
        match self {
            Schedule::Constant | Schedule::StepLR { .. } => false,
            Schedule::LinearLR { .. }
            | Schedule::CosineAnnealingLR { .. }
            | Schedule::OneCycleLR { .. } => true,
        }
    }

    /// What is wrong with the numbers, if something is: the field, what it must be, and what it is.
    pub fn fault(&self) -> Option<(&'static str, &'static str, f64)> {
        let not_negative = |name, value: f64| {
            (!(value.is_finite() && value >= 0.0)).then_some((
                name,
                "a number of at least 0",
                value,
            ))
        };
        let positive = |name, value: f64| {
            (!(value.is_finite() && value > 0.0)).then_some((name, "a number above 0", value))
        };
        match *self {
            Schedule::Constant => None,
            Schedule::StepLR { gamma, .. } => not_negative("gamma", gamma),
            Schedule::LinearLR { start_factor, end_factor } => {
                not_negative("start_factor", start_factor)
                    .or(not_negative("end_factor", end_factor))
            }
            Schedule::CosineAnnealingLR { eta_min } => not_negative("eta_min", eta_min),
            Schedule::OneCycleLR { pct_start, div_factor, final_div_factor } => {
                let share = (!(0.0..=1.0).contains(&pct_start)).then_some((
                    "pct_start",
                    "a number from 0 to 1",
                    pct_start,
                ));
                share
                    .or(positive("div_factor", div_factor))
                    .or(positive("final_div_factor", final_div_factor))
            }
        }
    }
}

/// From `start` to `end` along half a cosine wave, `share` of the way.
fn along_cosine(start: f64, end: f64, share: f64) -> f64 {
    end + (start - end) * 0.5 * (1.0 + sin_cos(PI * share).1)
}

/// `base` to the power `exponent` by squaring: the same bits on every machine.
fn power(base: f64, mut exponent: usize) -> f64 {
    let (mut power, mut square) = (1.0, base);
    while exponent > 0 {
        if exponent % 2 == 1 {
            power *= square;
        }
        square *= square;
        exponent /= 2;
    }
    power
}

fn one() -> f64 {
    1.0
}

fn tenth() -> f64 {
    0.1
}

fn three_tenths() -> f64 {
    0.3
}

fn twenty_five() -> f64 {
    25.0
}

fn ten_thousand() -> f64 {
    1e4
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroUsize;

    fn rates(schedule: Schedule, epochs: usize, steps: usize) -> Vec<f64> {
        let all = (0..epochs).flat_map(|epoch| (0..steps).map(move |step| [epoch, step]));
        all.map(|at| schedule.rate(0.5, at, [epochs, steps])).collect()
    }

    #[track_caller]
    fn assert_rates(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!(
                (found - expected).abs() <= 1e-15 + 1e-12 * expected.abs(),
                "{found} {expected}"
            );
        }
    }

    const ONE_CYCLE: Schedule =
        Schedule::OneCycleLR { pct_start: 0.3, div_factor: 25.0, final_div_factor: 1e4 };

    /// What PyTorch 2.15 gives for a rate of 0.5 (`max_lr` of `OneCycleLR`, with `cycle_momentum=False`),
    /// stepped after every step, `StepLR` after every epoch.
    #[test]
    #[rustfmt::skip]
    fn rates_are_those_of_pytorch() {
        let step = |step_size, gamma| {
            Schedule::StepLR { step_size: NonZeroUsize::new(step_size).unwrap(), gamma }
        };
        assert_rates(&rates(step(2, 0.1), 5, 2), &[0.5, 0.5, 0.5, 0.5, 0.05, 0.05, 0.05, 0.05, 0.005, 0.005]);
        assert_rates(&rates(step(2, 0.5), 5, 2), &[0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 0.125, 0.125]);

        let line = |start_factor, end_factor| Schedule::LinearLR { start_factor, end_factor };
        assert_rates(&rates(line(1.0 / 3.0, 1.0), 3, 2), &[
            0.16666666666666666, 0.22222222222222224, 0.2777777777777778, 0.3333333333333333, 0.3888888888888889,
            0.4444444444444444,
        ]);
        assert_rates(&rates(line(1.0, 0.0), 3, 2), &[
            0.5, 0.4166666666666667, 0.33333333333333337, 0.25, 0.16666666666666669, 0.08333333333333334,
        ]);

        let wave = |eta_min| Schedule::CosineAnnealingLR { eta_min };
        assert_rates(&rates(wave(0.1), 3, 2), &[
            0.5, 0.47320508075688783, 0.4, 0.3, 0.2, 0.1267949192431123,
        ]);
        assert_rates(&rates(wave(0.0), 3, 2), &[
            0.5, 0.4665063509461097, 0.375, 0.25, 0.125, 0.03349364905389032,
        ]);

        assert_rates(&rates(ONE_CYCLE, 5, 2), &[
            0.02, 0.26, 0.5, 0.47524231600673683, 0.40587282697488153, 0.30563101096814466, 0.19437098903185537,
            0.09412917302511849, 0.024759683993263143, 2e-06,
        ]);
        // The top lies between two steps.
        assert_rates(&rates(ONE_CYCLE, 6, 2), &[
            0.02, 0.17489482710979154, 0.43964257956106434, 0.49720771772545586, 0.46650648492070584,
            0.4058728269748815, 0.32368949884755166, 0.23131855133348753, 0.14153049910434962, 0.0667387650944153,
            0.01728349371269761, 2e-06,
        ]);
        let cycle = |pct_start, div_factor, final_div_factor| {
            Schedule::OneCycleLR { pct_start, div_factor, final_div_factor }
        };
        assert_rates(&rates(cycle(0.25, 10.0, 100.0), 3, 2), &[
            0.05, 0.4849382320412806, 0.375125, 0.20688136762768417, 0.05893040033103527, 0.0005,
        ]);
        // The way down is shorter than a step.
        assert_rates(&rates(cycle(0.95, 25.0, 1e4), 5, 2), &[
            0.02, 0.03620666494295466, 0.08263785986704181, 0.15302279461363077, 0.23785559372880755,
            0.3256791176172999, 0.4046323127310215, 0.46405211257510737, 0.49591354392413645, 2e-06,
        ]);
        assert_rates(&rates(cycle(1.0, 25.0, 1e4), 3, 1), &[0.02, 0.26, 0.5]);
        assert_rates(&rates(cycle(0.0, 25.0, 1e4), 3, 1), &[0.3750005, 0.125001500000, 2e-06]);
        assert_rates(&rates(ONE_CYCLE, 1, 2), &[0.4058728269748815, 2e-06]);
        assert_rates(&rates(ONE_CYCLE, 1, 1), &[2e-06]);
    }

    #[test]
    fn one_rate_throughout() {
        assert_eq!(rates(Schedule::Constant, 2, 2), [0.5; 4]);
    }

    #[test]
    fn short_trainings_have_rates() {
        for schedule in [
            ONE_CYCLE,
            Schedule::OneCycleLR { pct_start: 1.0, div_factor: 25.0, final_div_factor: 1e4 },
            Schedule::OneCycleLR { pct_start: 0.0, div_factor: 25.0, final_div_factor: 1e4 },
            Schedule::CosineAnnealingLR { eta_min: 0.0 },
            Schedule::LinearLR { start_factor: 0.1, end_factor: 1.0 },
        ] {
            for steps in [1, 2, 3] {
                let found = rates(schedule, 1, steps);
                assert!(
                    found.iter().all(|rate| (0.0..=0.5).contains(rate)),
                    "{schedule:?} {found:?}"
                );
            }
        }
    }

    #[test]
    fn faults_are_named() {
        let schedule = Schedule::CosineAnnealingLR { eta_min: -1.0 };
        assert_eq!(schedule.fault(), Some(("eta_min", "a number of at least 0", -1.0)));
        let schedule =
            Schedule::OneCycleLR { pct_start: 0.3, div_factor: 0.0, final_div_factor: 1.0 };
        assert_eq!(schedule.fault().unwrap().0, "div_factor");
        assert_eq!(Schedule::Constant.fault(), None);
    }
}

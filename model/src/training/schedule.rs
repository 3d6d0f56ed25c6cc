//! How the learning rate changes over a training.

use super::trigonometry::sin_cos;
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// A learning-rate schedule: the rate of each step as a function of its number alone.
///
/// Names and formulas are those of `torch.optim.lr_scheduler`. `CosineAnnealingLR`, `LinearLR` and `OneCycleLR`
/// are stepped with every step of the training and end with its last.
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
    /// From the rate times `start_factor` in a straight line to the rate times `end_factor`.
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
                    let share = (at - top) / (total - 1.0 - top).max(1.0);
                    along_cosine(lr, low / final_div_factor, share.min(1.0))
                }
            }
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

    #[test]
    fn steps_count_epochs() {
        let schedule = Schedule::StepLR { step_size: NonZeroUsize::new(2).unwrap(), gamma: 0.1 };
        assert_rates(&rates(schedule, 5, 1), &[0.5, 0.5, 0.05, 0.05, 0.005]);
        assert_eq!(rates(Schedule::Constant, 2, 2), [0.5; 4]);
    }

    #[test]
    fn lines_and_waves_go_from_end_to_end() {
        let line = Schedule::LinearLR { start_factor: 1.0, end_factor: 0.0 };
        assert_rates(&rates(line, 2, 2), &[0.5, 0.375, 0.25, 0.125]);
        let wave = Schedule::CosineAnnealingLR { eta_min: 0.1 };
        let half = 0.1 + 0.2 * (1.0 + 0.5_f64.sqrt());
        assert_rates(&rates(wave, 2, 2), &[0.5, half, 0.3, 0.6 - half]);
    }

    /// `OneCycleLR(max_lr=0.5, total_steps=10)`: the top is reached at step 0.3 · 10 − 1.
    #[test]
    fn one_cycle_rises_and_falls() {
        let schedule =
            Schedule::OneCycleLR { pct_start: 0.3, div_factor: 25.0, final_div_factor: 1e4 };
        let found = rates(schedule, 5, 2);
        assert_rates(
            &found[..4],
            &[0.02, 0.26, 0.5, 2e-6 + (0.5 - 2e-6) * 0.5 * (1.0 + (PI / 7.0).cos())],
        );
        assert_rates(&found[9..], &[2e-6]);
        assert!(found[2..].windows(2).all(|pair| pair[0] > pair[1]), "{found:?}");
    }

    #[test]
    fn short_trainings_have_rates() {
        for schedule in [
            Schedule::OneCycleLR { pct_start: 0.3, div_factor: 25.0, final_div_factor: 1e4 },
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

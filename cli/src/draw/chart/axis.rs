//! An axis: where values lie, and its round ticks.

/// Values from `low` to `high` on pixels from `from` to `to`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    logarithmic: bool,
    from: f32,
    to: f32,
}

#[derive(Debug, PartialEq)]
pub(super) struct Tick {
    pub(super) at: f32,
    pub(super) label: String,
}

impl Axis {
    /// Even steps. What is no range, as between equal numbers, is made one.
    pub(super) fn linear((low, high): (f64, f64), (from, to): (f32, f32)) -> Axis {
        let (low, high) =
            if low.is_finite() && high.is_finite() { (low, high) } else { (0.0, 1.0) };
        let (low, high) = if low <= high { (low, high) } else { (high, low) };
        // Narrower than floats near the numbers can tell apart well is a single number too.
        let least = low.abs().max(high.abs()) * 1e-9;
        let (low, high) = match high - low <= least {
            true => {
                let pad = if low == 0.0 { 0.5 } else { low.abs() * 0.1 };
                (low - pad, high + pad)
            }
            false => (low, high),
        };
        Axis { low, high, logarithmic: false, from, to }
    }

    /// Even ratios, for numbers above 0. What is no such range becomes a linear axis.
    pub(super) fn logarithmic((low, high): (f64, f64), pixels: (f32, f32)) -> Axis {
        match low > 0.0 && high > low && high.is_finite() && high / low > 1.01 {
            true => Axis { logarithmic: true, ..Axis::linear((low, high), pixels) },
            false => Axis::linear((low, high), pixels),
        }
    }

    pub(super) fn is_logarithmic(&self) -> bool {
        self.logarithmic
    }

    /// Where a value lies; at an end what is beyond it or is no number.
    pub(super) fn at(&self, value: f64) -> f32 {
        let share = match self.logarithmic {
            true => (value / self.low).ln() / (self.high / self.low).ln(),
            false => (value - self.low) / (self.high - self.low),
        };
        let share = if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) };
        self.from + (self.to - self.from) * share as f32
    }

    /// About `count` ticks at round numbers, with labels that `label` makes of a number and the digits
    /// after its point.
    pub(super) fn ticks(&self, count: usize, label: impl Fn(f64, usize) -> String) -> Vec<Tick> {
        let values = if self.logarithmic { self.ratios(count) } else { self.steps(count) };
        let tick = |(value, digits)| Tick { at: self.at(value), label: label(value, digits) };
        values.into_iter().map(tick).collect()
    }

    fn steps(&self, count: usize) -> Vec<(f64, usize)> {
        let step = round_step((self.high - self.low) / count.max(1) as f64);
        let digits = (-step.log10().floor()).clamp(0.0, 300.0) as usize;
        // A hair beyond the ends, for sums that are not exact.
        let first = (self.low / step - 1e-6).ceil();
        let values = (0..=count * 3).map(|i| (first + i as f64) * step);
        values
            .take_while(|value| *value <= self.high + step * 1e-6)
            .map(|value| (value, digits))
            .collect()
    }

    /// Powers of ten; where there are few, twice and five times them too.
    fn ratios(&self, count: usize) -> Vec<(f64, usize)> {
        let (low, high) = (self.low.log10().floor() as i32, self.high.log10().ceil() as i32);
        let within = (self.high / self.low).log10();
        let factors: &[f64] = if within < 2.5 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let stride = ((within / count.max(1) as f64).ceil() as i32).max(1);
        let decades = (low..=high).filter(|decade| decade.rem_euclid(stride) == 0);
        let values = decades.flat_map(|decade| {
            factors
                .iter()
                .map(move |factor| (factor * 10f64.powi(decade), (-decade).max(0) as usize))
        });
        let range = self.low * (1.0 - 1e-9)..=self.high * (1.0 + 1e-9);
        values.filter(|(value, _)| range.contains(value)).collect()
    }
}

/// 1, 2 or 5 times a power of ten, the nearest to `step`.
fn round_step(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let factor = match step / power {
        ..1.5 => 1.0,
        ..3.5 => 2.0,
        ..7.5 => 5.0,
        _ => 10.0,
    };
    factor * power
}

/// A number with commas between thousands, or as a power of ten where that is shorter.
pub(super) fn number(value: f64, digits: usize) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if value.abs() >= 1e9 || digits > 4 {
        let exponent = value.abs().log10().floor() as i32;
        let factor = value / 10f64.powi(exponent);
        let power = format!("10{}", superscript(exponent));
        return match (factor - 1.0).abs() < 1e-6 {
            true => power,
            false => {
                format!("{factor:.4}").trim_end_matches('0').trim_end_matches('.').to_owned()
                    + "·"
                    + &power
            }
        };
    }
    let text = format!("{:.digits$}", value.abs());
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let sign = if value < 0.0 { "−" } else { "" };
    let whole: usize = whole.parse().expect("less than 10⁹");
    format!("{sign}{}{rest}", crate::output::Thousands(whole))
}

/// A share as a percentage.
pub(super) fn percent(value: f64, digits: usize) -> String {
    format!("{:.*} %", digits.saturating_sub(2), value * 100.0)
}

fn superscript(exponent: i32) -> String {
    const DIGITS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    let digit = |letter: char| letter.to_digit(10).map_or('⁻', |digit| DIGITS[digit as usize]);
    exponent.to_string().chars().map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis, count: usize) -> Vec<String> {
        axis.ticks(count, number).into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn ticks_are_round() {
        let axis = |low, high| Axis::linear((low, high), (0.0, 100.0));
        assert_eq!(labels(&axis(0.0, 180_000.0), 5), ["0", "50,000", "100,000", "150,000"]);
        assert_eq!(labels(&axis(0.0, 1.0), 5), ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(&axis(-0.3, 0.31), 3), ["−0.2", "0", "0.2"]);
        assert_eq!(labels(&axis(0.0, 3e-6), 3), ["0", "10⁻⁶", "2·10⁻⁶", "3·10⁻⁶"]);
        assert_eq!(axis(0.0, 4.0).ticks(2, number)[1], Tick { at: 50.0, label: "2".into() });
    }

    #[test]
    fn ratios_are_powers_of_ten() {
        let axis = |low, high| Axis::logarithmic((low, high), (0.0, 100.0));
        assert_eq!(labels(&axis(0.0008, 1.5), 8), ["0.001", "0.01", "0.1", "1"]);
        assert_eq!(labels(&axis(0.015, 0.6), 8), ["0.02", "0.05", "0.1", "0.2", "0.5"]);
        assert_eq!(labels(&axis(1e-9, 1e9), 4), ["10⁻⁵", "1", "100,000"]);
        let axis = axis(0.01, 1.0);
        assert!(axis.is_logarithmic() && (axis.at(0.1) - 50.0).abs() < 1e-3);
        assert_eq!((axis.at(0.0), axis.at(-1.0), axis.at(9.0)), (0.0, 0.0, 100.0));
    }

    #[test]
    fn any_range_is_an_axis() {
        let numbers =
            [0.0, 1.0, -1.0, 1e-300, 1e300, f64::MAX, f64::NAN, f64::INFINITY, 1e8, 100000001.0];
        for low in numbers {
            for high in numbers {
                for axis in [Axis::linear, Axis::logarithmic] {
                    let axis = axis((low, high), (10.0, 20.0));
                    for value in numbers {
                        assert!((10.0..=20.0).contains(&axis.at(value)), "{low} {high} {value}");
                    }
                    let ticks = axis.ticks(6, number).len();
                    assert!(ticks <= 19, "{low} {high}: {ticks}");
                    assert!(axis.ticks(6, percent).iter().all(|tick| tick.at.is_finite()));
                }
            }
        }
    }
}

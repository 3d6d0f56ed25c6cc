//! Numbers that have bounds: of a configuration file, where the message gets their line, and of flags.

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use std::num::NonZeroUsize;

type Checked<T> = Result<T, &'static str>;

fn check_share(value: f64) -> Checked<f64> {
    (0.0..1.0).contains(&value).then_some(value).ok_or("expected a number from 0 to less than 1")
}

fn check_rate(value: f64) -> Checked<f64> {
    let usable = (value as f32).is_finite() && value as f32 > 0.0;
    usable.then_some(value).ok_or("expected a number above 0 that a 32-bit float holds")
}

fn check_smoothing(value: f64) -> Checked<f64> {
    (0.0..=1.0).contains(&value).then_some(value).ok_or("expected a number from 0 to 1")
}

fn check_decay(value: f64) -> Checked<f64> {
    let usable = value == 0.0 || check_rate(value).is_ok();
    usable.then_some(value).ok_or("expected 0 or a number above it that a 32-bit float holds")
}

fn check_pixels(value: f64) -> Checked<f32> {
    let usable = (0.0..=1e4).contains(&value);
    usable.then_some(value as f32).ok_or("expected a number of pixels from 0 to 10000")
}

fn check_angle(value: f64) -> Checked<f32> {
    let usable = (0.0..=180.0).contains(&value);
    usable.then_some(value as f32).ok_or("expected a number of degrees from 0 to 180")
}

fn check_seconds(value: f64) -> Checked<f64> {
    (value > 0.0 && value.is_finite())
        .then_some(value)
        .ok_or("expected a number of seconds above 0")
}

fn number(text: &str) -> Checked<f64> {
    text.parse().map_err(|_| "expected a number")
}

/// A share of a whole.
pub(crate) fn share(text: &str) -> Checked<f64> {
    check_share(number(text)?)
}

/// A learning rate.
pub(crate) fn rate(text: &str) -> Checked<f64> {
    check_rate(number(text).map_err(|_| "expected a number above 0")?)
}

/// A share of the targets.
pub(crate) fn smoothing(text: &str) -> Checked<f64> {
    check_smoothing(number(text)?)
}

/// A weight decay.
pub(crate) fn decay(text: &str) -> Checked<f64> {
    check_decay(number(text)?)
}

/// A length in a picture.
pub(crate) fn pixels(text: &str) -> Checked<f32> {
    check_pixels(number(text)?)
}

/// Degrees.
pub(crate) fn angle(text: &str) -> Checked<f32> {
    check_angle(number(text)?)
}

/// A length of time.
pub(crate) fn seconds(text: &str) -> Checked<f64> {
    check_seconds(number(text)?)
}

/// A number of things.
pub(crate) fn at_least_one(text: &str) -> Checked<NonZeroUsize> {
    text.parse().map_err(|_| "expected a whole number of at least 1")
}

fn some<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    check: impl Fn(f64) -> Checked<T>,
) -> Result<Option<T>, D::Error> {
    let value = f64::deserialize(deserializer)?;
    check(value).map(Some).map_err(|message| D::Error::custom(format!("{message}, found {value}")))
}

pub(super) fn some_share<'de, D: Deserializer<'de>>(d: D) -> Result<Option<f64>, D::Error> {
    some(d, check_share)
}

pub(super) fn some_rate<'de, D: Deserializer<'de>>(d: D) -> Result<Option<f64>, D::Error> {
    some(d, check_rate)
}

pub(super) fn some_eps<'de, D: Deserializer<'de>>(d: D) -> Result<Option<f64>, D::Error> {
    some(d, check_rate)
}

pub(super) fn some_norm<'de, D: Deserializer<'de>>(d: D) -> Result<Option<f64>, D::Error> {
    some(d, check_rate)
}

pub(super) fn some_decay<'de, D: Deserializer<'de>>(d: D) -> Result<Option<f64>, D::Error> {
    some(d, check_decay)
}

pub(super) fn some_smoothing<'de, D: Deserializer<'de>>(d: D) -> Result<Option<f64>, D::Error> {
    some(d, check_smoothing)
}

pub(super) fn some_class_weights<'de, D>(d: D) -> Result<Option<Vec<f32>>, D::Error>
where
    D: Deserializer<'de>,
{
    let weights = Vec::<f32>::deserialize(d)?;
    match weights.iter().find(|weight| !weight.is_finite() || **weight < 0.0) {
        Some(weight) => {
            let message = format!("expected numbers of at least 0, found {weight}");
            Err(D::Error::custom(message))
        }
        None => Ok(Some(weights)),
    }
}

pub(super) fn some_pixels<'de, D: Deserializer<'de>>(d: D) -> Result<Option<f32>, D::Error> {
    some(d, check_pixels)
}

pub(super) fn some_angle<'de, D: Deserializer<'de>>(d: D) -> Result<Option<f32>, D::Error> {
    some(d, check_angle)
}

pub(super) fn some_seconds<'de, D: Deserializer<'de>>(d: D) -> Result<Option<f64>, D::Error> {
    some(d, check_seconds)
}

pub(super) fn some_betas<'de, D: Deserializer<'de>>(d: D) -> Result<Option<[f64; 2]>, D::Error> {
    let betas = <[f64; 2]>::deserialize(d)?;
    for beta in betas {
        check_share(beta)
            .map_err(|message| D::Error::custom(format!("{message}, found {beta}")))?;
    }
    Ok(Some(betas))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds() {
        assert_eq!(rate("1e-3"), Ok(0.001));
        for text in ["0", "-1", "nan", "inf", "1e39", "1e-50", "fast"] {
            assert!(rate(text).is_err(), "{text}");
        }
        assert_eq!(share("0.1"), Ok(0.1));
        for text in ["1", "-0.1", "nan", "half"] {
            assert!(share(text).is_err(), "{text}");
        }
        assert_eq!((smoothing("1"), decay("0"), decay("1e-4")), (Ok(1.0), Ok(0.0), Ok(1e-4)));
        assert!(smoothing("1.1").is_err() && decay("-1").is_err() && decay("nan").is_err());
        assert_eq!((pixels("2"), angle("7.5"), seconds("0.5")), (Ok(2.0), Ok(7.5), Ok(0.5)));
        assert!(pixels("-1").is_err() && angle("181").is_err() && seconds("0").is_err());
    }
}

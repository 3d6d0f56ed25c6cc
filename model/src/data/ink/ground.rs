//! What is paper, and how far each pixel stands out of it.

use super::{Ink, NoInk};

/// Ink stands out of the ground by at least so many levels …
const LEAST_CONTRAST: f32 = 10.0;

/// … and by so many standard deviations of the ground.
const LEAST_DEVIATIONS: f32 = 4.0;

/// The part of the light in the middle that the darkest place is taken to have at least.
const LEAST_LIGHT: f32 = 0.25;

/// The border is this part of the shorter side.
const BORDER: usize = 16;

/// What was found.
pub(super) struct Found {
    /// How far each pixel stands out of the ground on the side of the ink.
    pub(super) ink: Ink,
    /// How far ink stands out: the median.
    pub(super) contrast: f32,
    /// What is above that is ink.
    pub(super) threshold: f32,
    /// What is above that is ink too if it touches ink.
    pub(super) faintest: f32,
    pub(super) inverted: bool,
}

/// Finds the ground of `pixels[height, width]`, from 0 to 255.
pub(super) fn find(pixels: &[f32], size: [usize; 2]) -> Result<Found, NoInk> {
    if pixels.iter().all(|&value| value == pixels[0]) {
        return Err(NoInk::Constant { grey: pixels[0].round() as u8 });
    }
    let (level, slope) = border(pixels, size);
    let flat = Candidate::new(pixels, size, level, [0.0; 2]);
    let tilted = Candidate::new(pixels, size, level, slope);
    let best = if tilted.split.quality > flat.split.quality { tilted } else { flat };
    let Candidate { above, split, inverted } = best;
    let threshold = split.threshold;
    let noise = 1.4826 * median(above.iter().filter(|&&v| v <= threshold).map(|v| v.abs()));
    let contrast = median(above.iter().copied().filter(|&v| v > threshold));
    if contrast < LEAST_CONTRAST.max(LEAST_DEVIATIONS * noise) {
        let [contrast, noise] = [contrast, noise].map(|levels| levels.round() as u8);
        return Err(NoInk::Faint { contrast, noise });
    }
    let faintest = (3.0 * noise).max(contrast / 16.0).min(threshold);
    let values = above.iter().map(|v| v.max(0.0)).collect();
    let ink = Ink { values, height: size[0], width: size[1] };
    Ok(Found { ink, contrast, threshold, faintest, inverted })
}

/// One idea of the ground.
struct Candidate {
    /// How far each pixel is from the ground, positive on the side of the ink.
    above: Vec<f32>,
    split: Split,
    inverted: bool,
}

impl Candidate {
    /// The ground is `level` in the middle and rises by `slope` from one end of an axis to the other.
    fn new(pixels: &[f32], [height, width]: [usize; 2], level: f32, slope: [f32; 2]) -> Candidate {
        let along = |i: usize, n: usize| (i as f32 + 0.5) / n as f32 - 0.5;
        let ground = |i: usize| {
            level + slope[0] * along(i / width, height) + slope[1] * along(i % width, width)
        };
        let above = pixels.iter().enumerate().map(|(i, value)| value - ground(i));
        let mut above: Vec<f32> = above.collect();
        // Noise lies on both sides of the ground alike, ink far away on one.
        let skew: f64 = above.iter().map(|&v| f64::from(v).powi(3)).sum();
        let inverted = skew < 0.0;
        if inverted {
            // Where there is less light, dark ink stands out less.
            for (i, v) in above.iter_mut().enumerate() {
                let level = level.max(1.0);
                *v *= -level / ground(i).max(level * LEAST_LIGHT);
            }
        }
        let split = otsu(&above);
        Candidate { above, split, inverted }
    }
}

/// The ground in the middle of the picture, and by how much it rises along rows and columns: from the
/// medians of the four borders.
fn border(pixels: &[f32], [height, width]: [usize; 2]) -> (f32, [f32; 2]) {
    let thick = (height.min(width) / BORDER).max(1);
    let of = |inside: &dyn Fn(usize, usize) -> bool| {
        let places = pixels.iter().enumerate().filter(|(i, _)| inside(i / width, i % width));
        median(places.map(|(_, &value)| value))
    };
    let [top, bottom] = [of(&|y, _| y < thick), of(&|y, _| y + thick >= height)];
    let [left, right] = [of(&|_, x| x < thick), of(&|_, x| x + thick >= width)];
    let level = of(&|y, x| y < thick || y + thick >= height || x < thick || x + thick >= width);
    // From border to border is less than from end to end.
    let rise = |from: f32, to: f32, side: usize| match side.saturating_sub(thick) {
        0 => 0.0,
        between => (to - from) * side as f32 / between as f32,
    };
    (level, [rise(top, bottom, height), rise(left, right, width)])
}

/// The lower median; 0 of nothing.
fn median(values: impl Iterator<Item = f32>) -> f32 {
    let mut values: Vec<f32> = values.collect();
    if values.is_empty() {
        return 0.0;
    }
    let middle = (values.len() - 1) / 2;
    *values.select_nth_unstable_by(middle, f32::total_cmp).1
}

/// Values cut in two.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Split {
    /// The greatest of the smaller ones.
    threshold: f32,
    /// The part of the variance that lies between the two: 1 if each is constant.
    quality: f64,
}

/// Otsu's threshold of the values as whole numbers from 0 to 255.
fn otsu(values: &[f32]) -> Split {
    let mut histogram = [0_u32; 256];
    for value in values {
        histogram[value.round().clamp(0.0, 255.0) as usize] += 1;
    }
    let all = values.len() as f64;
    let bins = || histogram.iter().enumerate().map(|(v, &n)| (v as f64, f64::from(n)));
    let sum: f64 = bins().map(|(v, n)| v * n).sum();
    let variance = bins().map(|(v, n)| v * v * n).sum::<f64>() / all - (sum / all) * (sum / all);
    let (mut below, mut sum_below) = (0.0, 0.0);
    let mut best = (0.0, 0.0..0.0);
    for (v, n) in bins() {
        below += n;
        sum_below += v * n;
        let above = all - below;
        if below == 0.0 || above == 0.0 {
            continue;
        }
        let distance = sum_below / below - (sum - sum_below) / above;
        let between = below / all * (above / all) * distance * distance;
        // Between two peaks all cuts are equal; the one in the middle is taken.
        if between > best.0 {
            best = (between, v..v);
        } else if between == best.0 {
            best.1.end = v;
        }
    }
    let (between, places) = best;
    let quality = if variance > 0.0 { between / variance } else { 0.0 };
    Split { threshold: ((places.start + places.end) / 2.0) as f32 + 0.5, quality }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_peaks_are_cut_in_the_middle() {
        let split = otsu(&[0.0, 0.0, 0.0, 200.0]);
        assert_eq!(split, Split { threshold: 100.0, quality: 1.0 });
        let split = otsu(&[-300.0, 9.0, 11.0, 240.0, 270.0]);
        assert!((12.0..240.0).contains(&split.threshold) && split.quality > 0.98, "{split:?}");
        assert_eq!(otsu(&[5.0; 3]).quality, 0.0);
    }

    #[test]
    fn medians() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([4.0, 1.0, 3.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([].into_iter()), 0.0);
    }

    #[test]
    fn a_slope_is_seen_at_the_borders() {
        let pixels: Vec<f32> = (0..40 * 60).map(|i| 100.0 + (i % 60) as f32 - 29.5).collect();
        let (level, [down, across]) = border(&pixels, [40, 60]);
        assert!((level - 100.0).abs() <= 1.0 && down == 0.0, "{level} {down}");
        assert!((across - 60.0).abs() < 0.01, "{across}");
        assert_eq!(border(&[7.0], [1, 1]), (7.0, [0.0; 2]));
    }
}

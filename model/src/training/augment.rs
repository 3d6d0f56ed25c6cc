//! Pictures varied at random: moved and turned a little.

use super::trigonometry::sin_cos;
use crate::data::{DataError, Dataset};
use crate::random::mix;
use loupe_engine::Context;

/// Random shifts and rotations of the pictures that are trained on.
///
/// What becomes of a picture depends on `seed`, the epoch and the picture's index alone, so that a training can
/// be resumed anywhere. What comes in from outside is black; pixels between pixels are interpolated
/// (bilinear).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Augmentation {
    /// Pictures move by up to so many pixels along each axis, by whole pixels if they do not turn.
    pub shift: f32,
    /// Pictures turn about their centre by up to so many degrees, either way.
    pub rotate: f32,
    /// Of the random numbers.
    pub seed: u64,
}

impl Augmentation {
    /// Whether pictures stay as they are.
    pub fn is_none(&self) -> bool {
        self.shift == 0.0 && self.rotate == 0.0
    }

    /// What is wrong with the numbers, if something is: the field, what it must be, and what it is.
    pub fn fault(&self) -> Option<(&'static str, &'static str, f64)> {
        let Augmentation { shift, rotate, .. } = *self;
        if !(shift.is_finite() && shift >= 0.0) {
            return Some(("shift", "a number of pixels of at least 0", shift.into()));
        }
        let usable = (0.0..=180.0).contains(&rotate);
        (!usable).then_some(("rotate", "a number of degrees from 0 to 180", rotate.into()))
    }

    /// As [`Dataset::write_images`], varied as in the `epoch` of this number.
    ///
    /// # Errors
    /// As [`Dataset::write_images`].
    pub(super) fn write_images(
        &self,
        cx: &Context,
        data: &Dataset,
        indices: &[usize],
        epoch: usize,
        out: &mut [f32],
    ) -> Result<(), DataError> {
        data.check_images(indices, out.len())?;
        let pixels = data.pixels();
        // About so many operations for each pixel.
        let cost = if self.rotate == 0.0 { 1 } else { 30 };
        let work = out.len().saturating_mul(cost);
        let size = [data.height(), data.width()];
        cx.threads().for_each_chunk(indices.len(), work, [(out, pixels)], |task, [out]| {
            let index = indices[task];
            let image = data.image(index).expect("indices that have been checked");
            self.motion(epoch, index).apply(image, size, out);
        });
        Ok(())
    }

    fn motion(&self, epoch: usize, index: usize) -> Motion {
        let mut state = mix(mix(mix(self.seed) ^ epoch as u64) ^ index as u64);
        let mut draw = |limit: f32| {
            state = mix(state);
            // 53 bits, from −1 to 1.
            let unit = (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0;
            unit * f64::from(limit)
        };
        if self.rotate == 0.0 {
            // Half a pixel more makes the outermost whole shifts as likely as the others.
            let whole = self.shift.floor();
            let mut draw = || draw(whole + 0.5).round().clamp(-f64::from(whole), f64::from(whole));
            return Motion { down: draw(), right: draw(), angle: 0.0 };
        }
        Motion {
            down: draw(self.shift),
            right: draw(self.shift),
            angle: draw(self.rotate).to_radians(),
        }
    }
}

/// Where a picture goes.
#[derive(Clone, Copy, Debug)]
struct Motion {
    /// Pixels.
    down: f64,
    /// Pixels.
    right: f64,
    /// Radians, clockwise.
    angle: f64,
}

impl Motion {
    /// `out[h, w]` ← the picture after the motion, over 255.
    fn apply(self, image: &[u8], [h, w]: [usize; 2], out: &mut [f32]) {
        if self.angle == 0.0 && self.down.fract() == 0.0 && self.right.fract() == 0.0 {
            return self.shift(image, [h, w], out);
        }
        let (sin, cos) = sin_cos(self.angle);
        let centre = [(h as f64 - 1.0) / 2.0, (w as f64 - 1.0) / 2.0];
        let from = |y: f64, x: f64| {
            let (y, x) = (y - centre[0] - self.down, x - centre[1] - self.right);
            [(cos * y - sin * x + centre[0]) as f32, (sin * y + cos * x + centre[1]) as f32]
        };
        for (y, row) in out.chunks_exact_mut(w).enumerate() {
            for (x, out) in row.iter_mut().enumerate() {
                *out = sample(image, [h, w], from(y as f64, x as f64)) / 255.0;
            }
        }
    }

    /// [`Motion::apply`] by whole pixels.
    fn shift(self, image: &[u8], [h, w]: [usize; 2], out: &mut [f32]) {
        out.fill(0.0);
        let (from_y, to_y) = overlap(self.down, h);
        let (from_x, to_x) = overlap(self.right, w);
        let rows = image.chunks_exact(w).skip(from_y).zip(out.chunks_exact_mut(w).skip(to_y));
        for (from, to) in rows {
            for (from, to) in from[from_x..].iter().zip(&mut to[to_x..]) {
                *to = f32::from(*from) / 255.0;
            }
        }
    }
}

/// Where along an axis of this length what is seen of a picture begins, and where it goes, after a shift by
/// whole pixels.
fn overlap(shift: f64, len: usize) -> (usize, usize) {
    let distance = (shift.abs() as usize).min(len);
    if shift < 0.0 { (distance, 0) } else { (0, distance) }
}

/// The picture between its pixels; 0 outside.
fn sample(image: &[u8], [h, w]: [usize; 2], [y, x]: [f32; 2]) -> f32 {
    let (top, left) = (y.floor(), x.floor());
    let (down, right) = (y - top, x - left);
    let pixel = |y: f32, x: f32| {
        let inside = y >= 0.0 && x >= 0.0 && y < h as f32 && x < w as f32;
        if inside { f32::from(image[y as usize * w + x as usize]) } else { 0.0 }
    };
    let row = |y: f32| pixel(y, left) * (1.0 - right) + pixel(y, left + 1.0) * right;
    row(top) * (1.0 - down) + row(top + 1.0) * down
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::{FRAC_PI_2, PI};

    #[rustfmt::skip]
    const IMAGE: [u8; 9] = [
        10, 20, 30,
        40, 50, 60,
        70, 80, 90,
    ];

    fn moved(down: f64, right: f64, angle: f64) -> [u8; 9] {
        let mut out = [0.0; 9];
        Motion { down, right, angle }.apply(&IMAGE, [3, 3], &mut out);
        out.map(|x| (x * 255.0).round() as u8)
    }

    #[test]
    fn pictures_move_and_turn() {
        assert_eq!(moved(0.0, 0.0, 0.0), IMAGE);
        assert_eq!(moved(1.0, 0.0, 0.0), [0, 0, 0, 10, 20, 30, 40, 50, 60]);
        assert_eq!(moved(0.0, -1.0, 0.0), [20, 30, 0, 50, 60, 0, 80, 90, 0]);
        assert_eq!(moved(0.0, 0.0, FRAC_PI_2), [70, 40, 10, 80, 50, 20, 90, 60, 30], "clockwise");
        assert_eq!(moved(0.0, 0.0, PI), [90, 80, 70, 60, 50, 40, 30, 20, 10]);
        assert_eq!(moved(0.5, 0.0, 0.0), [5, 10, 15, 25, 35, 45, 55, 65, 75]);
        assert_eq!(moved(9.0, 9.0, 1.0), [0; 9]);
    }

    fn data() -> Dataset {
        let images = (0..100).flat_map(|_| IMAGE).collect();
        Dataset::new(images, vec![0; 100], [3, 3], 1).unwrap()
    }

    #[test]
    fn whole_pixels_are_copied_as_they_would_be_interpolated() {
        for (down, right) in [(0.0, 0.0), (1.0, -2.0), (-1.0, 1.0), (3.0, 0.0), (-9.0, 9.0)] {
            let [mut copied, mut interpolated] = [[f32::NAN; 9]; 2];
            Motion { down, right, angle: 0.0 }.apply(&IMAGE, [3, 3], &mut copied);
            Motion { down, right, angle: 1e-12 }.apply(&IMAGE, [3, 3], &mut interpolated);
            for (a, b) in copied.iter().zip(interpolated) {
                assert!((a - b).abs() < 1e-5, "{down} {right}: {copied:?} {interpolated:?}");
            }
        }
    }

    #[test]
    fn motions_depend_on_seed_epoch_and_item() {
        let data = data();
        let items: Vec<usize> = (0..100).collect();
        let written = |seed, epoch, items: &[usize]| {
            let mut out = vec![f32::NAN; items.len() * 9];
            let augmentation = Augmentation { shift: 1.0, rotate: 10.0, seed };
            augmentation.write_images(&Context::serial(), &data, items, epoch, &mut out).unwrap();
            out
        };
        let all = written(0, 0, &items);
        assert!(all.iter().all(|x| (0.0..=1.0).contains(x)));
        assert_eq!(all[9 * 50..9 * 51], written(0, 0, &[50]), "whatever the batch");
        assert_ne!(all, written(1, 0, &items));
        assert_ne!(all, written(0, 1, &items));
        assert_ne!(all[..9], all[9..18]);
    }

    #[test]
    fn whole_shifts_are_equally_likely() {
        let augmentation = Augmentation { shift: 2.0, ..Augmentation::default() };
        let mut seen = [0; 25];
        for index in 0..25_000 {
            let Motion { down, right, angle } = augmentation.motion(0, index);
            assert_eq!(angle, 0.0);
            seen[((down + 2.0) * 5.0 + right + 2.0) as usize] += 1;
        }
        // 1000 of each expected, standard deviation 31.
        assert!(seen.iter().all(|count| (850..1150).contains(count)), "{seen:?}");
    }

    #[test]
    fn angles_stay_within_their_limit() {
        let augmentation = Augmentation { shift: 0.0, rotate: 10.0, seed: 3 };
        let angles: Vec<f64> = (0..1000).map(|index| augmentation.motion(7, index).angle).collect();
        let limit = 10_f64.to_radians();
        assert!(angles.iter().all(|angle| angle.abs() <= limit));
        let positive = angles.iter().filter(|angle| **angle > 0.0).count();
        assert!((400..600).contains(&positive), "{positive}");
    }
}

//! Values as colours.

use super::colour::Colour;
use super::rgb::Rgb;
use loupe_model::data::Grey;

/// A diverging scale from -1 to 1, even steps apart: the two ends differ in hue for everyone, and
/// lightness falls from the middle to both.
const SIGNED: [Colour; 5] = [
    Colour(5, 48, 97),
    Colour(67, 147, 195),
    Colour::WHITE,
    Colour(214, 96, 77),
    Colour(103, 0, 31),
];

/// `values[height, width]` as a grey picture: what is at or below the range's first number is black, at
/// or above its second white. Where both are equal, what is above them is white. Values that are not
/// numbers are yellow.
///
/// # Panics
/// If a side is 0, or there are not `height × width` values.
pub(crate) fn grey(values: &[f32], [height, width]: [usize; 2], range: (f32, f32)) -> Rgb {
    let pixel = |&value: &f32| {
        let share = share(value, range);
        let colour = match share.is_nan() {
            true => Colour::NOT_A_NUMBER,
            false => Colour::BLACK.mixed(Colour::WHITE, share),
        };
        [colour.0, colour.1, colour.2]
    };
    Rgb::of(width, height, values.iter().map(pixel))
}

/// Where a value is in the range: 0 at the first number or below, 1 at the second or above.
fn share(value: f32, (low, high): (f32, f32)) -> f32 {
    if value.is_nan() {
        return f32::NAN;
    }
    if value <= low {
        return 0.0;
    }
    if value >= high {
        return 1.0;
    }
    // In f64, where the width of no range of floats overflows.
    let (value, low, high) = (f64::from(value), f64::from(low), f64::from(high));
    ((value - low) / (high - low)) as f32
}

/// `values[height, width]` as a picture in which 0 is white, what is below is blue and what is above
/// red, darkest from `limit` on. With a limit of 0 every value but 0 is darkest. Values that are not
/// numbers are yellow.
///
/// # Panics
/// If a side is 0, or there are not `height × width` values.
pub(crate) fn signed(values: &[f32], [height, width]: [usize; 2], limit: f32) -> Rgb {
    let pixel = |&value: &f32| {
        let colour = signed_colour(signed_share(value, limit));
        [colour.0, colour.1, colour.2]
    };
    Rgb::of(width, height, values.iter().map(pixel))
}

/// A value as a share of the limit, from -1 to 1.
pub(super) fn signed_share(value: f32, limit: f32) -> f32 {
    if value == 0.0 {
        return 0.0;
    }
    // Infinite by infinite is 1, as any other value at the limit.
    let magnitude = if value.abs() >= limit { 1.0 } else { value.abs() / limit };
    if value.is_nan() { value } else { magnitude.copysign(value) }
}

fn signed_colour(share: f32) -> Colour {
    if share.is_nan() {
        return Colour::NOT_A_NUMBER;
    }
    let at = (share + 1.0) * 2.0;
    let below = (at as usize).min(SIGNED.len() - 2);
    SIGNED[below].mixed(SIGNED[below + 1], at - below as f32)
}

/// A picture of one channel as it is.
pub(crate) fn bytes(picture: &Grey) -> Rgb {
    let pixels = picture.pixels().iter().map(|&value| [value; 3]);
    Rgb::of(picture.width(), picture.height(), pixels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grey_fills_the_range() {
        let values = [-3.0, -1.0, 0.0, 1.0, 3.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
        let picture = grey(&values, [2, 4], (-1.0, 1.0));
        assert_eq!((picture.width, picture.height), (4, 2));
        let [black, white, middle] = [[0; 3], [255; 3], [128; 3]];
        let expected = [black, black, middle, white, white, white, black, [240, 228, 66]];
        assert_eq!(picture, Rgb::of(4, 2, expected));
    }

    #[test]
    fn grey_of_one_value_and_of_wide_ranges() {
        assert_eq!(grey(&[2.0, 3.0], [1, 2], (2.0, 2.0)).pixels, [0, 0, 0, 255, 255, 255]);
        let picture = grey(&[0.0], [1, 1], (f32::MIN, f32::MAX));
        assert_eq!(picture.pixels, [128; 3]);
    }

    #[test]
    fn signs_are_colours() {
        let values = [0.0, 1.0, -1.0, 9.0, 0.5, f32::NAN, -0.0];
        let picture = signed(&values, [1, 7], 1.0);
        let pixel = |x| picture.pixel(x, 0);
        assert_eq!(pixel(0), [255; 3]);
        assert_eq!(pixel(1), [103, 0, 31]);
        assert_eq!(pixel(2), [5, 48, 97]);
        assert_eq!(pixel(3), pixel(1));
        assert_eq!(pixel(4), [214, 96, 77]);
        assert_eq!(pixel(5), [240, 228, 66]);
        assert_eq!(pixel(6), [255; 3]);
    }

    #[test]
    fn limits_of_nothing_and_of_everything() {
        let limits = [0.0, f32::NAN, f32::INFINITY];
        for limit in limits {
            assert_eq!(signed(&[0.0], [1, 1], limit).pixels, [255; 3], "{limit}");
        }
        assert_eq!(signed(&[-1e-30], [1, 1], 0.0).pixels, [5, 48, 97]);
        assert_eq!(signed(&[1.0], [1, 1], f32::INFINITY).pixels, [255; 3]);
        assert_eq!(signed(&[f32::INFINITY], [1, 1], f32::INFINITY).pixels, [103, 0, 31]);
    }

    #[test]
    fn bytes_are_grey() {
        let picture = Grey::new(1, 2, vec![9, 200]).unwrap();
        assert_eq!(bytes(&picture), Rgb::of(2, 1, [[9; 3], [200; 3]]));
    }
}

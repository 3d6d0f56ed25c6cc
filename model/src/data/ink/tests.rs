use super::*;
use crate::data::{Split, open_mnist};
use rand_pcg::Pcg64;
use rand_pcg::rand_core::{Rng, SeedableRng};
use std::path::Path;

/// Digits of the test half.
fn digits(count: usize) -> Vec<Grey> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/mnist");
    let data = open_mnist(&folder, Split::Test, None).unwrap();
    (0..count).map(|i| Grey::new(28, 28, data.image(i).unwrap().to_vec()).unwrap()).collect()
}

/// Ten times as large, each pixel a square.
fn squares(digit: &Grey) -> Grey {
    let pixels = (0..280 * 280).map(|i| digit.pixels()[i / 2800 * 28 + i % 280 / 10]);
    Grey::new(280, 280, pixels.collect()).unwrap()
}

/// Somebody's picture of a digit of 280 × 280 pixels, on a canvas of `height × width` at `[top, left]`, whose
/// pixel `[y, x]` with the share `ink` of ink is `shade(y, x, ink)`.
fn drawn(
    large: &Grey,
    [height, width]: [usize; 2],
    [top, left]: [usize; 2],
    mut shade: impl FnMut(usize, usize, f32) -> f32,
) -> Grey {
    let mut pixels = Vec::with_capacity(height * width);
    for y in 0..height {
        for x in 0..width {
            let inside = (top..top + 280).contains(&y) && (left..left + 280).contains(&x);
            let ink = if inside { large.pixels()[(y - top) * 280 + x - left] } else { 0 };
            pixels.push(shade(y, x, f32::from(ink) / 255.0).round().clamp(0.0, 255.0) as u8);
        }
    }
    Grey::new(height, width, pixels).unwrap()
}

/// Mean absolute difference of pixels, as a part of the mean of the first.
fn difference(expected: &Grey, found: &Grey) -> f64 {
    let pairs = || expected.pixels().iter().zip(found.pixels());
    let distance: f64 = pairs().map(|(&a, &b)| f64::from(a.abs_diff(b))).sum();
    distance / pairs().map(|(&a, _)| f64::from(a)).sum::<f64>()
}

#[test]
fn digits_of_mnist_stay_almost_what_they_are() {
    let digits = digits(1000);
    let mapped: Vec<_> = digits.iter().map(|digit| digit.like_mnist(28, 28).unwrap()).collect();
    assert!(mapped.iter().all(|digit| !digit.inverted));
    let near = digits.iter().zip(&mapped).map(|(digit, mapped)| difference(digit, &mapped.picture));
    let near: Vec<f64> = near.collect();
    let mean = near.iter().sum::<f64>() / near.len() as f64;
    let same = near.iter().filter(|&&difference| difference < 0.03).count();

    assert!(mean < 0.03, "{mean}");
    assert!(same > 900, "{same}");
}

#[test]
fn drawn_digits_come_back() {
    let mut random = Pcg64::seed_from_u64(1);
    // Nearly normal, standard deviation 1.
    let mut noise =
        move || (0..12).map(|_| random.next_u32() as f32 / 2f32.powi(32)).sum::<f32>() - 6.0;
    type Shade<'a> = &'a mut dyn FnMut(usize, usize, f32) -> f32;
    let cases: [(&str, bool, Shade<'_>); 5] = [
        ("white on black", false, &mut |_, _, ink| 255.0 * ink),
        ("black on white", true, &mut |_, _, ink| 255.0 - 255.0 * ink),
        ("pencil on grey paper", true, &mut |_, _, ink| 190.0 - 60.0 * ink),
        ("noise", true, &mut |_, _, ink| 220.0 - 180.0 * ink + 8.0 * noise()),
        ("shade", true, &mut |y, x, ink| {
            (1.0 - 0.8 * ink) * (230.0 - 0.15 * y as f32 - 0.15 * x as f32)
        }),
    ];
    let digits = digits(8);
    for (name, inverted, shade) in cases {
        // Interpolation blurs, which scaling back does not undo.
        for (form, limit) in [("squares", 0.12), ("smooth", 0.27)] {
            let mut sum = 0.0;
            for digit in &digits {
                let large =
                    if form == "squares" { squares(digit) } else { digit.resized(280, 280) };
                let drawn = drawn(&large, [400, 500], [90, 170], &mut *shade);
                let mapped = drawn.like_mnist(28, 28).unwrap();
                let (rows, columns) = (&mapped.rows, &mapped.columns);
                assert_eq!(mapped.inverted, inverted, "{name}");
                assert!(rows.start >= 90 && rows.end <= 370, "{name}: {rows:?}");
                assert!(columns.start >= 170 && columns.end <= 450, "{name}: {columns:?}");
                sum += difference(digit, &mapped.picture);
            }
            let mean = sum / digits.len() as f64;

            assert!(mean < limit, "{name}, {form}: {mean}");
        }
    }
}

#[test]
fn pictures_without_ink() {
    let of = |pixels: Vec<u8>| Grey::new(50, 40, pixels).unwrap().like_mnist(28, 28).unwrap_err();
    assert_eq!(of(vec![255; 2000]), NoInk::Constant { grey: 255 });
    let mut random = Pcg64::seed_from_u64(2);
    let noisy = of((0..2000).map(|_| 100 + (random.next_u32() % 40) as u8).collect());
    assert!(matches!(noisy, NoInk::Faint { .. }), "{noisy}");
    let mut faint = vec![200; 2000];
    faint[800..810].fill(195);
    assert_eq!(of(faint), NoInk::Faint { contrast: 5, noise: 0 });
}

#[test]
fn the_ink_fills_its_room_and_keeps_its_aspect() {
    // A bar of 30 × 10 in a corner, and one of 10 × 30.
    for (size, [height, width]) in [([28, 28], [20, 7]), ([14, 28], [10, 3]), ([1, 1], [1, 1])] {
        let mut pixels = vec![9; 100 * 100];
        for row in pixels.chunks_mut(100).skip(3).take(30) {
            row[80..90].fill(250);
        }
        let mapped = Grey::new(100, 100, pixels).unwrap().like_mnist(size[0], size[1]).unwrap();
        assert_eq!((mapped.rows, mapped.columns, mapped.inverted), (3..33, 80..90, false));
        let inked = mapped.picture.pixels().iter().filter(|&&v| v == 255).count();
        assert_eq!(inked, height * width, "{size:?}");
        assert!(mapped.picture.pixels().iter().all(|&v| v == 0 || v == 255));
    }
}

#[test]
fn large_pictures_are_measured_in_their_own_pixels() {
    let mut pixels = vec![255; 3000 * 2000];
    for row in pixels.chunks_mut(2000).skip(900).take(600) {
        row[300..480].fill(0);
    }
    let mapped = Grey::new(3000, 2000, pixels).unwrap().like_mnist(28, 28).unwrap();
    for (found, expected) in [(mapped.rows, 900..1500), (mapped.columns, 300..480)] {
        assert!(found.start.abs_diff(expected.start) < 4 && found.end.abs_diff(expected.end) < 4);
    }
    assert!(mapped.inverted);
    assert_eq!(mapped.picture.pixels().iter().filter(|&&v| v > 127).count(), 20 * 6);
}

#[test]
fn no_picture_is_too_small() {
    for (height, width) in [(1, 2), (2, 1), (1, 300), (3, 3)] {
        let pixels = (0..height * width).map(|i| if i == 0 { 255 } else { 0 }).collect();
        let mapped = Grey::new(height, width, pixels).unwrap().like_mnist(28, 28).unwrap();
        assert_eq!(mapped.picture.pixels().len(), 784);
    }
}

//! Pictures as text.

use super::rgb::Rgb;
use super::values::{signed, signed_share};
use std::fmt::Write;
use std::io::IsTerminal;

/// From black to white.
const RAMP: &[u8] = b" .:-=+*#%@";

/// Whether standard output takes colours: it is a terminal, `NO_COLOR` is unset or empty, and `TERM` is
/// not `dumb`.
pub(crate) fn colour() -> bool {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    std::io::stdout().is_terminal()
        && set("NO_COLOR").is_none()
        && set("TERM").is_none_or(|term| term != "dumb")
}

/// The picture as lines of at most `width_limit` characters, each ended by a line break; a wider
/// picture is made smaller.
///
/// With `colour`, a character is two pixels, one above the other, in 24-bit colours. Without, it stands
/// for their lightness, and if there is room every pixel is two characters wide and its own line high;
/// no escape codes then.
pub(crate) fn terminal(picture: &Rgb, width_limit: usize, colour: bool) -> String {
    if colour {
        return half_blocks(&narrowed(picture, width_limit));
    }
    let plane = Plane {
        width: picture.width,
        height: picture.height,
        values: picture.pixels.chunks_exact(3).map(lightness).collect(),
    };
    plane.letters(width_limit, |light| {
        let step = (light * (RAMP.len() - 1) as f32).round() as usize;
        char::from(RAMP[step.min(RAMP.len() - 1)])
    })
}

/// What [`signed`] shows, as [`terminal`] does. Without colour 0 is blank, `+` and `#` are positive
/// values, `-` and `=` negative ones, from a sixth and from a half of the limit on; `?` is not a
/// number.
///
/// # Panics
/// If a side is 0, or there are not `height × width` values.
pub(crate) fn terminal_signed(
    values: &[f32],
    [height, width]: [usize; 2],
    limit: f32,
    width_limit: usize,
    colour: bool,
) -> String {
    if colour {
        return terminal(&signed(values, [height, width], limit), width_limit, true);
    }
    assert_eq!(values.len(), height * width, "values of a {width} × {height} picture");
    let values = values.iter().map(|&value| signed_share(value, limit)).collect();
    Plane { width, height, values }.letters(width_limit, |share| match share {
        share if share.is_nan() => '?',
        share if share >= 0.5 => '#',
        share if share >= 1.0 / 6.0 => '+',
        share if share <= -0.5 => '=',
        share if share <= -1.0 / 6.0 => '-',
        _ => ' ',
    })
}

/// 0 to 1, by the weights of the eye for the three colours.
fn lightness(pixel: &[u8]) -> f32 {
    let [red, green, blue] = [pixel[0], pixel[1], pixel[2]].map(f32::from);
    (0.2126 * red + 0.7152 * green + 0.0722 * blue) / 255.0
}

/// One number for each pixel.
struct Plane {
    width: usize,
    height: usize,
    values: Vec<f32>,
}

impl Plane {
    fn letters(&self, width_limit: usize, letter: impl Fn(f32) -> char) -> String {
        let wide = self.width.saturating_mul(2) <= width_limit;
        let columns = if wide { self.width } else { self.width.min(width_limit.max(1)) };
        // A character is about twice as high as wide.
        let rows = match wide {
            true => self.height,
            false => (self.height * columns).div_ceil(self.width * 2).max(1),
        };
        let mut text = String::with_capacity(rows * (columns * 2 + 1));
        for row in 0..rows {
            let from = text.len();
            for column in 0..columns {
                let letter = letter(self.mean((column, columns), (row, rows)));
                text.push(letter);
                if wide {
                    text.push(letter);
                }
            }
            text.truncate(from + text[from..].trim_end_matches(' ').len());
            text.push('\n');
        }
        text
    }

    /// The mean of the pixels that cell (`column`, `row`) of so many covers.
    fn mean(&self, column: (usize, usize), row: (usize, usize)) -> f32 {
        let (mut sum, mut count) = (0.0, 0);
        for y in covered(row, self.height) {
            for x in covered(column, self.width) {
                sum += self.values[y * self.width + x];
                count += 1;
            }
        }
        sum / count as f32
    }
}

/// The part of `len` pixels that the cell of this index among so many covers; at least one.
fn covered((index, cells): (usize, usize), len: usize) -> std::ops::Range<usize> {
    let from = (index * len / cells).min(len - 1);
    from..((index + 1) * len / cells).clamp(from + 1, len)
}

/// The picture with at most so many columns, each pixel the mean of those that it covers.
fn narrowed(picture: &Rgb, columns: usize) -> Rgb {
    let columns = picture.width.min(columns.max(1));
    if columns == picture.width {
        return picture.clone();
    }
    let rows = (picture.height * columns).div_ceil(picture.width);
    let cells = (0..rows).flat_map(|row| (0..columns).map(move |column| (column, row)));
    let pixels = cells.map(|(column, row)| {
        let (mut sums, mut count) = ([0u32; 3], 0);
        for y in covered((row, rows), picture.height) {
            for x in covered((column, columns), picture.width) {
                let pixel = picture.pixel(x, y);
                (0..3).for_each(|i| sums[i] += u32::from(pixel[i]));
                count += 1;
            }
        }
        sums.map(|sum| ((sum + count / 2) / count) as u8)
    });
    Rgb::of(columns, rows, pixels)
}

fn half_blocks(picture: &Rgb) -> String {
    let mut text = String::new();
    for y in (0..picture.height).step_by(2) {
        let mut last = None;
        for x in 0..picture.width {
            let upper = picture.pixel(x, y);
            let lower = (y + 1 < picture.height).then(|| picture.pixel(x, y + 1));
            if last != Some((upper, lower)) {
                let [red, green, blue] = upper;
                // A last row without a partner leaves the terminal's own ground below it.
                let _ = match lower {
                    Some([r, g, b]) => {
                        write!(text, "\x1b[38;2;{red};{green};{blue};48;2;{r};{g};{b}m")
                    }
                    None => write!(text, "\x1b[38;2;{red};{green};{blue}m"),
                };
                last = Some((upper, lower));
            }
            text.push('▀');
        }
        text.push_str("\x1b[0m\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::values::grey;
    use super::*;

    #[test]
    fn two_pixels_are_one_character_in_colour() {
        let picture = Rgb::of(2, 3, [[1; 3], [1; 3], [2; 3], [2; 3], [3; 3], [4; 3]]);
        let expected = "\x1b[38;2;1;1;1;48;2;2;2;2m▀▀\x1b[0m\n\
                        \x1b[38;2;3;3;3m▀\x1b[38;2;4;4;4m▀\x1b[0m\n";
        assert_eq!(terminal(&picture, 80, true), expected);
    }

    #[test]
    fn letters_without_colour() {
        let picture = grey(&[0.0, 0.5, 1.0, 0.0, 0.0, 1.0], [2, 3], (0.0, 1.0));
        assert_eq!(terminal(&picture, 6, false), "  ++@@\n    @@\n");
        // Narrower: one character is two rows.
        assert_eq!(terminal(&picture, 5, false), " :@\n");
        assert_eq!(terminal(&picture, 1, false), "=\n");
        assert_eq!(terminal(&picture, 0, false), "=\n");
    }

    #[test]
    fn signs_are_letters_without_colour() {
        let values = [0.0, 0.3, 1.0, -0.3, -2.0, f32::NAN];
        assert_eq!(terminal_signed(&values, [1, 6], 1.0, 12, false), "  ++##--==??\n");
        assert_eq!(terminal_signed(&[0.0; 4], [2, 2], 0.0, 12, false), "\n\n");
    }

    #[test]
    fn wide_pictures_become_narrow() {
        for (width, height) in [(1, 1), (7, 3), (100, 1), (1, 100), (301, 200)] {
            let picture = Rgb::filled(width, height, crate::draw::Colour(9, 9, 9));
            for limit in [1, 2, 3, 50, 80] {
                for colour in [true, false] {
                    let text = terminal(&picture, limit, colour);
                    assert!(text.ends_with('\n'));
                    let blocks = |line: &str| line.matches('▀').count();
                    let letters = |line: &str| line.chars().count();
                    let columns = |line| if colour { blocks(line) } else { letters(line) };
                    assert!(text.lines().all(|line| columns(line) <= limit), "{text:?}");
                }
            }
        }
        assert_eq!(narrowed(&Rgb::of(2, 2, [[0; 3], [2; 3], [4; 3], [6; 3]]), 1).pixels, [3; 3]);
    }
}

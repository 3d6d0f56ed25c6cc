//! Maps of values: grey where none is negative, else blue and red.

use crate::draw::{self, Rgb};
use crate::screen::{Block, Screen};
use loupe_model::trace::Range;

/// In colour a smaller map is enlarged as often as it fits so many columns.
const SMALL: usize = 12;

/// How values become colours, so that maps that share it can be compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scale {
    /// From 0, black, to this, white.
    Grey(f32),
    /// From minus this, blue, over 0, white, to this, red.
    Signed(f32),
}

impl Scale {
    /// That of all these values.
    pub(crate) fn of(values: &[f32]) -> Scale {
        let range = Range::of(values);
        match range.min < 0.0 {
            true => Scale::Signed(range.max.max(-range.min)),
            // Of no finite values the largest is NaN.
            false => Scale::Grey(range.max.max(0.0)),
        }
    }

    /// `values[size[0], size[1]]` as a picture.
    pub(crate) fn picture(self, values: &[f32], size: [usize; 2]) -> Rgb {
        match self {
            Scale::Grey(white) => draw::grey(values, size, (0.0, white)),
            Scale::Signed(limit) => draw::signed(values, size, limit),
        }
    }

    /// The same for a terminal, in at most so many columns.
    pub(crate) fn block(
        self,
        values: &[f32],
        size: [usize; 2],
        columns: usize,
        screen: Screen,
    ) -> Block {
        let text = match self {
            _ if screen.colour => {
                let enlarged = self.picture(values, size).scaled((SMALL / size[1]).max(1));
                draw::terminal(&enlarged, columns, true)
            }
            Scale::Grey(_) => draw::terminal(&self.picture(values, size), columns, false),
            Scale::Signed(limit) => draw::terminal_signed(values, size, limit, columns, false),
        };
        // Without colour the ends of lines are cut. A pixel is two characters wide where there is room.
        let width = match (screen.colour, 2 * size[1] <= columns) {
            (true, _) => 0,
            (false, true) => 2 * size[1],
            (false, false) => size[1].min(columns),
        };
        Block { caption: String::new(), text, width }
    }
}

/// Four digits or so.
pub(crate) fn number(value: f32) -> String {
    match value.abs() {
        0.0 => "0".into(),
        size if (1e-3..1e5).contains(&size) => {
            let decimals = if size < 10.0 { 3 } else { 1 };
            let text = format!("{value:.decimals$}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        _ => format!("{value:.2e}"),
    }
}

/// `from -1.2 to 3, mean 0.5`, and how many values are no numbers.
pub(crate) fn range(range: &Range) -> String {
    let Range { len, min, max, mean, non_finite } = *range;
    let bad = match non_finite {
        0 => String::new(),
        _ => format!("{non_finite} of {len} not finite"),
    };
    if non_finite == len {
        return bad;
    }
    let text = format!("from {} to {}, mean {}", number(min), number(max), number(mean));
    if bad.is_empty() { text } else { format!("{text}; {bad}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_follow_from_the_values() {
        assert_eq!(Scale::of(&[0.0, 2.0]), Scale::Grey(2.0));
        assert_eq!(Scale::of(&[0.5, -2.0]), Scale::Signed(2.0));
        assert_eq!(Scale::of(&[f32::NAN]), Scale::Grey(0.0));
        assert_eq!(Scale::of(&[0.0, f32::INFINITY, -1.0]), Scale::Signed(1.0));
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (1.0, "1"),
            (-0.25, "-0.25"),
            (9.87654, "9.877"),
            (123.456, "123.5"),
            (100.0, "100"),
            (1e-5, "1.00e-5"),
            (1e7, "1.00e7"),
            (f32::NAN, "NaN"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn ranges_in_words() {
        assert_eq!(range(&Range::of(&[-1.0, 2.0])), "from -1 to 2, mean 0.5");
        let text = range(&Range::of(&[f32::NAN, 2.0]));
        assert_eq!(text, "from 2 to 2, mean 2; 1 of 2 not finite");
        assert_eq!(range(&Range::of(&[f32::INFINITY])), "1 of 1 not finite");
    }
}

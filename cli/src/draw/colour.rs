//! Colours that people with any kind of colour vision can tell apart.

/// Red, green and blue, 0 to 255, as sRGB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Colour(pub(crate) u8, pub(crate) u8, pub(crate) u8);

impl Colour {
    pub(crate) const BLACK: Colour = Colour(0, 0, 0);
    pub(crate) const WHITE: Colour = Colour(255, 255, 255);
    /// What is as it should be.
    pub(crate) const RIGHT: Colour = Colour(0, 114, 178);
    /// What is not.
    pub(crate) const WRONG: Colour = Colour(213, 94, 0);
    /// In place of a value that is not a number.
    pub(crate) const NOT_A_NUMBER: Colour = Colour(240, 228, 66);

    /// This colour at `share` 0, `other` at 1.
    pub(crate) fn mixed(self, other: Colour, share: f32) -> Colour {
        let mix = |a: u8, b: u8| {
            (f32::from(a) + (f32::from(b) - f32::from(a)) * share).round().clamp(0.0, 255.0) as u8
        };
        Colour(mix(self.0, other.0), mix(self.1, other.1), mix(self.2, other.2))
    }
}

/// What is drawn with a colour. In an SVG each is a class too, so that the page around it can choose
/// other colours on a dark ground.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paint {
    /// The ground behind everything.
    Ground,
    /// Text and axes.
    Ink,
    /// Text of less weight.
    Muted,
    /// Lines that the eye may follow.
    Grid,
    /// Text on a fully [`Paint::Right`] or [`Paint::Wrong`] ground.
    Inverse,
    Right,
    Wrong,
    /// One of several curves; after [`Paint::SERIES`] of them colours repeat.
    Series(usize),
    Fixed(Colour),
}

/// After Okabe and Ito, without yellow, which is too light for a line on white.
const SERIES: [Colour; Paint::SERIES] = [
    Colour(0, 114, 178),
    Colour(213, 94, 0),
    Colour(0, 138, 102),
    Colour(168, 81, 139),
    Colour(43, 155, 214),
    Colour(191, 130, 0),
    Colour(90, 90, 90),
];

impl Paint {
    pub(crate) const SERIES: usize = 7;

    pub(crate) fn colour(self) -> Colour {
        match self {
            Paint::Ground | Paint::Inverse => Colour::WHITE,
            Paint::Ink => Colour(34, 34, 34),
            Paint::Muted => Colour(102, 102, 102),
            Paint::Grid => Colour(226, 226, 226),
            Paint::Right => Colour::RIGHT,
            Paint::Wrong => Colour::WRONG,
            Paint::Series(i) => SERIES[i % SERIES.len()],
            Paint::Fixed(colour) => colour,
        }
    }

    /// The class without its prefix; none for a colour that no page may change.
    pub(super) fn class(self) -> Option<String> {
        Some(match self {
            Paint::Ground => "ground".into(),
            Paint::Ink => "ink".into(),
            Paint::Muted => "muted".into(),
            Paint::Grid => "grid".into(),
            Paint::Inverse => "inverse".into(),
            Paint::Right => "right".into(),
            Paint::Wrong => "wrong".into(),
            Paint::Series(i) => format!("series{}", i % SERIES.len()),
            Paint::Fixed(_) => return None,
        })
    }
}

//! Kernels by name and by numbers.

use std::fmt::Write;

/// A kernel may not be larger than this along an axis.
const LARGEST: usize = 64;

/// `values[size[0], size[1]]`, to be laid on a picture as they stand.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Kernel {
    pub(crate) name: String,
    pub(crate) size: [usize; 2],
    pub(crate) values: Vec<f32>,
}

/// What `--kernel` asks for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Choice {
    /// The list of names.
    List,
    /// The index among the named ones.
    Named(usize),
    Numbers(Kernel),
}

struct Named {
    name: &'static str,
    what: &'static str,
    values: Values,
}

enum Values {
    /// Of 3 × 3.
    Fixed([f32; 9]),
    /// Of any size: what stands at (row, column) of n × n.
    Any { default: usize, at: fn(usize, usize, usize) -> f32 },
    /// The same of an odd size.
    Odd { default: usize, at: fn(usize, usize, usize) -> f32 },
}

const NAMED: [Named; 12] = [
    Named {
        name: "box",
        what: "ones: adds the pixels up",
        values: Values::Any { default: 2, at: |_, _, _| 1.0 },
    },
    Named {
        name: "horizontal",
        what: "ones above zeros: bright upper halves",
        values: Values::Any { default: 2, at: |n, row, _| one(row < n.div_ceil(2)) },
    },
    Named {
        name: "vertical",
        what: "ones left of zeros: bright left halves",
        values: Values::Any { default: 2, at: |n, _, column| one(column < n.div_ceil(2)) },
    },
    Named {
        name: "diagonal",
        what: "ones from the upper left to the lower right",
        values: Values::Any { default: 2, at: |_, row, column| one(row == column) },
    },
    Named {
        name: "antidiagonal",
        what: "ones from the upper right to the lower left",
        values: Values::Any { default: 2, at: |n, row, column| one(row + column == n - 1) },
    },
    Named {
        name: "sobel-x",
        what: "how much brighter it becomes to the right: vertical edges",
        values: Values::Fixed([-1.0, 0.0, 1.0, -2.0, 0.0, 2.0, -1.0, 0.0, 1.0]),
    },
    Named {
        name: "sobel-y",
        what: "how much brighter it becomes downwards: horizontal edges",
        values: Values::Fixed([-1.0, -2.0, -1.0, 0.0, 0.0, 0.0, 1.0, 2.0, 1.0]),
    },
    Named {
        name: "laplace",
        what: "how much brighter the neighbours are: edges of all directions",
        values: Values::Fixed([0.0, 1.0, 0.0, 1.0, -4.0, 1.0, 0.0, 1.0, 0.0]),
    },
    Named {
        name: "sharpen",
        what: "the pixel, and how far it is from its neighbours",
        values: Values::Fixed([0.0, -1.0, 0.0, -1.0, 5.0, -1.0, 0.0, -1.0, 0.0]),
    },
    Named {
        name: "blur",
        what: "a mean in which near pixels count more: binomial, close to a Gaussian",
        values: Values::Any {
            default: 3,
            at: |n, row, column| (binomial(n - 1, row) * binomial(n - 1, column)) as f32,
        },
    },
    Named {
        name: "emboss",
        what: "the picture as a relief, lit from the lower right",
        values: Values::Fixed([-2.0, -1.0, 0.0, -1.0, 1.0, 1.0, 0.0, 1.0, 2.0]),
    },
    Named {
        name: "identity",
        what: "the pixel in the middle alone",
        values: Values::Odd {
            default: 3,
            at: |n, row, column| one(row == n / 2 && column == n / 2),
        },
    },
];

fn one(here: bool) -> f32 {
    f32::from(u8::from(here))
}

/// C(n, k) / 2ⁿ.
fn binomial(n: usize, k: usize) -> f64 {
    (0..k).fold(0.5_f64.powi(n as i32), |c, i| c * (n - i) as f64 / (i + 1) as f64)
}

/// What `--kernel` may say; the error says what is wrong.
pub(crate) fn choice(text: &str) -> Result<Choice, String> {
    let text = text.trim();
    if text == "list" {
        return Ok(Choice::List);
    }
    if let Some(index) = NAMED.iter().position(|named| named.name == text) {
        return Ok(Choice::Named(index));
    }
    if !text.contains(|c: char| c.is_ascii_digit()) {
        let names: Vec<_> = NAMED.iter().map(|named| named.name).collect();
        return Err(format!(
            "expected one of {}, or rows of numbers like \"1 1; 0 0\"",
            names.join(", ")
        ));
    }
    numbers(text).map(Choice::Numbers)
}

/// Rows that end at `;` of numbers with spaces or commas between them.
fn numbers(text: &str) -> Result<Kernel, String> {
    let text = text.strip_suffix(';').unwrap_or(text);
    let (mut values, mut rows, mut columns) = (Vec::new(), 0, 0);
    for row in text.split(';') {
        rows += 1;
        let before = values.len();
        for word in row.split(|c: char| c == ',' || c.is_whitespace()).filter(|w| !w.is_empty()) {
            let value = word.parse().ok().filter(|value: &f32| value.is_finite());
            values.push(value.ok_or_else(|| format!("row {rows}: {word:?} is not a number"))?);
        }
        let found = values.len() - before;
        if rows == 1 {
            columns = found;
        }
        if found == 0 {
            return Err(format!("row {rows} has no numbers"));
        }
        if found != columns {
            return Err(format!("row {rows} has {found} numbers, but row 1 has {columns}"));
        }
        if rows > LARGEST || columns > LARGEST {
            return Err(format!("a kernel may have at most {LARGEST} rows and columns"));
        }
    }
    Ok(Kernel { name: "kernel".into(), size: [rows, columns], values })
}

/// A side of a kernel.
pub(crate) fn side(text: &str) -> Result<usize, String> {
    let side = text.parse().ok().filter(|side| (1..=LARGEST).contains(side));
    side.ok_or_else(|| format!("expected a whole number from 1 to {LARGEST}"))
}

impl Choice {
    /// The kernel, of `side × side` if that is asked for.
    ///
    /// # Panics
    /// For the list.
    pub(crate) fn kernel(&self, side: Option<usize>) -> Result<Kernel, String> {
        let named = match self {
            Choice::List => unreachable!("printed by the command"),
            Choice::Numbers(_) if side.is_some() => {
                return Err("numbers have a size of their own; leave --size out".into());
            }
            Choice::Numbers(kernel) => return Ok(kernel.clone()),
            &Choice::Named(index) => &NAMED[index],
        };
        let name = named.name.to_owned();
        let (side, at) = match (&named.values, side) {
            (Values::Fixed(values), None | Some(3)) => {
                return Ok(Kernel { name, size: [3, 3], values: values.to_vec() });
            }
            (Values::Fixed(_), Some(side)) => {
                return Err(format!("{name} is a kernel of 3 × 3, not of {side} × {side}"));
            }
            (Values::Odd { .. }, Some(side)) if side.is_multiple_of(2) => {
                return Err(format!("{name} needs a middle: an odd --size, not {side}"));
            }
            (Values::Any { default, at } | Values::Odd { default, at }, side) => {
                (side.unwrap_or(*default), at)
            }
        };
        let places = (0..side).flat_map(|row| (0..side).map(move |column| (row, column)));
        let values = places.map(|(row, column)| at(side, row, column)).collect();
        Ok(Kernel { name, size: [side; 2], values })
    }
}

/// The names, with sizes and what each kernel is for.
pub(crate) fn list() -> String {
    let mut text = String::new();
    for Named { name, what, values } in &NAMED {
        let size = match values {
            Values::Fixed(_) => "3 × 3".into(),
            Values::Any { default, .. } => format!("any size, {default} × {default}"),
            Values::Odd { default, .. } => format!("any odd size, {default} × {default}"),
        };
        let _ = writeln!(text, "  {name:<13} {what} ({size})");
    }
    text.truncate(text.trim_end().len());
    text
}

impl Kernel {
    /// A line for each row, with the columns below each other.
    pub(crate) fn lines(&self) -> String {
        let short = |value: &f32| match value.fract() == 0.0 && value.abs() < 1e6 {
            true => format!("{value}"),
            false => format!("{value:.4}"),
        };
        let words: Vec<String> = self.values.iter().map(short).collect();
        let width = words.iter().map(String::len).max().unwrap_or(0);
        let row = |row: &[String]| -> String {
            row.iter().map(|word| format!("{word:>width$}")).collect::<Vec<_>>().join("  ")
        };
        words.chunks(self.size[1]).map(row).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str, side: Option<usize>) -> Vec<f32> {
        choice(name).unwrap().kernel(side).unwrap().values
    }

    #[test]
    fn the_tutorials_kernels() {
        assert_eq!(named("box", None), [1.0; 4]);
        assert_eq!(named("horizontal", None), [1.0, 1.0, 0.0, 0.0]);
        assert_eq!(named("vertical", None), [1.0, 0.0, 1.0, 0.0]);
        assert_eq!(named("diagonal", None), [1.0, 0.0, 0.0, 1.0]);
        assert_eq!(named("antidiagonal", None), [0.0, 1.0, 1.0, 0.0]);
        let three = named("antidiagonal", Some(3));
        assert_eq!(three, [0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn sums_of_kernels() {
        for (name, sum) in [
            ("sobel-x", 0.0),
            ("sobel-y", 0.0),
            ("laplace", 0.0),
            ("sharpen", 1.0),
            ("emboss", 1.0),
            ("identity", 1.0),
            ("blur", 1.0),
        ] {
            assert_eq!(named(name, None).iter().sum::<f32>(), sum, "{name}");
        }
        assert_eq!(named("blur", None)[..3], [1.0 / 16.0, 2.0 / 16.0, 1.0 / 16.0]);
        let large = named("blur", Some(LARGEST)).iter().sum::<f32>();
        assert!((large - 1.0).abs() < 1e-5, "{large}");
    }

    #[test]
    fn numbers_in_rows() {
        for text in ["1 1; 0 -2.5", "1,1;0,-2.5", " 1, 1 ; 0 , -2.5; "] {
            let Choice::Numbers(kernel) = choice(text).unwrap() else { panic!("{text}") };
            assert_eq!((kernel.size, &kernel.values[..]), ([2, 2], &[1.0, 1.0, 0.0, -2.5][..]));
        }
        let kernel = choice("1 2 3").unwrap().kernel(None).unwrap();
        assert_eq!((kernel.size, kernel.lines().as_str()), ([1, 3], "1  2  3"));
        assert_eq!(choice("-1 2; 0.5 10").unwrap().kernel(None).unwrap().lines(), {
            "    -1       2\n0.5000      10"
        });
    }

    #[test]
    fn what_is_no_kernel_is_explained() {
        let error = |text: &str| choice(text).unwrap_err();
        assert!(error("sobel").starts_with("expected one of box, horizontal, "));
        assert!(error("").contains("rows of numbers like"));
        assert_eq!(error("1 2; 3"), "row 2 has 1 numbers, but row 1 has 2");
        assert_eq!(error("1 2;; 3 4"), "row 2 has no numbers");
        assert_eq!(error("1 2x"), "row 1: \"2x\" is not a number");
        assert_eq!(error("1 1e39"), "row 1: \"1e39\" is not a number");
        assert!(error(&"1 ".repeat(65)).contains("at most 64"));
        assert!(error(&"1;".repeat(65)).contains("at most 64"));
        let size = |name: &str, side| choice(name).unwrap().kernel(Some(side)).unwrap_err();
        assert_eq!(size("laplace", 5), "laplace is a kernel of 3 × 3, not of 5 × 5");
        assert!(size("identity", 4).contains("an odd --size, not 4"));
        assert!(size("1 1", 2).contains("leave --size out"));
        assert_eq!(side("64"), Ok(64));
        assert!(["0", "65", "-1", "two"].iter().all(|text| side(text).is_err()));
    }

    #[test]
    fn every_kernel_is_listed() {
        let list = list();
        assert_eq!(list.lines().count(), NAMED.len());
        assert!(NAMED.iter().all(|named| choice(named.name).unwrap().kernel(None).is_ok()));
    }
}

//! The tutorial's three claims of its convolutional network, and whether this comparison bears them out.

use super::entrant::{Entrant, StepTimes, judged};
use super::table::{micros, times};
use crate::output::Thousands;
use loupe_model::{Normalization, Score};
use serde_json::{Value, json};
use std::fmt;

/// Steps whose times differ by less than this share are equally fast: machines are not steadier.
const STEADY: f64 = 0.05;
/// The accuracy that the tutorial names, in whole percent.
const GOAL: f64 = 98.0;

/// A claim and what was measured.
#[derive(Debug, PartialEq)]
pub(super) struct Claim {
    claim: &'static str,
    measured: String,
    /// None if nothing was measured, or chance may have decided.
    holds: Option<bool>,
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.holds {
            Some(true) => "true",
            Some(false) => "not true in this run",
            None => "not shown by this run",
        };
        write!(f, "{}: {} – {verdict}", self.claim, self.measured)
    }
}

impl Claim {
    pub(super) fn to_json(&self) -> Value {
        json!({ "claim": self.claim, "measured": self.measured, "holds": self.holds })
    }
}

/// What became of the claims when `new` took the place of `old`.
pub(super) fn claims(new: &Entrant<'_>, old: &Entrant<'_>, by: Normalization) -> Vec<Claim> {
    let names = [new.name(), old.name()];
    let score = |entrant: &Entrant<'_>| judged(&entrant.scores, by);
    let mut claims = vec![
        faster(names, [new.times(), old.times()]),
        smaller(names, [new, old].map(|entrant| entrant.memory.total())),
    ];
    if let (Some((mode, new)), Some((_, old))) = (score(new), score(old)) {
        claims.push(better(names, [new, old], mode));
    }
    claims
}

fn faster([new, old]: [&str; 2], steps: [Option<StepTimes>; 2]) -> Claim {
    let claim = "training got faster";
    let [Some(a), Some(b)] = steps.map(|times| times.map(|times| times.median)) else {
        return Claim { claim, measured: "no step was taken".to_owned(), holds: None };
    };
    let [shown_a, shown_b] = [a, b].map(|seconds| micros(seconds * 1e6));
    let (ratio, holds) = (b / a.max(1e-12), a < b * (1.0 - STEADY));
    let words = if holds {
        format!("{} times as fast", times(ratio))
    } else if b < a * (1.0 - STEADY) {
        format!("takes {} times as long", times(1.0 / ratio))
    } else {
        "about as fast".to_owned()
    };
    let measured = format!("{new} {shown_a} µs a step, {old} {shown_b} µs: {words}");
    Claim { claim, measured, holds: Some(holds) }
}

fn smaller([new, old]: [&str; 2], [a, b]: [usize; 2]) -> Claim {
    let ratio = b as f64 / a.max(1) as f64;
    let words = match a.cmp(&b) {
        std::cmp::Ordering::Less => format!("{} times less", times(ratio)),
        std::cmp::Ordering::Equal => "as much".to_owned(),
        std::cmp::Ordering::Greater => format!("{} times as much", times(1.0 / ratio)),
    };
    let kib = |bytes: usize| format!("{} KiB", Thousands(bytes.div_ceil(1024)));
    let measured = format!("training holds {} for {new}, {} for {old}: {words}", kib(a), kib(b));
    Claim { claim: "memory got smaller", measured, holds: Some(a < b) }
}

/// Accuracies differ beyond chance if they are more than two standard errors apart.
fn better([new, old]: [&str; 2], [a, b]: [Score; 2], mode: Option<Normalization>) -> Claim {
    let percent = |score: Score| score.ratio() * 100.0;
    let variance = |score: Score| score.ratio() * (1.0 - score.ratio()) / score.items.max(1) as f64;
    let chance = 200.0 * (variance(a) + variance(b)).sqrt();
    let points = percent(a) - percent(b);
    let by = mode.map_or(String::new(), |mode| format!(" by {mode}"));
    let mut measured = format!("{new} {:.2} %{by}, {old} {:.2} %: ", percent(a), percent(b));
    measured += &match points {
        0.0 => "no difference".to_owned(),
        up if up > 0.0 => format!("{up:.2} points more"),
        down => format!("{:.2} points less", -down),
    };
    let decided = points.abs() > chance;
    if !decided && points != 0.0 {
        measured += &format!(", where chance is good for {chance:.2}");
    }
    let reached = percent(a).round() >= GOAL;
    if points > 0.0 && !reached {
        measured += &format!(", and short of {GOAL} %");
    }
    let holds =
        if points == 0.0 || !reached { Some(false) } else { decided.then_some(points > 0.0) };
    Claim { claim: "accuracy rose to 98 %", measured, holds }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 2] = ["cnn", "mlp"];

    #[test]
    fn speed() {
        let step = |median| Some(StepTimes { median, mean: median, sum: 1.0 });
        let text = |a, b| faster(NAMES, [step(a), step(b)]).to_string();
        let expected = "cnn 8.90 µs a step, mlp 54.00 µs: 6.07 times as fast – true";
        assert_eq!(text(8.9e-6, 54e-6), format!("training got faster: {expected}"));
        let slower = text(54e-6, 27e-6);
        assert!(slower.ends_with(": takes 2.00 times as long – not true in this run"), "{slower}");
        let equal = text(1e-5, 1.02e-5);
        assert!(equal.ends_with(": about as fast – not true in this run"), "{equal}");
        assert_eq!(faster(NAMES, [None, None]).holds, None);
    }

    #[test]
    fn memory() {
        let claim = smaller(NAMES, [100 << 10, 250 << 10]);
        let text = "training holds 100 KiB for cnn, 250 KiB for mlp: 2.50 times less";
        assert_eq!((&*claim.measured, claim.holds), (text, Some(true)));
        assert!(smaller(NAMES, [8, 8]).to_string().ends_with("as much – not true in this run"));
        assert!(smaller(NAMES, [9, 3]).measured.ends_with(": 3.00 times as much"));
    }

    #[test]
    fn accuracy() {
        let of = |correct, items| Score { correct, items };
        let claim = |a, b| better(NAMES, [of(a, 10_000), of(b, 10_000)], None);
        let rose = claim(9784, 9727);
        assert_eq!(rose.measured, "cnn 97.84 %, mlp 97.27 %: 0.57 points more");
        assert_eq!(rose.holds, Some(true));
        let chance = claim(9784, 9770);
        assert_eq!(chance.holds, None);
        assert!(chance.measured.contains("0.14 points more, where chance is good for 0.4"));
        let short = claim(9700, 9600);
        assert!(short.to_string().ends_with("short of 98 % – not true in this run"), "{short}");
        assert_eq!(claim(9800, 9900).holds, Some(false));
        assert_eq!(claim(9800, 9800).holds, Some(false));
        let by = better(NAMES, [of(1, 1), of(0, 1)], Some(Normalization::BatchStatistics));
        assert!(by.measured.starts_with("cnn 100.00 % by batch statistics, mlp 0.00 %"));
    }
}

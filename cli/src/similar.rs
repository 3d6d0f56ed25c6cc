//! What somebody who mistyped a name may have meant.

/// From this likeness on, of 0 to 1, a name is proposed.
const LIKE: f64 = 0.7;

/// The one of `names` that is most like `typed`, if any is like it.
pub(crate) fn similar<'a>(typed: &str, names: &[&'a str]) -> Option<&'a str> {
    let typed = typed.to_lowercase();
    let likeness = |name: &&&str| strsim::jaro(&typed, name);
    let best = names.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(&best) >= LIKE).then_some(*best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_mistakes_are_forgiven() {
        for (typed, name) in [
            ("cmn", Some("cnn")),
            ("CNN", Some("cnn")),
            ("mpl", Some("mlp")),
            ("resnet", None),
            ("", None),
        ] {
            assert_eq!(similar(typed, &["cnn", "mlp"]), name, "{typed}");
        }
    }
}

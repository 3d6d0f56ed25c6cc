//! What somebody who mistyped a name may have meant.

/// The one of `names` that is `typed` with a mistake or two: one letter wrong, missing, too many or exchanged with
/// the next for every three letters. The first of equals.
pub(crate) fn similar<'a>(typed: &str, names: &[&'a str]) -> Option<&'a str> {
    let typed = typed.to_lowercase();
    let mistakes = |name: &&&str| strsim::osa_distance(&typed, name);
    let best = names.iter().min_by_key(mistakes)?;
    (mistakes(&best) <= best.chars().count() / 3).then_some(*best)
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
            ("cnn2", Some("cnn")),
            ("resnet", None),
            ("cat", None),
            ("", None),
        ] {
            assert_eq!(similar(typed, &["cnn", "mlp"]), name, "{typed}");
        }
        assert_eq!(similar("anything", &[]), None);
    }
}

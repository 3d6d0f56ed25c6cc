//! Names that differ, so that no network's folder is another's.

/// What else the folder of a comparison holds, and names that are no folder's.
const TAKEN: [&str; 6] = ["", ".", "..", super::folder::NUMBERS, "loss.svg", "loss.png"];

/// The names, with a number behind those that are taken. Names that differ in capitals alone count as one: some
/// file systems take them for the same.
pub(super) fn different<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Vec<String> {
    let mut taken: Vec<String> = TAKEN.map(str::to_owned).to_vec();
    // A number must not take the name that another network brings.
    let given: Vec<String> = names.clone().map(str::to_lowercase).collect();
    let mut different = Vec::new();
    for name in names {
        let mut unique = name.to_owned();
        let mut number = 2;
        while taken.contains(&unique.to_lowercase())
            || (unique != name && given.contains(&unique.to_lowercase()))
        {
            unique = format!("{name}-{number}");
            number += 1;
        }
        taken.push(unique.to_lowercase());
        different.push(unique);
    }
    different
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_tell_equal_names_apart() {
        let names = |names: &[&str]| different(names.iter().copied());
        assert_eq!(names(&["cnn", "mlp"]), ["cnn", "mlp"]);
        assert_eq!(names(&["net", "net", "Net"]), ["net", "net-2", "Net-3"]);
        assert_eq!(names(&["net", "net", "net-2"]), ["net", "net-3", "net-2"]);
        assert_eq!(names(&["..", "loss.png"]), ["..-2", "loss.png-2"]);
    }

    proptest! {
        #[test]
        fn no_two_are_equal(names in prop::collection::vec("[aA]{0,2}(-[23])?", 0..12)) {
            let different = different(names.iter().map(|name| &**name));
            let mut lower: Vec<_> = different.iter().map(|name| name.to_lowercase()).collect();
            prop_assert_eq!(lower.len(), names.len());
            lower.sort_unstable();
            lower.dedup();
            prop_assert_eq!(lower.len(), names.len());
            prop_assert!(different.iter().zip(&names).all(|(a, b)| a.starts_with(&**b)));
        }
    }
}

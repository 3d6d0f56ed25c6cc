//! The order of names in which 2 comes before 10.

use std::cmp::Ordering;

/// Compares names part by part: digits as numbers, of any length, and other characters by their code. Names
/// that differ in leading zeros alone are compared character by character.
pub(super) fn compare(a: &str, b: &str) -> Ordering {
    let (mut a_rest, mut b_rest) = (a, b);
    while !a_rest.is_empty() && !b_rest.is_empty() {
        let (a_digits, b_digits) = (digits(a_rest), digits(b_rest));
        if a_digits.is_empty() || b_digits.is_empty() {
            let (mut a_chars, mut b_chars) = (a_rest.chars(), b_rest.chars());
            match a_chars.next().cmp(&b_chars.next()) {
                Ordering::Equal => {}
                other => return other,
            }
            (a_rest, b_rest) = (a_chars.as_str(), b_chars.as_str());
            continue;
        }
        let [a_number, b_number] = [a_digits, b_digits].map(|text| text.trim_start_matches('0'));
        match a_number.len().cmp(&b_number.len()).then_with(|| a_number.cmp(b_number)) {
            Ordering::Equal => {}
            other => return other,
        }
        (a_rest, b_rest) = (&a_rest[a_digits.len()..], &b_rest[b_digits.len()..]);
    }
    a_rest.len().cmp(&b_rest.len()).then_with(|| a.cmp(b))
}

/// The digits at the beginning.
fn digits(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_count() {
        let sorted = ["", "1", "02", "2", "10", "10a", "100", "a", "a2", "a2b1", "a10", "b", "ä"];
        let mut names = sorted;
        names.reverse();
        names.sort_by(|a, b| compare(a, b));
        assert_eq!(names, sorted);
        let long = "1".repeat(50);
        assert_eq!(compare(&long, &format!("{long}0")), Ordering::Less);
    }

    proptest! {
        #[test]
        fn it_is_an_order(a in "[0-2a]{0,4}", b in "[0-2a]{0,4}", c in "[0-2a]{0,4}") {
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            prop_assert_eq!(compare(&a, &b) == Ordering::Equal, a == b);
            if compare(&a, &b).is_le() && compare(&b, &c).is_le() {
                prop_assert!(compare(&a, &c).is_le());
            }
        }
    }
}

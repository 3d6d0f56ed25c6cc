//! Paths within commands that a message tells the user to type.

use std::fmt;
use std::path::Path;

/// A path as a POSIX shell takes it for one word: in quotes where it holds anything but letters, digits and
/// characters that mean nothing to a shell.
pub(crate) struct Word<'a>(pub(crate) &'a Path);

impl fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string_lossy();
        // Else it would be taken for a flag.
        let prefix = if text.starts_with('-') { "./" } else { "" };
        let plain = |c: char| c.is_alphanumeric() || "/._-+=:@%,".contains(c);
        if !text.is_empty() && text.chars().all(plain) {
            write!(f, "{prefix}{text}")
        } else {
            write!(f, "'{prefix}{}'", text.replace('\'', r"'\''"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_shell() {
        for (path, word) in [
            ("runs/cnn-1", "runs/cnn-1"),
            ("Läufe/ä", "Läufe/ä"),
            ("my run", "'my run'"),
            ("it's", r"'it'\''s'"),
            ("-q", "./-q"),
            ("$HOME;ls", "'$HOME;ls'"),
        ] {
            assert_eq!(Word(Path::new(path)).to_string(), word);
        }
    }
}

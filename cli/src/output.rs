//! Writing to standard output, to which a reader may stop listening.

use anyhow::{Context, Result};
use std::fmt;
use std::io::{ErrorKind, Write};

/// Standard output. When the reader of a pipe goes away, work goes on in silence: a training that
/// runs for its result must not be lost because nobody reads its progress.
#[derive(Debug, Default)]
pub(crate) struct Output {
    closed: bool,
}

impl Output {
    /// Writes a line.
    pub(crate) fn line(&mut self, line: fmt::Arguments<'_>) -> Result<()> {
        if self.closed {
            return Ok(());
        }
        let mut stdout = std::io::stdout().lock();
        match writeln!(stdout, "{line}").and_then(|()| stdout.flush()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            result => result.context("cannot write to standard output"),
        }
    }
}

/// A whole number with a comma between thousands.
pub(crate) struct Thousands(pub(crate) usize);

impl fmt::Display for Thousands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (i, digit) in digits.chars().enumerate() {
            if i > 0 && (digits.len() - i).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        for (number, text) in [(0, "0"), (999, "999"), (3720, "3,720"), (1234567, "1,234,567")] {
            assert_eq!(Thousands(number).to_string(), text);
        }
    }
}

//! Writing to standard output, to which a reader may stop listening.

use crate::args::Verbosity;
use anyhow::{Context, Result};
use std::fmt;
use std::io::{Error, ErrorKind, Write};

/// Standard output. When it cannot be written, work goes on in silence: a training that runs for its
/// result must not be lost because nobody reads its progress.
#[derive(Debug)]
pub(crate) struct Output {
    verbosity: Verbosity,
    failure: Option<Error>,
}

impl Output {
    pub(crate) fn new(verbosity: Verbosity) -> Output {
        Output { verbosity, failure: None }
    }

    /// The same as with `--quiet`, for commands that write JSON.
    pub(crate) fn without_notes(mut self) -> Output {
        self.verbosity = Verbosity { quiet: true, verbose: false };
        self
    }

    /// Writes a line that tells of the work, unless `--quiet` was given.
    pub(crate) fn note(&mut self, line: fmt::Arguments<'_>) {
        if !self.verbosity.quiet {
            self.line(line);
        }
    }

    /// Writes a line that `--verbose` asks for.
    pub(crate) fn detail(&mut self, line: fmt::Arguments<'_>) {
        if self.verbosity.verbose {
            self.line(line);
        }
    }

    /// Whether `--quiet` was given.
    pub(crate) fn quiet(&self) -> bool {
        self.verbosity.quiet
    }

    /// Writes a line of the result, unless an earlier line could not be written.
    pub(crate) fn line(&mut self, line: fmt::Arguments<'_>) {
        if self.failure.is_none() {
            let mut stdout = std::io::stdout().lock();
            self.failure = writeln!(stdout, "{line}").and_then(|()| stdout.flush()).err();
        }
    }

    /// Whether all lines were written. That the reader of a pipe has gone away is no error.
    pub(crate) fn finish(self) -> Result<()> {
        match self.failure {
            Some(error) if error.kind() != ErrorKind::BrokenPipe => {
                Err(error).context("cannot write to standard output")
            }
            _ => Ok(()),
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

//! How a download goes on, for those who look at it.

use crate::fetch::{MirrorFailure, Observer};
use crate::known::KnownFile;
use crate::output::Output;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The progress bar of a file, and a line for each mirror that fails while others are left.
pub(super) struct Progress<'a> {
    bar: ProgressBar,
    output: Option<&'a mut Output>,
}

impl<'a> Progress<'a> {
    pub(super) fn new(
        name: &str,
        known: &KnownFile,
        json: bool,
        output: &'a mut Output,
    ) -> Progress<'a> {
        let style = ProgressStyle::with_template(
            "{prefix} [{bar:30}] {bytes} of {total_bytes}  {bytes_per_sec}  {eta} left",
        )
        .expect("the template is valid")
        .progress_chars("=> ");
        // Hidden where standard error is no terminal.
        let target = match output.quiet() {
            true => ProgressDrawTarget::hidden(),
            false => ProgressDrawTarget::stderr_with_hz(10),
        };
        let bar = ProgressBar::with_draw_target(Some(known.packed_bytes), target);
        bar.set_style(style);
        bar.set_prefix(name.to_owned());
        Progress { bar, output: (!json).then_some(output) }
    }

    /// Takes the bar away.
    pub(super) fn finish(self) {
        self.bar.finish_and_clear();
    }
}

impl Observer for Progress<'_> {
    fn received(&mut self, bytes: u64, of: Option<u64>) {
        if let Some(of) = of {
            self.bar.set_length(of);
        }
        self.bar.set_position(bytes);
    }

    fn failed(&mut self, failure: &MirrorFailure, more: bool) {
        if let Some(output) = &mut self.output
            && more
        {
            self.bar.suspend(|| output.note(format_args!("  {failure}; trying the next mirror")));
        }
    }
}

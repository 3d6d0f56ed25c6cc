//! What a library that is timed has to offer.

use crate::Case;

/// A library that can run cases.
pub trait Library {
    /// Its name in reports.
    fn name(&self) -> &'static str;

    /// The ways in which it can run a case, such as layouts of images; none if it cannot.
    fn variants(&self, case: &Case) -> Vec<&'static str>;

    /// Makes a case ready to be run on `threads` threads, in one of its [`Library::variants`], and runs it
    /// until there are outputs to check.
    fn prepare(&self, case: &Case, variant: &str, threads: usize) -> Call;
}

/// A case made ready to be timed.
pub struct Call {
    /// What the case computes: the losses of the first two training steps, the outputs of a network, C, or
    /// one of y, dx, dweight.
    pub output: Vec<f32>,
    /// Runs the case once.
    pub call: Box<dyn FnMut()>,
}

impl Call {
    /// A call without its outputs, and those outputs.
    pub fn new(output: Vec<f32>, call: impl FnMut() + 'static) -> Call {
        Call { output, call: Box::new(call) }
    }
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call").field("output", &self.output).finish_non_exhaustive()
    }
}
